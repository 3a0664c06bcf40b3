//! Pool. The blocks, their headers and their tags are the executive's; the caller's address goes along, so that an
//! audit can say whose a block was.

use executive::mm::PoolRequest;
use nt::{
    NTSTATUS, POOL_FLAG_RAISE_ON_FAILURE, POOL_QUOTA, POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
    POOL_RAISE_IF_ALLOCATION_FAILURE, tag,
};

use crate::export::Address;
use crate::kernel::Kernel;

fn allocate(k: &Kernel, pool_type: u32, bytes: usize, tag: u32, raise: bool) -> Address {
    let caller = k.caller();
    let pool_type = pool_type & !POOL_RAISE_IF_ALLOCATION_FAILURE;
    let block: Address = k.executive().allocate_pool(&PoolRequest { pool_type, bytes, tag, caller }).into();
    if block == Address::NULL && raise {
        exhausted(k);
    }
    block
}

fn exhausted(k: &Kernel) -> ! {
    k.raise(nt::STATUS_INSUFFICIENT_RESOURCES, "pool is exhausted and the driver asked for an exception")
}

/// Allocates pool without a tag.
pub(crate) fn ExAllocatePool(k: &Kernel, pool_type: u32, bytes: usize) -> Address {
    ExAllocatePoolWithTag(k, pool_type, bytes, tag::NONE)
}

/// Allocates pool.
pub(crate) fn ExAllocatePoolWithTag(k: &Kernel, pool_type: u32, bytes: usize, tag: u32) -> Address {
    allocate(k, pool_type, bytes, tag, pool_type & POOL_RAISE_IF_ALLOCATION_FAILURE != 0)
}

/// Allocates pool with a priority. Nothing is ever short enough here for a low priority to be refused.
pub(crate) fn ExAllocatePoolWithTagPriority(
    k: &Kernel,
    pool_type: u32,
    bytes: usize,
    tag: u32,
    _priority: u32,
) -> Address {
    ExAllocatePoolWithTag(k, pool_type, bytes, tag)
}

/// Allocates pool in the name of the current process. Raises unless the type carries
/// `POOL_QUOTA_FAIL_INSTEAD_OF_RAISE`, which has the value of the bit that marks such a block.
pub(crate) fn ExAllocatePoolWithQuotaTag(k: &Kernel, pool_type: u32, bytes: usize, tag: u32) -> Address {
    allocate(k, pool_type | POOL_QUOTA, bytes, tag, pool_type & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE == 0)
}

/// The same without a tag.
pub(crate) fn ExAllocatePoolWithQuota(k: &Kernel, pool_type: u32, bytes: usize) -> Address {
    ExAllocatePoolWithQuotaTag(k, pool_type, bytes, tag::NONE)
}

/// Allocates pool by flags: zeroed unless told otherwise.
pub(crate) fn ExAllocatePool2(k: &Kernel, flags: u64, bytes: usize, tag: u32) -> Address {
    let block: Address = k.executive().allocate_pool2(flags, bytes, tag, k.caller()).into();
    if block == Address::NULL && flags & POOL_FLAG_RAISE_ON_FAILURE != 0 {
        exhausted(k);
    }
    block
}

/// Allocates pool by flags and extended parameters, of which there may be none.
pub(crate) fn ExAllocatePool3(
    k: &Kernel,
    flags: u64,
    bytes: usize,
    tag: u32,
    _parameters: Address,
    count: u32,
) -> Address {
    if count > 0 {
        k.partial(
            "ExAllocatePool3",
            "extended parameters (secure pool, NUMA node, priority) are not looked at",
        );
    }
    ExAllocatePool2(k, flags, bytes, tag)
}

/// Frees pool.
pub(crate) fn ExFreePool(k: &Kernel, block: Address) {
    ExFreePoolWithTag(k, block, 0);
}

/// Frees pool that must have the tag.
pub(crate) fn ExFreePoolWithTag(k: &Kernel, block: Address, tag: u32) {
    k.check_freed(block.0);
    // SAFETY: that nobody uses the block afterwards is the driver's contract; what is no block ends in a bugcheck.
    unsafe { k.executive().free_pool(block.ptr(), tag, k.caller()) }
}

/// Raises a status.
pub(crate) fn ExRaiseStatus(k: &Kernel, status: NTSTATUS) -> core::convert::Infallible {
    k.raise(status, "a driver raised a status")
}

/// Raises `STATUS_ACCESS_VIOLATION`.
pub(crate) fn ExRaiseAccessViolation(k: &Kernel) -> core::convert::Infallible {
    k.raise(nt::STATUS_ACCESS_VIOLATION, "a driver raised an access violation")
}

/// Raises `STATUS_DATATYPE_MISALIGNMENT`.
pub(crate) fn ExRaiseDatatypeMisalignment(k: &Kernel) -> core::convert::Infallible {
    k.raise(nt::STATUS_DATATYPE_MISALIGNMENT, "a driver raised a misalignment")
}

/// Returns the mode the current thread came from: kernel, because nobody else is there.
pub(crate) fn ExGetPreviousMode(k: &Kernel) -> u8 {
    k.executive().KeGetPreviousMode()
}

/// Makes an identifier of version 4 from the machine's seed.
pub(crate) fn ExUuidCreate(k: &Kernel, uuid: crate::guest::Guest<[u64; 2]>) -> NTSTATUS {
    let [low, high] = [k.host().random(), k.host().random()];
    // Version in the top four bits of `Data3`, variant in the top two bits of `Data4`.
    uuid.write([low & 0x0FFF_FFFF_FFFF_FFFF | 4 << 60, high & !0xC0 | 0x80]);
    nt::STATUS_SUCCESS
}
