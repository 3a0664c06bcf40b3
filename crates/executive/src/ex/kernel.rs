//! What the kernel does with callback objects after the built-in ones exist: the objects its later boot phases
//! create, and its own listeners.
//!
//! The catalog of the crate `nt` says which objects, in which order, with which attributes, and who listens: the
//! license object, three unnamed ones behind ALPC ports (`PoInitSystem`), session notifications, plug and play. Of an
//! object that the catalog does not know for a version there is none on that version.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

use nt::catalog::{self, BOOT_ATTEMPTS, Entry, Gathered, Name as EntryName};
use nt::{
    ALPC_REGISTER_CALLBACK, AlpcRegisterCallbackInformation, CALLBACK_OBJECT, HANDLE, Irql, NTSTATUS,
    OBJ_KERNEL_HANDLE, STATUS_INSUFFICIENT_RESOURCES,
};

use super::initialize::{Name, attributes};
use super::routines::KernelRoutine;
use super::{BUILTINS, Globals};
use crate::alpc;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};
use crate::symbols::KernelSymbol;

/// Most objects that the kernel creates later.
pub(crate) const KERNEL_OBJECTS: usize = 8;

/// The later creations of a boot: the recorded call and the catalog's entry of the object.
fn creations() -> impl Iterator<Item = (&'static catalog::Attempt, &'static Entry)> {
    let by_creator = |who: &str| {
        catalog::entries().find(|entry| {
            entry.gathered == Gathered::Unnamed && entry.creator.is_some_and(|creator| creator.who == who)
        })
    };
    BOOT_ATTEMPTS.iter().filter(|row| row.is_kernel_creation()).filter_map(move |row| {
        let entry = match row.name {
            Some(name) => catalog::find(name),
            None => by_creator(row.caller.name()),
        };
        Some((row, entry?))
    })
}

impl<P: Platform> Executive<P> {
    /// Plays the kernel's boot phases after `ExpInitializeCallbacks`: creates the later objects and registers the
    /// kernel's own listeners.
    ///
    /// # Errors
    ///
    /// Returns the status of the first creation that fails, or `STATUS_INSUFFICIENT_RESOURCES` where a registration
    /// is refused.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn boot_kernel(&self) -> Result<(), NTSTATUS> {
        for (index, (row, entry)) in creations().take(KERNEL_OBJECTS).enumerate() {
            if entry.exists_in(self.profile()) != Some(true) {
                continue;
            }
            match entry.name {
                EntryName::Unnamed { port } => self.ex_create_behind_port(index, row, entry, port)?,
                _ => self.ex_create_later(index, row, entry)?,
            }
        }
        for name in self.profile().builtin_names.value.iter().take(BUILTINS) {
            if let Some(entry) = catalog::find(name) {
                self.ex_register_listeners(self.builtin(name), entry)?;
            }
        }
        Ok(())
    }

    /// Creates an object that the kernel keeps in a variable, with its listeners.
    fn ex_create_later(&self, index: usize, row: &catalog::Attempt, entry: &Entry) -> Result<(), NTSTATUS> {
        let mut name = Name::new(row.name.unwrap_or_default());
        let mut view = name.view();
        let name = if row.name.is_some() { &raw mut view } else { null_mut() };
        let attributes = attributes(name, row.attributes);
        let variable = field!(self.ex(), Globals, kernel).element(index);
        // SAFETY: variable, attributes and name live across the call.
        let status =
            unsafe { self.ExCreateCallback(variable.ptr(), &raw const attributes, 1, row.multiple.into()) };
        if !status.is_success() {
            return Err(status);
        }
        self.ex_register_listeners(variable.get(), entry)
    }

    /// Creates a port and the object that its messages ring, as `PopUmpoInitializeChannel`, its sibling for the monitor and
    /// `SshpAlpcInitialize` do: port, object, registration, and the two joined. The creator gives its reference back; the
    /// port has one. Its own descriptor for the port is left out.
    fn ex_create_behind_port(
        &self,
        index: usize,
        row: &catalog::Attempt,
        entry: &Entry,
        port: &str,
    ) -> Result<(), NTSTATUS> {
        let mut name = Name::new(port);
        let mut view = name.view();
        let named = attributes(&raw mut view, OBJ_KERNEL_HANDLE);
        let kept = field!(self.alpc(), alpc::Globals, kernel_ports).element(index);
        let mut handle = null_mut();
        // SAFETY: handle, attributes and name live across the call.
        let status = unsafe { self.ZwAlpcCreatePort(&raw mut handle, &raw const named, null()) };
        if !status.is_success() {
            return Err(status);
        }
        let joined = self.ex_join_port(handle, row, entry);
        match joined {
            Ok(object) => {
                field!(self.ex(), Globals, kernel).element(index).set(object);
                kept.set(handle);
                Ok(())
            }
            Err(status) => {
                self.ZwClose(handle);
                Err(status)
            }
        }
    }

    /// Creates the object behind a port and joins the two. On failure nothing is left of it.
    fn ex_join_port(
        &self,
        handle: HANDLE,
        row: &catalog::Attempt,
        entry: &Entry,
    ) -> Result<*mut CALLBACK_OBJECT, NTSTATUS> {
        let attributes = attributes(null_mut(), row.attributes);
        let mut object: *mut CALLBACK_OBJECT = null_mut();
        // SAFETY: output and attributes live across the call.
        let status =
            unsafe { self.ExCreateCallback(&raw mut object, &raw const attributes, 1, row.multiple.into()) };
        if !status.is_success() {
            return Err(status);
        }
        // The monitor's routine is given the port, the others nothing.
        let context = if entry.key == "PowerMonitorPort" { handle } else { null_mut() };
        let joined = self.ex_register_listeners(object, entry).and_then(|()| {
            let wanted = ALPC_REGISTER_CALLBACK { CallbackObject: object.cast(), CallbackContext: context };
            // SAFETY: the argument lives across the call, and the object has a reference.
            let status = unsafe {
                self.ZwAlpcSetInformation(
                    handle,
                    AlpcRegisterCallbackInformation,
                    (&raw const wanted).cast(),
                    size_of::<ALPC_REGISTER_CALLBACK>() as u32,
                )
            };
            if status.is_success() { Ok(object) } else { Err(status) }
        });
        if joined.is_err() {
            self.ex_unregister_all(object);
        }
        // SAFETY: gives back the reference of the creation.
        unsafe { self.ObfDereferenceObject(object.cast()) };
        joined
    }

    /// Unregisters whoever listens on an object that nobody else knows.
    fn ex_unregister_all(&self, object: *mut CALLBACK_OBJECT) {
        // SAFETY: a live object of ours.
        let head = field!(unsafe { Live::new(object) }, CALLBACK_OBJECT, RegisteredCallbacks);
        while let Some(first) = self.ke_checked(list::next(head, head), super::registration::LIST) {
            // SAFETY: only registrations are on this list, and nobody else knows this one.
            unsafe { self.ExUnregisterCallback(first.ptr().cast()) };
        }
    }

    /// Registers the listeners that an ordinary boot has on an object, without context. The routine for new
    /// processors comes through the documented door, the others have the object's address.
    fn ex_register_listeners(&self, object: *mut CALLBACK_OBJECT, entry: &Entry) -> Result<(), NTSTATUS> {
        for listener in entry.boot_listeners() {
            let Some(kernel) = KernelRoutine::by_name(listener.routine) else { continue };
            let routine = Routine(self.kernel_routine(kernel));
            let registration = if kernel == KernelRoutine::PopNewProcessorCallback {
                // SAFETY: a kernel routine is only recorded.
                unsafe { self.KeRegisterProcessorChangeCallback(routine, null_mut(), 0) }
            } else {
                // SAFETY: an object of the kernel; the routine is only recorded.
                unsafe { self.ExRegisterCallback(object, routine, null_mut()) }
            };
            if registration.is_null() {
                return Err(STATUS_INSUFFICIENT_RESOURCES);
            }
        }
        Ok(())
    }

    /// Returns an object that [`Executive::boot_kernel`] created by the catalog's key (`LicensingData`,
    /// `PowerPort`); null where there is none.
    pub fn kernel_object(&self, key: &str) -> *mut CALLBACK_OBJECT {
        match self.kernel_object_index(key) {
            Some(index) => field!(self.ex(), Globals, kernel).element(index).get(),
            None => null_mut(),
        }
    }

    /// Returns the place of an object among those that the kernel creates later.
    pub(crate) fn kernel_object_index(&self, key: &str) -> Option<usize> {
        creations().take(KERNEL_OBJECTS).position(|(_, entry)| entry.key == key)
    }

    /// Names the variables of the later objects, where the catalog knows the name.
    pub(super) fn ex_kernel_symbols(&self) -> Vec<KernelSymbol> {
        let variables = creations().take(KERNEL_OBJECTS).enumerate();
        variables
            .filter_map(|(index, (_, entry))| {
                let name = entry.variable?;
                let variable = field!(self.ex(), Globals, kernel).element(index).ptr();
                Some(KernelSymbol::at(name.strip_prefix("nt!").unwrap_or(name), variable))
            })
            .collect()
    }

    /// Says that win32 callouts exist from now on; time changes ring `SetSystemTime` only then.
    pub fn establish_win32_callouts(&self) {
        field!(self.ex(), Globals, win32_callouts).set(1);
    }

    /// Rings `SetSystemTime` as `NtSetSystemTime` does, at `DISPATCH_LEVEL` and without arguments. Nothing happens
    /// before win32 callouts exist.
    pub fn PoNotifySystemTimeSet(&self) {
        if field!(self.ex(), Globals, win32_callouts).get() == 0 {
            return;
        }
        let object = self.builtin("SetSystemTime");
        let old = self.KeRaiseIrql(Irql::DISPATCH);
        // SAFETY: a built-in object, or null; its routines expect two null arguments.
        unsafe { self.ExNotifyWithProcessing(object, null_mut(), null_mut::<c_void>(), None) };
        self.KeLowerIrql(old);
    }
}
