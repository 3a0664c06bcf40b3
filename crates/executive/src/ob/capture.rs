//! Capturing `OBJECT_ATTRIBUTES`: reading them once, in NT's order of checks.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

use nt::{
    HANDLE, KernelMode, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PagedPool,
    SECURITY_QUALITY_OF_SERVICE, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_INVALID, UNICODE_STRING, tag,
};

use super::units::Units;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::se::{Descriptor, read_descriptor, read_quality_of_service};

/// The one even length of a name that is refused: with its terminator it would not fit a `UNICODE_STRING`.
const LENGTH_TOO_LONG: u16 = 0xFFFE;

/// Copies UTF-16 units out of memory that anybody may be writing.
///
/// # Safety
///
/// `buffer` points to `bytes` readable bytes, or `bytes` is zero.
pub(crate) unsafe fn copy_units(buffer: *const u16, bytes: u16) -> Vec<u16> {
    let mut units = alloc::vec![0; usize::from(bytes / 2)];
    let target = units.as_mut_ptr().cast::<u8>();
    // SAFETY: inside the range the caller promised, and as long as the vector. Callers' buffers need not be aligned.
    unsafe { ptr::copy_nonoverlapping(buffer.cast::<u8>(), target, units.len() * 2) };
    units
}

/// Object attributes, read and checked.
pub(super) struct Captured {
    pub(super) attributes: u32,
    pub(super) root: HANDLE,
    /// The name; empty where there is none.
    pub(super) name: Units,
    pub(super) descriptor: Option<Descriptor>,
    pub(super) quality: Option<SECURITY_QUALITY_OF_SERVICE>,
}

impl Captured {
    /// What absent attributes mean.
    const NONE: Self =
        Self { attributes: 0, root: ptr::null_mut(), name: Units::EMPTY, descriptor: None, quality: None };
}

impl<P: Platform> Executive<P> {
    /// Reads object attributes. Null ones are all defaults.
    ///
    /// # Errors
    ///
    /// In this order: `STATUS_INVALID_PARAMETER` for the length or unknown attribute bits; what is wrong with the security descriptor; what is wrong
    /// with the quality of service; `STATUS_OBJECT_NAME_INVALID` for a root without name, an odd length, or `0xFFFE`.
    ///
    /// # Safety
    ///
    /// `attributes` is null or points to readable attributes whose pointers are readable.
    pub(super) unsafe fn capture(
        &self,
        attributes: *const OBJECT_ATTRIBUTES,
        mode: u8,
    ) -> Result<Captured, NTSTATUS> {
        if attributes.is_null() {
            return Ok(Captured::NONE);
        }
        // SAFETY: the caller promises readable attributes; any bytes are a value.
        let given = unsafe { attributes.read_unaligned() };
        if given.Length as usize != size_of::<OBJECT_ATTRIBUTES>()
            || given.Attributes & !self.profile().valid_attribute_mask.value != 0
        {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // Handles of the kernel are not for user mode to ask for.
        let attributes =
            if mode == KernelMode { given.Attributes } else { given.Attributes & !OBJ_KERNEL_HANDLE };
        let descriptor = (!given.SecurityDescriptor.is_null()).then(|| {
            // SAFETY: the caller promises that what the attributes point to is readable.
            unsafe { read_descriptor(given.SecurityDescriptor) }
        });
        let descriptor = descriptor.transpose()?;
        let quality = (!given.SecurityQualityOfService.is_null()).then(|| {
            // SAFETY: as for the descriptor.
            unsafe { read_quality_of_service(given.SecurityQualityOfService) }
        });
        let quality = quality.transpose()?;
        if given.ObjectName.is_null() {
            if !given.RootDirectory.is_null() {
                return Err(STATUS_OBJECT_NAME_INVALID);
            }
            return Ok(Captured { attributes, descriptor, quality, ..Captured::NONE });
        }
        // SAFETY: as for the descriptor.
        let name = unsafe { self.capture_name(given.ObjectName) }?;
        Ok(Captured { attributes, root: given.RootDirectory, name, descriptor, quality })
    }

    /// Reads a name.
    ///
    /// # Errors
    ///
    /// `STATUS_OBJECT_NAME_INVALID` for an odd length or `0xFFFE`.
    ///
    /// # Safety
    ///
    /// `name` points to a readable string and that to readable units.
    pub(super) unsafe fn capture_name(&self, name: *const UNICODE_STRING) -> Result<Units, NTSTATUS> {
        // SAFETY: the caller's promise.
        let name = unsafe { name.read_unaligned() };
        if name.Length % 2 != 0 || name.Length == LENGTH_TOO_LONG {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { Units::copy(name.Buffer, name.Length) })
    }

    /// Copies a name into a pool block of its own, `Length == MaximumLength`. `None` for an empty one, which is no name.
    pub(super) fn name_to_pool(&self, name: &[u16]) -> Result<Option<UNICODE_STRING>, NTSTATUS> {
        if name.is_empty() {
            return Ok(None);
        }
        let bytes = size_of_val(name);
        let length = u16::try_from(bytes).map_err(|_| STATUS_OBJECT_NAME_INVALID)?;
        let buffer: *mut u16 = self.ExAllocatePoolWithTag(PagedPool, bytes, tag::OBJECT_NAME).cast();
        if buffer.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the block is new, ours alone and as long as the name.
        unsafe { ptr::copy_nonoverlapping(name.as_ptr(), buffer, name.len()) };
        Ok(Some(UNICODE_STRING { Length: length, MaximumLength: length, Buffer: buffer }))
    }

    /// Frees the buffer of a name that [`Executive::name_to_pool`] made.
    pub(super) fn free_name(&self, name: &UNICODE_STRING) {
        if !name.Buffer.is_null() {
            // SAFETY: whoever had the name gives it up.
            unsafe { self.ExFreePoolWithTag(name.Buffer.cast::<c_void>(), tag::OBJECT_NAME) };
        }
    }
}
