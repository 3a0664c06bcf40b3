//! Memory descriptor lists.
//!
//! The machine has no physical memory apart from its one address space, so the number of a page is that of its address, and mapping
//! locked pages returns the address they have.

use nt::{
    IRP, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SIZE,
};

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

const TAG: u32 = nt::pool_tag(b"Mdl ");
const HEAD: usize = size_of::<MDL>();

fn pages(address: u64, bytes: u64) -> usize {
    ((address % PAGE_SIZE as u64 + bytes).div_ceil(PAGE_SIZE as u64)) as usize
}

fn numbers(k: &Kernel, descriptor: Guest<MDL>) -> GuestSlice<u64> {
    let count = (usize::from(field!(descriptor, MDL, Size).read()).saturating_sub(HEAD)) / 8;
    GuestSlice::new(k, descriptor.address() + HEAD as u64, count)
}

fn start(descriptor: Guest<MDL>) -> u64 {
    field!(descriptor, MDL, StartVa).read() as u64 + u64::from(field!(descriptor, MDL, ByteOffset).read())
}

fn add_flags(descriptor: Guest<MDL>, flags: u16) {
    let word = field!(descriptor, MDL, MdlFlags);
    word.write(word.read() | flags);
}

fn fill_numbers(k: &Kernel, descriptor: Guest<MDL>) {
    let first = field!(descriptor, MDL, StartVa).read() as u64 / PAGE_SIZE as u64;
    let numbers = numbers(k, descriptor);
    for index in 0..numbers.len() {
        numbers.at(index).write(first + index as u64);
    }
}

/// Allocates a list for a buffer, and puts it on a request where there is one.
pub(crate) fn IoAllocateMdl(
    k: &Kernel,
    address: Address,
    bytes: u32,
    secondary: u8,
    _charge: u8,
    irp: Option<Guest<IRP>>,
) -> Address {
    let size = HEAD + 8 * pages(address.0, u64::from(bytes));
    let Ok(size_field) = u16::try_from(size) else { return Address::NULL };
    let request = executive::mm::PoolRequest {
        pool_type: nt::NonPagedPoolNx,
        bytes: size,
        tag: TAG,
        caller: k.caller(),
    };
    let block: Address = k.executive().allocate_pool(&request).into();
    let Some(descriptor) = Guest::<MDL>::optional(k, block.0) else { return Address::NULL };
    GuestSlice::<u8>::new(k, block.0, size).fill(0);
    field!(descriptor, MDL, Size).write(size_field);
    field!(descriptor, MDL, StartVa).write(Address(address.0 & !(PAGE_SIZE as u64 - 1)).ptr());
    field!(descriptor, MDL, ByteOffset).write((address.0 % PAGE_SIZE as u64) as u32);
    field!(descriptor, MDL, ByteCount).write(bytes);
    if let Some(irp) = irp {
        let mut slot = field!(irp, IRP, MdlAddress);
        if secondary != 0 {
            while let Some(before) = Guest::<MDL>::optional(k, slot.read() as u64) {
                slot = field!(before, MDL, Next);
            }
        }
        slot.write(descriptor.ptr());
    }
    block
}

/// Frees a list.
pub(crate) fn IoFreeMdl(k: &Kernel, descriptor: Guest<MDL>) {
    k.free_pool(descriptor.address());
}

/// Fills in the pages of a buffer in nonpaged pool.
pub(crate) fn MmBuildMdlForNonPagedPool(k: &Kernel, descriptor: Guest<MDL>) {
    fill_numbers(k, descriptor);
    add_flags(descriptor, MDL_SOURCE_IS_NONPAGED_POOL);
    field!(descriptor, MDL, MappedSystemVa).write(Address(start(descriptor)).ptr());
}

/// Fills in and locks the pages of a buffer. One that is no memory raises.
pub(crate) fn MmProbeAndLockPages(k: &Kernel, descriptor: Guest<MDL>, _mode: u8, _operation: u32) {
    let (first, bytes) = (start(descriptor), u64::from(field!(descriptor, MDL, ByteCount).read()));
    for page in 0..pages(first, bytes) as u64 {
        let address = (first & !(PAGE_SIZE as u64 - 1)) + page * PAGE_SIZE as u64;
        let address = address.max(first);
        if !k.host().is_guest(address, 1) || !k.host().is_mapped(address) {
            k.raise(nt::STATUS_ACCESS_VIOLATION, "pages were to be locked that are not there");
        }
    }
    fill_numbers(k, descriptor);
    add_flags(descriptor, MDL_PAGES_LOCKED);
}

/// Unlocks the pages.
pub(crate) fn MmUnlockPages(_: &Kernel, descriptor: Guest<MDL>) {
    let flags = field!(descriptor, MDL, MdlFlags);
    flags.write(flags.read() & !(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA));
}

/// Returns an address for the locked pages: the one they have.
pub(crate) fn MmMapLockedPages(_: &Kernel, descriptor: Guest<MDL>, _mode: u8) -> Address {
    let at = Address(start(descriptor));
    add_flags(descriptor, MDL_MAPPED_TO_SYSTEM_VA);
    field!(descriptor, MDL, MappedSystemVa).write(at.ptr());
    at
}

/// The same with caching, a wished-for address and what to do on failure, none of which matters.
pub(crate) fn MmMapLockedPagesSpecifyCache(
    k: &Kernel,
    descriptor: Guest<MDL>,
    mode: u8,
    _caching: u32,
    _wanted: Address,
    _bugcheck: u32,
    _priority: u32,
) -> Address {
    if mode != 0 {
        k.partial(
            "MmMapLockedPagesSpecifyCache",
            "there is no user mode to map into; the kernel's address is returned",
        );
    }
    MmMapLockedPages(k, descriptor, mode)
}

/// Gives the address up.
pub(crate) fn MmUnmapLockedPages(_: &Kernel, _address: Address, descriptor: Guest<MDL>) {
    let flags = field!(descriptor, MDL, MdlFlags);
    flags.write(flags.read() & !MDL_MAPPED_TO_SYSTEM_VA);
}

/// Makes a list of a part of another.
pub(crate) fn IoBuildPartialMdl(
    k: &Kernel,
    source: Guest<MDL>,
    target: Guest<MDL>,
    address: Address,
    bytes: u32,
) {
    let bytes = match bytes {
        0 => {
            let whole = u64::from(field!(source, MDL, ByteCount).read());
            whole.saturating_sub(address.0.saturating_sub(start(source))) as u32
        }
        bytes => bytes,
    };
    field!(target, MDL, StartVa).write(Address(address.0 & !(PAGE_SIZE as u64 - 1)).ptr());
    field!(target, MDL, ByteOffset).write((address.0 % PAGE_SIZE as u64) as u32);
    field!(target, MDL, ByteCount).write(bytes);
    let inherited =
        field!(source, MDL, MdlFlags).read() & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA);
    field!(target, MDL, MdlFlags).write(MDL_PARTIAL | inherited);
    field!(target, MDL, MappedSystemVa).write(address.ptr());
    fill_numbers(k, target);
}

/// Returns the bytes of a list for a buffer.
pub(crate) fn MmSizeOfMdl(_: &Kernel, address: Address, bytes: usize) -> usize {
    HEAD + 8 * pages(address.0, bytes as u64)
}
