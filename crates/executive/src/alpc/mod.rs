//! Advanced local procedure call: ports, as far as they ring callback objects.
//!
//! A kernel component that wants to be called when a message arrives makes a port, an unnamed callback object with its routine,
//! and joins the two by `NtAlpcSetInformation` with class 9. `\PowerPort`, `\PowerMonitorPort` and `\SleepstudyControlPort`
//! work that way. Sources: the public symbols for the four generations of `_ALPC_PORT`, decompilations of several kernel
//! generations for `AlpcpInitSystem`, `NtAlpcSetInformation`, `AlpcpDeletePort` and the end of `AlpcpCompleteDispatchMessage`.
//!
//! Deliberately different: there are no connections, messages and queues. A message is what
//! [`Executive::AlpcpCompleteDispatchMessage`] is called with, and nothing of it stays in the port. `OwnerProcess` is no counted
//! reference, a port can be opened by its name, and the type comes to be with the first port and not at a fixed place of the
//! boot, so its index is the next free one.

mod message;
mod port;

use core::ptr::null_mut;

use nt::{
    EX_PUSH_LOCK, GENERIC_MAPPING, HANDLE, KEVENT, LIST_ENTRY, NTSTATUS, OBJ_OPENIF, OBJECT_TYPE,
    PORT_ALL_ACCESS, PORT_CONNECT, type_flags,
};

use crate::ex::{KERNEL_OBJECTS, KernelRoutine};
use crate::executive::{self, Executive};
use crate::ke::list;
use crate::ob::{INDIRECT, Procedures};
use crate::platform::Platform;
use crate::raw::{Live, field};
use crate::symbols::KernelSymbol;

/// Global variables of `alpc`. All zero until the first port.
#[repr(C)]
pub(crate) struct Globals {
    /// Held while the type comes to be.
    init_lock: EX_PUSH_LOCK,
    /// `AlpcPortObjectType`.
    object_type: *mut OBJECT_TYPE,
    /// `AlpcpPortListLock`.
    list_lock: EX_PUSH_LOCK,
    /// `AlpcpPortList`.
    list_head: LIST_ENTRY,
    /// `AlpcpDummyEvent`: always signaled, what a wait on a port waits for.
    dummy_event: KEVENT,
    /// Handles of the kernel's own ports, in the order of its objects.
    pub(crate) kernel_ports: [HANDLE; KERNEL_OBJECTS],
}

/// `AlpcpPortMapping`. Its values were not read off a kernel; they are those of the older `LpcpPortMapping`.
const MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: nt::READ_CONTROL | PORT_CONNECT,
    GenericWrite: nt::DELETE | PORT_CONNECT,
    GenericExecute: 0,
    GenericAll: PORT_ALL_ACCESS,
};

/// Nonpaged pool that a port is charged beside its body.
const EXTRA_CHARGE: u32 = 0x20;

impl<P: Platform> Executive<P> {
    pub(crate) fn alpc(&self) -> Live<Globals> {
        field!(self.live_globals(), executive::Globals, alpc)
    }

    /// Returns the value of `nt!AlpcPortObjectType`: null before the first port.
    pub fn AlpcPortObjectType(&self) -> *mut OBJECT_TYPE {
        field!(self.alpc(), Globals, object_type).atomic_ptr().load(core::sync::atomic::Ordering::Acquire)
    }

    /// Returns the type of ports, which the first call makes (`AlpcpInitSystem`).
    fn alpc_type(&self) -> Result<*mut OBJECT_TYPE, NTSTATUS> {
        let known = self.AlpcPortObjectType();
        if !known.is_null() {
            return Ok(known);
        }
        let lock = field!(self.alpc(), Globals, init_lock).ptr();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_exclusive_guarded(lock) };
        let made = match self.AlpcPortObjectType() {
            known if known.is_null() => self.AlpcpInitSystem(),
            known => Ok(known),
        };
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        made
    }

    /// Makes the type `ALPC Port`, the list of ports and the event. The caller holds the lock for it.
    fn AlpcpInitSystem(&self) -> Result<*mut OBJECT_TYPE, NTSTATUS> {
        let alpc = self.alpc();
        list::initialize(field!(alpc, Globals, list_head));
        // SAFETY: the event lies in the globals and nobody waits for it yet.
        unsafe {
            self.KeInitializeEvent(field!(alpc, Globals, dummy_event).ptr(), nt::NotificationEvent, true)
        };
        let layout = self.profile().alpc_port_layout();
        let mut initializer = self.type_initializer();
        initializer.ObjectTypeFlags = type_flags::MAINTAIN_HANDLE_COUNT;
        initializer.InvalidAttributes = OBJ_OPENIF;
        initializer.GenericMapping = MAPPING;
        initializer.ValidAccessMask = PORT_ALL_ACCESS;
        initializer.PoolType = self.profile().nonpaged_kind.value.pool_type();
        initializer.DefaultNonPagedPoolCharge = layout.size as u32 + EXTRA_CHARGE;
        let delete = self.kernel_routine(KernelRoutine::AlpcpDeletePort);
        initializer.DeleteProcedure = core::ptr::without_provenance_mut(delete);
        let procedures = Procedures { delete: Some(Self::AlpcpDeletePort), ..Procedures::NONE };
        let object_type = self.ObCreateObjectType("ALPC Port", &initializer, procedures)?;
        let event = port::offset(layout, "DummyEvent");
        // SAFETY: the type was made just now; every port has a pointer to a dispatcher object there.
        let live = unsafe { Live::<OBJECT_TYPE>::new(object_type.as_ptr()) };
        field!(live, OBJECT_TYPE, DefaultObject).set(core::ptr::without_provenance_mut(event | INDIRECT));
        field!(alpc, Globals, object_type)
            .atomic_ptr()
            .store(object_type.as_ptr(), core::sync::atomic::Ordering::Release);
        Ok(object_type.as_ptr())
    }

    /// Names the variables of `alpc`.
    pub(crate) fn alpc_symbols(&self) -> [KernelSymbol; 3] {
        let alpc = self.alpc();
        [
            KernelSymbol::at("AlpcPortObjectType", field!(alpc, Globals, object_type).ptr()),
            KernelSymbol::at("AlpcpPortListLock", field!(alpc, Globals, list_lock).ptr()),
            KernelSymbol::at("AlpcpPortList", field!(alpc, Globals, list_head).ptr()),
        ]
    }

    /// Returns the handle of the kernel's own port behind a callback object of the catalog (`PowerPort`); null where
    /// there is none.
    pub fn kernel_port(&self, key: &str) -> HANDLE {
        match self.kernel_object_index(key) {
            Some(index) => field!(self.alpc(), Globals, kernel_ports).element(index).get(),
            None => null_mut(),
        }
    }
}
