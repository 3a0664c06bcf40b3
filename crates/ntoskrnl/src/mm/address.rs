//! Addresses: routines by name, validity, the limits of user memory.

use nt::{NTSTATUS, UNICODE_STRING};

use crate::export::Address;
use crate::guest::{self, Guest};
use crate::kernel::Kernel;

/// Returns the address of an export by name, null for one that is not there.
pub(crate) fn MmGetSystemRoutineAddress(k: &Kernel, name: Guest<UNICODE_STRING>) -> Address {
    let name = String::from_utf16_lossy(&guest::wide(k, name));
    Address(k.host().export_address(&name).unwrap_or(0))
}

/// Tells whether touching an address would fault.
pub(crate) fn MmIsAddressValid(k: &Kernel, address: Address) -> u8 {
    u8::from(k.host().is_guest(address.0, 1) && k.host().is_mapped(address.0))
}

fn probe(k: &Kernel, address: Address, bytes: usize, alignment: u32) {
    if bytes == 0 {
        return;
    }
    if alignment > 1 && address.0 & u64::from(alignment - 1) != 0 {
        k.raise(nt::STATUS_DATATYPE_MISALIGNMENT, "a misaligned user buffer was probed");
    }
    match address.0.checked_add(bytes as u64) {
        Some(end) if end <= k.host().user_end() => {}
        _ => k.raise(nt::STATUS_ACCESS_VIOLATION, "a buffer was probed that is not in user memory"),
    }
}

/// Raises unless a buffer lies in user memory.
pub(crate) fn ProbeForRead(k: &Kernel, address: Address, bytes: usize, alignment: u32) {
    probe(k, address, bytes, alignment);
}

/// Raises unless a buffer lies in user memory and can be written.
pub(crate) fn ProbeForWrite(k: &Kernel, address: Address, bytes: usize, alignment: u32) {
    probe(k, address, bytes, alignment);
    let last = address.0.wrapping_add(bytes as u64).wrapping_sub(1);
    if bytes > 0 && (MmIsAddressValid(k, address) == 0 || MmIsAddressValid(k, Address(last)) == 0) {
        k.raise(nt::STATUS_ACCESS_VIOLATION, "a user buffer was probed that is not there");
    }
}

/// Keeps the section of a driver in memory that an address lies in. The handle is where the section begins.
pub(crate) fn MmLockPagableDataSection(k: &Kernel, address: Address) -> Address {
    Address(k.host().lock_section(address.0, true).unwrap_or(0))
}

/// Locks a section again, by its handle.
pub(crate) fn MmLockPagableSectionByHandle(k: &Kernel, handle: Address) {
    k.host().lock_section(handle.0, true);
}

/// Undoes one lock.
pub(crate) fn MmUnlockPagableImageSection(k: &Kernel, handle: Address) {
    k.host().lock_section(handle.0, false);
}

/// Makes a whole driver pageable. Returns where its image begins.
pub(crate) fn MmPageEntireDriver(k: &Kernel, address: Address) -> Address {
    let Some((base, _)) = k.host().module_at(address.0) else { return Address::NULL };
    k.host().page_driver(base, true);
    Address(base)
}

/// Makes a driver as pageable as its sections say.
pub(crate) fn MmResetDriverPaging(k: &Kernel, address: Address) {
    if let Some((base, _)) = k.host().module_at(address.0) {
        k.host().page_driver(base, false);
    }
}

/// Returns how much memory the system has: a lot (`MmLargeSystem`).
pub(crate) fn MmQuerySystemSize(_: &Kernel) -> u32 {
    2
}

/// Tells whether this is a server.
pub(crate) fn MmIsThisAnNtAsSystem(_: &Kernel) -> u8 {
    0
}

/// Tells whether the driver verifier is on, and which checks.
pub(crate) fn MmIsVerifierEnabled(_: &Kernel, flags: Guest<u32>) -> NTSTATUS {
    flags.write(0);
    nt::STATUS_NOT_SUPPORTED
}
