//! Callback objects: the four routines that all of this is about.
//!
//! The mechanism is the executive's, byte for byte; it also judges the IRQL and emits the events.

use core::ffi::c_void;

use executive::Routine;
use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, NTSTATUS, OBJECT_ATTRIBUTES};
use record::What;

use crate::export::Address;
use crate::guest::Guest;
use crate::kernel::Kernel;
use crate::ob::handle::attributes;

/// Opens or creates a callback object.
pub(crate) fn ExCreateCallback(
    k: &Kernel,
    object: Guest<*mut CALLBACK_OBJECT>,
    given: Guest<OBJECT_ATTRIBUTES>,
    create: u8,
    multiple: u8,
) -> NTSTATUS {
    // SAFETY: the output and the attributes with their name are checked guest memory.
    unsafe { k.executive().ExCreateCallback(object.ptr(), attributes(k, Some(given)), create, multiple) }
}

/// Registers a routine.
pub(crate) fn ExRegisterCallback(
    k: &Kernel,
    object: Guest<CALLBACK_OBJECT>,
    routine: Address,
    context: Address,
) -> Address {
    k.host().emit(What::RegisterAttempt { object: object.address(), routine: routine.0 });
    // SAFETY: the object is checked guest memory; that it is a callback object the driver holds is its contract.
    unsafe { k.executive().ExRegisterCallback(object.ptr(), Routine(routine.0 as usize), context.ptr()) }
        .into()
}

/// Unregisters a routine, waiting until it does not run any more.
///
/// The attempt is told before the address is looked at: what a driver passes here may be anything.
pub(crate) fn ExUnregisterCallback(k: &Kernel, registration: Address) {
    k.host().emit(What::UnregisterAttempt { registration: registration.0 });
    let registration = Guest::<CALLBACK_REGISTRATION>::new(k, registration.0);
    // SAFETY: the registration is checked guest memory; that it is one and still registered is the driver's contract.
    unsafe { k.executive().ExUnregisterCallback(registration.ptr()) }
}

/// Calls every registered routine. A null object is allowed.
pub(crate) fn ExNotifyCallback(
    k: &Kernel,
    object: Option<Guest<CALLBACK_OBJECT>>,
    argument1: Address,
    argument2: Address,
) {
    let object = object.map_or(core::ptr::null_mut(), Guest::ptr);
    // SAFETY: null or checked guest memory; that it is a callback object the driver holds is its contract.
    unsafe { k.executive().ExNotifyCallback(object, argument1.ptr::<c_void>(), argument2.ptr()) }
}

/// Registers a routine that is told of processors, and tells it of those that are there already where asked.
pub(crate) fn KeRegisterProcessorChangeCallback(
    k: &Kernel,
    routine: Address,
    context: Address,
    flags: u32,
) -> Address {
    // SAFETY: that the routine is one with the documented prototype is the driver's contract.
    unsafe {
        k.executive().KeRegisterProcessorChangeCallback(Routine(routine.0 as usize), context.ptr(), flags)
    }
    .into()
}

/// Unregisters it: what registering gave is a registration at `\\Callback\\ProcessorAdd`.
pub(crate) fn KeDeregisterProcessorChangeCallback(k: &Kernel, registration: Address) {
    ExUnregisterCallback(k, registration);
}
