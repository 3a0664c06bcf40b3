//! Files on devices: what opening a device's name makes.
//!
//! Opening sends `IRP_MJ_CREATE` to the device's driver, closing the last handle `IRP_MJ_CLEANUP`, dropping the last reference
//! `IRP_MJ_CLOSE`. There are no file systems: what follows the device's name is the driver's to understand.

use core::ffi::c_void;
use core::ptr::null_mut;

use executive::ob::{ParseRequest, Procedures};
use nt::{
    DEVICE_OBJECT, DEVOBJ_EXTENSION, DO_DEVICE_INITIALIZING, DO_EXCLUSIVE, FILE_OBJECT, HANDLE,
    IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, KernelMode, NTSTATUS, NotificationEvent,
    OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, STATUS_ACCESS_DENIED,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_SUCH_DEVICE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS,
    SynchronizationEvent, UNICODE_STRING,
};

use super::attach::top;
use super::device::{DELETE_PENDING, Device, extension, finish_delete};
use super::irp::{Request, send};
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::host::Host;
use crate::kernel::{self, Kernel, Nt};

const NAME_TAG: u32 = nt::pool_tag(b"IoNm");
const CONTEXT_TAG: u32 = nt::pool_tag(b"IoSc");
/// `FILE_OPEN` in the top byte, `FILE_NON_DIRECTORY_FILE` below.
const OPTIONS: u32 = 1 << 24 | 0x40;
/// `FILE_ATTRIBUTE_NORMAL`
const ATTRIBUTES: u16 = 0x80;
/// Everybody else may read, write and delete.
const SHARING: u16 = 7;
/// Bytes of `IO_SECURITY_CONTEXT`: two pointers, access, options.
const SECURITY_CONTEXT: usize = 0x18;

pub(crate) type File = Guest<FILE_OBJECT>;

/// What the type File does.
pub(crate) const PROCEDURES: Procedures<&'static dyn Host> =
    Procedures { delete: Some(delete), close: Some(close), parse: None, reported: false };

/// Continues a name at a device: opens a file on it.
///
/// # Safety
///
/// The object of the request is a live device.
pub(crate) unsafe fn parse(executive: &Nt, request: &ParseRequest<'_>) -> Result<*mut c_void, NTSTATUS> {
    let Some(k) = kernel::of(executive) else { return Err(STATUS_OBJECT_TYPE_MISMATCH) };
    if request.object_type != k.types().file.as_ptr() {
        // The device itself was asked for, by its own type.
        if request.remaining_name.is_empty() && request.object_type == k.types().device.as_ptr() {
            // SAFETY: the caller's promise: a live device.
            unsafe { executive.ObfReferenceObject(request.object) };
            return Ok(request.object);
        }
        return Err(STATUS_OBJECT_TYPE_MISMATCH);
    }
    let device = Device::new(k, request.object.expose_provenance() as u64);
    create(k, device, request.remaining_name, request.desired_access).map(|file| file.ptr().cast())
}

fn count(device: Device, by: i32) {
    field!(device, DEVICE_OBJECT, ReferenceCount).fetch_add(by);
}

fn create(k: &'static Kernel, device: Device, name: &[u16], access: u32) -> Result<File, NTSTATUS> {
    let flags = field!(device, DEVICE_OBJECT, Flags).read();
    let going = field!(extension(k, device), DEVOBJ_EXTENSION, ExtensionFlags).read() & DELETE_PENDING != 0;
    if going || flags & DO_DEVICE_INITIALIZING != 0 {
        return Err(STATUS_NO_SUCH_DEVICE);
    }
    if flags & DO_EXCLUSIVE != 0 && field!(device, DEVICE_OBJECT, ReferenceCount).read() != 0 {
        return Err(STATUS_ACCESS_DENIED);
    }
    let file = allocate(k, device, name)?;
    count(device, 1);
    let context = k.executive().ExAllocatePoolWithTag(nt::PagedPool, SECURITY_CONTEXT, CONTEXT_TAG);
    let mut status = STATUS_INSUFFICIENT_RESOURCES;
    if !context.is_null() {
        let context = context.expose_provenance() as u64;
        GuestSlice::<u32>::new(k, context, SECURITY_CONTEXT / 4).fill_from(&[
            0,
            0,
            0,
            0,
            access,
            OPTIONS & 0xFF_FFFF,
        ]);
        let mut request = Request::new(IRP_MJ_CREATE);
        // `IO_PARAMETERS_CREATE`: security context, options, attributes and sharing, no extended attributes.
        request.parameters =
            [context, u64::from(OPTIONS), u64::from(ATTRIBUTES) | u64::from(SHARING) << 16, 0];
        status = send(k, top(k, device), Some(file), &request);
        k.free_pool(context);
    }
    if status.is_success() {
        return Ok(file);
    }
    // Nobody opened it, so nobody is told of its end.
    field!(file, FILE_OBJECT, DeviceObject).write(null_mut());
    count(device, -1);
    // SAFETY: the creation reference.
    unsafe { k.executive().ObfDereferenceObject(file.ptr().cast()) };
    finish_delete(k, device);
    Err(status)
}

fn allocate(k: &Kernel, device: Device, name: &[u16]) -> Result<File, NTSTATUS> {
    let mut body: *mut c_void = null_mut();
    // SAFETY: the type is one of this executive; no attributes; `body` is a local.
    let status = unsafe {
        k.executive().ObCreateObject(
            KernelMode,
            k.types().file.as_ptr(),
            core::ptr::null(),
            KernelMode,
            null_mut(),
            size_of::<FILE_OBJECT>() as u32,
            0,
            0,
            &raw mut body,
        )
    };
    if !status.is_success() {
        return Err(status);
    }
    let file = File::new(k, body.expose_provenance() as u64);
    GuestSlice::<u8>::new(k, file.address(), size_of::<FILE_OBJECT>()).fill(0);
    field!(file, FILE_OBJECT, Type).write(nt::IO_TYPE_FILE);
    field!(file, FILE_OBJECT, Size).write(size_of::<FILE_OBJECT>() as i16);
    field!(file, FILE_OBJECT, DeviceObject).write(device.ptr());
    if !name.is_empty() {
        let bytes = size_of_val(name);
        let buffer = k.executive().ExAllocatePoolWithTag(nt::PagedPool, bytes, NAME_TAG);
        if !buffer.is_null() {
            GuestSlice::new(k, buffer.expose_provenance() as u64, name.len()).fill_from(name);
            let file_name = field!(file, FILE_OBJECT, FileName);
            field!(file_name, UNICODE_STRING, Length).write(bytes as u16);
            field!(file_name, UNICODE_STRING, MaximumLength).write(bytes as u16);
            field!(file_name, UNICODE_STRING, Buffer).write(buffer.cast());
        }
    }
    for (event, kind) in [
        (field!(file, FILE_OBJECT, Lock), SynchronizationEvent),
        (field!(file, FILE_OBJECT, Event), NotificationEvent),
    ] {
        // SAFETY: the event is a part of the file just made.
        unsafe { k.executive().KeInitializeEvent(event.ptr(), kind, false) };
    }
    Ok(file)
}

/// Tells the driver that the last handle is closed.
///
/// # Safety
///
/// `body` is that of a live file.
unsafe fn close(executive: &Nt, body: *mut c_void, _access: u32, handles: i64) {
    if handles == 1 {
        tell(executive, body, IRP_MJ_CLEANUP);
    }
}

/// Tells the driver that the last reference is gone, and lets the device go.
///
/// # Safety
///
/// `body` is that of a file without references.
unsafe fn delete(executive: &Nt, body: *mut c_void) {
    tell(executive, body, IRP_MJ_CLOSE);
    let Some(k) = kernel::of(executive) else { return };
    let file = File::new(k, body.expose_provenance() as u64);
    let buffer = field!(field!(file, FILE_OBJECT, FileName), UNICODE_STRING, Buffer).read() as u64;
    if buffer != 0 {
        k.free_pool(buffer);
    }
    if let Some(device) = Device::optional(k, field!(file, FILE_OBJECT, DeviceObject).read() as u64) {
        count(device, -1);
        finish_delete(k, device);
    }
}

fn tell(executive: &Nt, body: *mut c_void, major: u8) {
    let Some(k) = kernel::of(executive) else { return };
    let file = File::new(k, body.expose_provenance() as u64);
    if let Some(device) = Device::optional(k, field!(file, FILE_OBJECT, DeviceObject).read() as u64) {
        send(k, top(k, device), Some(file), &Request::new(major));
    }
}

/// Opens a file by name and returns it with a reference; no handle stays open.
pub(super) fn open(k: &'static Kernel, name: Guest<UNICODE_STRING>, access: u32) -> Result<File, NTSTATUS> {
    let UNICODE_STRING { Length, Buffer, .. } = name.read();
    GuestSlice::<u8>::new(k, Buffer as u64, usize::from(Length));
    let given = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: name.ptr(),
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    };
    let file_type = k.types().file.as_ptr();
    let mut handle: HANDLE = null_mut();
    // SAFETY: the attributes are a local over a checked name; the type is one of this executive; `handle` is a local.
    let status = unsafe {
        k.executive().ObOpenObjectByName(
            &raw const given,
            file_type,
            KernelMode,
            access,
            null_mut(),
            &raw mut handle,
        )
    };
    if !status.is_success() {
        return Err(status);
    }
    let mut body: *mut c_void = null_mut();
    // SAFETY: the type is one of this executive; `body` is a local.
    let status = unsafe {
        k.executive().ObReferenceObjectByHandle(handle, 0, file_type, KernelMode, &raw mut body, null_mut())
    };
    k.executive().ZwClose(handle);
    if status == STATUS_SUCCESS { Ok(File::new(k, body.expose_provenance() as u64)) } else { Err(status) }
}

/// Opens a device by name: returns it and a referenced file that keeps it.
pub(crate) fn IoGetDeviceObjectPointer(
    k: &'static Kernel,
    name: Guest<UNICODE_STRING>,
    access: u32,
    file: Guest<u64>,
    device: Guest<u64>,
) -> NTSTATUS {
    match open(k, name, access) {
        Ok(opened) => {
            file.write(opened.address());
            device.write(super::attach::IoGetRelatedDeviceObject(k, opened).0);
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}
