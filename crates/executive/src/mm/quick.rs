//! The short way for the kernel's own blocks, of which an object with a name has three and its creation frees three more.
//!
//! What it does is what [`pool`](super::pool) does for a block that shares pages, belongs to no driver and asks for nothing special: the same header, the
//! same pattern behind it, the same places in the registry and the same numbers in the statistics. Whatever it cannot decide goes the long way.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nt::{Irql, POOL_BLOCK, POOL_HEADER, POOL_ZERO_ALLOCATION};

use super::dense::{Kind, Packed, total};
use super::guard::{BEHIND, GARBAGE, fill};
use super::pool::{IN_USE, header_word, highest, is_plain, same_tag};
use super::registry::{Entry, Registry};
use super::{PoolBlock, PoolRequest};
use crate::raw::Live;
use crate::{Executive, Origin, Platform, PoolKind};

const HEADER: usize = size_of::<POOL_HEADER>();

/// A block that [`Registry::take_own`] took out.
struct Own {
    pool: PoolKind,
    total: usize,
}

/// How far a block of `bytes` bytes reaches.
const fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(POOL_BLOCK)
}

/// Returns the last 16 bytes of a block, and by how many bits they must be moved to leave those behind it. `None` where the block fills them.
fn rest(address: usize, bytes: usize) -> Option<(Live<[u64; 2]>, u32)> {
    let used = bytes % POOL_BLOCK;
    if used == 0 {
        return None;
    }
    let at = ptr::with_exposed_provenance_mut(address + bytes - used);
    // SAFETY: a live block's size in memory is a multiple of 16, and so is its address.
    Some((unsafe { Live::new(at) }, used as u32 * 8))
}

/// Returns the zone behind a block, where there is one.
fn zone_of(address: usize, bytes: usize, zone: usize) -> Option<Live<[u64; 2]>> {
    debug_assert!(zone == 0 || zone == BEHIND, "a zone has one size");
    let at = ptr::with_exposed_provenance_mut(address + rounded(bytes));
    // SAFETY: the zone is part of what the platform gave for the block.
    (zone != 0).then(|| unsafe { Live::new(at) })
}

const _: () = assert!(BEHIND == size_of::<[u64; 2]>());

const fn word([low, high]: [u64; 2]) -> u128 {
    low as u128 | (high as u128) << 64
}

/// What is behind a block.
const PATTERN: u128 = u128::from_ne_bytes([GARBAGE; 16]);

impl Registry {
    /// Notes a new block of the kernel's own.
    fn insert_own(&mut self, address: usize, bytes: usize, pool: PoolKind, pool_type: u8, tag: u32) {
        let kind = self.kinds.number(Kind { tag, pool, pool_type });
        if let Some(packed) = Packed::of(address, bytes, self.sequence, kind)
            && self.own.insert(packed)
        {
            self.forget_freed(address);
            self.sequence += 1;
            self.kinds.count(kind, bytes);
            return;
        }
        let origin = Origin::default();
        let block = PoolBlock { address, bytes, tag, pool, sequence: 0, caller: 0, origin };
        self.insert(Entry::ordinary(block, pool_type, self.zone));
    }

    /// Takes out a block of the kernel's own that is whole and may be freed at `irql` under `tag`, for the driver call that returns to `by`.
    fn take_own(&mut self, address: usize, tag: u32, irql: Irql, by: u64) -> Option<Own> {
        let (kinds, zone) = (&self.kinds, self.zone);
        let mut own = Own { pool: PoolKind::NonPaged, total: 0 };
        let (packed, out) = self.own.remove(address, |packed| {
            let kind = kinds.kind(packed.kind());
            let bytes = packed.bytes();
            own = Own { pool: kind.pool, total: total(bytes, zone) };
            let header = ptr::with_exposed_provenance_mut(address - HEADER);
            // SAFETY: the block is live, so the header before it is ours to read.
            let header: Live<[u64; 2]> = unsafe { Live::new(header) };
            bytes != 0
                && (tag == 0 || same_tag(tag, kind.tag))
                && irql <= highest(kind.pool)
                && header.get() == [header_word(rounded(bytes), kind.pool_type, kind.tag), 0]
                && rest(address, bytes).is_none_or(|(last, used)| word(last.get()) >> used == PATTERN >> used)
                && zone_of(address, bytes, zone).is_none_or(|behind| word(behind.get()) == PATTERN)
        })?;
        if !out {
            return None;
        }
        self.own_freed.insert((packed, by));
        self.kinds.uncount(packed.kind(), packed.bytes());
        self.sequence += 1;
        Some(own)
    }
}

impl<P: Platform> Executive<P> {
    /// Tells whether a block of the kernel's own with this size and tag begins at an address, which may be any.
    pub(crate) fn is_own_block(&self, address: usize, bytes: usize, tag: u32) -> bool {
        self.registry().with(|registry| match registry.own.get(address) {
            Some(packed) => packed.bytes() == bytes && registry.kinds.kind(packed.kind()).tag == tag,
            None => registry.find(address).is_some_and(|Entry { block, .. }| {
                block.caller == 0 && block.bytes == bytes && block.tag == tag
            }),
        })
    }

    /// Allocates a block of the kernel's own, null where there is no memory; `None` where it needs the long way.
    pub(super) fn allocate_own(&self, request: &PoolRequest, pool: PoolKind) -> Option<*mut c_void> {
        let bytes = request.bytes;
        if request.caller != 0 || bytes == 0 || !is_plain(request) {
            return None;
        }
        let zone = self.pool_zone();
        let total = total(bytes, zone);
        let Some(base) = self.platform().allocate(pool, total) else { return Some(ptr::null_mut()) };
        let base = base.as_ptr();
        let address = base.expose_provenance() + HEADER;
        debug_assert!(address.is_multiple_of(POOL_BLOCK), "the platform promises it");
        let pool_type = (request.pool_type & 0xFF) as u8 | IN_USE;
        // SAFETY: the platform's block begins with the header and is ours alone.
        let header: Live<[u64; 2]> = unsafe { Live::new(base.cast()) };
        header.element(0).set(header_word(rounded(bytes), pool_type, request.tag));
        header.element(1).set(0);
        if let Some((last, _)) = rest(address, bytes) {
            last.set([PATTERN as u64; 2]);
        }
        if let Some(behind) = zone_of(address, bytes, zone) {
            behind.set([PATTERN as u64; 2]);
        }
        if request.pool_type & POOL_ZERO_ALLOCATION != 0 {
            fill(address..address + bytes, 0);
        }
        self.registry().with(|registry| registry.insert_own(address, bytes, pool, pool_type, request.tag));
        Some(base.wrapping_add(HEADER).cast())
    }

    /// Frees a block of the kernel's own that is in order and whose memory need not wait. Tells whether it did.
    ///
    /// # Safety
    ///
    /// As for [`Executive::free_pool`].
    pub(super) unsafe fn free_own(&self, address: usize, tag: u32, caller: u64) -> bool {
        if self.platform().freed_blocks_kept() != 0 {
            return false;
        }
        let irql = self.platform().irql();
        let Some(own) = self.registry().with(|registry| registry.take_own(address, tag, irql, caller)) else {
            return false;
        };
        let Some(base) = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address - HEADER)) else {
            return true;
        };
        // SAFETY: the registry had the block as live, so it came from `allocate` with these arguments and was not released; whoever freed
        // it promised that its use has ended.
        unsafe { self.platform().release(own.pool, base, own.total) };
        true
    }
}
