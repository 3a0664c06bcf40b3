//! Events.

use nt::{DISPATCHER_HEADER, KEVENT};

use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// The head of an event.
///
/// # Safety
///
/// As for [`Live::new`].
unsafe fn header(event: *mut KEVENT) -> Live<DISPATCHER_HEADER> {
    // SAFETY: the caller's promise.
    field!(unsafe { Live::new(event) }, KEVENT, Header)
}

impl<P: Platform> Executive<P> {
    /// Initializes an event: `kind` 0 notification, 1 synchronization.
    ///
    /// # Safety
    ///
    /// `event` leads to a writable `KEVENT` that nobody waits for.
    pub unsafe fn KeInitializeEvent(&self, event: *mut KEVENT, kind: u32, state: bool) {
        // SAFETY: the caller's promise.
        let header = unsafe { header(event) };
        self.ke_initialize_header(header, kind as u8, size_of::<KEVENT>(), state.into());
    }

    /// Signals an event and returns its old state. Every waiter that can be satisfied at this moment is.
    ///
    /// `increment` is a priority boost and `wait` announces a wait to come; neither changes anything here,
    /// because the platform schedules.
    ///
    /// # Safety
    ///
    /// `event` is an initialized event.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeSetEvent(&self, event: *mut KEVENT, increment: i32, wait: bool) -> i32 {
        let _ = (increment, wait);
        // SAFETY: the caller's promise.
        let header = unsafe { header(event) };
        let old = self.ke_lock_dispatcher();
        let before = field!(header, DISPATCHER_HEADER, SignalState).get();
        field!(header, DISPATCHER_HEADER, SignalState).set(1);
        self.ke_wait_test(header);
        self.ke_unlock_dispatcher(old);
        before
    }

    /// Resets an event and returns its old state.
    ///
    /// # Safety
    ///
    /// `event` is an initialized event.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeResetEvent(&self, event: *mut KEVENT) -> i32 {
        // SAFETY: the caller's promise.
        let state = field!(unsafe { header(event) }, DISPATCHER_HEADER, SignalState);
        let old = self.ke_lock_dispatcher();
        let before = state.get();
        state.set(0);
        self.ke_unlock_dispatcher(old);
        before
    }

    /// Resets an event.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeResetEvent`].
    pub unsafe fn KeClearEvent(&self, event: *mut KEVENT) {
        // SAFETY: the caller's promise.
        unsafe { self.KeResetEvent(event) };
    }

    /// Satisfies those who wait at this moment and resets the event; returns its old state.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeSetEvent`].
    pub unsafe fn KePulseEvent(&self, event: *mut KEVENT, increment: i32, wait: bool) -> i32 {
        let _ = (increment, wait);
        // SAFETY: the caller's promise.
        let header = unsafe { header(event) };
        let state = field!(header, DISPATCHER_HEADER, SignalState);
        let old = self.ke_lock_dispatcher();
        let before = state.get();
        state.set(1);
        self.ke_wait_test(header);
        state.set(0);
        self.ke_unlock_dispatcher(old);
        before
    }

    /// Returns the state of an event.
    ///
    /// # Safety
    ///
    /// `event` is an initialized event.
    pub unsafe fn KeReadStateEvent(&self, event: *mut KEVENT) -> i32 {
        // SAFETY: the caller's promise.
        field!(unsafe { header(event) }, DISPATCHER_HEADER, SignalState).get()
    }
}
