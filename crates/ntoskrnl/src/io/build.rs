//! Requests that the I/O manager builds for drivers.

use nt::{
    DEVICE_OBJECT, DO_BUFFERED_IO, DO_DIRECT_IO, IO_PARAMETERS_DEVICE_IO_CONTROL, IO_STACK_LOCATION,
    IO_STATUS_BLOCK, IRP, IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL, IRP_MJ_READ, IRP_MJ_WRITE,
    KEVENT, METHOD_BUFFERED, METHOD_NEITHER,
};

use super::device::Device;
use super::irp::{
    IRP_BUFFERED_IO, IRP_DEALLOCATE_BUFFER, IRP_INPUT_OPERATION, IoAllocateIrp, IoFreeIrp, Irp, next,
};
use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;
use crate::mm::mdl::{IoAllocateMdl, MmBuildMdlForNonPagedPool};

const TAG: u32 = nt::pool_tag(b"IoSB");

/// Allocates a request that completes to an event and a status block.
fn allocate(
    k: &Kernel,
    device: Device,
    event: Option<Guest<KEVENT>>,
    result: Option<Guest<IO_STATUS_BLOCK>>,
) -> Option<Irp> {
    let irp = IoAllocateIrp(k, field!(device, DEVICE_OBJECT, StackSize).read(), 0);
    let irp = Irp::optional(k, irp.0)?;
    field!(irp, IRP, UserEvent).write(event.map_or(core::ptr::null_mut(), Guest::ptr));
    field!(irp, IRP, UserIosb).write(result.map_or(core::ptr::null_mut(), Guest::ptr));
    field!(irp, IRP, Thread).write(k.host().current_thread().as_ptr().cast());
    Some(irp)
}

/// Gives the request a system buffer with a copy of the input.
fn buffer(k: &Kernel, irp: Irp, bytes: usize, input: Address, input_bytes: usize) -> bool {
    if bytes == 0 {
        return true;
    }
    let block = k.executive().ExAllocatePoolWithTag(nt::NonPagedPoolNx, bytes, TAG);
    if block.is_null() {
        return false;
    }
    let copy = GuestSlice::<u8>::new(k, block.expose_provenance() as u64, bytes);
    copy.fill(0);
    copy.copy_from(GuestSlice::new(k, input.0, input_bytes));
    field!(irp, IRP, AssociatedIrp).write(block);
    let flags = field!(irp, IRP, Flags);
    flags.write(flags.read() | IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER);
    true
}

fn describe(k: &Kernel, irp: Irp, address: Address, bytes: u32) -> bool {
    if bytes == 0 {
        return true;
    }
    let descriptor = IoAllocateMdl(k, address, bytes, 0, 0, Some(irp));
    let Some(descriptor) = Guest::optional(k, descriptor.0) else { return false };
    MmBuildMdlForNonPagedPool(k, descriptor);
    true
}

/// Builds an I/O control request.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn IoBuildDeviceIoControlRequest(
    k: &Kernel,
    code: u32,
    device: Device,
    input: Address,
    input_bytes: u32,
    output: Address,
    output_bytes: u32,
    internal: u8,
    event: Option<Guest<KEVENT>>,
    result: Option<Guest<IO_STATUS_BLOCK>>,
) -> Address {
    let Some(irp) = allocate(k, device, event, result) else { return Address::NULL };
    let stack = next(k, irp);
    let major = if internal != 0 { IRP_MJ_INTERNAL_DEVICE_CONTROL } else { IRP_MJ_DEVICE_CONTROL };
    field!(stack, IO_STACK_LOCATION, MajorFunction).write(major);
    let parameters = Guest::<IO_PARAMETERS_DEVICE_IO_CONTROL>::new(
        k,
        field!(stack, IO_STACK_LOCATION, Parameters).address(),
    );
    field!(parameters, IO_PARAMETERS_DEVICE_IO_CONTROL, OutputBufferLength).write(output_bytes);
    field!(parameters, IO_PARAMETERS_DEVICE_IO_CONTROL, InputBufferLength).write(input_bytes);
    field!(parameters, IO_PARAMETERS_DEVICE_IO_CONTROL, IoControlCode).write(code);
    let done = match code & 3 {
        METHOD_BUFFERED => {
            let bytes = input_bytes.max(output_bytes) as usize;
            let done = buffer(k, irp, bytes, input, input_bytes as usize);
            field!(irp, IRP, UserBuffer).write(output.ptr());
            if output_bytes > 0 {
                let flags = field!(irp, IRP, Flags);
                flags.write(flags.read() | IRP_INPUT_OPERATION);
            }
            done
        }
        METHOD_NEITHER => {
            field!(parameters, IO_PARAMETERS_DEVICE_IO_CONTROL, Type3InputBuffer).write(input.ptr());
            field!(irp, IRP, UserBuffer).write(output.ptr());
            true
        }
        _ => {
            buffer(k, irp, input_bytes as usize, input, input_bytes as usize)
                && describe(k, irp, output, output_bytes)
        }
    };
    if done {
        Address(irp.address())
    } else {
        let block = field!(irp, IRP, AssociatedIrp).read() as u64;
        if block != 0 {
            k.free_pool(block);
        }
        IoFreeIrp(k, irp);
        Address::NULL
    }
}

/// Builds a read, write, flush, shutdown or other request.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn IoBuildSynchronousFsdRequest(
    k: &Kernel,
    major: u32,
    device: Device,
    data: Address,
    bytes: u32,
    offset: Option<Guest<i64>>,
    event: Option<Guest<KEVENT>>,
    result: Option<Guest<IO_STATUS_BLOCK>>,
) -> Address {
    let Some(irp) = allocate(k, device, event, result) else { return Address::NULL };
    let stack = next(k, irp);
    let major = major as u8;
    field!(stack, IO_STACK_LOCATION, MajorFunction).write(major);
    let mut done = true;
    if major == IRP_MJ_READ || major == IRP_MJ_WRITE {
        let at = offset.map_or(0, |offset| offset.read());
        field!(stack, IO_STACK_LOCATION, Parameters).write([u64::from(bytes), 0, at as u64, 0]);
        let flags = field!(device, DEVICE_OBJECT, Flags).read();
        if flags & DO_BUFFERED_IO != 0 {
            let input = if major == IRP_MJ_WRITE { bytes as usize } else { 0 };
            done = buffer(k, irp, bytes as usize, data, input);
            if major == IRP_MJ_READ {
                field!(irp, IRP, UserBuffer).write(data.ptr());
                let flags = field!(irp, IRP, Flags);
                flags.write(flags.read() | IRP_INPUT_OPERATION);
            }
        } else if flags & DO_DIRECT_IO != 0 {
            done = describe(k, irp, data, bytes);
        } else {
            field!(irp, IRP, UserBuffer).write(data.ptr());
        }
    }
    if done {
        return Address(irp.address());
    }
    IoFreeIrp(k, irp);
    Address::NULL
}
