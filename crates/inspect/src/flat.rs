//! Raw physical memory and `.vmem` files: a byte of file per byte of memory, but for the hole below 4 GiB.
//!
//! VMware leaves the PCI hole, 3 to 4 GiB, out of its file: what lies there in the file belongs at 4 GiB. Most raw
//! images keep it. Which of the two a file does is told by its own page tables where they can be found.

use crate::format::Format;
use crate::note::Note;
use crate::physical::{FilePhysical, Map};
use crate::root;
use crate::runs::{Run, Runs};
use crate::source::Source;
use crate::translate::{AddressSpace, Paging};

/// Where the hole begins.
pub(crate) const HOLE: u64 = 0xC000_0000;
/// Where it ends.
const HOLE_END: u64 = 0x1_0000_0000;

fn map(length: u64, hole: bool, notes: &mut Vec<Note>) -> Map {
    let below = length.min(HOLE);
    let above = length - below;
    let mut runs = vec![Run { first: 0, length: below, offset: 0 }];
    if above > 0 {
        runs.push(Run { first: if hole { HOLE_END } else { HOLE }, length: above, offset: HOLE });
    }
    Map::Runs(Runs::build(runs, length, notes))
}

/// Places a file without a map.
pub(crate) fn place(source: Source, format: Format, notes: &mut Vec<Note>) -> FilePhysical {
    let length = source.len();
    let flat = FilePhysical::new(source, map(length, false, notes));
    if length <= HOLE {
        return flat;
    }
    let (hole, because) = match votes(&flat, length) {
        Some((end, inside)) if end > inside => (
            true,
            "its page tables map pages behind the end of the file, and more of them than pages in the hole",
        ),
        Some((end, inside)) if inside > end => (
            false,
            "its page tables map pages between 3 and 4 GiB, and more of them than behind the end of the file",
        ),
        _ if format == Format::Vmware => (true, "VMware does so, and the page tables do not tell"),
        _ => (false, "the page tables do not tell"),
    };
    notes.push(Note::PciHole { hole, because });
    FilePhysical::new(flat.into_source(), map(length, hole, notes))
}

/// Counts kernel pages that lie behind the file's end (there is a hole), and those inside the hole (there is none).
///
/// Only memory below the hole is walked, where both ways agree.
fn votes(flat: &FilePhysical, length: u64) -> Option<(u64, u64)> {
    let found = root::low_stub(flat).or_else(|| root::self_map(flat, HOLE, &mut |_| true))?;
    let behind = length..length + (HOLE_END - HOLE);
    let count = |paging: Paging| {
        let upper_half = paging.upper_half();
        let space = AddressSpace::new(flat, found.cr3, paging, upper_half);
        let (mut end, mut inside) = (0, 0);
        space.mappings(upper_half.first..=upper_half.last, &mut |_, translation| {
            end += u64::from(behind.contains(&translation.physical));
            inside += u64::from((HOLE..HOLE_END).contains(&translation.physical));
        });
        (end, inside)
    };
    // Read with one level too few, tables are taken for pages, of which there are fewer.
    let votes = [Paging::FourLevels, Paging::FiveLevels].map(count);
    votes.into_iter().max_by_key(|(end, inside)| end + inside)
}
