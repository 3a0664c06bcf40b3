//! Doors of other components to callback objects: image verification, early launch, session changes.
//!
//! The mechanism is the executive's; what it registers in the driver's name is told like any other registration.

use core::ffi::c_void;

use executive::Routine;
use executive::ex::SessionStateNotification;
use nt::{CALLBACK_REGISTRATION, NTSTATUS};

use super::callback::ExUnregisterCallback;
use crate::export::Address;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// Registers a routine that is told of verified or blocked images.
pub(crate) fn SeRegisterImageVerificationCallback(
    k: &Kernel,
    image_type: u32,
    callback_type: u32,
    routine: Address,
    context: Address,
    token: Address,
    handle: Guest<*mut CALLBACK_REGISTRATION>,
) -> NTSTATUS {
    // SAFETY: the output is checked guest memory; that the routine is one with the documented prototype is the driver's contract.
    unsafe {
        k.executive().SeRegisterImageVerificationCallback(
            image_type,
            callback_type,
            Routine(routine.0 as usize),
            context.ptr(),
            token.ptr(),
            handle.ptr(),
        )
    }
}

/// Unregisters it: the handle is a registration.
pub(crate) fn SeUnregisterImageVerificationCallback(k: &Kernel, handle: Address) {
    ExUnregisterCallback(k, handle);
}

/// Registers a routine that judges boot-start drivers.
pub(crate) fn IoRegisterBootDriverCallback(k: &Kernel, routine: Address, context: Address) -> Address {
    // SAFETY: that the routine is one with the documented prototype is the driver's contract.
    unsafe { k.executive().IoRegisterBootDriverCallback(Routine(routine.0 as usize), context.ptr()) }.into()
}

/// Unregisters it: the handle is a registration.
pub(crate) fn IoUnRegisterBootDriverCallback(k: &Kernel, handle: Address) {
    ExUnregisterCallback(k, handle);
}

/// Registers a routine for session changes.
pub(crate) fn IoRegisterContainerNotification(
    k: &Kernel,
    class: u32,
    routine: Address,
    information: Address,
    length: u32,
    registration: Guest<*mut c_void>,
) -> NTSTATUS {
    let bytes = size_of::<SessionStateNotification>() as u32;
    let information = if information.0 == 0 || length != bytes {
        core::ptr::null()
    } else {
        Guest::<[u8; size_of::<SessionStateNotification>()]>::new(k, information.0).ptr().cast_const()
    };
    // SAFETY: both places are null or checked guest memory; the routine is the driver's contract.
    unsafe {
        k.executive().IoRegisterContainerNotification(
            class,
            Routine(routine.0 as usize),
            information.cast(),
            length,
            registration.ptr(),
        )
    }
}

/// Unregisters it.
pub(crate) fn IoUnregisterContainerNotification(k: &Kernel, registration: Guest<[u8; 0x48]>) {
    // SAFETY: checked guest memory of a block's size; that it is one and still registered is the driver's contract.
    unsafe { k.executive().IoUnregisterContainerNotification(registration.ptr().cast()) }
}
