//! Ports: creation and end.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::layout::{Layout, Pod};
use nt::{
    ALPC_PORT_ATTRIBUTES, HANDLE, KernelMode, LIST_ENTRY, NTSTATUS, OBJECT_ATTRIBUTES, PORT_ALL_ACCESS,
    PVOID, port_state,
};

use super::Globals;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Name of the list for a fastfail.
const LIST: &str = "AlpcpPortList";

/// Returns the offset of a field that every generation has.
pub(super) fn offset(layout: &Layout, name: &str) -> usize {
    layout.field(name).map_or_else(|| unreachable!("{} has no {name}", layout.name), |field| field.offset)
}

/// A port, seen through the layout of its version.
#[derive(Clone, Copy)]
pub(super) struct Port {
    body: *mut c_void,
    layout: &'static Layout,
}

impl Port {
    /// Steps to a field that every generation has.
    pub(super) fn field<T: Pod>(self, name: &str) -> Live<T> {
        let at = self.body.wrapping_byte_add(offset(self.layout, name)).cast::<T>();
        debug_assert!(self.layout.field(name).is_some_and(|field| field.size == size_of::<T>()));
        // SAFETY: inside the body by the layout; the body lives by the contract of `alpc_port`.
        unsafe { Live::new(at) }
    }

    /// Steps to the lock of the port, which changed its name with Windows 8.
    pub(super) fn lock(self) -> Live<nt::EX_PUSH_LOCK> {
        self.field(if self.layout.field("Lock").is_some() { "Lock" } else { "PortObjectLock" })
    }
}

impl<P: Platform> Executive<P> {
    /// Views a port.
    ///
    /// # Safety
    ///
    /// `body` is that of a port which lives as long as the view is used.
    pub(super) unsafe fn alpc_port(&self, body: *mut c_void) -> Port {
        Port { body, layout: self.profile().alpc_port_layout() }
    }

    /// Makes a port that clients could connect to, and a handle to it.
    ///
    /// # Errors
    ///
    /// Those of any creation of an object; `STATUS_INVALID_PARAMETER` for `OBJ_OPENIF`, which the type refuses.
    ///
    /// # Safety
    ///
    /// `handle` is writable; `attributes` and `port_attributes` are null or readable, with what they point to.
    pub unsafe fn alpc_create_port(
        &self,
        handle: *mut HANDLE,
        attributes: *const OBJECT_ATTRIBUTES,
        port_attributes: *const ALPC_PORT_ATTRIBUTES,
        mode: u8,
    ) -> NTSTATUS {
        let object_type = match self.alpc_type() {
            Ok(object_type) => object_type,
            Err(status) => return status,
        };
        let size = self.profile().alpc_port_layout().size as u32;
        let mut body: *mut c_void = null_mut();
        // SAFETY: the caller's promise; the output is a local.
        let status = unsafe {
            self.ObCreateObject(mode, object_type, attributes, mode, null_mut(), size, 0, 0, &raw mut body)
        };
        if !status.is_success() {
            return status;
        }
        // SAFETY: a new body of that size, ours alone.
        unsafe { core::ptr::write_bytes(body.cast::<u8>(), 0, size as usize) };
        // SAFETY: a port from here on; the creation reference is ours until the insertion.
        let port = unsafe { self.alpc_port(body) };
        if !port_attributes.is_null() {
            // SAFETY: readable by the caller's promise.
            let asked = unsafe { port_attributes.read_unaligned() };
            port.field::<ALPC_PORT_ATTRIBUTES>("PortAttributes").set(asked);
        }
        self.AlpcpInitializePort(port);
        // SAFETY: created above and not inserted; the handle is the caller's.
        unsafe { self.ObInsertObject(body, PORT_ALL_ACCESS, 0, null_mut(), handle) }
    }

    /// Fills in a new port and puts it on the list of all ports.
    fn AlpcpInitializePort(&self, port: Port) {
        for queue in ["MainQueue", "LargeMessageQueue", "PendingQueue", "WaitQueue", "CanceledQueue"] {
            list::initialize(port.field::<LIST_ENTRY>(queue));
        }
        if port.layout.field("DirectQueue").is_some() {
            list::initialize(port.field::<LIST_ENTRY>("DirectQueue"));
        }
        list::initialize(port.field::<LIST_ENTRY>("ResourceListHead"));
        port.field::<PVOID>("OwnerProcess").set(self.current_process().cast());
        let event = field!(self.alpc(), Globals, dummy_event).ptr();
        port.field::<PVOID>("DummyEvent").set(event.cast());
        port.field::<u32>("State").set(port_state::INITIALIZED | port_state::CONNECTION_PORT);
        let node = port.field::<LIST_ENTRY>("PortListEntry");
        self.alpc_with_list(|| {
            self.ke_checked(list::insert_before(field!(self.alpc(), Globals, list_head), node), LIST);
        });
    }

    /// Delete procedure of ports: the attached callback object loses the port's reference.
    ///
    /// # Safety
    ///
    /// `body` is that of a port without references, whose memory is freed only afterwards.
    pub(crate) unsafe fn AlpcpDeletePort(&self, body: *mut c_void) {
        // SAFETY: the caller's promise.
        let port = unsafe { self.alpc_port(body) };
        let object = port.field::<PVOID>("CallbackObject").get();
        if !object.is_null() {
            // SAFETY: the reference was taken when the object was attached.
            unsafe { self.ObfDereferenceObject(object) };
        }
        let node = port.field::<LIST_ENTRY>("PortListEntry");
        self.alpc_with_list(|| self.ke_checked(list::remove(node), LIST));
    }

    fn alpc_with_list<R>(&self, action: impl FnOnce() -> R) -> R {
        let lock = field!(self.alpc(), Globals, list_lock).ptr();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_exclusive_guarded(lock) };
        let result = action();
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        result
    }

    /// Makes a port, in the mode the thread came from.
    ///
    /// # Safety
    ///
    /// As for [`Executive::alpc_create_port`].
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn NtAlpcCreatePort(
        &self,
        handle: *mut HANDLE,
        attributes: *const OBJECT_ATTRIBUTES,
        port_attributes: *const ALPC_PORT_ATTRIBUTES,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.alpc_create_port(handle, attributes, port_attributes, self.KeGetPreviousMode()) }
    }

    /// Makes a port in kernel mode.
    ///
    /// # Safety
    ///
    /// As for [`Executive::alpc_create_port`].
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn ZwAlpcCreatePort(
        &self,
        handle: *mut HANDLE,
        attributes: *const OBJECT_ATTRIBUTES,
        port_attributes: *const ALPC_PORT_ATTRIBUTES,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.alpc_create_port(handle, attributes, port_attributes, KernelMode) }
    }
}
