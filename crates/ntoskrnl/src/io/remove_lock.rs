//! Remove locks: a count of requests in flight that a removal waits for.
//!
//! The part of `IO_REMOVE_LOCK` that free builds have: removed flag, count, event.

use nt::{KEVENT, NTSTATUS, STATUS_DELETE_PENDING, STATUS_SUCCESS, SynchronizationEvent};

use crate::export::Address;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// `Removed` at 0, `IoCount` at 4, `RemoveEvent` at 8.
const COUNT_AT: u64 = 4;
const EVENT_AT: u64 = 8;
/// Bytes of the part.
type Common = [u64; 4];

fn count(k: &Kernel, lock: Guest<Common>) -> Guest<i32> {
    Guest::new(k, lock.address() + COUNT_AT)
}

fn event(k: &Kernel, lock: Guest<Common>) -> Guest<KEVENT> {
    Guest::new(k, lock.address() + EVENT_AT)
}

fn removed(k: &Kernel, lock: Guest<Common>) -> Guest<u8> {
    Guest::new(k, lock.address())
}

/// Makes a lock, held once by the device itself.
pub(crate) fn IoInitializeRemoveLockEx(
    k: &Kernel,
    lock: Guest<Common>,
    _tag: u32,
    _minutes: u32,
    _high_water: u32,
    _bytes: u32,
) {
    lock.write([0; 4]);
    count(k, lock).write(1);
    // SAFETY: the event is a part of the checked lock.
    unsafe { k.executive().KeInitializeEvent(event(k, lock).ptr(), SynchronizationEvent, false) };
}

/// Acquires the lock, unless the device is being removed.
pub(crate) fn IoAcquireRemoveLockEx(
    k: &Kernel,
    lock: Guest<Common>,
    _tag: Address,
    _file: Address,
    _line: u32,
    _bytes: u32,
) -> NTSTATUS {
    count(k, lock).fetch_add(1);
    if removed(k, lock).read() == 0 {
        return STATUS_SUCCESS;
    }
    release(k, lock);
    STATUS_DELETE_PENDING
}

fn release(k: &Kernel, lock: Guest<Common>) {
    if count(k, lock).fetch_add(-1) == 1 {
        // SAFETY: the event is a part of the checked lock, initialized with it.
        unsafe { k.executive().KeSetEvent(event(k, lock).ptr(), 0, false) };
    }
}

/// Releases the lock.
pub(crate) fn IoReleaseRemoveLockEx(k: &Kernel, lock: Guest<Common>, _tag: Address, _bytes: u32) {
    release(k, lock);
}

/// Releases the lock, lets nobody acquire it any more, and waits until nobody holds it.
pub(crate) fn IoReleaseRemoveLockAndWaitEx(k: &Kernel, lock: Guest<Common>, _tag: Address, _bytes: u32) {
    removed(k, lock).write(1);
    release(k, lock);
    if count(k, lock).fetch_add(-1) > 1 {
        k.host().waits_for(Some((record::WaitKind::RemoveLock, lock.address() as usize)));
        // SAFETY: the event is a part of the checked lock, initialized with it.
        unsafe {
            k.executive().KeWaitForSingleObject(event(k, lock).ptr().cast(), 0, 0, 0, core::ptr::null())
        };
        k.host().waits_for(None);
    }
}
