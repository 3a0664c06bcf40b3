//! What is allocated: the block registry and the statistics by tag.
//!
//! Models what `!poolused` and `!poolfind` tell. Kept in host memory, in order of addresses, so that two runs that allocate the
//! same tell the same.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::HostCell;
use crate::raw::field;
use crate::{Executive, Platform, PoolKind, executive};

/// How many freed addresses are remembered, to tell a double free from a pointer that never was a block.
const FREED_REMEMBERED: usize = 4096;

/// One live pool block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolBlock {
    /// Address the allocation returned.
    pub address: usize,
    /// Bytes asked for.
    pub bytes: usize,
    /// Tag, first character lowest.
    pub tag: u32,
    /// Pool the block came from.
    pub pool: PoolKind,
    /// Position among all allocations, from 0.
    pub sequence: u64,
    /// Return address of the driver call that asked for it, 0 where the kernel did by itself.
    pub caller: u64,
}

/// What happened under one tag in one of the two pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagStatistics {
    /// Allocations so far.
    pub allocations: u64,
    /// Frees so far.
    pub frees: u64,
    /// Bytes asked for by the blocks that live now.
    pub bytes: usize,
    /// The most that ever was.
    pub peak_bytes: usize,
}

impl TagStatistics {
    /// Returns the number of live blocks.
    #[must_use]
    pub const fn live(&self) -> u64 {
        self.allocations - self.frees
    }
}

/// A live block with what only the allocator needs.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) block: PoolBlock,
    /// What the platform returned, and how much of it.
    pub(super) base: usize,
    pub(super) total: usize,
    /// The header as it was written.
    pub(super) header: [u8; 8],
}

#[derive(Default)]
pub(crate) struct Registry {
    blocks: BTreeMap<usize, Entry>,
    freed: BTreeMap<u64, usize>,
    freed_by_address: BTreeMap<usize, u64>,
    statistics: BTreeMap<(u32, bool), TagStatistics>,
    sequence: u64,
}

/// What `mm` keeps in the executive's globals.
#[repr(C)]
pub(crate) struct Globals {
    pub(super) registry: HostCell<Registry>,
}

impl Registry {
    pub(super) fn insert(&mut self, mut entry: Entry) {
        entry.block.sequence = self.sequence;
        self.sequence += 1;
        let block = entry.block;
        if let Some(when) = self.freed_by_address.remove(&block.address) {
            self.freed.remove(&when);
        }
        let statistics = self.statistics.entry((block.tag, block.pool == PoolKind::Paged)).or_default();
        statistics.allocations += 1;
        statistics.bytes += block.bytes;
        statistics.peak_bytes = statistics.peak_bytes.max(statistics.bytes);
        self.blocks.insert(block.address, entry);
    }

    pub(super) fn find(&self, address: usize) -> Option<Entry> {
        self.blocks.get(&address).copied()
    }

    /// Tells whether a block that was freed lay at `address` and nothing has taken its place.
    pub(super) fn was_freed(&self, address: usize) -> bool {
        self.freed_by_address.contains_key(&address)
    }

    pub(super) fn remove(&mut self, address: usize) -> Option<Entry> {
        let entry = self.blocks.remove(&address)?;
        let block = entry.block;
        if let Some(statistics) = self.statistics.get_mut(&(block.tag, block.pool == PoolKind::Paged)) {
            statistics.frees += 1;
            statistics.bytes -= block.bytes;
        }
        let when = self.sequence;
        self.sequence += 1;
        self.freed.insert(when, address);
        self.freed_by_address.insert(address, when);
        if self.freed.len() > FREED_REMEMBERED
            && let Some((_, oldest)) = self.freed.pop_first()
        {
            self.freed_by_address.remove(&oldest);
        }
        Some(entry)
    }
}

impl<P: Platform> Executive<P> {
    /// Makes the global variables ready.
    #[expect(clippy::unused_self, reason = "the other modules have something to do here")]
    pub(crate) fn mm_initialize(&self) {}

    /// Gives the host memory of the bookkeeping back. Pool that is still allocated stays with the platform.
    pub(crate) fn mm_dispose(&self) {
        self.registry().dispose();
    }

    /// Returns the block registry.
    pub(super) fn registry(&self) -> &HostCell<Registry> {
        let cell = field!(self.live_globals(), executive::Globals, mm.registry);
        // SAFETY: the globals live as long as the executive, and everything in the cell is behind `UnsafeCell` or atomic.
        unsafe { &*cell.ptr() }
    }

    /// Returns every live pool block, in the order of allocation.
    pub fn pool_blocks(&self) -> Vec<PoolBlock> {
        let mut blocks: Vec<PoolBlock> =
            self.registry().with(|registry| registry.blocks.values().map(|entry| entry.block).collect());
        blocks.sort_unstable_by_key(|block| block.sequence);
        blocks
    }

    /// Returns the live blocks with `tag`, in the order of allocation. The protection bit of the tag does not count.
    pub fn pool_blocks_tagged(&self, tag: u32) -> Vec<PoolBlock> {
        let mut blocks = self.pool_blocks();
        blocks.retain(|block| super::pool::same_tag(block.tag, tag));
        blocks
    }

    /// Returns the live block that starts at `address`.
    pub fn pool_block(&self, address: usize) -> Option<PoolBlock> {
        self.registry().with(|registry| registry.find(address)).map(|entry| entry.block)
    }

    /// Returns the statistics of every tag that was ever used, with whether they are about paged pool.
    pub fn pool_statistics(&self) -> Vec<(u32, bool, TagStatistics)> {
        self.registry().with(|registry| {
            registry.statistics.iter().map(|(&(tag, paged), &all)| (tag, paged, all)).collect()
        })
    }

    /// Returns how many allocations and frees there have been; the next block gets this number.
    pub fn pool_sequence(&self) -> u64 {
        self.registry().with(|registry| registry.sequence)
    }
}
