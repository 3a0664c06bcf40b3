//! Objects by handle, by name and by pointer.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{NTSTATUS, OBJECT_ATTRIBUTES, OBJECT_HANDLE_INFORMATION, OBJECT_NAME_INFORMATION, UNICODE_STRING};

use super::reference::{Object, referenced};
use crate::export::Address;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// Marks a handle of the kernel's table.
const KERNEL_HANDLE: u64 = 0xFFFF_FFFF_8000_0000;

fn deliver(k: &Kernel, status: NTSTATUS, found: *mut c_void, object: Guest<u64>) -> NTSTATUS {
    object.write(found.expose_provenance() as u64);
    if status.is_success() {
        referenced(k, found);
    }
    status
}

/// Takes a reference on the object of a handle.
pub(crate) fn ObReferenceObjectByHandle(
    k: &Kernel,
    handle: Address,
    access: u32,
    object_type: Address,
    mode: u8,
    object: Guest<u64>,
    information: Option<Guest<OBJECT_HANDLE_INFORMATION>>,
) -> NTSTATUS {
    let mut found: *mut c_void = null_mut();
    let information = information.map_or(null_mut(), Guest::ptr);
    // SAFETY: that the type is null or a type is the driver's contract; `found` is a local, the information is checked or null.
    let status = unsafe {
        k.executive().ObReferenceObjectByHandle(
            handle.ptr(),
            access,
            object_type.ptr(),
            mode,
            &raw mut found,
            information,
        )
    };
    deliver(k, status, found, object)
}

/// Takes a tagged reference on the object of a handle.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ObReferenceObjectByHandleWithTag(
    k: &Kernel,
    handle: Address,
    access: u32,
    object_type: Address,
    mode: u8,
    _tag: u32,
    object: Guest<u64>,
    information: Option<Guest<OBJECT_HANDLE_INFORMATION>>,
) -> NTSTATUS {
    ObReferenceObjectByHandle(k, handle, access, object_type, mode, object, information)
}

/// Takes a reference on the object of a name.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ObReferenceObjectByName(
    k: &Kernel,
    name: Guest<UNICODE_STRING>,
    attributes: u32,
    _access_state: Address,
    access: u32,
    object_type: Address,
    mode: u8,
    context: Address,
    object: Guest<u64>,
) -> NTSTATUS {
    let mut found: *mut c_void = null_mut();
    // SAFETY: the name is checked, and its buffer by the executive's own copy being the driver's contract; so is the type; `found`
    // is a local.
    let status = unsafe {
        k.executive().ObReferenceObjectByName(
            checked(k, name).ptr(),
            attributes,
            access,
            object_type.ptr(),
            mode,
            context.ptr(),
            &raw mut found,
        )
    };
    if status.is_success() { deliver(k, status, found, object) } else { status }
}

/// Checks the buffer of a name as well.
pub(super) fn checked(k: &Kernel, name: Guest<UNICODE_STRING>) -> Guest<UNICODE_STRING> {
    let UNICODE_STRING { Length, Buffer, .. } = name.read();
    GuestSlice::<u8>::new(k, Buffer as u64, usize::from(Length));
    name
}

/// Checks the name of attributes as well.
pub(crate) fn attributes(
    k: &Kernel,
    attributes: Option<Guest<OBJECT_ATTRIBUTES>>,
) -> *const OBJECT_ATTRIBUTES {
    let Some(attributes) = attributes else { return core::ptr::null() };
    let name = crate::field!(attributes, OBJECT_ATTRIBUTES, ObjectName).read() as u64;
    if let Some(name) = Guest::optional(k, name) {
        checked(k, name);
    }
    attributes.ptr()
}

/// Opens an object by name.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ObOpenObjectByName(
    k: &Kernel,
    given: Guest<OBJECT_ATTRIBUTES>,
    object_type: Address,
    mode: u8,
    _access_state: Address,
    access: u32,
    context: Address,
    handle: Guest<*mut c_void>,
) -> NTSTATUS {
    // SAFETY: attributes and their name are checked; that the type is null or a type is the driver's contract.
    unsafe {
        k.executive().ObOpenObjectByName(
            attributes(k, Some(given)),
            object_type.ptr(),
            mode,
            access,
            context.ptr(),
            handle.ptr(),
        )
    }
}

/// Opens a handle to an object.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ObOpenObjectByPointer(
    k: &Kernel,
    object: Object,
    handle_attributes: u32,
    _access_state: Address,
    access: u32,
    object_type: Address,
    mode: u8,
    handle: Guest<*mut c_void>,
) -> NTSTATUS {
    // SAFETY: that somebody has a reference, and that the type is null or a type, is the driver's contract.
    unsafe {
        k.executive().ObOpenObjectByPointer(
            object.ptr(),
            handle_attributes,
            access,
            object_type.ptr(),
            mode,
            handle.ptr(),
        )
    }
}

/// Opens a handle to an object; the reference it holds is tagged.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ObOpenObjectByPointerWithTag(
    k: &Kernel,
    object: Object,
    handle_attributes: u32,
    access_state: Address,
    access: u32,
    object_type: Address,
    mode: u8,
    _tag: u32,
    handle: Guest<*mut c_void>,
) -> NTSTATUS {
    ObOpenObjectByPointer(k, object, handle_attributes, access_state, access, object_type, mode, handle)
}

/// Closes a handle.
pub(crate) fn ObCloseHandle(k: &Kernel, handle: Address, mode: u8) -> NTSTATUS {
    k.executive().ObCloseHandle(handle.ptr(), mode)
}

/// Tells whether a handle is one of the kernel's table; the two pseudo-handles are not.
pub(crate) fn ObIsKernelHandle(_: &Kernel, handle: Address) -> u8 {
    u8::from(handle.0 & KERNEL_HANDLE == KERNEL_HANDLE && handle.0 < u64::MAX - 1)
}

/// Writes the full name of an object.
pub(crate) fn ObQueryNameString(
    k: &Kernel,
    object: Object,
    information: Address,
    length: u32,
    needed: Guest<u32>,
) -> NTSTATUS {
    if information != Address::NULL {
        GuestSlice::<u8>::new(k, information.0, length as usize);
    }
    let information = information.ptr::<OBJECT_NAME_INFORMATION>();
    // SAFETY: that somebody has a reference is the driver's contract; the buffer is checked over its whole length, or null.
    unsafe { k.executive().ObQueryNameString(object.ptr(), information, length, needed.ptr()) }
}
