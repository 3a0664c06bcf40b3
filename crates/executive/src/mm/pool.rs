//! Allocating and freeing.
//!
//! Sources: Microsoft's reference pages of `ExAllocatePoolWithTag`, `ExAllocatePool2`, `ExFreePoolWithTag` and of the bugchecks
//! 0xC2 `BAD_POOL_CALLER` and 0x19 `BAD_POOL_HEADER`; `POOL_HEADER` of the public symbols.
//!
//! Deliberately simple: `POOL_QUOTA` is noted in the header and charges nobody, session pool is paged pool, and a request with
//! `POOL_RAISE_IF_ALLOCATION_FAILURE` returns null like any other (raising is the business of the export layer).

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nt::profile::NonPagedKind;
use nt::{
    Irql, NonPagedPoolNx, PAGE_SIZE, POOL_BLOCK, POOL_HEADER, POOL_QUOTA, POOL_ZERO_ALLOCATION, PagedPool,
};

use record::PoolNoticed;

use super::PoolBlock;
use super::registry::{Entry, Freed, Taken};
use crate::raw::{Live, field};
use crate::{Executive, Origin, Platform, PoolKind};

/// Bit of `POOL_HEADER.PoolType` that marks a block in use.
pub(super) const IN_USE: u8 = 0x02;
/// `POOL_TYPE` bit of the cache-aligned pools.
const CACHE_ALIGNED: u32 = 0x04;
/// Bytes in a cache line.
const CACHE_LINE: usize = 0x40;
/// Bit of a tag that asks for the tag to be named when freeing.
const PROTECTED_POOL: u32 = 0x8000_0000;
/// Bytes of the header.
const HEADER: usize = size_of::<POOL_HEADER>();

/// Longest block that need not begin a page: with its header and the smallest block it fills one.
const LONGEST_SMALL: usize = PAGE_SIZE - 2 * POOL_BLOCK;

/// An allocation asked for.
#[derive(Clone, Copy, Debug)]
pub struct PoolRequest {
    /// `POOL_TYPE`, modifier bits included.
    pub pool_type: u32,
    /// Bytes; zero is taken as the smallest block.
    pub bytes: usize,
    /// Tag, first character lowest.
    pub tag: u32,
    /// Return address of the driver call that asks, 0 where the kernel does by itself. Audits attribute blocks by it.
    pub caller: u64,
}

/// Tells whether two tags are equal apart from the protection bit.
pub(super) const fn same_tag(left: u32, right: u32) -> bool {
    (left ^ right) & !PROTECTED_POOL == 0
}

/// Where a block was put.
struct Placed {
    base: NonNull<u8>,
    total: usize,
    address: usize,
    apart: bool,
}

/// Returns the highest IRQL at which blocks of a pool are allocated and freed.
pub(super) const fn highest(pool: PoolKind) -> Irql {
    match pool {
        PoolKind::Paged => Irql::APC,
        PoolKind::NonPaged | PoolKind::NonPagedNx => Irql::DISPATCH,
    }
}

/// Returns `POOL_HEADER.BlockSize` of a block with `bytes` bytes, rounded up. A large block's size does not fit; Windows writes no
/// header there at all.
fn units(bytes: usize) -> u8 {
    u8::try_from((bytes + HEADER) / POOL_BLOCK).unwrap_or(0)
}

/// Tells whether a request asks for nothing but memory that shares pages.
pub(super) const fn is_plain(request: &PoolRequest) -> bool {
    request.bytes <= LONGEST_SMALL - POOL_BLOCK && request.pool_type & (CACHE_ALIGNED | POOL_QUOTA) == 0
}

/// Returns the first word of the header of a block with `bytes` bytes, rounded up. The second is `POOL_HEADER.ProcessBilled`.
pub(super) fn header_word(bytes: usize, pool_type: u8, tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(pool_type) << 24 | u64::from(units(bytes)) << 16
}

/// Returns the header as it is written. `billed` is `POOL_HEADER.ProcessBilled`.
fn header_bytes(bytes: usize, pool_type: u8, tag: u32, billed: u64) -> [u8; HEADER] {
    (u128::from(header_word(bytes, pool_type, tag)) | u128::from(billed) << 64).to_le_bytes()
}

impl Entry {
    /// Makes the entry of a block that begins with its header and ends with `zone` bytes.
    pub(super) fn ordinary(block: PoolBlock, pool_type: u8, zone: usize) -> Self {
        let bytes = block.bytes.max(1).next_multiple_of(POOL_BLOCK);
        Self {
            base: block.address - HEADER,
            total: super::dense::total(block.bytes, zone),
            header: header_bytes(bytes, pool_type, block.tag, 0),
            apart: false,
            told: false,
            block,
        }
    }
}

const fn round_up(bytes: usize, unit: usize) -> Option<usize> {
    match bytes.checked_add(unit - 1) {
        Some(sum) => Some(sum / unit * unit),
        None => None,
    }
}

impl<P: Platform> Executive<P> {
    /// Returns which pool a `POOL_TYPE` names on this version.
    fn pool_kind(&self, pool_type: u32) -> PoolKind {
        if pool_type & PagedPool != 0 {
            PoolKind::Paged
        } else if pool_type & NonPagedPoolNx != 0
            && self.profile().nonpaged_kind.value == NonPagedKind::NonPagedPoolNx
        {
            PoolKind::NonPagedNx
        } else {
            PoolKind::NonPaged
        }
    }

    /// Returns the `POOL_TYPE` of the executive's own nonpaged blocks on this version: `NonPagedPoolNx` from Windows 8 on.
    pub(crate) fn nonpaged_pool_type(&self) -> u32 {
        self.profile().nonpaged_kind.value.pool_type()
    }

    /// Allocates pool. Returns null where there is none.
    ///
    /// # IRQL
    ///
    /// Up to `APC_LEVEL` for paged, up to `DISPATCH_LEVEL` for nonpaged pool; above it is bugcheck 0xC2.
    pub fn allocate_pool(&self, request: &PoolRequest) -> *mut c_void {
        let pool = self.pool_kind(request.pool_type);
        let irql = self.platform().irql();
        if irql > highest(pool) {
            self.bad_request(request, pool, irql.0);
        }
        if let Some(block) = self.allocate_own(request, pool) {
            return block;
        }
        let Some(entry) = self.allocate_block(request, pool) else { return ptr::null_mut() };
        let body = ptr::with_exposed_provenance_mut::<c_void>(entry.block.address);
        self.registry().with(|registry| registry.insert(entry));
        body
    }

    /// Takes memory for a block. What a driver asks for gets pages of its own as long as there are some: the block ends where they end, before
    /// memory that cannot be touched, so that whoever runs past it is caught in the act. Everything else shares pages.
    fn place_block(&self, request: &PoolRequest, pool: PoolKind, bytes: usize) -> Option<Placed> {
        // The documented promise: a page or more starts on a page, and less does not cross one.
        let align = if bytes > LONGEST_SMALL {
            PAGE_SIZE
        } else if request.pool_type & CACHE_ALIGNED != 0 {
            CACHE_LINE
        } else {
            POOL_BLOCK
        };
        if request.caller != 0 {
            let lead = if align == PAGE_SIZE { PAGE_SIZE } else { HEADER };
            let body = round_up(bytes, align)?;
            let total = round_up(body.checked_add(lead)?, PAGE_SIZE)?;
            if let Some(base) = self.platform().allocate_pages(pool, total) {
                let start = base.as_ptr().expose_provenance();
                return Some(Placed { base, total, address: start + total - body, apart: true });
            }
        }
        let total = bytes.checked_add(HEADER + align - POOL_BLOCK + self.pool_zone())?;
        let base = self.platform().allocate(pool, total)?;
        let start = base.as_ptr().expose_provenance();
        Some(Placed { base, total, address: round_up(start + HEADER, align)?, apart: false })
    }

    fn allocate_block(&self, request: &PoolRequest, pool: PoolKind) -> Option<Entry> {
        let bytes = round_up(request.bytes.max(1), POOL_BLOCK)?;
        let Placed { base, total, address, apart } = self.place_block(request, pool, bytes)?;
        let start = base.as_ptr().expose_provenance();
        let body = base.as_ptr().wrapping_add(address - start);

        // SAFETY: the platform's block holds the header, `HEADER` bytes before the body, 16-byte aligned, and is ours alone.
        let header = unsafe { Live::<POOL_HEADER>::new(body.wrapping_sub(HEADER).cast()) };
        let pool_type = (request.pool_type & 0xFF) as u8 | IN_USE;
        let units = units(bytes);
        field!(header, POOL_HEADER, PreviousSize).set(0);
        field!(header, POOL_HEADER, PoolIndex).set(0);
        field!(header, POOL_HEADER, BlockSize).set(units);
        field!(header, POOL_HEADER, PoolType).set(pool_type);
        field!(header, POOL_HEADER, PoolTag).set(request.tag);
        let billed =
            if request.pool_type & POOL_QUOTA != 0 { self.current_process().cast() } else { ptr::null_mut() };
        field!(header, POOL_HEADER, ProcessBilled).set(billed);
        let origin = if request.caller == 0 { Origin::default() } else { self.platform().origin() };
        let entry = Entry {
            block: PoolBlock {
                address,
                bytes: request.bytes,
                tag: request.tag,
                pool,
                sequence: 0,
                caller: request.caller,
                origin,
            },
            base: start,
            total,
            header: header_bytes(bytes, pool_type, request.tag, billed.expose_provenance() as u64),
            apart,
            told: false,
        };
        entry.prepare(request.pool_type & POOL_ZERO_ALLOCATION != 0);
        Some(entry)
    }

    /// Allocates pool of a type under a tag, for the kernel itself.
    pub fn ExAllocatePoolWithTag(&self, pool_type: u32, bytes: usize, tag: u32) -> *mut c_void {
        self.allocate_pool(&PoolRequest { pool_type, bytes, tag, caller: 0 })
    }

    /// Allocates pool by `POOL_FLAG_*`: zeroed unless told otherwise. Returns null for a combination of flags that names no pool.
    ///
    /// `caller` as in [`PoolRequest`].
    pub fn allocate_pool2(&self, flags: u64, bytes: usize, tag: u32, caller: u64) -> *mut c_void {
        const POOLS: u64 = nt::POOL_FLAG_NON_PAGED | nt::POOL_FLAG_NON_PAGED_EXECUTE | nt::POOL_FLAG_PAGED;
        const KNOWN: u64 = POOLS
            | nt::POOL_FLAG_USE_QUOTA
            | nt::POOL_FLAG_UNINITIALIZED
            | nt::POOL_FLAG_SESSION
            | nt::POOL_FLAG_CACHE_ALIGNED
            | nt::POOL_FLAG_RAISE_ON_FAILURE;
        // The upper half holds flags that older kernels may ignore.
        let required = flags & 0xFFFF_FFFF;
        let mut pool_type = match required & POOLS {
            nt::POOL_FLAG_NON_PAGED => self.nonpaged_pool_type(),
            nt::POOL_FLAG_NON_PAGED_EXECUTE => nt::NonPagedPool,
            nt::POOL_FLAG_PAGED => PagedPool,
            _ => return ptr::null_mut(),
        };
        // The documented refusals, and a size that no caller can mean.
        if required & !KNOWN != 0 || bytes == 0 || tag == 0 {
            return ptr::null_mut();
        }
        if required & nt::POOL_FLAG_UNINITIALIZED == 0 {
            pool_type |= POOL_ZERO_ALLOCATION;
        }
        if required & nt::POOL_FLAG_CACHE_ALIGNED != 0 {
            pool_type |= CACHE_ALIGNED;
        }
        if required & nt::POOL_FLAG_USE_QUOTA != 0 {
            pool_type |= POOL_QUOTA;
        }
        self.allocate_pool(&PoolRequest { pool_type, bytes, tag, caller })
    }

    /// Allocates pool by `POOL_FLAG_*`, for the kernel itself.
    pub fn ExAllocatePool2(&self, flags: u64, bytes: usize, tag: u32) -> *mut c_void {
        self.allocate_pool2(flags, bytes, tag, 0)
    }

    /// Frees a pool block, whatever its tag.
    ///
    /// # Safety
    ///
    /// Nobody uses the block at `block` afterwards. An address that is no live block is a bugcheck, not undefined.
    pub unsafe fn ExFreePool(&self, block: *mut c_void) {
        // SAFETY: the same promise.
        unsafe { self.ExFreePoolWithTag(block, 0) };
    }

    /// Frees a pool block whose tag must be `tag`, unless that is zero.
    ///
    /// # Safety
    ///
    /// Nobody uses the block at `block` afterwards. An address that is no live block is a bugcheck, not undefined.
    pub unsafe fn ExFreePoolWithTag(&self, block: *mut c_void, tag: u32) {
        // SAFETY: the same promise.
        unsafe { self.free_pool(block, tag, 0) };
    }

    /// Frees a pool block for `caller`, the return address of the driver call that asks, 0 where the kernel does by itself.
    ///
    /// # Safety
    ///
    /// As for [`ExFreePoolWithTag`](Self::ExFreePoolWithTag).
    pub unsafe fn free_pool(&self, block: *mut c_void, tag: u32, caller: u64) {
        let address = block.addr();
        // SAFETY: the same promise.
        if unsafe { self.free_own(address, tag, caller) } {
            return;
        }
        let irql = self.platform().irql();
        let taken = self.registry().with(|registry| {
            registry.take(address, caller, |entry| {
                irql <= highest(entry.block.pool)
                    && entry.damage().is_none()
                    && (tag == 0 || same_tag(tag, entry.block.tag))
            })
        });
        let freed = match taken {
            Taken::Unknown => self.bad_free(address, tag, caller),
            Taken::Refused(entry) => self.refuse_free(&entry, tag, caller),
            Taken::Freed(freed) => freed,
        };
        // Nobody gets the memory before others have been freed after it: until then a write to it is noticed.
        let kept = self.platform().freed_blocks_kept();
        if freed.entry.apart || kept == 0 {
            self.give_back(&freed);
            return;
        }
        freed.entry.wipe();
        self.registry().with(|registry| registry.let_wait(freed));
        while let Some(oldest) = self.registry().with(|registry| registry.next_reuse(kept)) {
            self.check_reuse(&oldest, PoolNoticed::Reuse);
            self.give_back(&oldest);
        }
    }

    fn give_back(&self, freed: &Freed) {
        let Entry { block, base, total, apart, .. } = freed.entry;
        let base = ptr::with_exposed_provenance_mut::<u8>(base);
        let Some(base) = NonNull::new(base) else { return };
        if apart {
            // SAFETY: the registry had the block as live, so it came from `allocate_pages` with these arguments and was not
            // released; whoever freed it promised that its use has ended.
            unsafe { self.platform().release_pages(block.pool, base, total) };
        } else {
            // SAFETY: likewise, from `allocate`.
            unsafe { self.platform().release(block.pool, base, total) };
        }
    }
}
