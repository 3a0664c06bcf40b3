//! What is allocated: the block registry and the statistics by tag.
//!
//! Models what `!poolused` and `!poolfind` tell. Kept in host memory, in order of addresses, so that two runs that allocate the
//! same tell the same.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use nt::PAGE_SIZE;
use record::PoolWrong;

use super::dense::{Blocks, Gone, Graves, Kind, Kinds, Packed};
use super::{HostCell, PoolPlace};
use crate::raw::field;
use crate::{Executive, Origin, Platform, PoolKind, executive};

/// How many freed blocks are remembered, to tell a use after free and a double free from a pointer that never was a block.
const FREED_REMEMBERED: usize = 16384;

/// Most bytes of freed blocks that share pages and wait before their memory is used again.
const WAITING_BYTES: usize = 256 << 10;

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
    /// When that was, in units of 100 ns since boot, and with what call stack; nothing where the kernel did by itself.
    pub origin: Origin,
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
    pub(super) header: [u8; size_of::<nt::POOL_HEADER>()],
    /// Whether the block has pages of its own, with others around them that nobody can touch.
    pub(super) apart: bool,
    /// Whether an event told that it is damaged.
    pub(super) told: bool,
}

/// A freed block.
#[derive(Clone, Copy)]
pub(super) struct Freed {
    pub(super) entry: Entry,
    /// Return address of the driver call that freed it, 0 where the kernel did by itself.
    pub(super) by: u64,
    /// Position among all allocations and frees.
    when: u64,
}

#[derive(Default)]
pub(crate) struct Registry {
    pub(super) kinds: Kinds,
    /// The kernel's own blocks, of which there may be very many.
    pub(super) own: Blocks,
    /// All others.
    blocks: BTreeMap<usize, Entry>,
    /// Remembered freed blocks of the kernel's own.
    pub(super) own_freed: Graves,
    /// All other remembered freed blocks by when they were freed, and by address.
    freed: BTreeMap<u64, usize>,
    freed_by_address: BTreeMap<usize, Freed>,
    /// Freed blocks that share pages and whose memory the platform does not have back yet, oldest first.
    waiting: VecDeque<Freed>,
    waiting_bytes: usize,
    pub(super) sequence: u64,
    /// Bytes behind blocks that share pages.
    pub(super) zone: usize,
}

/// What `mm` keeps in the executive's globals.
#[repr(C)]
pub(crate) struct Globals {
    pub(super) registry: HostCell<Registry>,
}

/// What became of a free.
pub(super) enum Taken {
    /// There is no such block.
    Unknown,
    /// The block is still there, and may not be freed like this.
    Refused(Entry),
    /// The block is gone.
    Freed(Freed),
}

impl Registry {
    fn kind(&mut self, entry: &Entry) -> u32 {
        let block = &entry.block;
        self.kinds.number(Kind { tag: block.tag, pool: block.pool, pool_type: entry.header[3] })
    }

    pub(super) fn insert(&mut self, mut entry: Entry) {
        entry.block.sequence = self.sequence;
        self.sequence += 1;
        let block = entry.block;
        self.forget_freed(block.address);
        let kind = self.kind(&entry);
        self.kinds.count(kind, block.bytes);
        let packed = Packed::new(&entry, kind, self.zone);
        if packed.is_none_or(|packed| !self.own.insert(packed)) {
            self.blocks.insert(block.address, entry);
        }
    }

    /// Forgets the freed block at an address that is in use again.
    pub(super) fn forget_freed(&mut self, address: usize) {
        self.own_freed.remove(address);
        if !self.freed.is_empty()
            && let Some(freed) = self.freed_by_address.remove(&address)
        {
            self.freed.remove(&freed.when);
        }
    }

    fn unpacked(&self, packed: Packed) -> Entry {
        packed.entry(&self.kinds, self.zone)
    }

    pub(super) fn find(&self, address: usize) -> Option<Entry> {
        match self.own.get(address) {
            Some(packed) => Some(self.unpacked(packed)),
            None => self.blocks.get(&address).copied(),
        }
    }

    /// Returns the freed block that began at `address`, if nothing has taken its place.
    pub(super) fn freed_at(&self, address: usize) -> Option<Freed> {
        match self.own_freed.get(address) {
            Some(gone) => Some(self.unpacked_freed(gone)),
            None => self.freed_by_address.get(&address).copied(),
        }
    }

    /// When it was freed is told by its place.
    fn unpacked_freed(&self, (packed, by): Gone) -> Freed {
        Freed { entry: self.unpacked(packed), by, when: 0 }
    }

    /// Takes the block at `address` out for the driver call that returns to `by`, if `may` says that it may be freed.
    pub(super) fn take(&mut self, address: usize, by: u64, may: impl FnOnce(&Entry) -> bool) -> Taken {
        let (kinds, zone) = (&self.kinds, self.zone);
        let mut may = Some(may);
        let mut unpacked = None;
        let own = self.own.remove(address, |packed| {
            let entry = unpacked.insert(packed.entry(kinds, zone));
            may.take().is_some_and(|may| may(entry))
        });
        if let (Some((packed, out)), Some(entry)) = (own, unpacked) {
            if !out {
                return Taken::Refused(entry);
            }
            self.own_freed.insert((packed, by));
            return Taken::Freed(self.count_free(entry, packed.kind(), by));
        }
        let Some(entry) = self.blocks.get(&address).copied() else { return Taken::Unknown };
        if !may.take().is_some_and(|may| may(&entry)) {
            return Taken::Refused(entry);
        }
        self.blocks.remove(&address);
        let kind = self.kind(&entry);
        let freed = self.count_free(entry, kind, by);
        self.freed.insert(freed.when, address);
        self.freed_by_address.insert(address, freed);
        if self.freed.len() > FREED_REMEMBERED
            && let Some((_, oldest)) = self.freed.pop_first()
        {
            self.freed_by_address.remove(&oldest);
        }
        Taken::Freed(freed)
    }

    fn count_free(&mut self, entry: Entry, kind: u32, by: u64) -> Freed {
        self.kinds.uncount(kind, entry.block.bytes);
        let freed = Freed { entry, by, when: self.sequence };
        self.sequence += 1;
        freed
    }

    /// Lets a freed block that shares pages wait.
    pub(super) fn let_wait(&mut self, freed: Freed) {
        self.waiting_bytes += freed.entry.total;
        self.waiting.push_back(freed);
    }

    /// Takes the oldest freed block whose turn has come, where `kept` may wait.
    pub(super) fn next_reuse(&mut self, kept: usize) -> Option<Freed> {
        if self.waiting.len() <= kept && self.waiting_bytes <= WAITING_BYTES {
            return None;
        }
        let oldest = self.waiting.pop_front()?;
        self.waiting_bytes -= oldest.entry.total;
        Some(oldest)
    }

    fn all(&self) -> impl Iterator<Item = Entry> {
        self.own.iter().map(|packed| self.unpacked(packed)).chain(self.blocks.values().copied())
    }

    /// Returns the live blocks by address.
    pub(super) fn live(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.all().collect();
        all.sort_unstable_by_key(|entry| entry.block.address);
        all
    }

    /// Returns the freed blocks that wait for their reuse.
    pub(super) fn waiting(&self) -> Vec<Freed> {
        self.waiting.iter().copied().collect()
    }

    /// Notes that the damage of the blocks at `addresses` was told.
    pub(super) fn told(&mut self, addresses: &[usize]) {
        for address in addresses {
            if let Some((packed, _)) = self.own.remove(*address, |_| true) {
                let entry = self.unpacked(packed);
                self.blocks.insert(*address, entry);
            }
            if let Some(entry) = self.blocks.get_mut(address) {
                entry.told = true;
            }
        }
        for freed in &mut self.waiting {
            freed.entry.told |= addresses.contains(&freed.entry.block.address);
        }
    }

    /// Says what `address` belongs to: a block and its pages first, then the pages around them that nobody can touch.
    pub(super) fn place(&self, address: usize) -> Option<PoolPlace> {
        let live = |entry: &Entry, wrong| Some(PoolPlace { block: entry.block.record(None), wrong });
        let gone = |freed: &Freed, wrong| Some(PoolPlace { block: freed.record(), wrong: Some(wrong) });
        let (own_before, own_after) = around(address, self.own.iter().map(Packed::address));
        let before = self.blocks.range(..=address).next_back().map(|(&at, _)| at);
        let after = self.blocks.range(address.saturating_add(1)..).next().map(|(&at, _)| at);
        let before = own_before.max(before).and_then(|at| self.find(at));
        let after = own_after.into_iter().chain(after).min().and_then(|at| self.find(at));
        let (before, after) = (before.as_ref(), after.as_ref());
        if let Some(entry) = before.filter(|entry| address < entry.base + entry.total) {
            let behind = address >= entry.block.address + entry.block.bytes;
            return live(entry, behind.then_some(PoolWrong::Overrun));
        }
        if let Some(entry) = after.filter(|entry| address >= entry.base) {
            return live(entry, Some(PoolWrong::Underrun));
        }
        let (own_before, own_after) = around(address, self.own_freed.iter().map(|gone| gone.0.address()));
        let freed_before = self.freed_by_address.range(..=address).next_back().map(|(&at, _)| at);
        let freed_after = self.freed_by_address.range(address.saturating_add(1)..).next().map(|(&at, _)| at);
        let freed_before = own_before.max(freed_before).and_then(|at| self.freed_at(at));
        let freed_after = own_after.into_iter().chain(freed_after).min().and_then(|at| self.freed_at(at));
        let (freed_before, freed_after) = (freed_before.as_ref(), freed_after.as_ref());
        let around = |freed: &&Freed| {
            let entry = &freed.entry;
            (entry.base..entry.base + entry.total).contains(&address)
        };
        if let Some(freed) = freed_before.filter(around).or(freed_after.filter(around)) {
            return gone(freed, PoolWrong::Freed);
        }
        let near = |entry: &Entry| entry.apart && address < entry.base + entry.total + PAGE_SIZE;
        if let Some(entry) = before.filter(|entry| near(entry)) {
            return live(entry, Some(PoolWrong::Overrun));
        }
        if let Some(freed) = freed_before.filter(|freed| near(&freed.entry)) {
            return gone(freed, PoolWrong::Freed);
        }
        after
            .filter(|entry| entry.apart && address + PAGE_SIZE >= entry.base)
            .and_then(|entry| live(entry, Some(PoolWrong::Underrun)))
    }
}

/// Returns the last of some addresses up to `address` and the first behind it. Looks at all of them: it is a fault that asks.
fn around(address: usize, all: impl Iterator<Item = usize>) -> (Option<usize>, Option<usize>) {
    all.fold((None, None), |(before, after): (Option<usize>, Option<usize>), at| {
        if at <= address {
            (before.max(Some(at)), after)
        } else {
            (before, Some(after.map_or(at, |after| after.min(at))))
        }
    })
}

impl<P: Platform> Executive<P> {
    /// Makes the global variables ready.
    pub(crate) fn mm_initialize(&self) {
        let zone = self.pool_zone();
        self.registry().with(|registry| registry.zone = zone);
    }

    /// Returns how many bytes follow each block that shares pages, in addition to what rounding leaves.
    pub(super) fn pool_zone(&self) -> usize {
        if self.platform().guards_pool() { super::guard::BEHIND } else { 0 }
    }

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
            self.registry().with(|registry| registry.all().map(|entry| entry.block).collect());
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
        self.registry().with(|registry| registry.kinds.all_statistics().collect())
    }

    /// Returns how many allocations and frees there have been; the next block gets this number.
    pub fn pool_sequence(&self) -> u64 {
        self.registry().with(|registry| registry.sequence)
    }
}
