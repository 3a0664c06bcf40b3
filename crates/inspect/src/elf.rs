//! ELF cores of virtual machines, as QEMU's `dump-guest-memory` and `virsh dump --memory-only` write them.
//!
//! `PT_LOAD` segments give physical memory by `p_paddr`; with paging they name the same file bytes several times. The
//! `QEMU` note of each processor holds its control registers (QEMU source tree, `QEMUCPUState`), and CR3 among them.

use crate::error::OpenError;
use crate::fields::{u16_at, u32_at, u64_at};
use crate::note::Note;
use crate::physical::Map;
use crate::runs::{MAX_RUNS, Run, Runs};
use crate::source::Source;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// `e_phnum` when the count stands in the first section header.
const PN_XNUM: u16 = 0xFFFF;
/// Bytes of notes looked at: a hundred processors and more.
const MAX_NOTES: u64 = 1 << 20;
/// The most processors whose registers are kept.
const MAX_PROCESSORS: usize = 64;

/// Registers of a processor that tell where the kernel lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers {
    /// CR3.
    pub(crate) cr3: u64,
    /// Base of the interrupt descriptor table.
    pub(crate) idt: u64,
}

/// Reads the segments and notes of a core.
pub(crate) fn read(source: &Source, notes: &mut Vec<Note>) -> Result<(Map, Vec<Registers>), OpenError> {
    let head = source.read_up_to(0, 0x40)?;
    let table = u64_at(&head, 0x20);
    let entry_size = u16_at(&head, 0x36);
    if entry_size < 0x38 {
        return Err(OpenError::Header {
            what: "the size of a program header (`e_phentsize`)",
            value: u64::from(entry_size),
            expected: "it should be at least 0x38",
        });
    }
    let entry_size = u64::from(entry_size);
    let mut count = u64::from(u16_at(&head, 0x38));
    if count == u64::from(PN_XNUM) {
        let section = source.read_up_to(u64_at(&head, 0x28), 0x40)?;
        count = u64::from(u32_at(&section, 0x2C));
    }
    let room = source.len().saturating_sub(table) / entry_size;
    if count > room {
        let needed = count * entry_size;
        return Err(crate::dump::truncated("the program headers", table, needed, source));
    }
    let mut runs = Vec::new();
    let mut registers = Vec::new();
    let mut note_bytes = 0;
    let per_read = (0x1_0000 / entry_size).max(1);
    let mut index = 0;
    'headers: while index < count {
        let here = per_read.min(count - index);
        let piece = source.read_up_to(table + index * entry_size, (here * entry_size) as usize)?;
        for header in piece.chunks_exact(entry_size as usize) {
            let (offset, address, size) = (u64_at(header, 8), u64_at(header, 0x18), u64_at(header, 0x20));
            match u32_at(header, 0) {
                // A segment without a physical address says so with all ones.
                PT_LOAD if address != u64::MAX => {
                    if runs.len() >= MAX_RUNS {
                        notes.push(Note::MapLimit { read: MAX_RUNS as u64 });
                        break 'headers;
                    }
                    runs.push(Run { first: address, length: size, offset });
                }
                PT_NOTE => {
                    let size = size.min(MAX_NOTES - note_bytes);
                    note_bytes += size;
                    read_notes(&source.read_up_to(offset, size as usize)?, &mut registers);
                }
                _ => {}
            }
        }
        index += here;
    }
    Ok((Map::Runs(Runs::build(runs, source.len(), notes)), registers))
}

/// Finds the processors' control registers among the notes of a segment.
fn read_notes(mut bytes: &[u8], registers: &mut Vec<Registers>) {
    /// `QEMUCPUState` of version 1, with all registers.
    const STATE_SIZE: usize = 440;
    while bytes.len() >= 12 && registers.len() < MAX_PROCESSORS {
        let (name_size, size) = (u32_at(bytes, 0) as usize, u32_at(bytes, 4) as usize);
        let padded = |size: usize| size.checked_next_multiple_of(4);
        let Some(body) = padded(name_size).and_then(|name| name.checked_add(12)) else { return };
        let Some(end) = padded(size).and_then(|size| size.checked_add(body)) else { return };
        let name = bytes.get(12..).map_or(&[][..], |rest| &rest[..name_size.min(rest.len())]);
        let state = bytes.get(body..end).filter(|state| state.len() >= STATE_SIZE);
        if let Some(state) = state.filter(|_| name.starts_with(b"QEMU")) {
            registers.push(Registers { cr3: u64_at(state, 416), idt: u64_at(state, 384) });
        }
        let Some(rest) = bytes.get(end..) else { return };
        bytes = rest;
    }
}
