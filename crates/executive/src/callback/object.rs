//! Counted references to callback objects.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::fmt;
use core::ptr::without_provenance_mut;

use nt::CALLBACK_OBJECT;
use record::ListenerSnapshot;

use super::registration::{free_closure, trampoline};
use super::{RegisterError, Registration};
use crate::executive::Executive;
use crate::platform::{Platform, Routine, SingleThreaded};

/// A reference to a callback object, given back on drop.
pub struct CallbackObject<'e, P: Platform> {
    executive: &'e Executive<P>,
    object: *mut CALLBACK_OBJECT,
}

// SAFETY: a counted reference to an object that is guarded by its own lock; nothing in it is tied to a host
// thread.
unsafe impl<P: Platform + Sync> Send for CallbackObject<'_, P> {}
// SAFETY: as above.
unsafe impl<P: Platform + Sync> Sync for CallbackObject<'_, P> {}

impl<'e, P: Platform> CallbackObject<'e, P> {
    /// Takes over a counted reference.
    ///
    /// # Safety
    ///
    /// `object` is a callback object of this executive, and the caller owns one reference that it gives up.
    pub unsafe fn from_raw(executive: &'e Executive<P>, object: *mut CALLBACK_OBJECT) -> Self {
        Self { executive, object }
    }

    /// Returns the object for the raw layer. It stays while `self` does.
    pub fn as_ptr(&self) -> *mut CALLBACK_OBJECT {
        self.object
    }

    /// Gives the reference up to the caller.
    #[must_use]
    pub fn into_raw(self) -> *mut CALLBACK_OBJECT {
        core::mem::ManuallyDrop::new(self).object
    }

    /// Registers a closure. It is called with the notifier's two arguments, in the notifier's thread and at
    /// its IRQL.
    ///
    /// # Errors
    ///
    /// Fails where the object takes one routine only and has it, or where there is no memory.
    pub fn register_fn<F>(&self, routine: F) -> Result<Registration<'e, P>, RegisterError>
    where
        F: Fn(usize, usize) + Send + Sync + 'static,
    {
        self.register_boxed(routine)
    }

    fn register_boxed<F: Fn(usize, usize) + 'static>(
        &self,
        routine: F,
    ) -> Result<Registration<'e, P>, RegisterError> {
        let closure: *mut F = Box::into_raw(Box::new(routine));
        let free: unsafe fn(*mut c_void) = free_closure::<F>;
        let code = Routine(trampoline::<F> as *const () as usize);
        // SAFETY: the trampoline takes a live closure as context and any arguments; the guard keeps the
        // closure until it is unregistered.
        let raw = unsafe { self.executive.ExRegisterCallback(self.object, code, closure.cast()) };
        if raw.is_null() {
            // SAFETY: boxed above and known to nobody.
            unsafe { free(closure.cast()) };
            return Err(RegisterError::Refused);
        }
        Ok(Registration::new(self.executive, raw, Some((closure.cast(), free))))
    }

    /// Registers code by its address.
    ///
    /// # Errors
    ///
    /// As for [`CallbackObject::register_fn`].
    ///
    /// # Safety
    ///
    /// `routine` is code with the contract of a callback routine that copes with `context` and with whatever
    /// anybody passes to a notify of this object, until the registration is gone.
    pub unsafe fn register_raw(
        &self,
        routine: Routine,
        context: *mut c_void,
    ) -> Result<Registration<'e, P>, RegisterError> {
        // SAFETY: the object is referenced; the routine is the caller's promise.
        let raw = unsafe { self.executive.ExRegisterCallback(self.object, routine, context) };
        if raw.is_null() {
            return Err(RegisterError::Refused);
        }
        Ok(Registration::new(self.executive, raw, None))
    }

    /// Calls every routine in the order of registration.
    ///
    /// The arguments are numbers: routines that take them for addresses were registered under a promise to
    /// cope with any.
    pub fn notify(&self, argument1: usize, argument2: usize) {
        // SAFETY: the object is referenced; its routines cope with any arguments by the contract of
        // registration.
        unsafe {
            self.executive.ExNotifyCallback(
                self.object,
                without_provenance_mut(argument1),
                without_provenance_mut(argument2),
            );
        }
    }

    /// Returns the registrations in their order.
    pub fn listeners(&self) -> Vec<ListenerSnapshot> {
        // SAFETY: the object is referenced.
        unsafe { self.executive.listeners_of(self.object) }
    }

    /// Takes the permanent mark off; the name goes with the last handle, which mostly means at once.
    pub fn make_temporary(&self) {
        // SAFETY: the object is referenced.
        unsafe { self.executive.ObMakeTemporaryObject(self.object.cast()) };
    }
}

impl<P: Platform> Clone for CallbackObject<'_, P> {
    fn clone(&self) -> Self {
        // SAFETY: the object is referenced, so one more reference can be taken.
        unsafe { self.executive.ObfReferenceObject(self.object.cast()) };
        Self { executive: self.executive, object: self.object }
    }
}

impl<P: Platform> Drop for CallbackObject<'_, P> {
    fn drop(&mut self) {
        if !self.executive.is_over() {
            // SAFETY: gives back the reference this value owns.
            unsafe { self.executive.ObfDereferenceObject(self.object.cast()) };
        }
    }
}

impl<P: Platform> fmt::Debug for CallbackObject<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallbackObject").field(&self.object).finish()
    }
}

impl<'e, P: SingleThreaded> CallbackObject<'e, P> {
    /// Registers a closure that need not be able to change threads, on a platform that has only one.
    ///
    /// # Errors
    ///
    /// As for [`CallbackObject::register_fn`].
    pub fn register_local<F>(&self, routine: F) -> Result<Registration<'e, P>, RegisterError>
    where
        F: Fn(usize, usize) + 'static,
    {
        self.register_boxed(routine)
    }
}
