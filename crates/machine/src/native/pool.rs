//! Where pool blocks come from that share pages: one arena per kind of pool.
//!
//! Deterministic on purpose: the same sequence of requests gives the same addresses. Small blocks have size classes of
//! 16 bytes with last-in-first-out reuse, large ones are whole pages, first fit. What the arena knows about a block
//! is kept in host memory, where a driver that runs past its block cannot reach it. Headers, tags and
//! statistics are the executive's (`mm`).

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::memory;
use super::sys::Access;
use crate::plan::{PAGE, Region};

/// Unit of small blocks, and the alignment of every block.
const UNIT: u64 = 16;

/// Longest small block.
const SMALL: u64 = PAGE - UNIT;

/// Bytes made accessible at a time.
const STEP: u64 = 64 << 10;

/// One arena.
#[derive(Debug)]
pub(crate) struct Arena {
    region: Region,
    access: Access,
    /// Everything below is accessible.
    committed: u64,
    /// Nothing from here up has been handed out.
    fresh: u64,
    /// The page that small blocks are cut from.
    small: std::ops::Range<u64>,
    /// Free small blocks by size in units.
    classes: Vec<Vec<u64>>,
    /// Free runs of pages: start and bytes.
    runs: BTreeMap<u64, u64>,
}

impl Arena {
    /// Makes an arena of `region`, whose blocks allow `access`.
    pub(crate) fn new(region: Region, access: Access) -> Self {
        Self {
            region,
            access,
            committed: region.base,
            fresh: region.base,
            small: 0..0,
            classes: vec![Vec::new(); (SMALL / UNIT + 1) as usize],
            runs: BTreeMap::new(),
        }
    }

    /// Returns what is accessible.
    pub(crate) fn committed(&self) -> std::ops::Range<u64> {
        self.region.base..self.committed
    }

    /// Takes a block of at least `bytes`.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Option<NonNull<u8>> {
        let bytes = bytes.max(1).checked_next_multiple_of(UNIT)?;
        let address = if bytes <= SMALL { self.small(bytes) } else { self.run(bytes) }?;
        NonNull::new(std::ptr::with_exposed_provenance_mut(address as usize))
    }

    /// Gives back a block that was taken with the same `bytes`.
    pub(crate) fn release(&mut self, block: NonNull<u8>, bytes: u64) {
        let address = block.as_ptr().expose_provenance() as u64;
        let bytes = bytes.max(1).next_multiple_of(UNIT);
        if bytes <= SMALL {
            self.classes[(bytes / UNIT) as usize].push(address);
        } else {
            self.free_run(address, bytes.next_multiple_of(PAGE));
        }
    }

    fn small(&mut self, bytes: u64) -> Option<u64> {
        if let Some(block) = self.classes[(bytes / UNIT) as usize].pop() {
            return Some(block);
        }
        if self.small.end - self.small.start < bytes {
            // What is left of the page serves smaller requests.
            let left = self.small.clone();
            if left.end > left.start {
                self.classes[((left.end - left.start) / UNIT) as usize].push(left.start);
            }
            let page = self.run(PAGE)?;
            self.small = page..page + PAGE;
        }
        let block = self.small.start;
        self.small.start += bytes;
        Some(block)
    }

    fn run(&mut self, bytes: u64) -> Option<u64> {
        let bytes = bytes.checked_next_multiple_of(PAGE)?;
        let found =
            self.runs.iter().find(|(_, length)| **length >= bytes).map(|(start, length)| (*start, *length));
        if let Some((start, length)) = found {
            self.runs.remove(&start);
            if length > bytes {
                self.runs.insert(start + bytes, length - bytes);
            }
            return Some(start);
        }
        let end = self.fresh.checked_add(bytes).filter(|end| *end <= self.region.end())?;
        if end > self.committed {
            let wanted = end.next_multiple_of(STEP).min(self.region.end());
            // SAFETY: pages of this arena that were never accessible, so nothing refers to them.
            let done = unsafe { memory::set_access(self.committed, wanted - self.committed, self.access) };
            done.then_some(())?;
            self.committed = wanted;
        }
        Some(std::mem::replace(&mut self.fresh, end))
    }

    fn free_run(&mut self, mut start: u64, mut length: u64) {
        if let Some((&before, &bytes)) = self.runs.range(..start).next_back()
            && before + bytes == start
        {
            self.runs.remove(&before);
            start = before;
            length += bytes;
        }
        if let Some(after) = self.runs.remove(&(start + length)) {
            length += after;
        }
        self.runs.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::sys;

    /// A region of its own for each test, because tests of one binary share the process.
    fn arena(number: u64) -> Arena {
        let region = Region { name: "test", base: 0x20_0000_0000 + number * 0x100_0000, size: 0x10_0000 };
        sys::reserve(region.base, region.size).unwrap();
        Arena::new(region, Access::ReadWrite)
    }

    fn address(block: NonNull<u8>) -> u64 {
        block.as_ptr() as u64
    }

    #[test]
    fn blocks_are_aligned_writable_and_apart() {
        let mut arena = arena(0);
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        for bytes in [1, 16, 17, 100, 4080, 4081, 5000, 40_000, 32] {
            let block = arena.allocate(bytes).unwrap();
            assert_eq!(address(block) % 16, 0);
            // SAFETY: the block is at least `bytes` long and belongs to this test.
            unsafe { block.as_ptr().write_bytes(0xA5, bytes as usize) };
            blocks.push((address(block), bytes));
        }
        blocks.sort_unstable();
        for pair in blocks.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:x?}");
        }
    }

    #[test]
    fn the_same_requests_give_the_same_addresses_and_freed_blocks_come_back() {
        let mut arena = arena(1);
        let first = arena.allocate(48).unwrap();
        let second = arena.allocate(48).unwrap();
        assert_eq!(address(second) - address(first), 48);
        arena.release(first, 48);
        assert_eq!(arena.allocate(40), Some(first), "40 rounds up to the class of 48");
        let large = arena.allocate(3 * PAGE).unwrap();
        let other = arena.allocate(PAGE).unwrap();
        arena.release(large, 3 * PAGE);
        arena.release(other, PAGE);
        assert_eq!(arena.allocate(4 * PAGE), Some(large), "neighbors merge");
    }

    #[test]
    fn what_was_not_handed_out_cannot_even_be_read() {
        let mut arena = arena(3);
        let block = address(arena.allocate(100).unwrap());
        assert!(sys::is_readable(block));
        assert!(!sys::is_readable(arena.region.end() - 8));
        assert!(!sys::is_readable(0));
        assert!(!sys::is_readable(crate::plan::KUSER_SHARED_DATA));
    }

    #[test]
    fn an_arena_ends() {
        let mut arena = arena(2);
        assert!(arena.allocate(0x10_0001).is_none());
        assert!(arena.allocate(u64::MAX).is_none());
        let mut count = 0;
        while arena.allocate(0x1_0000).is_some() {
            count += 1;
        }
        assert_eq!(count, 16);
    }
}
