//! Modules of the kernel: the list of loaded ones, the array of unloaded ones, images found by their headers.
//!
//! `PsLoadedModuleList` links `KLDR_DATA_TABLE_ENTRY` structures, whose members used here have kept their places since
//! Windows 7. The list may be forged or torn: the walk ends at a bound, at a node seen before, or where a neighbor does
//! not point back, and says so.

use std::collections::BTreeSet;

use crate::fields::{u16_at, u32_at, u64_at};
use crate::limits::limit;
use crate::memory::{KernelRange, Memory, MemoryExt as _, Missing, Why};

/// The most modules a list is followed for; Windows has a few hundred.
const MAX_MODULES: usize = limit(4096, 64) as usize;
/// Entries of `MmUnloadedDrivers` (`MI_UNLOADED_DRIVERS`).
const UNLOADED_DRIVERS: usize = 50;
/// Bytes of an entry.
const UNLOADED_SIZE: usize = 0x28;
/// The most bytes of a name.
const MAX_NAME: u16 = 2048;

/// A loaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelModule {
    /// Where its image lies.
    pub base: u64,
    /// `SizeOfImage`.
    pub size: u32,
    /// File name, or why it is not there.
    pub name: Result<String, Missing>,
    /// Path of the file, or why it is not there.
    pub path: Result<String, Missing>,
    /// `TimeDateStamp`, where the entry has one.
    pub timestamp: u32,
    /// Where its entry of the list lies; `None` when it was found by its headers or in a triage dump.
    pub entry: Option<u64>,
}

impl KernelModule {
    /// Returns whether an address lies in the image.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.base).is_some_and(|offset| offset < u64::from(self.size))
    }
}

/// A module that was unloaded, as `MmUnloadedDrivers` remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnloadedModule {
    /// File name, or why it is not there.
    pub name: Result<String, Missing>,
    /// Where its image began.
    pub start: u64,
    /// Where it ended.
    pub end: u64,
    /// When it was unloaded: 100 ns since 1601, UTC; 0 in a triage dump, which does not tell.
    pub time: u64,
}

/// Why a list of modules ended before it came back to its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Missing(Missing),
    SeenBefore { at: u64 },
    NotReciprocal { at: u64 },
    OutsideKernel { at: u64 },
    TooMany,
}

/// Follows the list from its head.
pub(crate) fn walk(
    memory: &dyn Memory,
    head: u64,
    range: KernelRange,
) -> (Vec<KernelModule>, Option<Broken>) {
    let mut modules = Vec::new();
    let mut seen = BTreeSet::from([head]);
    let mut previous = head;
    loop {
        let node = match memory.u64(previous) {
            Ok(node) => node,
            Err(missing) => return (modules, Some(Broken::Missing(missing))),
        };
        if node == head {
            return (modules, None);
        }
        if !range.contains(node) {
            return (modules, Some(Broken::OutsideKernel { at: node }));
        }
        if !seen.insert(node) {
            return (modules, Some(Broken::SeenBefore { at: node }));
        }
        if seen.len() > MAX_MODULES {
            return (modules, Some(Broken::TooMany));
        }
        let entry: [u8; 0xA0] = match memory.array(node) {
            Ok(entry) => entry,
            Err(missing) => return (modules, Some(Broken::Missing(missing))),
        };
        if u64_at(&entry, 8) != previous {
            return (modules, Some(Broken::NotReciprocal { at: node }));
        }
        modules.push(KernelModule {
            base: u64_at(&entry, 0x30),
            size: u32_at(&entry, 0x40),
            path: unicode(memory, node.wrapping_add(0x48), &entry[0x48..]),
            name: unicode(memory, node.wrapping_add(0x58), &entry[0x58..]),
            timestamp: u32_at(&entry, 0x9C),
            entry: Some(node),
        });
        previous = node;
    }
}

/// Reads the text of a `UNICODE_STRING` whose sixteen bytes are `raw`, and which lies at an address.
pub(crate) fn unicode(memory: &dyn Memory, address: u64, raw: &[u8]) -> Result<String, Missing> {
    let (length, buffer) = (u16_at(raw, 0), u64_at(raw, 8));
    if length % 2 != 0 || length > MAX_NAME || (length > 0 && buffer == 0) {
        return Err(Missing { address, why: Why::Implausible });
    }
    let mut bytes = vec![0; usize::from(length)];
    memory.read(buffer, &mut bytes)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16_at(unit, 0)).collect();
    Ok(String::from_utf16_lossy(&units))
}

/// Reads `MmUnloadedDrivers`, whose address the debugger data block gives.
pub(crate) fn unloaded(memory: &dyn Memory, variable: u64) -> Result<Vec<UnloadedModule>, Missing> {
    let array = memory.u64(variable)?;
    if array == 0 {
        // Nothing was ever unloaded.
        return Ok(Vec::new());
    }
    let mut modules = Vec::new();
    for index in 0..UNLOADED_DRIVERS {
        let at = array.wrapping_add((index * UNLOADED_SIZE) as u64);
        let entry: [u8; UNLOADED_SIZE] = memory.array(at)?;
        let (start, end) = (u64_at(&entry, 0x10), u64_at(&entry, 0x18));
        if start != 0 && end > start {
            let name = unicode(memory, at, &entry);
            modules.push(UnloadedModule { name, start, end, time: u64_at(&entry, 0x20) });
        }
    }
    Ok(modules)
}
