//! Push locks.
//!
//! Models `EX_PUSH_LOCK` of the public symbols in its uncontended states: bit 0 says that it is held, the bits from 4 up count the
//! shared owners, and an exclusive owner leaves that count at zero. Different on purpose: waiters are not linked through the
//! lock word (NT keeps a chain of wait blocks on their stacks and sets bit 1); they try again, taking turns through
//! [`Platform::spin_wait`], so the bits Waiting, Waking and MultipleShared never appear.
//!
//! The routines here do not themselves disable kernel APCs, as on Windows: `KeEnterGuardedRegion` comes first, and
//! [`Executive::lock_exclusive_guarded`] does both.
//!
//! Lock order, outermost first: directory lock (`OBJECT_DIRECTORY.Lock`; never two at a time), object lock (`OBJECT_HEADER.Lock`),
//! type lock (`OBJECT_TYPE.TypeLock`). The callback list lock of `ex` is never held together with any of them.

use core::sync::atomic::Ordering;

use nt::{EX_PUSH_LOCK, KSPIN_LOCK};

use crate::raw::{Live, field};
use crate::{Executive, Platform};

/// Somebody holds the lock.
const LOCKED: usize = 1;
/// One shared owner.
const SHARE: usize = 1 << 4;

impl<P: Platform> Executive<P> {
    /// Takes one turn of waiting for `lock`.
    fn push_lock_wait(&self, lock: Live<EX_PUSH_LOCK>) {
        self.platform().waits_for(Some((record::WaitKind::PushLock, lock.addr())));
        self.ke_outside(|| self.platform().spin_wait(lock.ptr().cast::<KSPIN_LOCK>()));
        self.platform().waits_for(None);
    }

    /// Takes `lock` for writing.
    ///
    /// # Safety
    ///
    /// `lock` points to a push lock that outlives the ownership.
    pub(crate) unsafe fn ExAcquirePushLockExclusive(&self, lock: *mut EX_PUSH_LOCK) {
        // SAFETY: the caller's promise.
        let lock = unsafe { Live::new(lock) };
        let word = field!(lock, EX_PUSH_LOCK, Value).atomic();
        self.ke_outside(|| self.platform().lock_point());
        while word.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.push_lock_wait(lock);
        }
    }

    /// Takes `lock` for reading, together with others who do.
    ///
    /// # Safety
    ///
    /// `lock` points to a push lock that outlives the ownership.
    pub(crate) unsafe fn ExAcquirePushLockShared(&self, lock: *mut EX_PUSH_LOCK) {
        // SAFETY: the caller's promise.
        let lock = unsafe { Live::new(lock) };
        let word = field!(lock, EX_PUSH_LOCK, Value).atomic();
        self.ke_outside(|| self.platform().lock_point());
        loop {
            let seen = word.load(Ordering::Relaxed);
            if seen != LOCKED {
                let next = (seen | LOCKED) + SHARE;
                if word.compare_exchange(seen, next, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return;
                }
            } else {
                self.push_lock_wait(lock);
            }
        }
    }

    /// Gives `lock` back, however it was taken.
    ///
    /// # Safety
    ///
    /// The caller owns `lock`.
    pub(crate) unsafe fn ExReleasePushLock(&self, lock: *mut EX_PUSH_LOCK) {
        // SAFETY: the caller's promise.
        let lock = unsafe { Live::new(lock) };
        let word = field!(lock, EX_PUSH_LOCK, Value).atomic();
        loop {
            let seen = word.load(Ordering::Relaxed);
            // The last shared owner leaves nothing behind, an exclusive one neither.
            let next = if seen >> 4 > 1 { seen - SHARE } else { 0 };
            if word.compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        self.ke_outside(|| self.platform().lock_point());
    }

    /// Enters a guarded region and takes `lock` for writing.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExAcquirePushLockExclusive`].
    pub(crate) unsafe fn lock_exclusive_guarded(&self, lock: *mut EX_PUSH_LOCK) {
        self.KeEnterGuardedRegion();
        // SAFETY: the caller's promise.
        unsafe { self.ExAcquirePushLockExclusive(lock) };
    }

    /// Enters a guarded region and takes `lock` for reading.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExAcquirePushLockShared`].
    pub(crate) unsafe fn lock_shared_guarded(&self, lock: *mut EX_PUSH_LOCK) {
        self.KeEnterGuardedRegion();
        // SAFETY: the caller's promise.
        unsafe { self.ExAcquirePushLockShared(lock) };
    }

    /// Gives `lock` back and leaves the guarded region.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExReleasePushLock`].
    pub(crate) unsafe fn unlock_guarded(&self, lock: *mut EX_PUSH_LOCK) {
        // SAFETY: the caller's promise.
        unsafe { self.ExReleasePushLock(lock) };
        self.KeLeaveGuardedRegion();
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use nt::{KTHREAD, Profile};

    use super::*;
    use crate::solo::{Outcome, Solo};

    fn boot() -> Executive<Solo> {
        let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
        Executive::phase0(solo, Profile::DEFAULT).expect("up")
    }

    fn apc_disable(executive: &Executive<Solo>) -> i16 {
        // SAFETY: the platform's thread.
        let thread = unsafe { Live::<KTHREAD>::new(executive.KeGetCurrentThread()) };
        field!(thread, KTHREAD, SpecialApcDisable).get()
    }

    #[test]
    fn the_word_says_who_holds_the_lock() {
        let executive = boot();
        let mut lock = EX_PUSH_LOCK { Value: 0 };
        let lock = &raw mut lock;
        // SAFETY: a local.
        let word = || unsafe { lock.read() }.Value;
        // SAFETY: a local.
        unsafe { executive.lock_exclusive_guarded(lock) };
        assert_eq!((word(), apc_disable(&executive)), (1, -1));
        // SAFETY: taken above.
        unsafe { executive.unlock_guarded(lock) };
        assert_eq!((word(), apc_disable(&executive)), (0, 0));
        for expected in [0x11, 0x21, 0x31] {
            // SAFETY: a local.
            unsafe { executive.lock_shared_guarded(lock) };
            assert_eq!(word(), expected);
        }
        for expected in [0x21, 0x11, 0] {
            // SAFETY: taken above.
            unsafe { executive.unlock_guarded(lock) };
            assert_eq!(word(), expected);
        }
    }

    #[test]
    fn owners_keep_others_out() {
        type Take = unsafe fn(&Executive<Solo>, *mut EX_PUSH_LOCK);
        let exclusive: Take = Executive::ExAcquirePushLockExclusive;
        let shared: Take = Executive::ExAcquirePushLockShared;
        for (first, second) in [(exclusive, exclusive), (exclusive, shared), (shared, exclusive)] {
            let executive = boot();
            let mut lock = EX_PUSH_LOCK { Value: 0 };
            let lock = &raw mut lock;
            // SAFETY: a local.
            unsafe { first(&executive, lock) };
            // SAFETY: a local; it never comes to own the lock.
            let waited = catch_unwind(AssertUnwindSafe(|| unsafe { second(&executive, lock) }));
            let outcome = waited.expect_err("the only thread waits for itself");
            assert!(matches!(outcome.downcast_ref::<Outcome>(), Some(Outcome::Deadlock(_))));
        }
    }
}
