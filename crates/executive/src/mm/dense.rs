//! Live blocks of the kernel's own, 16 bytes each.
//!
//! There may be millions of them: an object with a name has three. What is particular to a block is its address, its size
//! and its number among all; what many have in common, tag and type, is a [`Kind`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hashbrown::HashTable;
use nt::hash::mixed;
use nt::{POOL_BLOCK, POOL_HEADER};

use super::registry::Entry;
use super::{PoolBlock, TagStatistics};
use crate::PoolKind;

const HEADER: usize = size_of::<POOL_HEADER>();

const ADDRESS_BITS: u32 = 44;
const KIND_BITS: u32 = 64 - ADDRESS_BITS;
const BYTES_BITS: u32 = 28;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// An address loses the bits that are zero in all of them, and keeps as many more as there is room for.
const ADDRESS_SHIFT: u32 = KIND_BITS - POOL_BLOCK.trailing_zeros();
const SEQUENCE_BITS: u32 = 64 - BYTES_BITS;
/// Blocks that are allocated together, so that growing copies nothing and leaves little unused.
const CHUNK: usize = 1024;

/// What blocks have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) tag: u32,
    pub(super) pool: PoolKind,
    /// `POOL_HEADER.PoolType`.
    pub(super) pool_type: u8,
}

impl Kind {
    /// All of it in one word, which is not zero: a block in use has a bit for that.
    const fn word(self) -> u64 {
        (self.tag as u64) << 16 | (self.pool_type as u64) << 8 | self.pool as u64
    }

    fn position(self) -> u64 {
        mixed(self.word())
    }
}

/// How many kinds are found without the table.
const RECENT: usize = 16;

/// All kinds that were ever seen, and what happened under their tags.
#[derive(Default)]
pub(super) struct Kinds {
    /// With the place of the statistics.
    all: Vec<(Kind, usize)>,
    table: HashTable<u32>,
    /// Kinds that were asked for lately, as words, and their numbers.
    recent: [(u64, u32); RECENT],
    statistics: Vec<TagStatistics>,
    /// Where the statistics of a tag are, for paged pool or not.
    by_tag: BTreeMap<(u32, bool), usize>,
}

impl Kinds {
    /// Returns the number of a kind, a new one if need be.
    pub(super) fn number(&mut self, kind: Kind) -> u32 {
        let word = kind.word();
        let recent = (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize % RECENT;
        if self.recent[recent].0 != word {
            self.recent[recent] = (word, self.look_up(kind));
        }
        self.recent[recent].1
    }

    #[cold]
    fn look_up(&mut self, kind: Kind) -> u32 {
        let all = &mut self.all;
        let position = kind.position();
        if let Some(&known) = self.table.find(position, |&number| all[number as usize].0 == kind) {
            return known;
        }
        let number = all.len() as u32;
        let statistics = *self.by_tag.entry((kind.tag, kind.pool == PoolKind::Paged)).or_insert_with(|| {
            self.statistics.push(TagStatistics::default());
            self.statistics.len() - 1
        });
        all.push((kind, statistics));
        self.table.insert_unique(position, number, |&number| all[number as usize].0.position());
        number
    }

    /// Returns the kind of a number.
    pub(super) fn kind(&self, number: u32) -> Kind {
        self.all[number as usize].0
    }

    /// Counts a new block of a kind.
    pub(super) fn count(&mut self, kind: u32, bytes: usize) {
        let statistics = &mut self.statistics[self.all[kind as usize].1];
        statistics.allocations += 1;
        statistics.bytes += bytes;
        statistics.peak_bytes = statistics.peak_bytes.max(statistics.bytes);
    }

    /// Counts a block of a kind that is gone.
    pub(super) fn uncount(&mut self, kind: u32, bytes: usize) {
        let statistics = &mut self.statistics[self.all[kind as usize].1];
        statistics.frees += 1;
        statistics.bytes -= bytes;
    }

    /// Returns all statistics, by tag.
    pub(super) fn all_statistics(&self) -> impl Iterator<Item = (u32, bool, TagStatistics)> {
        self.by_tag.iter().map(|(&(tag, paged), &at)| (tag, paged, self.statistics[at]))
    }
}

/// Returns how much of the platform's memory an ordinary block takes.
pub(super) const fn total(bytes: usize, zone: usize) -> usize {
    let least = if bytes == 0 { 1 } else { bytes };
    HEADER + least.next_multiple_of(POOL_BLOCK) + zone
}

/// A block, packed: address and kind, sequence and bytes. All zero is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    place: u64,
    rest: u64,
}

impl Packed {
    /// Packs a block, if it is one that can be: with its header at the platform's address, `zone` bytes behind it and none that some
    /// alignment asked for, of ordinary size, and billed to nobody.
    pub(super) fn new(entry: &Entry, kind: u32, zone: usize) -> Option<Self> {
        let block = &entry.block;
        let plain = block.caller == 0
            && !entry.apart
            && !entry.told
            && entry.header[size_of::<u64>()..] == [0; size_of::<u64>()]
            && entry.base + HEADER == block.address
            && entry.total == total(block.bytes, zone)
            && block.address.is_multiple_of(POOL_BLOCK);
        if plain { Self::of(block.address, block.bytes, block.sequence, kind) } else { None }
    }

    /// Packs an ordinary block, if it can be.
    pub(super) fn of(address: usize, bytes: usize, sequence: u64, kind: u32) -> Option<Self> {
        if bytes >> BYTES_BITS != 0 || sequence >> SEQUENCE_BITS != 0 || kind >> KIND_BITS != 0 {
            return None;
        }
        let packed = Self {
            place: (address as u64) << ADDRESS_SHIFT & !KIND_MASK | u64::from(kind),
            rest: sequence << BYTES_BITS | bytes as u64,
        };
        (packed.address() == address).then_some(packed)
    }

    pub(super) const fn bytes(self) -> usize {
        (self.rest & ((1 << BYTES_BITS) - 1)) as usize
    }

    pub(super) const fn is_none(self) -> bool {
        self.place == 0
    }

    /// The upper bits of an address are all like the highest that is kept.
    pub(super) const fn address(self) -> usize {
        ((self.place & !KIND_MASK).cast_signed() >> ADDRESS_SHIFT).cast_unsigned() as usize
    }

    /// Tells whether it is the block at an address, given as [`Packed::of`] packs it.
    const fn is_at(self, place: u64) -> bool {
        (self.place ^ place) & !KIND_MASK == 0
    }

    /// The number of its kind.
    pub(super) const fn kind(self) -> u32 {
        (self.place & KIND_MASK) as u32
    }

    /// Unpacks, where `zone` bytes follow each block.
    pub(super) fn entry(self, kinds: &Kinds, zone: usize) -> Entry {
        let kind = kinds.kind(self.kind());
        let (address, bytes) = (self.address(), self.bytes());
        let block = PoolBlock {
            address,
            bytes,
            tag: kind.tag,
            pool: kind.pool,
            sequence: self.rest >> BYTES_BITS,
            caller: 0,
            origin: crate::Origin::default(),
        };
        Entry::ordinary(block, kind.pool_type, zone)
    }
}

/// Where a block is in a table. Blocks of one page are near each other, because they are allocated and freed together; pages are anywhere.
fn position(address: usize) -> u64 {
    let near = mixed(address as u64 >> 12).wrapping_add(address as u64 >> 5 & 0x7F);
    // The table tells neighbors apart by the highest bits.
    near >> 8 | mixed(address as u64) & 0xFF << 56
}

/// How many of the newest blocks are not in the table yet.
const YOUNG: usize = 8;

/// The live blocks, by address.
///
/// Most blocks live no longer than the call that allocates them: captured names, what a creator asked for. So the newest ones are in a place of their own, where they
/// are found by looking at all, and only those that are still there when as many others have come go into the table.
#[derive(Default)]
pub(super) struct Blocks {
    young: [Packed; YOUNG],
    /// Where among the young the next one goes.
    next: usize,
    chunks: Vec<Vec<Packed>>,
    /// One more than the place that is free again and was freed last; each leads to the one before.
    free: u32,
    table: HashTable<u32>,
}

fn at(chunks: &[Vec<Packed>], place: u32) -> Packed {
    chunks[place as usize / CHUNK][place as usize % CHUNK]
}

impl Blocks {
    /// Adds a block. Does not where there are too many.
    pub(super) fn insert(&mut self, packed: Packed) -> bool {
        let next = self.next;
        let old = self.young[next];
        if !old.is_none() && !self.settle(old) {
            return false;
        }
        self.young[next] = packed;
        self.next = (next + 1) % YOUNG;
        true
    }

    /// Finds a block among the young.
    fn young(&self, address: usize) -> Option<usize> {
        let place = Packed::of(address, 0, 0, 0)?.place;
        if place == 0 {
            return None;
        }
        // All of them are looked at: where it is cannot be predicted.
        let mut found = 0_u32;
        for (index, young) in self.young.iter().enumerate() {
            found |= u32::from(young.is_at(place)) << index;
        }
        (found != 0).then(|| found.trailing_zeros() as usize % YOUNG)
    }

    /// Puts a block into the table.
    fn settle(&mut self, packed: Packed) -> bool {
        let place = if let Some(place) = self.free.checked_sub(1) {
            let free = &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK];
            self.free = core::mem::replace(free, packed).rest as u32;
            place
        } else {
            let full = self.chunks.last().is_none_or(|last| last.len() == CHUNK);
            let chunks = self.chunks.len() - usize::from(!full);
            let used = if full { 0 } else { self.chunks[chunks].len() };
            let Ok(place) = u32::try_from(chunks * CHUNK + used) else { return false };
            if place == u32::MAX {
                return false;
            }
            if full {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            self.chunks[chunks].push(packed);
            place
        };
        let chunks = &self.chunks;
        let rehash = |&place: &u32| position(at(chunks, place).address());
        self.table.insert_unique(position(packed.address()), place, rehash);
        true
    }

    pub(super) fn get(&self, address: usize) -> Option<Packed> {
        if let Some(young) = self.young(address) {
            return Some(self.young[young]);
        }
        let chunks = &self.chunks;
        let found = self.table.find(position(address), |&place| at(chunks, place).address() == address);
        found.map(|&place| at(chunks, place))
    }

    /// Takes a block out if `may` says so, and returns it and whether it is out.
    pub(super) fn remove(
        &mut self,
        address: usize,
        may: impl FnOnce(Packed) -> bool,
    ) -> Option<(Packed, bool)> {
        if let Some(young) = self.young(address) {
            let packed = self.young[young];
            let out = may(packed);
            if out {
                self.young[young] = Packed::default();
            }
            return Some((packed, out));
        }
        let chunks = &mut self.chunks;
        let found = self.table.find_entry(position(address), |&place| at(chunks, place).address() == address);
        let found = found.ok()?;
        let place = *found.get();
        let packed = at(chunks, place);
        if !may(packed) {
            return Some((packed, false));
        }
        found.remove();
        chunks[place as usize / CHUNK][place as usize % CHUNK] =
            Packed { place: 0, rest: u64::from(self.free) };
        self.free = place + 1;
        Some((packed, true))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Packed> {
        self.chunks.iter().flatten().chain(&self.young).copied().filter(|packed| !packed.is_none())
    }
}

/// A freed block, and the return address of the driver call that freed it.
pub(super) type Gone = (Packed, u64);

/// How many freed blocks are remembered at most.
const GRAVES: usize = 1024;

/// Blocks that were freed lately: of those that have the same place, the last.
#[derive(Default)]
pub(super) struct Graves {
    all: Vec<Gone>,
}

impl Graves {
    fn place(address: usize) -> usize {
        mixed(address as u64) as usize % GRAVES
    }

    /// Remembers a block.
    pub(super) fn insert(&mut self, gone: Gone) {
        if self.all.is_empty() {
            self.all.resize(GRAVES, Gone::default());
        }
        self.all[Self::place(gone.0.address())] = gone;
    }

    pub(super) fn get(&self, address: usize) -> Option<Gone> {
        self.all.get(Self::place(address)).copied().filter(|gone| address != 0 && gone.0.address() == address)
    }

    /// Forgets the block at an address that is in use again.
    pub(super) fn remove(&mut self, address: usize) {
        if let Some(gone) = self.all.get_mut(Self::place(address))
            && gone.0.address() == address
        {
            *gone = Gone::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Gone> {
        self.all.iter().copied().filter(|gone| !gone.0.is_none())
    }
}
