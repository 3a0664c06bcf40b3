//! Contiguous memory and physical addresses.
//!
//! The one address space stands for physical memory too: the physical address of a page is its address, so every block is contiguous.

use nt::PAGE_SIZE;

use crate::export::{Address, LargeInteger};
use crate::kernel::Kernel;

const TAG: u32 = nt::pool_tag(b"MmCm");

/// Allocates whole pages.
fn allocate(k: &Kernel, bytes: usize) -> Address {
    let request = executive::mm::PoolRequest {
        pool_type: nt::NonPagedPoolNx,
        bytes: bytes.max(1).next_multiple_of(PAGE_SIZE),
        tag: TAG,
        caller: k.caller(),
    };
    k.executive().allocate_pool(&request).into()
}

/// Frees pages; what is no such memory ends in a bugcheck.
fn free(k: &Kernel, block: Address) {
    // SAFETY: that nobody uses the memory afterwards is the driver's contract.
    unsafe { k.executive().free_pool(block.ptr(), TAG, k.caller()) }
}

/// Allocates contiguous memory below a physical address. Everything lies below those that drivers ask for, or nothing does.
pub(crate) fn MmAllocateContiguousMemory(k: &Kernel, bytes: usize, highest: LargeInteger) -> Address {
    let block = allocate(k, bytes);
    if block != Address::NULL && block.0 + bytes as u64 - 1 > highest.0 as u64 {
        k.partial("MmAllocateContiguousMemory", format!("memory below {:#x}", highest.0));
        k.free_pool(block.0);
        return Address::NULL;
    }
    block
}

/// The same between two addresses, off a boundary, with caching.
pub(crate) fn MmAllocateContiguousMemorySpecifyCache(
    k: &Kernel,
    bytes: usize,
    _lowest: LargeInteger,
    highest: LargeInteger,
    _boundary: LargeInteger,
    _caching: u32,
) -> Address {
    MmAllocateContiguousMemory(k, bytes, highest)
}

/// Frees contiguous memory.
pub(crate) fn MmFreeContiguousMemory(k: &Kernel, block: Address) {
    free(k, block);
}

/// Frees contiguous memory of a known size and caching.
pub(crate) fn MmFreeContiguousMemorySpecifyCache(k: &Kernel, block: Address, _bytes: usize, _caching: u32) {
    free(k, block);
}

/// Allocates memory that is not cached.
pub(crate) fn MmAllocateNonCachedMemory(k: &Kernel, bytes: usize) -> Address {
    allocate(k, bytes)
}

/// Frees memory that is not cached.
pub(crate) fn MmFreeNonCachedMemory(k: &Kernel, block: Address, _bytes: usize) {
    free(k, block);
}

/// Returns the physical address of an address: the same, or 0 where nothing is mapped.
pub(crate) fn MmGetPhysicalAddress(k: &Kernel, address: Address) -> LargeInteger {
    let mapped = super::address::MmIsAddressValid(k, address) != 0;
    LargeInteger(if mapped { address.0 as i64 } else { 0 })
}
