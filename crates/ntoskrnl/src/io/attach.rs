//! Stacks of devices: filters attached on top of others.

use core::ptr::null_mut;

use nt::{
    DEVICE_OBJECT, DEVOBJ_EXTENSION, DO_DEVICE_INITIALIZING, FILE_OBJECT, NTSTATUS, STATUS_NO_SUCH_DEVICE,
    STATUS_SUCCESS, UNICODE_STRING,
};

use super::device::{DELETE_PENDING, Device, extension};
use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// Returns the device on top.
pub(crate) fn top(k: &Kernel, device: Device) -> Device {
    let mut device = device;
    while let Some(above) = Device::optional(k, field!(device, DEVICE_OBJECT, AttachedDevice).read() as u64) {
        device = above;
    }
    device
}

fn lower(k: &Kernel, device: Device) -> Option<Device> {
    Device::optional(k, field!(extension(k, device), DEVOBJ_EXTENSION, AttachedTo).read() as u64)
}

fn reference(k: &Kernel, device: Device) {
    // SAFETY: the device is part of a stack whose lowest member the caller holds.
    unsafe { k.executive().ObfReferenceObject(device.ptr().cast()) };
}

/// Attaches a device on top of a stack. Returns the former top, null where that is going or not ready.
pub(crate) fn IoAttachDeviceToDeviceStack(k: &Kernel, source: Device, target: Device) -> Address {
    let below = top(k, target);
    let going = field!(extension(k, below), DEVOBJ_EXTENSION, ExtensionFlags).read() & DELETE_PENDING != 0;
    if going || field!(below, DEVICE_OBJECT, Flags).read() & DO_DEVICE_INITIALIZING != 0 {
        return Address::NULL;
    }
    field!(below, DEVICE_OBJECT, AttachedDevice).write(source.ptr());
    field!(source, DEVICE_OBJECT, StackSize).write(field!(below, DEVICE_OBJECT, StackSize).read() + 1);
    field!(source, DEVICE_OBJECT, AlignmentRequirement)
        .write(field!(below, DEVICE_OBJECT, AlignmentRequirement).read());
    field!(source, DEVICE_OBJECT, SectorSize).write(field!(below, DEVICE_OBJECT, SectorSize).read());
    field!(extension(k, source), DEVOBJ_EXTENSION, AttachedTo).write(below.ptr());
    Address(below.address())
}

/// The same with a status, and with the former top stored before a request can arrive.
pub(crate) fn IoAttachDeviceToDeviceStackSafe(
    k: &Kernel,
    source: Device,
    target: Device,
    attached: Guest<u64>,
) -> NTSTATUS {
    let below = IoAttachDeviceToDeviceStack(k, source, target);
    attached.write(below.0);
    if below == Address::NULL { STATUS_NO_SUCH_DEVICE } else { STATUS_SUCCESS }
}

/// Attaches a device on top of the one with a name.
pub(crate) fn IoAttachDevice(
    k: &'static Kernel,
    source: Device,
    name: Guest<UNICODE_STRING>,
    attached: Guest<u64>,
) -> NTSTATUS {
    let file = match super::file::open(k, name, 0) {
        Ok(file) => file,
        Err(status) => return status,
    };
    let device = Device::new(k, field!(file, FILE_OBJECT, DeviceObject).read() as u64);
    let status = IoAttachDeviceToDeviceStackSafe(k, source, device, attached);
    // SAFETY: the reference that opening gave.
    unsafe { k.executive().ObfDereferenceObject(file.ptr().cast()) };
    status
}

/// Takes off what is attached to a device.
pub(crate) fn IoDetachDevice(k: &Kernel, target: Device) {
    let above = field!(target, DEVICE_OBJECT, AttachedDevice);
    if let Some(above) = Device::optional(k, above.read() as u64) {
        field!(extension(k, above), DEVOBJ_EXTENSION, AttachedTo).write(null_mut());
    }
    above.write(null_mut());
}

/// Returns the device on top of a stack.
pub(crate) fn IoGetAttachedDevice(k: &Kernel, device: Device) -> Address {
    Address(top(k, device).address())
}

/// Returns the device on top of a stack, with a reference.
pub(crate) fn IoGetAttachedDeviceReference(k: &Kernel, device: Device) -> Address {
    let top = top(k, device);
    reference(k, top);
    Address(top.address())
}

/// Returns the device below, with a reference.
pub(crate) fn IoGetLowerDeviceObject(k: &Kernel, device: Device) -> Address {
    let Some(lower) = lower(k, device) else { return Address::NULL };
    reference(k, lower);
    Address(lower.address())
}

/// Returns the device at the bottom of a stack, with a reference.
pub(crate) fn IoGetDeviceAttachmentBaseRef(k: &Kernel, device: Device) -> Address {
    let mut base = device;
    while let Some(below) = lower(k, base) {
        base = below;
    }
    reference(k, base);
    Address(base.address())
}

/// Returns the device that requests on a file go to.
pub(crate) fn IoGetRelatedDeviceObject(k: &Kernel, file: Guest<FILE_OBJECT>) -> Address {
    IoGetAttachedDevice(k, Device::new(k, field!(file, FILE_OBJECT, DeviceObject).read() as u64))
}
