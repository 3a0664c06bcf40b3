//! Triage dumps (type 4, "small memory dump"): some ranges of virtual memory and a list of drivers.
//!
//! The layout behind the header is as public parsers describe `TRIAGE_DUMP64` (radare2's `dmp64.h`). A range is read by
//! its virtual address, through the map built here, never by its place in the file: bytes that look like a callback
//! object somewhere in the file prove nothing. There is no pool memory in such a dump, so little can be proven.

use crate::dump::{HEADER_SIZE, truncated};
use crate::error::OpenError;
use crate::fields::{u16_at, u32_at, u64_at};
use crate::memory::{KernelRange, Memory, Missing, PartialRead, Why};
use crate::modules::UnloadedModule;
use crate::note::Note;
use crate::runs::Run;
use crate::source::Source;

/// The most data blocks and drivers looked at; Windows writes a few hundred.
const MAX_ENTRIES: u64 = 1 << 14;
/// Bytes of `TRIAGE_DUMP64`.
const TRIAGE_SIZE: usize = 0x80;
/// Bytes of a `DUMP_DRIVER_ENTRY64`: the name's offset, then a `KLDR_DATA_TABLE_ENTRY`.
const DRIVER_SIZE: u64 = 0xA8;
/// Bytes of a `DUMP_UNLOADED_DRIVERS64`: a `UNICODE_STRING64` whose text of twelve characters at most follows it, start and end.
const UNLOADED_SIZE: usize = 0x38;
/// The most unloaded drivers (`MI_UNLOADED_DRIVERS`).
const MAX_UNLOADED: u64 = 50;
/// The most characters of a driver's name.
const MAX_NAME: u32 = 1024;

/// A driver as the dump lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TriageDriver {
    pub(crate) base: u64,
    pub(crate) size: u32,
    pub(crate) timestamp: u32,
    pub(crate) name: Option<String>,
}

/// The ranges of virtual memory of a triage dump.
#[derive(Debug)]
pub(crate) struct Triage {
    source: Source,
    /// Sorted by virtual address; `first` is virtual here. None overlaps another.
    ranges: Vec<Run>,
    pub(crate) drivers: Vec<TriageDriver>,
    /// Unloaded drivers; `None` when the dump has no list of them.
    pub(crate) unloaded: Option<Vec<UnloadedModule>>,
    pub(crate) debugger_data: Vec<u8>,
}

impl Triage {
    /// Reads the tables of a triage dump.
    pub(crate) fn read(source: Source, notes: &mut Vec<Note>) -> Result<Self, OpenError> {
        const AT: u64 = HEADER_SIZE as u64;
        let head = source.read_up_to(AT, TRIAGE_SIZE)?;
        if head.len() < TRIAGE_SIZE {
            return Err(truncated("the triage header", AT, TRIAGE_SIZE as u64, &source));
        }
        let mut ranges = Vec::new();
        let mut lost = 0;
        let mut add = |address: u64, offset: u64, size: u64| {
            let there = source.len().saturating_sub(offset).min(size).min(u64::MAX - address);
            lost += size - there;
            if there > 0 && offset >= AT {
                ranges.push(Run { first: address, length: there, offset });
            }
        };
        let count = entries(u32_at(&head, 0x7C), 0x10, u64::from(u32_at(&head, 0x78)), &source, notes);
        let blocks = source.read_up_to(u64::from(u32_at(&head, 0x78)), (count * 0x10) as usize)?;
        for block in blocks.chunks_exact(0x10) {
            add(u64_at(block, 0), u64::from(u32_at(block, 8)), u64::from(u32_at(block, 12)));
        }
        // The stack ends below `TopOfStack`, which is its lowest address in the dump.
        let stack = (u64_at(&head, 0x48), u64::from(u32_at(&head, 0x28)), u64::from(u32_at(&head, 0x2C)));
        let page = (u64_at(&head, 0x60), u64::from(u32_at(&head, 0x68)), u64::from(u32_at(&head, 0x6C)));
        for (address, offset, size) in [stack, page] {
            if address != 0 && offset != 0 {
                add(address, offset, size);
            }
        }
        ranges.sort_by_key(|range| range.first);
        // What two ranges claim belongs to the one that begins lower.
        let mut end = 0;
        ranges.retain_mut(|range| {
            let skip = u64::saturating_sub(end, range.first).min(range.length);
            *range =
                Run { first: range.first + skip, length: range.length - skip, offset: range.offset + skip };
            end = end.max(range.end());
            range.length > 0
        });
        if lost > 0 {
            notes.push(Note::CutOff { bytes: lost, from: 0 });
        }
        let bytes = ranges.iter().map(|range| range.length).sum();
        notes.push(Note::Triage { ranges: ranges.len(), bytes });
        let drivers = drivers(&head, &source, notes)?;
        let unloaded = unloaded(&head, &source)?;
        let size = u32_at(&head, 0x74).min(0x1000) as usize;
        let debugger_data = source.read_up_to(u64::from(u32_at(&head, 0x70)), size)?;
        Ok(Self { source, ranges, drivers, unloaded, debugger_data })
    }

    /// Returns the captured ranges of virtual memory, sorted.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = core::ops::Range<u64>> + '_ {
        self.ranges.iter().map(|range| range.first..range.end())
    }
}

/// Returns how many entries of a table to read: what the header says, the file holds, and the limit allows.
fn entries(count: u32, size: u64, offset: u64, source: &Source, notes: &mut Vec<Note>) -> u64 {
    let count = u64::from(count);
    let fit = source.len().saturating_sub(offset) / size;
    if count > MAX_ENTRIES {
        notes.push(Note::MapLimit { read: MAX_ENTRIES });
    }
    count.min(fit).min(MAX_ENTRIES)
}

/// Reads the list of drivers.
fn drivers(head: &[u8], source: &Source, notes: &mut Vec<Note>) -> Result<Vec<TriageDriver>, OpenError> {
    let offset = u64::from(u32_at(head, 0x30));
    if offset == 0 {
        return Ok(Vec::new());
    }
    let count = entries(u32_at(head, 0x34), DRIVER_SIZE, offset, source, notes);
    let table = source.read_up_to(offset, (count * DRIVER_SIZE) as usize)?;
    let mut drivers = Vec::new();
    for entry in table.chunks_exact(DRIVER_SIZE as usize) {
        let name = u64::from(u32_at(entry, 0));
        let entry = &entry[8..];
        drivers.push(TriageDriver {
            base: u64_at(entry, 0x30),
            size: u32_at(entry, 0x40),
            timestamp: u32_at(entry, 0x9C),
            name: dump_string(source, name)?,
        });
    }
    Ok(drivers)
}

/// Reads the list of unloaded drivers: a count, then the entries.
fn unloaded(head: &[u8], source: &Source) -> Result<Option<Vec<UnloadedModule>>, OpenError> {
    let offset = u64::from(u32_at(head, 0x18));
    if offset < HEADER_SIZE as u64 || offset >= source.len() {
        return Ok(None);
    }
    let count = u64::from(u32_at(&source.read_up_to(offset, 4)?, 0)).min(MAX_UNLOADED);
    let table = source.read_up_to(offset + 8, count as usize * UNLOADED_SIZE)?;
    let mut modules = Vec::new();
    for entry in table.chunks_exact(UNLOADED_SIZE) {
        let (start, end) = (u64_at(entry, 0x28), u64_at(entry, 0x30));
        if start != 0 && end > start {
            let units = usize::from(u16_at(entry, 0) / 2).min(12);
            let text: Vec<u16> =
                entry[0x10..].chunks_exact(2).take(units).map(|unit| u16_at(unit, 0)).collect();
            let name = Ok(String::from_utf16_lossy(&text));
            modules.push(UnloadedModule { name, start, end, time: 0 });
        }
    }
    Ok(Some(modules))
}

/// Reads a `DUMP_STRING`: a count of characters, then UTF-16.
fn dump_string(source: &Source, offset: u64) -> Result<Option<String>, OpenError> {
    let length = u32_at(&source.read_up_to(offset, 4)?, 0);
    if offset == 0 || length == 0 || length > MAX_NAME {
        return Ok(None);
    }
    let bytes = source.read_up_to(offset + 4, length as usize * 2)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16_at(unit, 0)).collect();
    Ok(Some(String::from_utf16_lossy(&units)))
}

impl Memory for Triage {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead> {
        let mut read = 0;
        while read < buffer.len() {
            let at = address.saturating_add(read as u64);
            let missing = |why| PartialRead { read, missing: Missing { address: at, why } };
            let index = self.ranges.partition_point(|range| range.end() <= at);
            let range = self.ranges.get(index).filter(|range| range.first <= at);
            let range = range.ok_or_else(|| missing(Why::NotInImage))?;
            let skip = at - range.first;
            let length = (range.length - skip).min((buffer.len() - read) as u64) as usize;
            self.source
                .read_exact_at(range.offset + skip, &mut buffer[read..read + length])
                .map_err(|error| missing(Why::Unreadable(error.kind())))?;
            read += length;
        }
        Ok(())
    }

    fn kernel_range(&self) -> KernelRange {
        KernelRange::UPPER_HALF
    }

    fn physical_of(&self, _: u64) -> Option<u64> {
        None
    }
}
