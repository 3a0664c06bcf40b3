//! `Zw` and `Nt`: system services over handles. All callers are the kernel, so both prefixes do the same.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{
    EVENT_ALL_ACCESS, HANDLE, KEVENT, KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE,
    OBJ_OPENIF, OBJECT_ATTRIBUTES, STATUS_ACCESS_DENIED, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    SYNCHRONIZE, UNICODE_STRING,
};

use super::handle::{attributes, checked};
use crate::export::Address;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `EVENT_MODIFY_STATE`
const EVENT_MODIFY_STATE: u32 = 2;
const MODE: u8 = KernelMode;

type Handle = Guest<*mut c_void>;

/// Closes a handle.
pub(crate) fn ZwClose(k: &Kernel, handle: Address) -> NTSTATUS {
    k.executive().ZwClose(handle.ptr())
}

/// Lets the name of an object go as soon as no handle is open.
pub(crate) fn ZwMakeTemporaryObject(k: &Kernel, handle: Address) -> NTSTATUS {
    k.executive().ZwMakeTemporaryObject(handle.ptr())
}

/// Creates a directory of names.
pub(crate) fn ZwCreateDirectoryObject(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
) -> NTSTATUS {
    // SAFETY: the handle and the attributes with their name are checked.
    unsafe { k.executive().create_directory_object(handle.ptr(), access, attributes(k, Some(given)), MODE) }
}

/// Opens a directory of names.
pub(crate) fn ZwOpenDirectoryObject(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
) -> NTSTATUS {
    // SAFETY: the handle and the attributes with their name are checked.
    unsafe { k.executive().open_directory_object(handle.ptr(), access, attributes(k, Some(given)), MODE) }
}

/// Creates a symbolic link.
pub(crate) fn ZwCreateSymbolicLinkObject(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
    target: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    let target = checked(k, target).ptr();
    // SAFETY: the handle, the attributes with their name, and the target with its text are checked.
    unsafe {
        k.executive().create_symbolic_link_object(
            handle.ptr(),
            access,
            attributes(k, Some(given)),
            target,
            MODE,
        )
    }
}

/// Opens a symbolic link.
pub(crate) fn ZwOpenSymbolicLinkObject(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
) -> NTSTATUS {
    // SAFETY: the handle and the attributes with their name are checked.
    unsafe { k.executive().open_symbolic_link_object(handle.ptr(), access, attributes(k, Some(given)), MODE) }
}

/// Writes the target of a symbolic link.
pub(crate) fn ZwQuerySymbolicLinkObject(
    k: &Kernel,
    handle: Address,
    target: Guest<UNICODE_STRING>,
    needed: Option<Guest<u32>>,
) -> NTSTATUS {
    let UNICODE_STRING { MaximumLength, Buffer, .. } = target.read();
    GuestSlice::<u8>::new(k, Buffer as u64, usize::from(MaximumLength));
    let needed = needed.map_or(null_mut(), Guest::ptr);
    // SAFETY: the string with its whole buffer and the length are checked, the latter may be null.
    unsafe { k.executive().query_symbolic_link_object(handle.ptr(), target.ptr(), needed, MODE) }
}

// --- events ----------------------------------------------------------------------------------------------------

/// Creates an event object.
pub(crate) fn ZwCreateEvent(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Option<Guest<OBJECT_ATTRIBUTES>>,
    kind: u32,
    state: u8,
) -> NTSTATUS {
    if kind > 1 {
        return STATUS_INVALID_PARAMETER;
    }
    let mut body: *mut c_void = null_mut();
    let event_type = k.types().event.as_ptr();
    // SAFETY: the type is one of this executive; the attributes with their name are checked or null; `body` is a local.
    let status = unsafe {
        k.executive().ObCreateObject(
            MODE,
            event_type,
            attributes(k, given),
            MODE,
            null_mut(),
            size_of::<KEVENT>() as u32,
            0,
            0,
            &raw mut body,
        )
    };
    if !status.is_success() {
        return status;
    }
    // SAFETY: the body of the object just made, which nobody else knows.
    unsafe { k.executive().KeInitializeEvent(body.cast(), kind, state != 0) };
    // SAFETY: a fresh object, whose creation reference inserting takes over; the handle is checked.
    unsafe { k.executive().ObInsertObject(body, access, 0, null_mut(), handle.ptr()) }
}

/// Opens an event object.
pub(crate) fn ZwOpenEvent(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
) -> NTSTATUS {
    let event_type = k.types().event.as_ptr();
    // SAFETY: the attributes with their name and the handle are checked; the type is one of this executive.
    unsafe {
        k.executive().ObOpenObjectByName(
            attributes(k, Some(given)),
            event_type,
            MODE,
            access,
            null_mut(),
            handle.ptr(),
        )
    }
}

/// Does something with the object of a handle, holding a reference meanwhile.
fn with(
    k: &Kernel,
    handle: Address,
    access: u32,
    object_type: *mut nt::OBJECT_TYPE,
    work: impl FnOnce(*mut c_void) -> NTSTATUS,
) -> NTSTATUS {
    let mut body: *mut c_void = null_mut();
    // SAFETY: the type is null or one of this executive; `body` is a local.
    let status = unsafe {
        k.executive().ObReferenceObjectByHandle(
            handle.ptr(),
            access,
            object_type,
            MODE,
            &raw mut body,
            null_mut(),
        )
    };
    if !status.is_success() {
        return status;
    }
    let status = work(body);
    // SAFETY: the reference taken above.
    unsafe { k.executive().ObfDereferenceObject(body) };
    status
}

fn change(
    k: &Kernel,
    handle: Address,
    before: Option<Guest<i32>>,
    change: impl FnOnce(*mut KEVENT) -> i32,
) -> NTSTATUS {
    with(k, handle, EVENT_MODIFY_STATE, k.types().event.as_ptr(), |body| {
        let state = change(body.cast());
        if let Some(before) = before {
            before.write(state);
        }
        STATUS_SUCCESS
    })
}

/// Signals an event.
pub(crate) fn ZwSetEvent(k: &Kernel, handle: Address, before: Option<Guest<i32>>) -> NTSTATUS {
    change(k, handle, before, |event| {
        // SAFETY: the body of an event object that `with` holds.
        unsafe { k.executive().KeSetEvent(event, 1, false) }
    })
}

/// Makes an event not signaled, and reports what it was.
pub(crate) fn ZwResetEvent(k: &Kernel, handle: Address, before: Option<Guest<i32>>) -> NTSTATUS {
    change(k, handle, before, |event| {
        // SAFETY: the body of an event object that `with` holds.
        unsafe { k.executive().KeResetEvent(event) }
    })
}

/// Makes an event not signaled.
pub(crate) fn ZwClearEvent(k: &Kernel, handle: Address) -> NTSTATUS {
    ZwResetEvent(k, handle, None)
}

/// Signals an event for those who wait now.
pub(crate) fn ZwPulseEvent(k: &Kernel, handle: Address, before: Option<Guest<i32>>) -> NTSTATUS {
    change(k, handle, before, |event| {
        // SAFETY: the body of an event object that `with` holds.
        unsafe { k.executive().KePulseEvent(event, 1, false) }
    })
}

/// Waits for the object of a handle.
pub(crate) fn ZwWaitForSingleObject(
    k: &Kernel,
    handle: Address,
    alertable: u8,
    timeout: Option<Guest<i64>>,
) -> NTSTATUS {
    let timeout = timeout.map_or(core::ptr::null(), |timeout| timeout.ptr().cast_const());
    with(k, handle, SYNCHRONIZE, null_mut(), |body| {
        // SAFETY: a live object.
        let waitable = unsafe { k.executive().dispatcher_object(body) };
        // SAFETY: a dispatcher object that `with` holds; the timeout is checked or null. The reason is `UserRequest`.
        unsafe { k.executive().KeWaitForSingleObject(waitable.cast(), 6, MODE, alertable, timeout) }
    })
}

fn io_event(k: &Kernel, name: Option<Guest<UNICODE_STRING>>, handle: Handle, kind: u32) -> Address {
    let given = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: name.map_or(null_mut(), |name| checked(k, name).ptr()),
        Attributes: OBJ_OPENIF | OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    };
    let mut body: *mut c_void = null_mut();
    let event_type = k.types().event.as_ptr();
    let mut opened: HANDLE = null_mut();
    // SAFETY: the attributes are a local over a checked name; the type is one of this executive; `body` is a local.
    let created = unsafe {
        k.executive().ObCreateObject(
            MODE,
            event_type,
            &raw const given,
            MODE,
            null_mut(),
            size_of::<KEVENT>() as u32,
            0,
            0,
            &raw mut body,
        )
    };
    if !created.is_success() {
        return Address::NULL;
    }
    // SAFETY: the body of the object just made.
    unsafe { k.executive().KeInitializeEvent(body.cast(), kind, true) };
    // SAFETY: a fresh object, whose creation reference inserting takes over; `opened` is a local.
    let inserted =
        unsafe { k.executive().ObInsertObject(body, EVENT_ALL_ACCESS, 0, null_mut(), &raw mut opened) };
    if !inserted.is_success() {
        return Address::NULL;
    }
    handle.write(opened);
    // The event that an existing name led to is another body than the one made above. The handle keeps it.
    let mut event = Address::NULL;
    with(k, opened.into(), 0, event_type, |body| {
        event = body.into();
        STATUS_SUCCESS
    });
    event
}

/// Creates or opens a named notification event, signaled, and returns it. The handle keeps it alive.
pub(crate) fn IoCreateNotificationEvent(k: &Kernel, name: Guest<UNICODE_STRING>, handle: Handle) -> Address {
    io_event(k, Some(name), handle, 0)
}

/// Creates or opens a named synchronization event, signaled, and returns it. The handle keeps it alive.
pub(crate) fn IoCreateSynchronizationEvent(
    k: &Kernel,
    name: Guest<UNICODE_STRING>,
    handle: Handle,
) -> Address {
    io_event(k, Some(name), handle, 1)
}

/// Opens a handle to the System process, the only one.
pub(crate) fn ZwOpenProcess(
    k: &Kernel,
    handle: Handle,
    access: u32,
    given: Guest<OBJECT_ATTRIBUTES>,
    id: Option<Guest<nt::CLIENT_ID>>,
) -> NTSTATUS {
    let Some(id) = id else {
        k.partial("ZwOpenProcess", "opening by name");
        return STATUS_ACCESS_DENIED;
    };
    if id.read().UniqueProcess as u64 != 4 {
        return nt::STATUS_INVALID_CID;
    }
    let handle_attributes = crate::field!(given, OBJECT_ATTRIBUTES, Attributes).read();
    let process = k.system_process();
    // SAFETY: the System process is an object that lives as long as the kernel; the handle is checked.
    unsafe {
        k.executive().ObOpenObjectByPointer(
            Address(process).ptr(),
            handle_attributes,
            access,
            k.types().process.as_ptr(),
            MODE,
            handle.ptr(),
        )
    }
}

/// Gives others a turn.
pub(crate) fn ZwYieldExecution(k: &Kernel) -> NTSTATUS {
    k.host().scheduling_point();
    STATUS_SUCCESS
}
