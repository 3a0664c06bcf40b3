//! What joins a port and a callback object, and what rings it.

use core::ffi::c_void;
use core::ptr::{null_mut, without_provenance_mut};

use nt::{
    ALPC_REGISTER_CALLBACK, HANDLE, KernelMode, LIST_ENTRY, NTSTATUS, PORT_CONNECT, PVOID,
    STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS,
    port_state,
};

use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::Live;

/// Information classes that Windows can set and this executive does not have: flags, completion port, message zone,
/// completion list.
const NOT_MODELED: [u32; 6] = [1, 2, 5, 6, 7, 8];
/// As above, and needs no argument.
const ROUNDS_DOWN: u32 = 10;
/// Most bytes of an argument from user mode: the longest of all classes, the attributes of a port.
const MOST_CAPTURED: usize = size_of::<nt::ALPC_PORT_ATTRIBUTES>();

impl<P: Platform> Executive<P> {
    /// Sets information of a port. Of the classes that Windows has only [`nt::AlpcRegisterCallbackInformation`] exists here;
    /// the others answer `STATUS_NOT_IMPLEMENTED`.
    ///
    /// That class attaches a callback object and a context to the port, which takes a reference on the object. As on
    /// Windows neither its length nor the type of the object is looked at, and an object that was attached before keeps
    /// the port's first reference for good.
    ///
    /// # Errors
    ///
    /// `STATUS_INVALID_PARAMETER` for a null handle or argument, for an unknown class, and for this class from user mode;
    /// `STATUS_INFO_LENGTH_MISMATCH` for more than 0x48 bytes from user mode; those of a handle that is no port's.
    ///
    /// # Safety
    ///
    /// `information` is null or, for that class, leads to an [`ALPC_REGISTER_CALLBACK`] with a live callback object.
    pub unsafe fn alpc_set_information(
        &self,
        handle: HANDLE,
        class: u32,
        information: *const c_void,
        length: u32,
        mode: u8,
    ) -> NTSTATUS {
        let without_argument = class == 7 || class == ROUNDS_DOWN;
        if handle.is_null() || (information.is_null() && !without_argument) {
            return STATUS_INVALID_PARAMETER;
        }
        // What comes from user mode is copied by its length; what comes from the kernel is taken as it stands.
        if mode != KernelMode && length as usize > MOST_CAPTURED {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        let mut body: *mut c_void = null_mut();
        let object_type = match self.alpc_type() {
            Ok(object_type) => object_type,
            Err(status) => return status,
        };
        // SAFETY: the type is one of this executive, the output a local.
        let status = unsafe {
            self.ObReferenceObjectByHandle(handle, PORT_CONNECT, object_type, mode, &raw mut body, null_mut())
        };
        if !status.is_success() {
            return status;
        }
        let status = match class {
            nt::AlpcRegisterCallbackInformation if mode == KernelMode => {
                // SAFETY: the caller's promise; unaligned because a driver may have packed it.
                let wanted = unsafe { information.cast::<ALPC_REGISTER_CALLBACK>().read_unaligned() };
                // SAFETY: a port, with the reference taken above; the object is alive by the caller's promise.
                unsafe { self.alpc_attach(body, &wanted) };
                STATUS_SUCCESS
            }
            class if NOT_MODELED.contains(&class) || class == ROUNDS_DOWN => STATUS_NOT_IMPLEMENTED,
            _ => STATUS_INVALID_PARAMETER,
        };
        // SAFETY: taken above.
        unsafe { self.ObfDereferenceObject(body) };
        status
    }

    /// # Safety
    ///
    /// `body` is that of a live port; the callback object is alive.
    unsafe fn alpc_attach(&self, body: *mut c_void, wanted: &ALPC_REGISTER_CALLBACK) {
        // SAFETY: the caller's promise.
        unsafe { self.ObfReferenceObject(wanted.CallbackObject) };
        // SAFETY: the caller's promise.
        let port = unsafe { self.alpc_port(body) };
        let lock = port.lock().ptr();
        // SAFETY: the lock is the live port's.
        unsafe { self.lock_exclusive_guarded(lock) };
        port.field::<PVOID>("CallbackObject").set(wanted.CallbackObject);
        port.field::<PVOID>("CallbackContext").set(wanted.CallbackContext);
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
    }

    /// Does what the end of a message's way to a port does: rings the callback object of the port with the port's context
    /// and the flags of the dispatch, zero-extended, after the port's lock is released. Tells whether there was one to ring.
    ///
    /// A thread that waits for a message, a completion port or a semaphore gets the message instead.
    ///
    /// # Safety
    ///
    /// `port` is the body of a port on which the caller has a reference; the routines of its callback object are entitled
    /// to the arguments.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn AlpcpCompleteDispatchMessage(&self, port: *mut c_void, flags: u32) -> bool {
        // SAFETY: the caller's promise.
        let port = unsafe { self.alpc_port(port) };
        let lock = port.lock().ptr();
        // SAFETY: the lock is the live port's.
        unsafe { self.lock_shared_guarded(lock) };
        let taken = !list::is_empty(port.field::<LIST_ENTRY>("WaitQueue"))
            || !port.field::<PVOID>("CompletionPort").get().is_null()
            || port.field::<u32>("State").get() & port_state::WAITABLE != 0;
        let object = port.field::<PVOID>("CallbackObject").get();
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        if taken || object.is_null() {
            return false;
        }
        let context: Live<PVOID> = port.field("CallbackContext");
        // SAFETY: the port keeps the object; the rest is the caller's promise.
        unsafe {
            self.ExNotifyCallback(object.cast(), context.get(), without_provenance_mut(flags as usize))
        };
        true
    }

    /// Lets a message with these flags arrive at the kernel's own port behind a callback object of the catalog
    /// (`PowerPort`). Tells whether somebody was rung.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn kernel_port_message(&self, key: &str, flags: u32) -> bool {
        let handle = self.kernel_port(key);
        if handle.is_null() {
            return false;
        }
        let mut port: *mut c_void = null_mut();
        let object_type = self.AlpcPortObjectType();
        // SAFETY: the type is one of this executive, the output a local.
        let status = unsafe {
            self.ObReferenceObjectByHandle(handle, 0, object_type, KernelMode, &raw mut port, null_mut())
        };
        if !status.is_success() {
            return false;
        }
        // SAFETY: referenced above; the kernel's own routines are only recorded, and a driver's takes what Windows gives.
        let rung = unsafe { self.AlpcpCompleteDispatchMessage(port, flags) };
        // SAFETY: taken above.
        unsafe { self.ObfDereferenceObject(port) };
        rung
    }

    /// Sets information of a port, in the mode the thread came from.
    ///
    /// # Safety
    ///
    /// As for [`Executive::alpc_set_information`].
    pub unsafe fn NtAlpcSetInformation(
        &self,
        handle: HANDLE,
        class: u32,
        information: *const c_void,
        length: u32,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.alpc_set_information(handle, class, information, length, self.KeGetPreviousMode()) }
    }

    /// Sets information of a port in kernel mode.
    ///
    /// # Safety
    ///
    /// As for [`Executive::alpc_set_information`].
    pub unsafe fn ZwAlpcSetInformation(
        &self,
        handle: HANDLE,
        class: u32,
        information: *const c_void,
        length: u32,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.alpc_set_information(handle, class, information, length, KernelMode) }
    }
}
