//! Registrations that end with their guard.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::fmt;
use core::ptr::null_mut;

use nt::CALLBACK_REGISTRATION;

use crate::executive::Executive;
use crate::platform::Platform;

/// A boxed closure and what frees it.
pub(super) type Closure = (*mut c_void, unsafe fn(*mut c_void));

/// A registered routine; dropping it unregisters, which waits until the routine is not running.
///
/// Dropping it inside the routine itself is NT's self-unregistration: a deadlock.
#[must_use = "dropping a registration unregisters the routine"]
pub struct Registration<'e, P: Platform> {
    executive: &'e Executive<P>,
    raw: *mut CALLBACK_REGISTRATION,
    closure: Option<Closure>,
}

// SAFETY: the registration is guarded by the object's lock, and a closure in it is `Send + Sync`.
unsafe impl<P: Platform + Sync> Send for Registration<'_, P> {}
// SAFETY: as above.
unsafe impl<P: Platform + Sync> Sync for Registration<'_, P> {}

impl<'e, P: Platform> Registration<'e, P> {
    pub(super) const fn new(
        executive: &'e Executive<P>,
        raw: *mut CALLBACK_REGISTRATION,
        closure: Option<Closure>,
    ) -> Self {
        Self { executive, raw, closure }
    }

    /// Returns the registration for the raw layer. It stays while `self` does.
    pub fn as_ptr(&self) -> *mut CALLBACK_REGISTRATION {
        self.raw
    }

    /// Leaves the routine registered for good.
    pub fn leak(self) -> *mut CALLBACK_REGISTRATION {
        core::mem::ManuallyDrop::new(self).raw
    }
}

impl<P: Platform> Drop for Registration<'_, P> {
    fn drop(&mut self) {
        // In a world that has ended the list is as it was; the routine may still be on the stack, so the
        // closure stays.
        if self.executive.is_over() {
            return;
        }
        let raw = core::mem::replace(&mut self.raw, null_mut());
        // SAFETY: registered by this value and unregistered once, here.
        unsafe { self.executive.ExUnregisterCallback(raw) };
        if let Some((closure, free)) = self.closure.take() {
            // SAFETY: the closure is not running and never will be again.
            unsafe { free(closure) };
        }
    }
}

impl<P: Platform> fmt::Debug for Registration<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.raw).finish()
    }
}

/// # Safety
///
/// `closure` is a leaked box of an `F` that nobody uses any more.
pub(super) unsafe fn free_closure<F>(closure: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(closure.cast::<F>()) });
}

macro_rules! trampoline {
    ($abi:literal, $arch:meta) => {
        /// # Safety
        ///
        /// `context` is a live `F`.
        #[cfg($arch)]
        pub(super) unsafe extern $abi fn trampoline<F: Fn(usize, usize)>(
            context: *mut c_void,
            argument1: *mut c_void,
            argument2: *mut c_void,
        ) {
            // SAFETY: the caller's promise; the closure is only ever shared.
            let closure = unsafe { &*context.cast::<F>() };
            closure(argument1.addr(), argument2.addr());
        }
    };
}
trampoline!("win64-unwind", target_arch = "x86_64");
trampoline!("C-unwind", not(target_arch = "x86_64"));
