//! `ExRegisterCallback` and `ExUnregisterCallback`.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, Irql, LIST_ENTRY};
use record::{RefusedBecause, WaitKind, What};

use super::Protocol;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// Name of the list for a fastfail.
pub(super) const LIST: &str = "CALLBACK_OBJECT.RegisteredCallbacks";
/// Tag of registrations.
const TAG: u32 = nt::tag::CALLBACK_REGISTRATION;

impl<P: Platform> Executive<P> {
    /// Registers a routine at the end of the object's list and returns the registration, or null where the
    /// object takes one routine only and has it, or where there is no memory.
    ///
    /// Neither object nor routine is checked: a null routine is stored and faults when it is called.
    ///
    /// # Safety
    ///
    /// `callback_object` is null (which ends the world) or a callback object the caller may use;
    /// `callback_function` is the address of code that takes whatever notifiers pass, until it is
    /// unregistered.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL` by contract; works at `DISPATCH_LEVEL`.
    pub unsafe fn ExRegisterCallback(
        &self,
        callback_object: *mut CALLBACK_OBJECT,
        callback_function: Routine,
        callback_context: *mut c_void,
    ) -> *mut CALLBACK_REGISTRATION {
        self.ex_irql_contract("ExRegisterCallback", Irql::APC);
        if callback_object.is_null() {
            self.ke_access_violation(0, "ExRegisterCallback without an object");
        }
        // SAFETY: a callback object by the caller's promise.
        let object = unsafe { Live::new(callback_object) };
        // SAFETY: as above.
        unsafe { self.ObfReferenceObject(callback_object.cast()) };
        let refused = |because| {
            // SAFETY: gives back the reference taken above.
            unsafe { self.ObfDereferenceObject(callback_object.cast()) };
            self.tell(|| What::RegisterRefused {
                object: callback_object.addr() as u64,
                routine: callback_function.0 as u64,
                because,
            });
            null_mut()
        };

        let block: *mut CALLBACK_REGISTRATION = self.ex_allocate_registration();
        if block.is_null() {
            return refused(RefusedBecause::NoMemory);
        }
        // SAFETY: a block of this size that nobody else knows.
        let registration = unsafe { Live::new(block) };
        field!(registration, CALLBACK_REGISTRATION, CallbackObject).set(callback_object);
        let function = core::ptr::with_exposed_provenance_mut(callback_function.0);
        field!(registration, CALLBACK_REGISTRATION, CallbackFunction).set(function);
        field!(registration, CALLBACK_REGISTRATION, CallbackContext).set(callback_context);
        field!(registration, CALLBACK_REGISTRATION, Busy).set(0);
        field!(registration, CALLBACK_REGISTRATION, UnregisterWaiting).set(0);

        let head = field!(object, CALLBACK_OBJECT, RegisteredCallbacks);
        let lock = field!(object, CALLBACK_OBJECT, Lock);
        let old = self.ke_acquire(lock);
        let takes =
            field!(object, CALLBACK_OBJECT, AllowMultipleCallbacks).get() != 0 || list::is_empty(head);
        if takes {
            let link = field!(registration, CALLBACK_REGISTRATION, Link);
            self.ke_checked(list::insert_before(head, link), LIST);
        }
        self.ke_release(lock, old);

        if !takes {
            // SAFETY: allocated above and linked nowhere.
            unsafe { self.ExFreePoolWithTag(block.cast(), TAG) };
            return refused(RefusedBecause::SingleCallbackTaken);
        }
        self.tell(|| What::Registered {
            object: callback_object.addr() as u64,
            registration: block.addr() as u64,
            routine: callback_function.0 as u64,
            context: callback_context.addr() as u64,
        });
        block
    }

    fn ex_allocate_registration(&self) -> *mut CALLBACK_REGISTRATION {
        let bytes = size_of::<CALLBACK_REGISTRATION>();
        if self.profile().zero_registration_pool.value {
            return self.ExAllocatePool2(nt::POOL_FLAG_NON_PAGED, bytes, TAG).cast();
        }
        self.ExAllocatePoolWithTag(self.profile().nonpaged_kind.value.pool_type(), bytes, TAG).cast()
    }

    /// Unregisters a routine. When this returns, the routine is not running for this registration and never
    /// will be again.
    ///
    /// A routine that unregisters itself below `DISPATCH_LEVEL` waits for its own end: a deadlock.
    ///
    /// # Safety
    ///
    /// `callback_registration` is null (which ends the world) or came from [`Executive::ExRegisterCallback`]
    /// and has not been unregistered. (A second unregistration finds the list in contradiction with it and
    /// ends in bugcheck 0x139, as long as the memory is still there.)
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL` by contract; at `DISPATCH_LEVEL` it works while the routine is not running.
    pub unsafe fn ExUnregisterCallback(&self, callback_registration: *mut CALLBACK_REGISTRATION) {
        self.ex_irql_contract("ExUnregisterCallback", Irql::APC);
        if callback_registration.is_null() {
            self.ke_access_violation(
                core::mem::offset_of!(CALLBACK_REGISTRATION, CallbackObject) as u64,
                "ExUnregisterCallback without a registration",
            );
        }
        // SAFETY: a registration by the caller's promise.
        let registration = unsafe { Live::new(callback_registration) };
        let callback_object = field!(registration, CALLBACK_REGISTRATION, CallbackObject).get();
        if callback_object.is_null() || !callback_object.is_aligned() {
            self.ke_access_violation(
                callback_object.addr() as u64,
                "ExUnregisterCallback follows a registration that has no object",
            );
        }
        // SAFETY: the registration's reference keeps the object.
        let object = unsafe { Live::new(callback_object) };
        match self.protocol() {
            Protocol::Reference => self.ex_retire(object, registration),
            // SAFETY: a registration of this object by the caller's promise.
            Protocol::Swift => unsafe { self.swift_retire(object, callback_registration) },
        }

        let routine = field!(registration, CALLBACK_REGISTRATION, CallbackFunction).get().addr() as u64;
        self.tell(|| What::Unregistered {
            object: callback_object.addr() as u64,
            registration: callback_registration.addr() as u64,
            routine,
        });
        // SAFETY: unlinked and idle, so nobody else knows the block.
        unsafe { self.ExFreePoolWithTag(callback_registration.cast(), TAG) };
        // SAFETY: gives back the registration's reference.
        unsafe { self.ObfDereferenceObject(callback_object.cast()) };
    }

    /// Waits until nobody calls the routine, and takes the registration off its list: NT's way.
    fn ex_retire(&self, object: Live<CALLBACK_OBJECT>, registration: Live<CALLBACK_REGISTRATION>) {
        let lock = field!(object, CALLBACK_OBJECT, Lock);
        let busy = field!(registration, CALLBACK_REGISTRATION, Busy);
        let event = self.ExpCallbackEvent();
        let reset_under_lock = self.profile().unregister_reset_under_lock.value;

        let mut old = self.ke_acquire(lock);
        while busy.get() != 0 {
            field!(registration, CALLBACK_REGISTRATION, UnregisterWaiting).set(1);
            let calls = busy.get();
            if reset_under_lock {
                // SAFETY: the event lies in the globals.
                unsafe { self.KeResetEvent(event) };
            }
            self.ke_release(lock, old);
            self.tell(|| What::UnregisterWaits {
                object: object.addr() as u64,
                registration: registration.addr() as u64,
                busy: calls,
            });
            if !reset_under_lock {
                // ReactOS resets here, where a set that came in between is lost.
                // SAFETY: the event lies in the globals.
                unsafe { self.KeResetEvent(event) };
            }
            let whole = (WaitKind::Routine, registration.addr());
            self.platform().waits_for(Some(whole));
            // SAFETY: the event lies in the globals; no timeout.
            unsafe {
                self.KeWaitForSingleObject(event.cast(), nt::Executive, nt::KernelMode, 0, core::ptr::null())
            };
            self.platform().waits_for(None);
            old = self.ke_acquire(lock);
        }
        let link = field!(registration, CALLBACK_REGISTRATION, Link);
        self.ke_checked(list::remove(link), LIST);
        self.ke_release(lock, old);
    }
}

const _: () = {
    // The handle that `ExRegisterCallback` returns is the address of the link.
    assert!(core::mem::offset_of!(CALLBACK_REGISTRATION, Link) == 0);
    assert!(size_of::<LIST_ENTRY>() == 0x10);
};
