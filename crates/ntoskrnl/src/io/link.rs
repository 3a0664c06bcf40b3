//! Symbolic links between a device's name and the name that user mode sees.

use core::ptr::null_mut;

use nt::{
    DELETE, HANDLE, KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_PERMANENT,
    OBJECT_ATTRIBUTES, SYMBOLIC_LINK_ALL_ACCESS, UNICODE_STRING,
};

use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

fn named(k: &Kernel, name: Guest<UNICODE_STRING>, more: u32) -> OBJECT_ATTRIBUTES {
    let UNICODE_STRING { Length, Buffer, .. } = name.read();
    GuestSlice::<u8>::new(k, Buffer as u64, usize::from(Length));
    OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: name.ptr(),
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE | more,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    }
}

/// Makes a link that stays until it is deleted. `IoCreateUnprotectedSymbolicLink`, which lets everybody delete it, makes
/// the same link: access to it is never asked for in the name of a user.
pub(crate) fn IoCreateSymbolicLink(
    k: &Kernel,
    link: Guest<UNICODE_STRING>,
    target: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    let given = named(k, link, OBJ_PERMANENT);
    let UNICODE_STRING { Length, Buffer, .. } = target.read();
    GuestSlice::<u8>::new(k, Buffer as u64, usize::from(Length));
    let mut handle: HANDLE = null_mut();
    // SAFETY: the attributes are a local over a checked name; the target and its text are checked; `handle` is a local.
    let status = unsafe {
        k.executive().create_symbolic_link_object(
            &raw mut handle,
            SYMBOLIC_LINK_ALL_ACCESS,
            &raw const given,
            target.ptr(),
            KernelMode,
        )
    };
    if status.is_success() {
        k.executive().ZwClose(handle);
    }
    status
}

/// Deletes a link.
pub(crate) fn IoDeleteSymbolicLink(k: &Kernel, link: Guest<UNICODE_STRING>) -> NTSTATUS {
    let given = named(k, link, 0);
    let mut handle: HANDLE = null_mut();
    // SAFETY: the attributes are a local over a checked name; `handle` is a local.
    let status = unsafe {
        k.executive().open_symbolic_link_object(&raw mut handle, DELETE, &raw const given, KernelMode)
    };
    if !status.is_success() {
        return status;
    }
    let status = k.executive().ZwMakeTemporaryObject(handle);
    k.executive().ZwClose(handle);
    status
}
