//! Events, semaphores, mutexes and waiting.

use nt::{Irql, KEVENT, KMUTANT, KSEMAPHORE, NTSTATUS, WaitAny};
use record::{LeftKind, What};

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// Makes an event, signaled or not.
pub(crate) fn KeInitializeEvent(k: &Kernel, event: Guest<KEVENT>, kind: u32, state: u8) {
    k.check_resident("KeInitializeEvent", event.address());
    // SAFETY: the event is checked guest memory of its size; that it stays alive is the driver's contract.
    unsafe { k.executive().KeInitializeEvent(event.ptr(), kind, state != 0) }
}

/// Signals an event and returns its previous state.
pub(crate) fn KeSetEvent(k: &Kernel, event: Guest<KEVENT>, increment: i32, wait: u8) -> i32 {
    // SAFETY: the event is checked guest memory; that it is an initialized event is the driver's contract.
    unsafe { k.executive().KeSetEvent(event.ptr(), increment, wait != 0) }
}

/// Signals an event for those who wait now and returns its previous state.
pub(crate) fn KePulseEvent(k: &Kernel, event: Guest<KEVENT>, increment: i32, wait: u8) -> i32 {
    // SAFETY: as for `KeSetEvent`.
    unsafe { k.executive().KePulseEvent(event.ptr(), increment, wait != 0) }
}

/// Makes an event not signaled and returns its previous state.
pub(crate) fn KeResetEvent(k: &Kernel, event: Guest<KEVENT>) -> i32 {
    // SAFETY: as for `KeSetEvent`.
    unsafe { k.executive().KeResetEvent(event.ptr()) }
}

/// Makes an event not signaled.
pub(crate) fn KeClearEvent(k: &Kernel, event: Guest<KEVENT>) {
    // SAFETY: as for `KeSetEvent`.
    unsafe { k.executive().KeClearEvent(event.ptr()) }
}

/// Returns whether an event is signaled.
pub(crate) fn KeReadStateEvent(k: &Kernel, event: Guest<KEVENT>) -> i32 {
    // SAFETY: as for `KeSetEvent`.
    unsafe { k.executive().KeReadStateEvent(event.ptr()) }
}

/// Makes a semaphore.
pub(crate) fn KeInitializeSemaphore(k: &Kernel, semaphore: Guest<KSEMAPHORE>, count: i32, limit: i32) {
    k.check_resident("KeInitializeSemaphore", semaphore.address());
    // SAFETY: the semaphore is checked guest memory of its size; that it stays alive is the driver's contract.
    unsafe { k.executive().KeInitializeSemaphore(semaphore.ptr(), count, limit) }
}

/// Adds to a semaphore and returns its previous count. Raises past its limit.
pub(crate) fn KeReleaseSemaphore(
    k: &Kernel,
    semaphore: Guest<KSEMAPHORE>,
    increment: i32,
    adjustment: i32,
    wait: u8,
) -> i32 {
    let count = field!(semaphore, KSEMAPHORE, Header.SignalState).read();
    let limit = field!(semaphore, KSEMAPHORE, Limit).read();
    if count.checked_add(adjustment).is_none_or(|sum| sum < count || sum > limit) {
        // Raised here and not in the executive, so that a handler of the driver is asked.
        k.raise(nt::STATUS_SEMAPHORE_LIMIT_EXCEEDED, "a semaphore is released beyond its limit");
    }
    // SAFETY: the semaphore is checked guest memory; that it is initialized is the driver's contract.
    unsafe { k.executive().KeReleaseSemaphore(semaphore.ptr(), increment, adjustment, wait != 0) }
}

/// Returns the count of a semaphore.
pub(crate) fn KeReadStateSemaphore(k: &Kernel, semaphore: Guest<KSEMAPHORE>) -> i32 {
    // SAFETY: as for `KeReleaseSemaphore`.
    unsafe { k.executive().KeReadStateSemaphore(semaphore.ptr()) }
}

/// Makes a mutex that nobody owns.
pub(crate) fn KeInitializeMutex(k: &Kernel, mutex: Guest<KMUTANT>, level: u32) {
    k.check_resident("KeInitializeMutex", mutex.address());
    // SAFETY: the mutex is checked guest memory of its size; that it stays alive is the driver's contract.
    unsafe { k.executive().KeInitializeMutex(mutex.ptr(), level) }
}

/// Releases a mutex and returns its previous state. Raises where the thread does not own it.
pub(crate) fn KeReleaseMutex(k: &Kernel, mutex: Guest<KMUTANT>, wait: u8) -> i32 {
    if field!(mutex, KMUTANT, OwnerThread).read() != k.host().current_thread().as_ptr() {
        k.raise(nt::STATUS_MUTANT_NOT_OWNED, "a mutex is released by a thread that does not own it");
    }
    // SAFETY: the mutex is checked guest memory; that it is initialized is the driver's contract.
    let state = unsafe { k.executive().KeReleaseMutex(mutex.ptr(), wait != 0) };
    k.left_again(LeftKind::Mutex, mutex.address());
    state
}

/// Returns the state of a mutex: 1 while nobody owns it.
pub(crate) fn KeReadStateMutex(k: &Kernel, mutex: Guest<KMUTANT>) -> i32 {
    // SAFETY: as for `KeReleaseMutex`.
    unsafe { k.executive().KeReadStateMutex(mutex.ptr()) }
}

fn timeout(timeout: Option<Guest<i64>>) -> *const i64 {
    timeout.map_or(core::ptr::null(), |timeout| timeout.ptr().cast_const())
}

/// Tells of a wait at `DISPATCH_LEVEL` that did not have to block: only one with a timeout of zero is allowed there.
fn judge_wait(k: &Kernel, name: &str, asks: bool) {
    let actual = k.host().irql();
    if !asks && actual == Irql::DISPATCH {
        let (lowest, highest) = (Irql::PASSIVE.0, Irql::APC.0);
        k.host().emit(What::IrqlContract { name: name.into(), lowest, highest, actual: actual.0 });
    }
}

/// Whether a wait only asks: its timeout is zero.
fn asks(until: Option<Guest<i64>>) -> bool {
    until.is_some_and(|until| until.read() == 0)
}

/// Notes a mutex that a wait gave to the current thread.
fn mutex_taken(k: &Kernel, object: u64) {
    if Guest::<u8>::new(k, object).read() == nt::dispatcher::MUTANT {
        let owner = field!(Guest::<KMUTANT>::new(k, object), KMUTANT, OwnerThread).read();
        if owner == k.host().current_thread().as_ptr() {
            k.entered(LeftKind::Mutex, object);
        }
    }
}

/// Waits for a dispatcher object. `KeWaitForMutexObject` is another name for it.
pub(crate) fn KeWaitForSingleObject(
    k: &Kernel,
    object: Guest<KEVENT>,
    reason: u32,
    mode: u8,
    alertable: u8,
    until: Option<Guest<i64>>,
) -> NTSTATUS {
    k.check_resident("KeWaitForSingleObject", object.address());
    let only_asks = asks(until);
    // SAFETY: every dispatcher object is at least as large as an event, so its header is checked guest memory; that it is an
    // initialized one, and stays alive, is the driver's contract; the timeout is checked guest memory or null.
    let status = unsafe {
        k.executive().KeWaitForSingleObject(object.ptr().cast(), reason, mode, alertable, timeout(until))
    };
    judge_wait(k, "KeWaitForSingleObject", only_asks);
    if status == nt::STATUS_WAIT_0 || status == nt::STATUS_ABANDONED_WAIT_0 {
        mutex_taken(k, object.address());
    }
    status
}

/// Waits for one or all of several dispatcher objects.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn KeWaitForMultipleObjects(
    k: &Kernel,
    count: u32,
    objects: Address,
    wait_type: u32,
    reason: u32,
    mode: u8,
    alertable: u8,
    until: Option<Guest<i64>>,
    wait_blocks: Address,
) -> NTSTATUS {
    let all = GuestSlice::<u64>::new(k, objects.0, count as usize).to_vec();
    for object in &all {
        Guest::<KEVENT>::new(k, *object);
        k.check_resident("KeWaitForMultipleObjects", *object);
    }
    let only_asks = asks(until);
    let objects = objects.ptr::<*mut core::ffi::c_void>().cast_const();
    // SAFETY: the array and every object in it are checked guest memory; that the objects are initialized and stay alive, and
    // the array stays as it is during the call, is the driver's contract; the timeout is checked guest memory or null.
    let status = unsafe {
        k.executive().KeWaitForMultipleObjects(
            count,
            objects,
            wait_type,
            reason,
            mode,
            alertable,
            timeout(until),
            wait_blocks.ptr(),
        )
    };
    judge_wait(k, "KeWaitForMultipleObjects", only_asks);
    // `STATUS_WAIT_n` and `STATUS_ABANDONED_WAIT_n` name the object that ended a wait for any; one for all ends with all of them.
    if matches!(status.0, 0..0x40 | 0x80..0xC0) {
        let any = wait_type == WaitAny;
        for (index, object) in (0..).zip(all) {
            if !any || index == status.0 & 0x3F {
                mutex_taken(k, object);
            }
        }
    }
    status
}

/// Waits for time to pass.
pub(crate) fn KeDelayExecutionThread(k: &Kernel, mode: u8, alertable: u8, interval: Guest<i64>) -> NTSTATUS {
    // SAFETY: the interval is checked guest memory.
    unsafe { k.executive().KeDelayExecutionThread(mode, alertable, interval.ptr()) }
}
