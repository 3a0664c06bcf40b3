//! The page-table root of an image whose header does not name one.
//!
//! Two marks, both known from public work on Windows memory (Alex Ionescu's talk on the HAL's low stub, MemProcFS):
//!
//! - the *low stub*: a `PROCESSOR_START_BLOCK` in the first MiB begins with a jump and holds, at fixed places, the
//!   address where the processor enters long mode in the kernel, and CR3;
//! - the *self-map*: Windows enters the top table into itself, so a page that holds its own address as a valid entry in
//!   the upper half is a top table. A forged or stale one is possible, so what follows from it is verified.

use core::fmt;

use crate::fields::u64_at;
use crate::memory::{PAGE_SIZE, Physical, Piece};

/// How the page-table root was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootFoundBy {
    /// The caller named it.
    Given,
    /// `DirectoryTableBase` of the dump header.
    Header,
    /// CR3 of a processor, from the notes of a core or a state file.
    Registers {
        /// Which processor.
        processor: usize,
    },
    /// The start block of a processor in low memory.
    LowStub {
        /// Its physical address.
        at: u64,
    },
    /// A page that maps itself.
    SelfMap,
}

impl fmt::Display for RootFoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::Header => f.write_str("from the dump header"),
            Self::Registers { processor } => write!(f, "from CR3 of processor {processor}"),
            Self::LowStub { at } => write!(f, "from a processor start block at physical {at:#x}"),
            Self::SelfMap => f.write_str("by searching for a page table that maps itself"),
        }
    }
}

/// A possible page-table root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) cr3: u64,
    pub(crate) found_by: RootFoundBy,
    /// An address inside the kernel image, if the place told one.
    pub(crate) kernel_hint: Option<u64>,
    /// Where the processor's interrupt descriptor table lies, whose handlers are in the kernel image.
    pub(crate) idt: Option<u64>,
}

/// Returns the root that the low stub holds.
pub(crate) fn low_stub(physical: &dyn Physical) -> Option<Root> {
    const FIRST_MIB: u64 = 0x10_0000;
    (PAGE_SIZE..FIRST_MIB).step_by(PAGE_SIZE as usize).find_map(|at| {
        let mut block = [0; 0xA8];
        physical.read(at, &mut block).ok()?;
        // A near jump over the fields, then the constant 1 (`CompletionFlag` and reserved bytes).
        let jump = u64_at(&block, 0) & 0xFFFF_FFFF_FFFF_00FF == 0x0000_0001_0006_00E9;
        let entry = u64_at(&block, 0x70);
        let in_kernel = entry & 0xFFFF_F800_0000_0003 == 0xFFFF_F800_0000_0000;
        let cr3 = u64_at(&block, 0xA0);
        let is_root = cr3 != 0 && cr3 & 0xFFFF_FF00_0000_0FFF == 0;
        (jump && in_kernel && is_root).then_some(Root {
            cr3,
            found_by: RootFoundBy::LowStub { at },
            kernel_hint: Some(entry),
            idt: None,
        })
    })
}

/// Searches memory below `limit` for pages that map themselves, lowest first, until `accept` takes one.
pub(crate) fn self_map(
    physical: &dyn Physical,
    limit: u64,
    accept: &mut dyn FnMut(Root) -> bool,
) -> Option<Root> {
    /// Frame, large, writable, valid.
    const MASK: u64 = 0x000F_FFFF_FFFF_F083;
    const WRITABLE_VALID: u64 = 3;
    let mut buffer = vec![0; 1 << 20];
    let mut pieces: Vec<Piece> = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        pieces.clear();
        next = physical.gather(from..limit, &mut buffer, &mut pieces);
        for piece in &pieces {
            let bytes = &buffer[piece.offset..piece.offset + piece.length];
            let skip = (piece.physical.next_multiple_of(PAGE_SIZE) - piece.physical) as usize;
            let pages = bytes.get(skip..).unwrap_or_default().chunks_exact(PAGE_SIZE as usize);
            for (index, page) in pages.enumerate() {
                let at = piece.physical + skip as u64 + index as u64 * PAGE_SIZE;
                let mut upper = page[0x800..].chunks_exact(8);
                let maps_itself = upper.any(|entry| u64_at(entry, 0) & MASK == at | WRITABLE_VALID);
                if at != 0 && maps_itself && other_entries(page, at) {
                    let root = Root { cr3: at, found_by: RootFoundBy::SelfMap, kernel_hint: None, idt: None };
                    if accept(root) {
                        return Some(root);
                    }
                }
            }
        }
    }
    None
}

/// Returns whether the upper half holds a valid entry besides those that name the page itself.
fn other_entries(page: &[u8], at: u64) -> bool {
    page[0x800..].chunks_exact(8).any(|entry| {
        let raw = u64_at(entry, 0);
        raw & 1 != 0 && raw & 0x000F_FFFF_FFFF_F000 != at
    })
}
