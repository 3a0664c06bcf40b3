//! Exports that can fail for want of memory, and how: one line each.
//!
//! A driver has to live with a failure of each at any time, so a machine that is asked to can make one fail. The values are those
//! that Microsoft's documentation of the routine gives for insufficient resources. Nothing else happens in such a call: what the routine
//! would have written stays unwritten.
//!
//! Left out: routines that raise an exception instead of returning (`ExAllocatePoolWithQuota`, `MmProbeAndLockPages`), and calls that ask for
//! that by a flag.

use nt::NTSTATUS;
use nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY};
use record::{RefusedBecause, What};

use crate::export::Export;
use crate::frame::CallFrame;
use crate::kernel::Kernel;

/// What a failing call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returns {
    /// NULL, or FALSE.
    Zero,
    /// A status.
    Status(NTSTATUS),
    /// NULL, unless the first argument has this bit: the call raises an exception then.
    ZeroUnless(u64),
}

use Returns::{Status, Zero, ZeroUnless};

const NO_RESOURCES: Returns = Status(STATUS_INSUFFICIENT_RESOURCES);
/// `POOL_RAISE_IF_ALLOCATION_FAILURE`.
const RAISES: u64 = 0x10;
/// `POOL_FLAG_RAISE_ON_FAILURE`.
const FLAG_RAISES: u64 = 0x20;

/// Every export that can be made to fail, sorted by name.
static FAILURES: &[(&str, Returns)] = &[
    ("ExAllocatePool", ZeroUnless(RAISES)),
    ("ExAllocatePool2", ZeroUnless(FLAG_RAISES)),
    ("ExAllocatePool3", ZeroUnless(FLAG_RAISES)),
    ("ExAllocatePoolWithTag", ZeroUnless(RAISES)),
    ("ExAllocatePoolWithTagPriority", ZeroUnless(RAISES)),
    ("ExCreateCallback", NO_RESOURCES),
    ("ExRegisterCallback", Zero),
    ("IoAllocateIrp", Zero),
    ("IoAllocateMdl", Zero),
    ("IoAllocateWorkItem", Zero),
    ("IoCreateDevice", NO_RESOURCES),
    ("IoCreateNotificationEvent", Zero),
    ("IoCreateSymbolicLink", NO_RESOURCES),
    ("IoCreateSynchronizationEvent", Zero),
    ("IoCreateUnprotectedSymbolicLink", NO_RESOURCES),
    ("MmAllocateContiguousMemory", Zero),
    ("MmAllocateContiguousMemorySpecifyCache", Zero),
    ("MmAllocateNonCachedMemory", Zero),
    ("MmMapLockedPagesSpecifyCache", Zero),
    ("ObOpenObjectByName", NO_RESOURCES),
    ("ObOpenObjectByPointer", NO_RESOURCES),
    ("ObOpenObjectByPointerWithTag", NO_RESOURCES),
    ("PsCreateSystemThread", NO_RESOURCES),
    ("RtlCreateUnicodeString", Zero),
    ("RtlDuplicateUnicodeString", Status(STATUS_NO_MEMORY)),
    ("ZwCreateDirectoryObject", NO_RESOURCES),
    ("ZwCreateEvent", NO_RESOURCES),
    ("ZwCreateSymbolicLinkObject", NO_RESOURCES),
];

/// Returns what the call returns if it is one that can fail and the machine wants it to fail now.
pub(crate) fn injected(kernel: &Kernel, export: &Export, frame: &CallFrame) -> Option<u64> {
    let index = FAILURES.binary_search_by_key(&export.name, |(name, _)| name).ok()?;
    let value = match FAILURES[index].1 {
        Zero => 0,
        Status(status) => u64::from(status.0),
        ZeroUnless(flag) if frame.argument(0) & flag == 0 => 0,
        ZeroUnless(_) => return None,
    };
    if !kernel.host().fails(export.name) {
        return None;
    }
    if export.name == "ExRegisterCallback" {
        // What the mechanism says of a failure of its own, so that whoever ignores it is judged alike.
        let (object, routine) = (frame.argument(0), frame.argument(1));
        kernel.host().emit(What::RegisterRefused { object, routine, because: RefusedBecause::NoMemory });
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EXPORTS;

    #[test]
    fn every_failure_is_that_of_an_export_and_sorted() {
        assert!(FAILURES.is_sorted_by(|left, right| left.0 < right.0));
        for (name, _) in FAILURES {
            assert!(EXPORTS.iter().any(|export| export.name == *name), "{name}");
        }
    }
}
