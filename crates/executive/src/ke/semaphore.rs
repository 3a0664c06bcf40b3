//! Semaphores.

use nt::{DISPATCHER_HEADER, KSEMAPHORE, NTSTATUS, dispatcher};

use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// `STATUS_SEMAPHORE_LIMIT_EXCEEDED`.
const LIMIT_EXCEEDED: NTSTATUS = NTSTATUS(0xC000_0047);

impl<P: Platform> Executive<P> {
    /// Initializes a semaphore.
    ///
    /// # Safety
    ///
    /// `semaphore` leads to a writable `KSEMAPHORE` that nobody waits for.
    pub unsafe fn KeInitializeSemaphore(&self, semaphore: *mut KSEMAPHORE, count: i32, limit: i32) {
        // SAFETY: the caller's promise.
        let semaphore = unsafe { Live::new(semaphore) };
        let header = field!(semaphore, KSEMAPHORE, Header);
        self.ke_initialize_header(header, dispatcher::SEMAPHORE, size_of::<KSEMAPHORE>(), count);
        field!(semaphore, KSEMAPHORE, Limit).set(limit);
    }

    /// Adds to the count and returns the old one. Beyond the limit NT raises
    /// `STATUS_SEMAPHORE_LIMIT_EXCEEDED`, which nobody handles here: bugcheck 0x1E.
    ///
    /// # Safety
    ///
    /// `semaphore` is an initialized semaphore.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeReleaseSemaphore(
        &self,
        semaphore: *mut KSEMAPHORE,
        increment: i32,
        adjustment: i32,
        wait: bool,
    ) -> i32 {
        let _ = (increment, wait);
        // SAFETY: the caller's promise.
        let semaphore = unsafe { Live::new(semaphore) };
        let header = field!(semaphore, KSEMAPHORE, Header);
        let state = field!(header, DISPATCHER_HEADER, SignalState);
        let old = self.ke_lock_dispatcher();
        let before = state.get();
        match before.checked_add(adjustment) {
            Some(count) if count >= before && count <= field!(semaphore, KSEMAPHORE, Limit).get() => {
                state.set(count);
            }
            _ => self.ke_raise_status(LIMIT_EXCEEDED, "a semaphore is released beyond its limit"),
        }
        self.ke_wait_test(header);
        self.ke_unlock_dispatcher(old);
        before
    }

    /// Returns the count.
    ///
    /// # Safety
    ///
    /// `semaphore` is an initialized semaphore.
    pub unsafe fn KeReadStateSemaphore(&self, semaphore: *mut KSEMAPHORE) -> i32 {
        // SAFETY: the caller's promise.
        field!(unsafe { Live::new(semaphore) }, KSEMAPHORE, Header.SignalState).get()
    }
}
