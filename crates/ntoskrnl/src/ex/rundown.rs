//! Rundown protection: users come and go until somebody waits for the last of them. The executive has it; here are the doors.

use nt::EX_RUNDOWN_REF;

use crate::guest::Guest;
use crate::kernel::Kernel;

/// Makes a reference that nobody uses.
pub(crate) fn ExInitializeRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    // SAFETY: checked guest memory; how it is used is the driver's business.
    unsafe { k.executive().ExInitializeRundownProtection(reference.ptr()) };
}

/// Makes a reference usable again after rundown.
pub(crate) fn ExReInitializeRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    // SAFETY: as above.
    unsafe { k.executive().ExReInitializeRundownProtection(reference.ptr()) };
}

/// Becomes a user. Returns FALSE once rundown has begun.
pub(crate) fn ExAcquireRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) -> u8 {
    ExAcquireRundownProtectionEx(k, reference, 1)
}

/// Becomes several users at once.
pub(crate) fn ExAcquireRundownProtectionEx(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>, count: u32) -> u8 {
    // SAFETY: as above.
    let acquired = unsafe { k.executive().ExAcquireRundownProtectionEx(reference.ptr(), count) };
    if acquired {
        note(count, || k.host().holds(k.host().current_thread(), reference.address() as usize));
    }
    acquired.into()
}

/// Notes for a report of a deadlock that somebody uses it so often, or no more.
fn note(count: u32, once: impl Fn()) {
    // Who takes more at once than anybody has reason to is not told of exactly.
    (0..count.min(64)).for_each(|_| once());
}

/// Stops being a user.
pub(crate) fn ExReleaseRundownProtection(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    ExReleaseRundownProtectionEx(k, reference, 1);
}

/// Stops being several users.
pub(crate) fn ExReleaseRundownProtectionEx(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>, count: u32) {
    note(count, || k.host().lets_go(k.host().current_thread(), reference.address() as usize));
    // SAFETY: as above.
    unsafe { k.executive().ExReleaseRundownProtectionEx(reference.ptr(), count) };
}

/// Begins rundown and waits until the last user is gone.
pub(crate) fn ExWaitForRundownProtectionRelease(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    // SAFETY: as above.
    unsafe { k.executive().ExWaitForRundownProtectionRelease(reference.ptr()) };
}

/// Marks rundown as done, so that nobody can become a user.
pub(crate) fn ExRundownCompleted(k: &Kernel, reference: Guest<EX_RUNDOWN_REF>) {
    // SAFETY: as above.
    unsafe { k.executive().ExRundownCompleted(reference.ptr()) };
}
