//! Fast mutexes and guarded mutexes: one layout, two ways to keep APCs away.
//!
//! `Count` is 1 when free; each contender takes one off, and who finds no 1 waits for the event. The owner's release hands the
//! mutex to one waiter, as in NT. Not different in anything a driver sees.

use nt::{FAST_MUTEX, Irql, KEVENT, SynchronizationEvent};
use record::{LeftKind, WaitKind};

use crate::field;
use crate::guest::Guest;
use crate::ke::irql::{KeLowerIrql, KfRaiseIrql};
use crate::ke::thread::{KeEnterGuardedRegion, KeLeaveGuardedRegion};
use crate::kernel::Kernel;

/// Makes a mutex that nobody owns. `ExInitializeFastMutex` is inline in the driver kit and does the same.
pub(crate) fn KeInitializeGuardedMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    k.lock_over(mutex.address());
    field!(mutex, FAST_MUTEX, Count).write(1);
    field!(mutex, FAST_MUTEX, Owner).write(core::ptr::null_mut());
    field!(mutex, FAST_MUTEX, Contention).write(0);
    let event = field!(mutex, FAST_MUTEX, Event);
    // SAFETY: the event is a part of the checked mutex.
    unsafe { k.executive().KeInitializeEvent(event.ptr(), SynchronizationEvent, false) }
}

/// Makes an event's waiter wait for the lock at `whole`, which the event is a part of; also for the other locks of this family.
pub(super) fn wait(k: &Kernel, event: Guest<KEVENT>, kind: WaitKind, whole: u64) {
    k.host().waits_for(Some((kind, whole as usize)));
    // SAFETY: the event is a part of a checked lock that was initialized; it stays alive while its lock is used.
    unsafe { k.executive().KeWaitForSingleObject(event.ptr().cast(), 0, 0, 0, core::ptr::null()) };
    k.host().waits_for(None);
}

/// Wakes one waiter.
pub(super) fn wake(k: &Kernel, event: Guest<KEVENT>) {
    // SAFETY: as for `wait`.
    unsafe { k.executive().KeSetEvent(event.ptr(), 1, false) };
}

fn acquire(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    if field!(mutex, FAST_MUTEX, Count).fetch_add(-1) != 1 {
        let contention = field!(mutex, FAST_MUTEX, Contention);
        contention.write(contention.read().wrapping_add(1));
        wait(k, field!(mutex, FAST_MUTEX, Event), WaitKind::FastMutex, mutex.address());
    }
    own(k, mutex);
}

fn own(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    let thread = k.host().current_thread();
    field!(mutex, FAST_MUTEX, Owner).write(thread.as_ptr());
    k.host().holds(thread, mutex.address() as usize);
    k.lock_taken(LeftKind::FastMutex, mutex.address());
}

fn try_acquire(k: &Kernel, mutex: Guest<FAST_MUTEX>) -> bool {
    let free = field!(mutex, FAST_MUTEX, Count).compare_exchange(1, 0);
    if free {
        own(k, mutex);
    }
    free
}

fn release(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    k.host().lets_go(k.host().current_thread(), mutex.address() as usize);
    k.lock_given(LeftKind::FastMutex, mutex.address(), field!(mutex, FAST_MUTEX, Count).read() != 1);
    field!(mutex, FAST_MUTEX, Owner).write(core::ptr::null_mut());
    if field!(mutex, FAST_MUTEX, Count).fetch_add(1) < 0 {
        wake(k, field!(mutex, FAST_MUTEX, Event));
    }
}

/// Acquires a fast mutex and stays at `APC_LEVEL` while it is held.
pub(crate) fn ExAcquireFastMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    let old = KfRaiseIrql(k, Irql::APC);
    acquire(k, mutex);
    field!(mutex, FAST_MUTEX, OldIrql).write(u32::from(old.0));
}

/// Acquires a fast mutex if it is free.
pub(crate) fn ExTryToAcquireFastMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) -> u8 {
    let old = KfRaiseIrql(k, Irql::APC);
    let acquired = try_acquire(k, mutex);
    if acquired {
        field!(mutex, FAST_MUTEX, OldIrql).write(u32::from(old.0));
    } else {
        KeLowerIrql(k, old);
    }
    u8::from(acquired)
}

/// Releases a fast mutex and goes back to the IRQL from before.
pub(crate) fn ExReleaseFastMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    let old = Irql(field!(mutex, FAST_MUTEX, OldIrql).read() as u8);
    release(k, mutex);
    KeLowerIrql(k, old);
}

/// Acquires a fast mutex; keeping APCs away is the caller's business.
pub(crate) fn ExAcquireFastMutexUnsafe(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    acquire(k, mutex);
}

/// Releases a fast mutex that was acquired so.
pub(crate) fn ExReleaseFastMutexUnsafe(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    release(k, mutex);
}

/// Enters a guarded region and acquires a guarded mutex.
pub(crate) fn KeAcquireGuardedMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    KeEnterGuardedRegion(k);
    acquire(k, mutex);
}

/// Acquires a guarded mutex if it is free.
pub(crate) fn KeTryToAcquireGuardedMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) -> u8 {
    KeEnterGuardedRegion(k);
    let acquired = try_acquire(k, mutex);
    if !acquired {
        KeLeaveGuardedRegion(k);
    }
    u8::from(acquired)
}

/// Releases a guarded mutex and leaves the guarded region.
pub(crate) fn KeReleaseGuardedMutex(k: &Kernel, mutex: Guest<FAST_MUTEX>) {
    release(k, mutex);
    KeLeaveGuardedRegion(k);
}
