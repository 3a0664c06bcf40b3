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

/// Keeps a section of a driver in memory, where everything always is. The handle is the address.
pub(crate) fn MmLockPagableDataSection(_: &Kernel, address: Address) -> Address {
    address
}

/// Undoes that.
pub(crate) fn MmUnlockPagableImageSection(_: &Kernel, _handle: Address) {}

/// Makes a whole driver pageable, or not: both keep it where it is. Returns where its image begins.
pub(crate) fn MmPageEntireDriver(k: &Kernel, address: Address) -> Address {
    Address(k.host().module_at(address.0).map_or(0, |(base, _)| base))
}

/// Makes a driver as pageable as it was.
pub(crate) fn MmResetDriverPaging(_: &Kernel, _address: Address) {}

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
