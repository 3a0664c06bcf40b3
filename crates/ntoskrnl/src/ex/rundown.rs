//! Rundown protection: users come and go until somebody waits for the last of them.
//!
//! `EX_RUNDOWN_REF` is twice the number of users; bit 0 means that rundown has begun. While somebody waits, the word is the
//! address of a block with the count and an event, plus bit 0, as in NT.

use nt::{EX_RUNDOWN_REF, KEVENT, SynchronizationEvent};

use super::fast_mutex::{wait, wake};
use crate::guest::Guest;
use crate::kernel::Kernel;

const ACTIVE: u64 = 1;
const USER: u64 = 2;
/// Count, then the event.
const EVENT_AT: u64 = 8;
const BLOCK: usize = EVENT_AT as usize + size_of::<KEVENT>();
const TAG: u32 = nt::pool_tag(b"ExRw");

fn word(reference: Guest<EX_RUNDOWN_REF>, k: &Kernel) -> Guest<u64> {
    Guest::new(k, reference.address())
}

/// Makes a reference that nobody uses.
pub(crate) fn ExInitializeRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    word(reference, k).write(0);
}

/// Makes a reference usable again after rundown.
pub(crate) fn ExReInitializeRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    word(reference, k).write(0);
}

/// Becomes a user. Returns FALSE once rundown has begun.
pub(crate) fn ExAcquireRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) -> u8 {
    ExAcquireRundownProtectionEx(k, reference, 1)
}

/// Becomes several users at once.
pub(crate) fn ExAcquireRundownProtectionEx(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>, count: u32) -> u8 {
    let word = word(reference, k);
    loop {
        let value = word.read();
        if value & ACTIVE != 0 {
            return 0;
        }
        if word.compare_exchange(value, value + USER * u64::from(count)) {
            return 1;
        }
    }
}

/// Stops being a user.
pub(crate) fn ExReleaseRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    ExReleaseRundownProtectionEx(k, reference, 1);
}

/// Stops being several users.
pub(crate) fn ExReleaseRundownProtectionEx(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>, count: u32) {
    let word = word(reference, k);
    loop {
        let value = word.read();
        if value & ACTIVE != 0 {
            let block = value & !ACTIVE;
            let left = Guest::<u64>::new(k, block).fetch_add(u64::from(count).wrapping_neg());
            if left == u64::from(count) {
                wake(k, Guest::new(k, block + EVENT_AT));
            }
            return;
        }
        if word.compare_exchange(value, value.wrapping_sub(USER * u64::from(count))) {
            return;
        }
    }
}

/// Begins rundown and waits until the last user is gone.
pub(crate) fn ExWaitForRundownProtectionRelease(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    let word = word(reference, k);
    if word.compare_exchange(0, ACTIVE) || word.read() == ACTIVE {
        return;
    }
    let block = k.executive().ExAllocatePoolWithTag(nt::NonPagedPoolNx, BLOCK, TAG);
    let block = Guest::<u64>::new(k, block.expose_provenance() as u64);
    let event = Guest::<KEVENT>::new(k, block.address() + EVENT_AT);
    // SAFETY: the event lies in the block just allocated.
    unsafe { k.executive().KeInitializeEvent(event.ptr(), SynchronizationEvent, false) };
    let users = loop {
        let value = word.read();
        block.write(value / USER);
        if word.compare_exchange(value, block.address() | ACTIVE) {
            break value / USER;
        }
    };
    if users > 0 {
        wait(k, event);
    }
    word.write(ACTIVE);
    k.free_pool(block.address());
}

/// Marks rundown as done, so that nobody can become a user.
pub(crate) fn ExRundownCompleted(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    word(reference, k).write(ACTIVE);
}
