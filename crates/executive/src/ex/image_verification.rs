//! `SeRegisterImageVerificationCallback`: the documented door to `\Callback\SeImageVerificationDriverInfo` and its younger
//! sibling for blocked images, and what rings them.
//!
//! The objects are built-in and reached by their variables, without an open. Source: decompilations of several kernel
//! generations. That the hook restores the information before each routine is inferred from its arguments.

use core::ffi::c_void;

use nt::{
    CALLBACK_OBJECT, CALLBACK_REGISTRATION, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER_1, STATUS_INVALID_PARAMETER_2, STATUS_INVALID_PARAMETER_5, STATUS_NO_MEMORY,
    STATUS_SUCCESS,
};

use super::Processing;
use crate::executive::Executive;
use crate::platform::{Platform, Routine};

/// `SeImageTypeDriver`.
const DRIVER: u32 = 1;
/// Type of the images that were blocked; has no public name.
const BLOCKED: u32 = 4;
/// Pool tag of the worker's blocks.
const TAG: u32 = u32::from_le_bytes(*b"CIsc");

/// An image that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedImage {
    /// A driver that may run.
    Driver,
    /// An image that code integrity kept from running. Newer versions tell of it.
    Blocked,
}

impl VerifiedImage {
    const fn image_type(self) -> u32 {
        match self {
            Self::Driver => DRIVER,
            Self::Blocked => BLOCKED,
        }
    }

    const fn builtin(self) -> &'static str {
        match self {
            Self::Driver => "SeImageVerificationDriverInfo",
            Self::Blocked => "SeImageVerificationBlockInfo",
        }
    }
}

impl<P: Platform> Executive<P> {
    fn se_image_object(&self, image: VerifiedImage) -> *mut CALLBACK_OBJECT {
        self.builtin(image.builtin())
    }

    /// Registers a routine that is told of verified drivers (image type 1, callback type 0) or of blocked images (4, 1).
    ///
    /// # Errors
    ///
    /// `STATUS_INVALID_PARAMETER_1` for another image type or one that this version does not have,
    /// `STATUS_INVALID_PARAMETER_2` for a callback type that is not the image type's, `STATUS_INVALID_PARAMETER_5` for a token,
    /// `STATUS_NO_MEMORY` where the registration fails.
    ///
    /// # Safety
    ///
    /// `function` has the contract of an image verification routine until it is unregistered; `handle` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn SeRegisterImageVerificationCallback(
        &self,
        image_type: u32,
        callback_type: u32,
        function: Routine,
        context: *mut c_void,
        token: *mut c_void,
        handle: *mut *mut CALLBACK_REGISTRATION,
    ) -> NTSTATUS {
        let (image, its_callback_type) = match image_type {
            DRIVER => (VerifiedImage::Driver, 0),
            BLOCKED => (VerifiedImage::Blocked, 1),
            _ => return STATUS_INVALID_PARAMETER_1,
        };
        let object = self.se_image_object(image);
        if object.is_null() {
            return STATUS_INVALID_PARAMETER_1;
        }
        if callback_type != its_callback_type {
            return STATUS_INVALID_PARAMETER_2;
        }
        if !token.is_null() {
            return STATUS_INVALID_PARAMETER_5;
        }
        // SAFETY: a built-in object; the routine is the caller's promise.
        let registration = unsafe { self.ExRegisterCallback(object, function, context) };
        if registration.is_null() {
            return STATUS_NO_MEMORY;
        }
        // SAFETY: writable by the caller's promise.
        unsafe { handle.write_unaligned(registration) };
        STATUS_SUCCESS
    }

    /// Unregisters such a routine.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExUnregisterCallback`].
    pub unsafe fn SeUnregisterImageVerificationCallback(&self, handle: *mut CALLBACK_REGISTRATION) {
        // SAFETY: the caller's promise.
        unsafe { self.ExUnregisterCallback(handle) };
    }

    /// Tells of a verified image, as the worker that code integrity queues does (`SepImageVerificationCallbackWorker`):
    /// the type of the image first, then the information, which each routine finds as it was.
    ///
    /// # Errors
    ///
    /// `STATUS_INSUFFICIENT_RESOURCES` where there is no memory for the worker; nobody is told then.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn tell_of_verified_image(&self, image: VerifiedImage, information: &[u8]) -> Result<(), NTSTATUS> {
        let object = self.se_image_object(image);
        if object.is_null() {
            return Ok(());
        }
        let whole = self.se_copy(information).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let Some(shown) = self.se_copy(information) else {
            // SAFETY: allocated above.
            unsafe { self.ExFreePoolWithTag(whole, TAG) };
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        };
        let processing = Processing {
            pre: Some(restore as super::Hook<P>),
            post: None,
            extra1: whole,
            extra2: core::ptr::without_provenance_mut(information.len()),
        };
        let image_type = core::ptr::without_provenance_mut(image.image_type() as usize);
        // SAFETY: a built-in object; its routines expect a type and the information.
        unsafe { self.ExNotifyWithProcessing(object, image_type, shown, Some(&processing)) };
        for block in [whole, shown] {
            // SAFETY: allocated above, and the routines have returned.
            unsafe { self.ExFreePoolWithTag(block, TAG) };
        }
        Ok(())
    }

    fn se_copy(&self, bytes: &[u8]) -> Option<*mut c_void> {
        let block = self.ExAllocatePoolWithTag(nt::PagedPool, bytes.len().max(1), TAG);
        if block.is_null() {
            return None;
        }
        // SAFETY: the block is that large, and new.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), block.cast(), bytes.len()) };
        Some(block)
    }
}

/// `SepImageVerificationCallbackPreProcess`.
fn restore<P: Platform>(_: &Executive<P>, [_, _, shown, whole, bytes]: [*mut c_void; 5]) {
    // SAFETY: two blocks of that size, which the worker passes.
    unsafe { core::ptr::copy_nonoverlapping(whole.cast::<u8>(), shown.cast::<u8>(), bytes.addr()) };
}
