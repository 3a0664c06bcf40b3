//! The safe layer: callback objects for those who embed the executive.
//!
//! ```
//! # use ringbell_executive as executive;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::sync::Arc;
//! use executive::{CallbackOptions, Executive, solo::Solo};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nt = Executive::boot(Solo::new(), nt::Profile::DEFAULT)?;
//! let bell = nt.create_callback(&CallbackOptions::named(r"\Callback\Bell").permanent())?;
//! let rung = Arc::new(AtomicUsize::new(0));
//! let listener = bell.register_fn({
//!     let rung = Arc::clone(&rung);
//!     move |argument1, _| {
//!         rung.fetch_add(argument1, Ordering::Relaxed);
//!     }
//! })?;
//! nt.open_callback(r"\Callback\bell", true)?.notify(7, 0);
//! assert_eq!(rung.load(Ordering::Relaxed), 7);
//! drop(listener); // unregisters
//! bell.notify(7, 0);
//! assert_eq!(rung.load(Ordering::Relaxed), 7);
//! # Ok(()) }
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::fmt;
use core::ptr::{null_mut, without_provenance_mut};

use nt::{
    CALLBACK_OBJECT, CALLBACK_REGISTRATION, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT,
    STATUS_OBJECT_NAME_INVALID,
};
use record::ListenerSnapshot;

use crate::ex::Attempt;
use crate::executive::Executive;
use crate::platform::{Platform, Routine, SingleThreaded};

/// A status that a callback object operation failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusError(pub NTSTATUS);

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl core::error::Error for StatusError {}

/// Why a routine was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The object takes one routine only and has it, or there is no memory. `ExRegisterCallback` does not say
    /// which.
    Refused,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the registration was refused: the object takes one routine only, or there is no memory")
    }
}

impl core::error::Error for RegisterError {}

/// What to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackOptions {
    name: Option<String>,
    attributes: u32,
    multiple: bool,
}

impl CallbackOptions {
    /// An object with a full path such as `\Callback\Bell`. Without [`CallbackOptions::permanent`] nobody
    /// will ever find it there.
    #[must_use]
    pub fn named(path: &str) -> Self {
        Self { name: Some(path.into()), attributes: OBJ_CASE_INSENSITIVE, multiple: true }
    }

    /// An object without a name.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { name: None, attributes: 0, multiple: true }
    }

    /// Keeps the name until [`CallbackObject::make_temporary`].
    #[must_use]
    pub const fn permanent(mut self) -> Self {
        self.attributes |= OBJ_PERMANENT;
        self
    }

    /// Compares names with regard to case.
    #[must_use]
    pub const fn case_sensitive(mut self) -> Self {
        self.attributes &= !OBJ_CASE_INSENSITIVE;
        self
    }

    /// Takes one routine only.
    #[must_use]
    pub const fn single(mut self) -> Self {
        self.multiple = false;
        self
    }
}

impl<P: Platform> Executive<P> {
    /// Creates a callback object, or opens the one that has the name already; its own settings stay then.
    ///
    /// # Errors
    ///
    /// Returns the status of `ExCreateCallback`.
    pub fn create_callback(&self, options: &CallbackOptions) -> Result<CallbackObject<'_, P>, StatusError> {
        self.create_or_open(&Attempt {
            name: options.name.as_deref(),
            attributes: options.attributes,
            create: true,
            multiple: options.multiple,
            keep_reference: true,
        })
    }

    /// Opens a callback object by its full path.
    ///
    /// # Errors
    ///
    /// Returns the status of `ExCreateCallback`, `STATUS_OBJECT_NAME_NOT_FOUND` where there is none.
    pub fn open_callback(
        &self,
        path: &str,
        case_insensitive: bool,
    ) -> Result<CallbackObject<'_, P>, StatusError> {
        self.create_or_open(&Attempt {
            name: Some(path),
            attributes: if case_insensitive { OBJ_CASE_INSENSITIVE } else { 0 },
            create: false,
            multiple: true,
            keep_reference: true,
        })
    }

    fn create_or_open(&self, attempt: &Attempt<'_>) -> Result<CallbackObject<'_, P>, StatusError> {
        if attempt.name.is_some_and(|name| name.encode_utf16().count() > 0x7FFE) {
            return Err(StatusError(STATUS_OBJECT_NAME_INVALID));
        }
        let made = self.attempt(attempt);
        if made.status.is_success() {
            Ok(CallbackObject { executive: self, object: made.object })
        } else {
            Err(StatusError(made.status))
        }
    }
}

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
        Ok(Registration { executive: self.executive, raw, closure: Some((closure.cast(), free)) })
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
        Ok(Registration { executive: self.executive, raw, closure: None })
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

/// A boxed closure and what frees it.
type Closure = (*mut c_void, unsafe fn(*mut c_void));

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

impl<P: Platform> Registration<'_, P> {
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
unsafe fn free_closure<F>(closure: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(closure.cast::<F>()) });
}

macro_rules! trampoline {
    ($abi:literal, $arch:meta) => {
        /// # Safety
        ///
        /// `context` is a live `F`.
        #[cfg($arch)]
        unsafe extern $abi fn trampoline<F: Fn(usize, usize)>(
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
