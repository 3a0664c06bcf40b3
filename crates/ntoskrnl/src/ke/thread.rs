//! The current thread, APC regions, priorities and affinities, the end of the world.

use core::convert::Infallible;

use nt::{BugCheck, EPROCESS, GROUP_AFFINITY, KAPC_STATE, KTHREAD};
use record::LeftKind;

use super::processor::KeQueryActiveProcessors;
use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// Returns the current thread. `PsGetCurrentThread` is another name for it.
pub(crate) fn KeGetCurrentThread(k: &Kernel) -> Address {
    k.host().current_thread().as_ptr().into()
}

/// Holds back normal kernel APCs.
pub(crate) fn KeEnterCriticalRegion(k: &Kernel) {
    k.executive().KeEnterCriticalRegion();
    k.entered(LeftKind::CriticalRegion, 0);
}

/// Lets normal kernel APCs through again.
pub(crate) fn KeLeaveCriticalRegion(k: &Kernel) {
    k.executive().KeLeaveCriticalRegion();
    k.left_again(LeftKind::CriticalRegion, 0);
}

/// Holds back all APCs.
pub(crate) fn KeEnterGuardedRegion(k: &Kernel) {
    k.executive().KeEnterGuardedRegion();
    k.entered(LeftKind::GuardedRegion, 0);
}

/// Lets all APCs through again.
pub(crate) fn KeLeaveGuardedRegion(k: &Kernel) {
    k.executive().KeLeaveGuardedRegion();
    k.left_again(LeftKind::GuardedRegion, 0);
}

/// Tells whether normal kernel APCs are held back.
pub(crate) fn KeAreApcsDisabled(k: &Kernel) -> u8 {
    u8::from(k.executive().KeAreApcsDisabled())
}

/// Tells whether all APCs are held back.
pub(crate) fn KeAreAllApcsDisabled(k: &Kernel) -> u8 {
    u8::from(k.executive().KeAreAllApcsDisabled())
}

/// Sets the priority of a thread and returns the old one. The scheduler of the machine does not look at it.
pub(crate) fn KeSetPriorityThread(_: &Kernel, thread: Guest<KTHREAD>, priority: i32) -> i32 {
    let field = field!(thread, KTHREAD, Priority);
    let old = field.read();
    field.write(priority as i8);
    i32::from(old)
}

/// Returns the priority of a thread.
pub(crate) fn KeQueryPriorityThread(_: &Kernel, thread: Guest<KTHREAD>) -> i32 {
    i32::from(field!(thread, KTHREAD, Priority).read())
}

/// Ends the world.
pub(crate) fn KeBugCheck(k: &Kernel, code: u32) -> Infallible {
    k.bugcheck(BugCheck(code), [0; 4], "a driver called `KeBugCheck`")
}

/// Ends the world, with four parameters.
pub(crate) fn KeBugCheckEx(k: &Kernel, code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> Infallible {
    k.bugcheck(BugCheck(code), [p1, p2, p3, p4], "a driver called `KeBugCheckEx`")
}

/// Binds the current thread to processors and returns the former set, zero where it was not bound. A set without an active
/// processor changes nothing. (Microsoft's documentation of the routine.)
pub(crate) fn KeSetSystemAffinityThreadEx(k: &Kernel, set: u64) -> u64 {
    match set & KeQueryActiveProcessors(k) {
        0 => 0,
        set => k.host().set_affinity(Some(set)).unwrap_or(0),
    }
}

/// Binds the current thread to processors.
pub(crate) fn KeSetSystemAffinityThread(k: &Kernel, set: u64) {
    KeSetSystemAffinityThreadEx(k, set);
}

/// Unbinds the current thread.
pub(crate) fn KeRevertToUserAffinityThread(k: &Kernel) {
    k.host().set_affinity(None);
}

/// Gives the current thread a former set of processors back; zero unbinds it.
pub(crate) fn KeRevertToUserAffinityThreadEx(k: &Kernel, set: u64) {
    let set = set & KeQueryActiveProcessors(k);
    k.host().set_affinity((set != 0).then_some(set));
}

/// Returns the processors of a set that names a group, where it means what can be: the one group there is, no processor that there is not,
/// and one at least.
fn set_of(k: &Kernel, affinity: Guest<GROUP_AFFINITY>) -> Option<u64> {
    let affinity = affinity.read();
    let there = KeQueryActiveProcessors(k);
    let known = affinity.Group == 0 && affinity.Reserved == [0; 3] && affinity.Mask & !there == 0;
    (known && affinity.Mask != 0).then_some(affinity.Mask)
}

/// Binds the current thread to processors of a group, and where asked tells the former set, zero where the thread was not bound. A set that
/// cannot be changes nothing, and the former set is zero then. (Microsoft's documentation of the routine.)
pub(crate) fn KeSetSystemGroupAffinityThread(
    k: &Kernel,
    affinity: Guest<GROUP_AFFINITY>,
    before: Option<Guest<GROUP_AFFINITY>>,
) {
    let former = set_of(k, affinity).and_then(|set| k.host().set_affinity(Some(set)));
    if let Some(before) = before {
        before.write(GROUP_AFFINITY { Mask: former.unwrap_or(0), Group: 0, Reserved: [0; 3] });
    }
}

/// Gives the current thread a former set of processors of a group back; a set of none unbinds it, one that cannot be changes nothing.
pub(crate) fn KeRevertToUserGroupAffinityThread(k: &Kernel, before: Guest<GROUP_AFFINITY>) {
    let set = set_of(k, before);
    if set.is_some() || field!(before, GROUP_AFFINITY, Mask).read() == 0 {
        k.host().set_affinity(set);
    }
}

/// Moves the current thread into the address space of a process, keeping where it was in the caller's `KAPC_STATE`.
pub(crate) fn KeStackAttachProcess(k: &Kernel, process: Guest<EPROCESS>, state: Guest<KAPC_STATE>) {
    let current = field!(current(k), KTHREAD, ApcStateProcess);
    field!(state, KAPC_STATE, Process).write(current.read());
    current.write(process.ptr());
}

/// Moves the current thread back.
pub(crate) fn KeUnstackDetachProcess(k: &Kernel, state: Guest<KAPC_STATE>) {
    field!(current(k), KTHREAD, ApcStateProcess).write(field!(state, KAPC_STATE, Process).read());
}

fn current(k: &Kernel) -> Guest<KTHREAD> {
    Guest::new(k, KeGetCurrentThread(k).0)
}

/// Returns where the stack of the current thread begins and ends.
pub(crate) fn IoGetStackLimits(k: &Kernel, low: Guest<u64>, high: Guest<u64>) {
    low.write(field!(current(k), KTHREAD, StackLimit).read() as u64);
    high.write(field!(current(k), KTHREAD, StackBase).read() as u64);
}

/// Tells whether a range lies on the stack of the current thread.
pub(crate) fn IoWithinStackLimits(k: &Kernel, start: u64, bytes: usize) -> u32 {
    let low = field!(current(k), KTHREAD, StackLimit).read() as u64;
    let high = field!(current(k), KTHREAD, StackBase).read() as u64;
    u32::from(start >= low && start.checked_add(bytes as u64).is_some_and(|end| end <= high))
}
