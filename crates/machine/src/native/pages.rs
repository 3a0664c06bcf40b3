//! Pool blocks with pages of their own: behind and before each is a page that nobody can touch.
//!
//! Models Driver Verifier's special pool (Microsoft, "Special Pool"). Addresses only go up, so pages that were given back stay
//! inaccessible for the rest of the run; when the range is used up, or more is alive than the host should carry, further
//! blocks share pages with others. The pages of one kind of pool are one half of its region.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::memory;
use super::sys::Access;
use crate::plan::{PAGE, Region};

/// Longest block that gets pages of its own. A longer one begins and ends at pages anyway.
const LONGEST: u64 = 256 << 10;

/// Most bytes of live blocks.
const MOST_BYTES: u64 = 64 << 20;

/// The pages of one kind of pool.
#[derive(Debug)]
pub(crate) struct Pages {
    limit: u64,
    access: Access,
    /// Most live blocks: each splits the host's map of the process once more.
    most: usize,
    /// Nothing from here up has been handed out; this page stays inaccessible.
    next: u64,
    /// Live blocks: start and bytes.
    live: BTreeMap<u64, u64>,
    live_bytes: u64,
}

impl Pages {
    /// Hands out pages of `region`, which allow `access`, for at most `most` blocks at a time.
    pub(crate) fn new(region: Region, access: Access, most: usize) -> Self {
        Self { limit: region.end(), access, most, next: region.base, live: BTreeMap::new(), live_bytes: 0 }
    }

    /// Returns the ranges of the live blocks.
    pub(crate) fn live(&self) -> impl Iterator<Item = std::ops::Range<u64>> {
        self.live.iter().map(|(start, bytes)| *start..start + bytes)
    }

    /// Returns the end of what was ever handed out.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Takes whole pages.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Option<NonNull<u8>> {
        let bytes = bytes.checked_next_multiple_of(PAGE)?;
        if bytes > LONGEST || self.live.len() >= self.most || self.live_bytes + bytes > MOST_BYTES {
            return None;
        }
        let start = self.next + PAGE;
        if start + bytes + PAGE > self.limit {
            return None;
        }
        // SAFETY: pages that were never handed out, so nothing refers to them.
        unsafe { memory::set_access(start, bytes, self.access) }.then_some(())?;
        self.next = start + bytes;
        self.live.insert(start, bytes);
        self.live_bytes += bytes;
        NonNull::new(std::ptr::with_exposed_provenance_mut(start as usize))
    }

    /// Takes all access from pages that [`Pages::allocate`] returned.
    pub(crate) fn release(&mut self, block: NonNull<u8>) {
        let start = block.as_ptr().expose_provenance() as u64;
        if let Some(bytes) = self.live.remove(&start) {
            self.live_bytes -= bytes;
            // SAFETY: pages of this pool that whoever had them does not use any more.
            unsafe { memory::withdraw(start, bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::sys;

    fn pages(number: u64, most: usize) -> Pages {
        let region = Region { name: "test", base: 0x21_0000_0000 + number * 0x100_0000, size: 0x10_0000 };
        sys::reserve(region.base, region.size).unwrap();
        Pages::new(region, Access::ReadWrite, most)
    }

    #[test]
    fn nobody_can_touch_what_lies_around_a_block_or_what_was_given_back() {
        let mut pages = pages(0, 8);
        let block = pages.allocate(PAGE).unwrap();
        let start = block.as_ptr() as u64;
        assert!(sys::is_readable(start) && sys::is_readable(start + PAGE - 8));
        assert!(!sys::is_readable(start - 8) && !sys::is_readable(start + PAGE));
        pages.release(block);
        assert!(!sys::is_readable(start));
        let next = pages.allocate(2 * PAGE).unwrap().as_ptr() as u64;
        assert_eq!(next, start + 2 * PAGE, "never at the same place, with one page between");
        assert!(!sys::is_readable(start));
    }

    #[test]
    fn pages_end() {
        let mut pages = pages(1, 3);
        assert!(pages.allocate(LONGEST + 1).is_none() && pages.allocate(u64::MAX).is_none());
        let blocks: Vec<_> = std::iter::from_fn(|| pages.allocate(PAGE)).collect();
        assert_eq!(blocks.len(), 3, "the limit on live blocks");
        pages.release(blocks[0]);
        let mut count = 0;
        while let Some(block) = pages.allocate(PAGE) {
            pages.release(block);
            count += 1;
        }
        // 256 pages, the first one and every other inaccessible.
        assert_eq!(count + 3, 127);
    }
}
