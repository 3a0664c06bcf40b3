//! Patterns around and in blocks, by which damage is found.
//!
//! Models Driver Verifier's special pool (Microsoft, "Special Pool"): what lies between a block and the ends of its pages holds a
//! pattern that is looked at when the block is freed. Here blocks that share pages have a zone behind them too, a freed block
//! holds a pattern as long as it waits for its reuse, and fresh memory that was not asked to be zero holds garbage, so that nothing works by luck.

use core::ops::Range;
use core::ptr;

use nt::{PAGE_SIZE, POOL_BLOCK, POOL_HEADER};
use record::PoolWrong;

use super::registry::Entry;

/// Bytes behind a block that shares its pages with others, in addition to what rounding leaves.
pub(super) const BEHIND: usize = POOL_BLOCK;
/// Most bytes that are looked at before and behind a block.
const LOOKED_AT: usize = 128;
/// What zones hold, and fresh blocks. As a pointer it is no canonical address.
pub(super) const GARBAGE: u8 = 0xA5;
/// What freed blocks hold. As a pointer it is no canonical address either.
const FREED: u8 = 0xDD;
/// Longest block whose garbage is written: filling memory that nobody touches would cost the host a page each.
const LONGEST_GARBAGE: usize = 64 << 10;
/// Bytes of a freed block that hold the pattern.
const LONGEST_FREED: usize = PAGE_SIZE;

const HEADER: usize = size_of::<POOL_HEADER>();

fn bytes_at(address: usize) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address)
}

/// Returns the first address in `range` that does not hold `expected`.
fn first_other(range: Range<usize>, expected: u8) -> Option<usize> {
    let word = u64::from_ne_bytes([expected; 8]);
    let mut at = range.start;
    while at < range.end {
        if at.is_multiple_of(8) && at + 8 <= range.end {
            // SAFETY: callers pass ranges inside one block of the platform, and the word is aligned.
            let found = unsafe { bytes_at(at).cast::<u64>().read_volatile() };
            if found == word {
                at += 8;
                continue;
            }
        }
        // SAFETY: as above.
        if unsafe { bytes_at(at).read_volatile() } != expected {
            return Some(at);
        }
        at += 1;
    }
    None
}

pub(super) fn fill(range: Range<usize>, value: u8) {
    if !range.is_empty() {
        // SAFETY: callers pass ranges inside one block of the platform that nobody else uses.
        unsafe { bytes_at(range.start).write_bytes(value, range.len()) };
    }
}

impl Entry {
    /// Bytes before the header that are looked at.
    fn before(&self) -> Range<usize> {
        let header = self.block.address - HEADER;
        header - LOOKED_AT.min(header - self.base)..header
    }

    /// Bytes behind the block that are looked at.
    fn behind(&self) -> Range<usize> {
        let end = self.block.address + self.block.bytes;
        end..(self.base + self.total).min(end + LOOKED_AT)
    }

    /// Bytes of the freed block that are looked at.
    fn freed(&self) -> Range<usize> {
        let address = self.block.address;
        address..(address + self.block.bytes.next_multiple_of(POOL_BLOCK)).min(address + LONGEST_FREED)
    }

    /// Writes the zones, and what a fresh block holds: zeros where they were asked for, garbage where somebody might rely
    /// on zeros.
    pub(super) fn prepare(&self, zeroed: bool) {
        let (address, bytes) = (self.block.address, self.block.bytes);
        fill(self.before(), GARBAGE);
        if zeroed {
            fill(address..address + bytes.next_multiple_of(POOL_BLOCK), 0);
        } else if self.block.caller != 0 && bytes <= LONGEST_GARBAGE {
            fill(address..address + bytes, GARBAGE);
        }
        fill(self.behind(), GARBAGE);
    }

    /// Returns where something was written outside of the live block, and on which side.
    pub(super) fn damage(&self) -> Option<(PoolWrong, usize)> {
        let header = self.block.address - HEADER;
        // SAFETY: the block is live, so the header before it is ours to read.
        let found = unsafe { bytes_at(header).cast::<[u8; HEADER]>().read_volatile() };
        if found != self.header
            && let Some(offset) = found.iter().zip(&self.header).position(|(found, written)| found != written)
        {
            return Some((PoolWrong::Underrun, header + offset));
        }
        let before = first_other(self.before(), GARBAGE).map(|at| (PoolWrong::Underrun, at));
        before.or_else(|| first_other(self.behind(), GARBAGE).map(|at| (PoolWrong::Overrun, at)))
    }

    /// Fills the block, which was just freed.
    pub(super) fn wipe(&self) {
        fill(self.freed(), FREED);
    }

    /// Returns where something was written into the freed block.
    pub(super) fn damage_after_free(&self) -> Option<usize> {
        first_other(self.freed(), FREED)
    }
}
