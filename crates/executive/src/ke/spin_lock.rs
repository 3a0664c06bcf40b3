//! Spin locks: a `KSPIN_LOCK` is the lock itself, bit 0 set while held (x64 free builds).

use core::sync::atomic::Ordering;

use nt::{Irql, KSPIN_LOCK};

use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::Live;

/// Bit that is set while a spin lock is held.
const HELD: usize = 1;

impl<P: Platform> Executive<P> {
    /// Makes `lock` free.
    ///
    /// # Safety
    ///
    /// `lock` leads to a writable word that nobody uses as a lock yet.
    pub unsafe fn KeInitializeSpinLock(&self, lock: *mut KSPIN_LOCK) {
        // SAFETY: the caller's promise.
        unsafe { Live::new(lock) }.set(0);
    }

    /// Raises to `DISPATCH_LEVEL`, acquires `lock` and returns the old IRQL.
    ///
    /// # Safety
    ///
    /// `lock` leads to a spin lock that lives while this call spins and the lock is held.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeAcquireSpinLockRaiseToDpc(&self, lock: *mut KSPIN_LOCK) -> Irql {
        // SAFETY: the caller's promise.
        self.ke_acquire(unsafe { Live::new(lock) })
    }

    /// Acquires `lock` at `DISPATCH_LEVEL`.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeAcquireSpinLockRaiseToDpc`].
    pub unsafe fn KeAcquireSpinLockAtDpcLevel(&self, lock: *mut KSPIN_LOCK) {
        // SAFETY: the caller's promise.
        self.ke_acquire_at_dpc(unsafe { Live::new(lock) });
    }

    /// Acquires `lock` if it is free, at `DISPATCH_LEVEL`.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeAcquireSpinLockRaiseToDpc`].
    pub unsafe fn KeTryToAcquireSpinLockAtDpcLevel(&self, lock: *mut KSPIN_LOCK) -> bool {
        // SAFETY: the caller's promise.
        try_acquire(unsafe { Live::new(lock) })
    }

    /// Tells whether `lock` is free.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeAcquireSpinLockRaiseToDpc`].
    pub unsafe fn KeTestSpinLock(&self, lock: *mut KSPIN_LOCK) -> bool {
        // SAFETY: the caller's promise.
        unsafe { Live::new(lock) }.atomic().load(Ordering::Acquire) & HELD == 0
    }

    /// Releases `lock` and lowers to `old`. Like a free build, it does not check that the lock was held.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeAcquireSpinLockRaiseToDpc`]; the caller holds the lock.
    pub unsafe fn KeReleaseSpinLock(&self, lock: *mut KSPIN_LOCK, old: Irql) {
        // SAFETY: the caller's promise.
        self.ke_release(unsafe { Live::new(lock) }, old);
    }

    /// Releases `lock` and stays at `DISPATCH_LEVEL`.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeReleaseSpinLock`].
    pub unsafe fn KeReleaseSpinLockFromDpcLevel(&self, lock: *mut KSPIN_LOCK) {
        // SAFETY: the caller's promise.
        self.ke_release_from_dpc(unsafe { Live::new(lock) });
    }

    pub(crate) fn ke_acquire(&self, lock: Live<KSPIN_LOCK>) -> Irql {
        let old = self.KeRaiseIrql(Irql::DISPATCH);
        self.ke_acquire_at_dpc(lock);
        old
    }

    pub(crate) fn ke_acquire_at_dpc(&self, lock: Live<KSPIN_LOCK>) {
        self.ke_outside(|| self.platform().lock_point());
        while !try_acquire(lock) {
            self.ke_outside(|| self.platform().spin_wait(lock.ptr()));
        }
    }

    pub(crate) fn ke_release(&self, lock: Live<KSPIN_LOCK>, old: Irql) {
        self.ke_release_from_dpc(lock);
        self.KeLowerIrql(old);
    }

    pub(crate) fn ke_release_from_dpc(&self, lock: Live<KSPIN_LOCK>) {
        lock.atomic().store(0, Ordering::Release);
        self.ke_outside(|| self.platform().lock_point());
    }
}

fn try_acquire(lock: Live<KSPIN_LOCK>) -> bool {
    lock.atomic().fetch_or(HELD, Ordering::Acquire) & HELD == 0
}
