//! What the kernel does with callback objects after the built-in ones exist: the objects its later boot phases
//! create, and its own listeners.
//!
//! The catalog of the crate `nt` says which objects, in which order, with which attributes, and who listens: the
//! license object, three unnamed ones behind ALPC ports (`PoInitSystem`), session notifications, plug and play. There
//! is no ALPC here: the unnamed objects are rung by whoever plays the port. Of an object that the catalog does not
//! know for a version there is none on that version.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use nt::catalog::{self, BOOT_ATTEMPTS, Entry, Gathered};
use nt::{CALLBACK_OBJECT, Irql, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES};

use super::initialize::{Name, attributes};
use super::routines::KernelRoutine;
use super::{BUILTINS, Globals};
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::field;
use crate::symbols::KernelSymbol;

/// Most objects that the kernel creates later.
pub(super) const KERNEL_OBJECTS: usize = 8;

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
            let mut name = Name::new(row.name.unwrap_or_default());
            let mut view = name.view();
            let name = if row.name.is_some() { &raw mut view } else { null_mut() };
            let attributes = attributes(name, row.attributes);
            let variable = field!(self.ex(), Globals, kernel).element(index);
            // SAFETY: variable, attributes and name live across the call.
            let status = unsafe {
                self.ExCreateCallback(variable.ptr(), &raw const attributes, 1, row.multiple.into())
            };
            if !status.is_success() {
                return Err(status);
            }
            self.ex_register_listeners(variable.get(), entry)?;
        }
        for name in self.profile().builtin_names.value.iter().take(BUILTINS) {
            if let Some(entry) = catalog::find(name) {
                self.ex_register_listeners(self.builtin(name), entry)?;
            }
        }
        Ok(())
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
        match creations().take(KERNEL_OBJECTS).position(|(_, entry)| entry.key == key) {
            Some(index) => field!(self.ex(), Globals, kernel).element(index).get(),
            None => null_mut(),
        }
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
