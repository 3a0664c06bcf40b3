//! Exports that can fail for want of memory or for what a user passed, and how: one line each.
//!
//! A driver has to live with a failure of each at any time, so a machine that is asked to can make one fail. What a failing call
//! returns or raises is what Microsoft's documentation of the routine says. Nothing else happens in such a call: what the routine
//! would have written stays unwritten.
//!
//! Some calls do not return a failure but raise it, all of the time or where a flag asks for that; the exception goes the way of every
//! exception that an export raises. Of pool with quota that is always `STATUS_INSUFFICIENT_RESOURCES`: drivers run in the system process, whose quota
//! Windows does not charge, so that `STATUS_QUOTA_EXCEEDED` cannot come of a call there. `ProbeForRead`, `ProbeForWrite` and
//! `MmProbeAndLockPages` raise `STATUS_ACCESS_VIOLATION`, as for a user who passed a bad address or takes the memory away meanwhile.
//!
//! Left out: calls whose failure is a bugcheck, `MmMapLockedPages` and `MmMapLockedPagesSpecifyCache` where the driver asks for one, and
//! exceptions that only a driver's own mistake leads to, such as those of `KeReleaseMutex`.

use nt::status::{STATUS_ACCESS_VIOLATION, STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY};
use nt::{
    NTSTATUS, POOL_FLAG_RAISE_ON_FAILURE, POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, POOL_RAISE_IF_ALLOCATION_FAILURE,
};
use record::{RefusedBecause, What};

use crate::export::Export;
use crate::frame::CallFrame;
use crate::kernel::Kernel;

/// What comes of a failing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It returns NULL, or FALSE.
    Zero,
    /// It returns a status.
    Status(NTSTATUS),
    /// It raises a status.
    Raises(NTSTATUS),
}

/// How a call fails, by its arguments. `None`: this one cannot.
type Way = fn(&CallFrame) -> Option<Failure>;

const RAISED: Failure = Failure::Raises(STATUS_INSUFFICIENT_RESOURCES);

fn zero(_: &CallFrame) -> Option<Failure> {
    Some(Failure::Zero)
}

fn no_resources(_: &CallFrame) -> Option<Failure> {
    Some(Failure::Status(STATUS_INSUFFICIENT_RESOURCES))
}

fn no_memory(_: &CallFrame) -> Option<Failure> {
    Some(Failure::Status(STATUS_NO_MEMORY))
}

/// Pool by type.
fn pool(frame: &CallFrame) -> Option<Failure> {
    let raises = frame.argument(0) as u32 & POOL_RAISE_IF_ALLOCATION_FAILURE != 0;
    Some(if raises { RAISED } else { Failure::Zero })
}

/// Pool by flags.
fn pool_by_flags(frame: &CallFrame) -> Option<Failure> {
    let raises = frame.argument(0) & POOL_FLAG_RAISE_ON_FAILURE != 0;
    Some(if raises { RAISED } else { Failure::Zero })
}

/// Pool that is charged to somebody.
fn pool_with_quota(frame: &CallFrame) -> Option<Failure> {
    let returns = frame.argument(0) as u32 & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE != 0;
    Some(if returns { Failure::Zero } else { RAISED })
}

/// A buffer of a user; an empty one is not looked at.
fn probe(frame: &CallFrame) -> Option<Failure> {
    (frame.argument(1) != 0).then_some(Failure::Raises(STATUS_ACCESS_VIOLATION))
}

fn access_violation(_: &CallFrame) -> Option<Failure> {
    Some(Failure::Raises(STATUS_ACCESS_VIOLATION))
}

/// The second argument of those that map: `KPROCESSOR_MODE`.
fn for_user(frame: &CallFrame) -> bool {
    frame.argument(1) as u8 != 0
}

/// A mapping that is a bugcheck where it fails in kernel mode.
fn map(frame: &CallFrame) -> Option<Failure> {
    for_user(frame).then_some(RAISED)
}

/// A mapping whose fifth argument, `BugCheckOnFailure`, says so in kernel mode.
fn map_with_cache(frame: &CallFrame) -> Option<Failure> {
    let bugcheck = frame.argument(4) as u32 != 0;
    map(frame).or((!bugcheck).then_some(Failure::Zero))
}

/// Every export that can be made to fail, sorted by name.
static FAILURES: &[(&str, Way)] = &[
    ("ExAllocatePool", pool),
    ("ExAllocatePool2", pool_by_flags),
    ("ExAllocatePool3", pool_by_flags),
    ("ExAllocatePoolWithQuota", pool_with_quota),
    ("ExAllocatePoolWithQuotaTag", pool_with_quota),
    ("ExAllocatePoolWithTag", pool),
    ("ExAllocatePoolWithTagPriority", pool),
    ("ExCreateCallback", no_resources),
    ("ExRegisterCallback", zero),
    ("IoAllocateIrp", zero),
    ("IoAllocateMdl", zero),
    ("IoAllocateWorkItem", zero),
    ("IoBuildDeviceIoControlRequest", zero),
    ("IoBuildSynchronousFsdRequest", zero),
    ("IoCreateDevice", no_resources),
    ("IoCreateNotificationEvent", zero),
    ("IoCreateSymbolicLink", no_resources),
    ("IoCreateSynchronizationEvent", zero),
    ("IoCreateUnprotectedSymbolicLink", no_resources),
    ("MmAllocateContiguousMemory", zero),
    ("MmAllocateContiguousMemorySpecifyCache", zero),
    ("MmAllocateNonCachedMemory", zero),
    ("MmMapLockedPages", map),
    ("MmMapLockedPagesSpecifyCache", map_with_cache),
    ("MmProbeAndLockPages", access_violation),
    ("ObOpenObjectByName", no_resources),
    ("ObOpenObjectByPointer", no_resources),
    ("ObOpenObjectByPointerWithTag", no_resources),
    ("ProbeForRead", probe),
    ("ProbeForWrite", probe),
    ("PsCreateSystemThread", no_resources),
    ("RtlCreateUnicodeString", zero),
    ("RtlDuplicateUnicodeString", no_memory),
    ("ZwCreateDirectoryObject", no_resources),
    ("ZwCreateEvent", no_resources),
    ("ZwCreateSymbolicLinkObject", no_resources),
];

/// Returns what the call returns if it is one that can fail and the machine wants it to fail now. Does not return where it fails
/// by an exception.
pub(crate) fn injected(kernel: &Kernel, export: &Export, frame: &CallFrame) -> Option<u64> {
    let index = FAILURES.binary_search_by_key(&export.name, |(name, _)| name).ok()?;
    let failure = FAILURES[index].1(frame)?;
    if !kernel.host().fails(export.name) {
        return None;
    }
    if export.name == "ExRegisterCallback" {
        // What the mechanism says of a failure of its own, so that whoever ignores it is judged alike.
        let (object, routine) = (frame.argument(0), frame.argument(1));
        kernel.host().emit(What::RegisterRefused { object, routine, because: RefusedBecause::NoMemory });
    }
    match failure {
        Failure::Zero => Some(0),
        Failure::Status(status) => Some(u64::from(status.0)),
        Failure::Raises(status) => kernel.raise(status, &format!("{} was made to fail", export.name)),
    }
}

#[cfg(test)]
mod tests {
    use nt::BugCheck;

    use super::*;
    use crate::EXPORTS;
    use crate::testing::Rig;

    #[test]
    fn every_failure_is_that_of_an_export_and_sorted() {
        assert!(FAILURES.is_sorted_by(|left, right| left.0 < right.0));
        for (name, _) in FAILURES {
            assert!(EXPORTS.iter().any(|export| export.name == *name), "{name}");
        }
    }

    #[test]
    fn calls_that_raise_are_made_to_raise_and_others_to_return() {
        const QUOTA: u64 = 0x8;
        const RAISE: u64 = 0x10;
        const FLAG_RAISE: u64 = 0x20;
        const NONPAGED: u64 = 0x40;
        let user = 0x7000_0000;
        let raising: [(&str, &[u64], NTSTATUS); 12] = [
            ("ExAllocatePool", &[RAISE, 8], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePoolWithTag", &[RAISE | 1, 8, 1], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePoolWithTagPriority", &[RAISE, 8, 1, 0], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePoolWithQuota", &[0, 8], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePoolWithQuotaTag", &[1, 8, 1], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePool2", &[NONPAGED | FLAG_RAISE, 8, 1], STATUS_INSUFFICIENT_RESOURCES),
            ("ExAllocatePool3", &[NONPAGED | FLAG_RAISE, 8, 1, 0, 0], STATUS_INSUFFICIENT_RESOURCES),
            ("MmProbeAndLockPages", &[user, 0, 0], STATUS_ACCESS_VIOLATION),
            ("ProbeForRead", &[user, 8, 1], STATUS_ACCESS_VIOLATION),
            ("ProbeForWrite", &[user, 8, 1], STATUS_ACCESS_VIOLATION),
            ("MmMapLockedPages", &[user, 1], STATUS_INSUFFICIENT_RESOURCES),
            ("MmMapLockedPagesSpecifyCache", &[user, 1, 1, 0, 1, 16], STATUS_INSUFFICIENT_RESOURCES),
        ];
        for (name, arguments, status) in raising {
            let rig = Rig::new();
            rig.host.failing.set(true);
            let check = rig.bugcheck(name, arguments);
            assert_eq!(check.code, BugCheck::KMODE_EXCEPTION_NOT_HANDLED, "{name}");
            assert_eq!(check.parameters[0], u64::from(status.0), "{name}");
            assert!(check.reason.contains("was made to fail"), "{name}: {}", check.reason);
        }
        let returning: [(&str, &[u64]); 6] = [
            ("ExAllocatePoolWithTag", &[1, 8, 1]),
            ("ExAllocatePoolWithQuota", &[QUOTA, 8]),
            ("ExAllocatePoolWithQuotaTag", &[QUOTA | 1, 8, 1]),
            ("ExAllocatePool2", &[NONPAGED, 8, 1]),
            ("ExAllocatePool3", &[NONPAGED, 8, 1, 0, 0]),
            ("MmMapLockedPagesSpecifyCache", &[user, 0, 1, 0, 0, 16]),
        ];
        for (name, arguments) in returning {
            let rig = Rig::new();
            rig.host.failing.set(true);
            assert_eq!(rig.call(name, arguments), 0, "{name}");
        }
    }

    #[test]
    fn calls_that_cannot_fail_by_their_arguments_are_not_made_to() {
        let rig = Rig::new();
        rig.host.failing.set(true);
        rig.call("ProbeForRead", &[0, 0, 1]);
        rig.call("ProbeForWrite", &[0, 0, 1]);
        let mut list = nt::MDL { Size: 0x38, ..crate::testing::zeroed() };
        let list = crate::testing::at(&mut list);
        // Nothing asked `fails`: the call was served.
        assert_eq!(rig.call("MmMapLockedPages", &[list, 0]), 0);
        assert_eq!(rig.host.asked.get(), 0);
        rig.call("MmMapLockedPagesSpecifyCache", &[list, 0, 1, 0, 1, 16]);
        assert_eq!(rig.host.asked.get(), 0);
    }
}
