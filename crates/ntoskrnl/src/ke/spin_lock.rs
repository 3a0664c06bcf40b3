//! Spin locks, plain and queued.

use nt::{Irql, KSPIN_LOCK, LIST_ENTRY};
use record::LeftKind;

use crate::export::Address;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// Makes a lock free.
pub(crate) fn KeInitializeSpinLock(k: &Kernel, lock: Guest<KSPIN_LOCK>) {
    // SAFETY: the lock is checked guest memory; that it stays alive is the driver's contract.
    unsafe { k.executive().KeInitializeSpinLock(lock.ptr()) }
}

/// Acquires a lock and returns the old IRQL. `KfAcquireSpinLock` is another name for it.
pub(crate) fn KeAcquireSpinLockRaiseToDpc(k: &Kernel, lock: Guest<KSPIN_LOCK>) -> Irql {
    // SAFETY: the lock is checked guest memory; that it is a lock and stays alive is the driver's contract.
    let old = unsafe { k.executive().KeAcquireSpinLockRaiseToDpc(lock.ptr()) };
    taken(k, lock);
    old
}

fn taken(k: &Kernel, lock: Guest<KSPIN_LOCK>) {
    k.host().holds(k.host().current_thread(), lock.address() as usize);
    k.lock_taken(LeftKind::SpinLock, lock.address());
}

fn given(k: &Kernel, lock: Guest<KSPIN_LOCK>) {
    k.host().lets_go(k.host().current_thread(), lock.address() as usize);
    k.lock_given(LeftKind::SpinLock, lock.address(), lock.read() != 0);
}

/// Acquires a lock and stores the old IRQL. A macro in the driver kit; old drivers import it.
pub(crate) fn KeAcquireSpinLock(k: &Kernel, lock: Guest<KSPIN_LOCK>, old: Guest<u8>) {
    old.write(KeAcquireSpinLockRaiseToDpc(k, lock).0);
}

/// Releases a lock and lowers the IRQL. `KfReleaseSpinLock` is another name for it.
pub(crate) fn KeReleaseSpinLock(k: &Kernel, lock: Guest<KSPIN_LOCK>, old: Irql) {
    given(k, lock);
    // SAFETY: as for `KeAcquireSpinLockRaiseToDpc`.
    unsafe { k.executive().KeReleaseSpinLock(lock.ptr(), old) }
    k.lowered(old);
}

/// Acquires a lock at `DISPATCH_LEVEL`.
pub(crate) fn KeAcquireSpinLockAtDpcLevel(k: &Kernel, lock: Guest<KSPIN_LOCK>) {
    // SAFETY: as for `KeAcquireSpinLockRaiseToDpc`.
    unsafe { k.executive().KeAcquireSpinLockAtDpcLevel(lock.ptr()) };
    taken(k, lock);
}

/// Acquires a lock at `DISPATCH_LEVEL` if it is free.
pub(crate) fn KeTryToAcquireSpinLockAtDpcLevel(k: &Kernel, lock: Guest<KSPIN_LOCK>) -> u8 {
    // SAFETY: as for `KeAcquireSpinLockRaiseToDpc`.
    let acquired = unsafe { k.executive().KeTryToAcquireSpinLockAtDpcLevel(lock.ptr()) };
    if acquired {
        taken(k, lock);
    }
    u8::from(acquired)
}

/// Releases a lock and stays at `DISPATCH_LEVEL`.
pub(crate) fn KeReleaseSpinLockFromDpcLevel(k: &Kernel, lock: Guest<KSPIN_LOCK>) {
    given(k, lock);
    // SAFETY: as for `KeAcquireSpinLockRaiseToDpc`.
    unsafe { k.executive().KeReleaseSpinLockFromDpcLevel(lock.ptr()) }
}

/// Tells whether a lock is free.
pub(crate) fn KeTestSpinLock(k: &Kernel, lock: Guest<KSPIN_LOCK>) -> u8 {
    // SAFETY: as for `KeAcquireSpinLockRaiseToDpc`.
    u8::from(unsafe { k.executive().KeTestSpinLock(lock.ptr()) })
}

/// `KLOCK_QUEUE_HANDLE`: next waiter, lock, old IRQL. Nothing queues here: a fair order among spinning processors is
/// the scheduler's choice, not something a driver can observe.
type QueueHandle = [u64; 3];

fn remember(k: &Kernel, handle: Guest<QueueHandle>, lock: Guest<KSPIN_LOCK>, old: Irql) {
    let words = GuestSlice::<u64>::new(k, handle.address(), 3);
    words.at(0).write(0);
    words.at(1).write(lock.address());
    Guest::<u8>::new(k, handle.address() + 16).write(old.0);
}

fn remembered(k: &Kernel, handle: Guest<QueueHandle>) -> (Guest<KSPIN_LOCK>, Irql) {
    let [_, lock, old] = handle.read();
    (Guest::new(k, lock), Irql(old as u8))
}

/// Acquires a lock, remembering it and the old IRQL in the caller's handle.
pub(crate) fn KeAcquireInStackQueuedSpinLock(
    k: &Kernel,
    lock: Guest<KSPIN_LOCK>,
    handle: Guest<QueueHandle>,
) {
    let old = KeAcquireSpinLockRaiseToDpc(k, lock);
    remember(k, handle, lock, old);
}

/// Releases what the handle remembers.
pub(crate) fn KeReleaseInStackQueuedSpinLock(k: &Kernel, handle: Guest<QueueHandle>) {
    let (lock, old) = remembered(k, handle);
    KeReleaseSpinLock(k, lock, old);
}

/// Acquires a lock at `DISPATCH_LEVEL`, remembering it in the caller's handle.
pub(crate) fn KeAcquireInStackQueuedSpinLockAtDpcLevel(
    k: &Kernel,
    lock: Guest<KSPIN_LOCK>,
    handle: Guest<QueueHandle>,
) {
    KeAcquireSpinLockAtDpcLevel(k, lock);
    remember(k, handle, lock, Irql::DISPATCH);
}

/// Releases what the handle remembers and stays at `DISPATCH_LEVEL`.
pub(crate) fn KeReleaseInStackQueuedSpinLockFromDpcLevel(k: &Kernel, handle: Guest<QueueHandle>) {
    let (lock, _) = remembered(k, handle);
    KeReleaseSpinLockFromDpcLevel(k, lock);
}

// --- interlocked lists -----------------------------------------------------------------------------------------

/// Does something to a list under a lock. NT disables interrupts around it; raising to `HIGH_LEVEL` is the same here,
/// except that nothing can be pending below.
fn locked<R>(k: &Kernel, lock: Guest<KSPIN_LOCK>, work: impl FnOnce() -> R) -> R {
    let old = KeAcquireSpinLockRaiseToDpc(k, lock);
    let result = work();
    KeReleaseSpinLock(k, lock, old);
    result
}

fn link(k: &Kernel, before: u64, entry: Guest<LIST_ENTRY>, after: u64) {
    let set = |node: u64, index: u64, value: u64| Guest::<u64>::new(k, node + 8 * index).write(value);
    set(entry.address(), 0, after);
    set(entry.address(), 1, before);
    set(before, 0, entry.address());
    set(after, 1, entry.address());
}

fn links(head: Guest<LIST_ENTRY>) -> (u64, u64) {
    let head = head.read();
    (head.Flink as u64, head.Blink as u64)
}

/// Inserts at the front and returns the former first entry, null for an empty list.
pub(crate) fn ExInterlockedInsertHeadList(
    k: &Kernel,
    head: Guest<LIST_ENTRY>,
    entry: Guest<LIST_ENTRY>,
    lock: Guest<KSPIN_LOCK>,
) -> Address {
    locked(k, lock, || {
        let (first, _) = links(head);
        link(k, head.address(), entry, first);
        if first == head.address() { Address::NULL } else { Address(first) }
    })
}

/// Inserts at the end and returns the former last entry, null for an empty list.
pub(crate) fn ExInterlockedInsertTailList(
    k: &Kernel,
    head: Guest<LIST_ENTRY>,
    entry: Guest<LIST_ENTRY>,
    lock: Guest<KSPIN_LOCK>,
) -> Address {
    locked(k, lock, || {
        let (_, last) = links(head);
        link(k, last, entry, head.address());
        if last == head.address() { Address::NULL } else { Address(last) }
    })
}

/// Removes the first entry and returns it, null for an empty list.
pub(crate) fn ExInterlockedRemoveHeadList(
    k: &Kernel,
    head: Guest<LIST_ENTRY>,
    lock: Guest<KSPIN_LOCK>,
) -> Address {
    locked(k, lock, || {
        let (first, _) = links(head);
        if first == head.address() {
            return Address::NULL;
        }
        let (second, _) = links(Guest::new(k, first));
        Guest::<u64>::new(k, head.address()).write(second);
        Guest::<u64>::new(k, second + 8).write(head.address());
        Address(first)
    })
}
