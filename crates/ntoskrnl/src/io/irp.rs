//! I/O request packets: allocated, sent down, completed.

use core::ptr::null_mut;

use nt::{
    BugCheck, DEVICE_OBJECT, DRIVER_OBJECT, IO_STACK_LOCATION, IO_STATUS_BLOCK, IRP, IRP_MJ_MAXIMUM_FUNCTION,
    Irql, KEVENT, NTSTATUS, NotificationEvent, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_MORE_PROCESSING_REQUIRED, STATUS_PENDING, major_function_name,
};
use record::{EntryPoint, What};

use super::device::Device;
use super::file::File;
use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

const TAG: u32 = nt::pool_tag(b"Irp ");
const HEAD: usize = size_of::<IRP>();
const STEP: usize = size_of::<IO_STACK_LOCATION>();

/// `Flags`: the system buffer is copied out, or given back.
pub(super) const IRP_BUFFERED_IO: u32 = 0x10;
/// `Flags`: the system buffer is freed on completion.
pub(super) const IRP_DEALLOCATE_BUFFER: u32 = 0x20;
/// `Flags`: the system buffer is copied to the requester's on success.
pub(super) const IRP_INPUT_OPERATION: u32 = 0x40;
/// `Flags`: the sender waits for it and frees it.
const IRP_CLOSE_OPERATION: u32 = 0x400;

/// `Control` bits.
const SL_PENDING_RETURNED: u8 = 0x01;
const SL_INVOKE_ON_CANCEL: u8 = 0x20;
const SL_INVOKE_ON_SUCCESS: u8 = 0x40;
const SL_INVOKE_ON_ERROR: u8 = 0x80;

/// `NO_MORE_IRP_STACK_LOCATIONS`
const NO_MORE_LOCATIONS: BugCheck = BugCheck(0x35);

pub(crate) type Irp = Guest<IRP>;
type Location = Guest<IO_STACK_LOCATION>;

/// Allocates a request with so many stack locations.
pub(crate) fn IoAllocateIrp(k: &Kernel, locations: i8, _charge: u8) -> Address {
    let bytes = HEAD + STEP * usize::from(locations.max(0) as u8);
    let request =
        executive::mm::PoolRequest { pool_type: nt::NonPagedPoolNx, bytes, tag: TAG, caller: k.caller() };
    let block: Address = k.executive().allocate_pool(&request).into();
    if block != Address::NULL {
        IoInitializeIrp(k, block, bytes as u16, locations);
    }
    block
}

/// Makes a request in the driver's memory.
pub(crate) fn IoInitializeIrp(k: &Kernel, irp: Address, bytes: u16, locations: i8) {
    GuestSlice::<u8>::new(k, irp.0, usize::from(bytes)).fill(0);
    let irp = Irp::new(k, irp.0);
    field!(irp, IRP, Type).write(nt::IO_TYPE_IRP);
    field!(irp, IRP, Size).write(bytes);
    field!(irp, IRP, StackCount).write(locations);
    field!(irp, IRP, CurrentLocation).write(locations + 1);
    let list = field!(irp, IRP, ThreadListEntry).address();
    GuestSlice::<u64>::new(k, list, 2).fill_from(&[list, list]);
    let behind = irp.address() + (HEAD + STEP * usize::from(locations.max(0) as u8)) as u64;
    field!(irp, IRP, CurrentStackLocation).write(Address(behind).ptr());
}

/// Makes a request new again, with a first status.
pub(crate) fn IoReuseIrp(k: &Kernel, irp: Irp, status: NTSTATUS) {
    let (bytes, locations) = (field!(irp, IRP, Size).read(), field!(irp, IRP, StackCount).read());
    IoInitializeIrp(k, Address(irp.address()), bytes, locations);
    field!(field!(irp, IRP, IoStatus), IO_STATUS_BLOCK, Status).write(status);
}

/// Frees a request.
pub(crate) fn IoFreeIrp(k: &Kernel, irp: Irp) {
    if field!(irp, IRP, Type).read() != nt::IO_TYPE_IRP {
        k.bugcheck(
            BugCheck::MULTIPLE_IRP_COMPLETE_REQUESTS,
            [irp.address(), 0, 0, 0],
            "a request was freed that is none, or was freed before",
        );
    }
    field!(irp, IRP, Type).write(0);
    k.free_pool(irp.address());
}

fn current(k: &Kernel, irp: Irp) -> Location {
    Location::new(k, field!(irp, IRP, CurrentStackLocation).read() as u64)
}

/// Returns the location that the next driver will see.
pub(super) fn next(k: &Kernel, irp: Irp) -> Location {
    Location::new(k, (field!(irp, IRP, CurrentStackLocation).read() as u64).wrapping_sub(STEP as u64))
}

/// Hands a request to a device's driver, and returns what its dispatch routine returns.
pub(crate) fn IofCallDriver(k: &Kernel, device: Device, irp: Irp) -> NTSTATUS {
    let location = field!(irp, IRP, CurrentLocation);
    location.write(location.read() - 1);
    if location.read() <= 0 {
        k.bugcheck(
            NO_MORE_LOCATIONS,
            [irp.address(), 0, 0, 0],
            "a request has no stack location for the next driver",
        );
    }
    let stack = next(k, irp);
    field!(irp, IRP, CurrentStackLocation).write(stack.ptr());
    field!(stack, IO_STACK_LOCATION, DeviceObject).write(device.ptr());
    let major = field!(stack, IO_STACK_LOCATION, MajorFunction).read();
    let driver = Guest::<DRIVER_OBJECT>::new(k, field!(device, DEVICE_OBJECT, DriverObject).read() as u64);
    let table = GuestSlice::<u64>::new(
        k,
        field!(driver, DRIVER_OBJECT, MajorFunction).address(),
        usize::from(IRP_MJ_MAXIMUM_FUNCTION) + 1,
    );
    let routine = if major <= IRP_MJ_MAXIMUM_FUNCTION { table.at(usize::from(major)).read() } else { 0 };
    // What NT fills the table with; a driver may have cleared it.
    if routine == 0 || Some(routine) == k.host().export_address("IopInvalidDeviceRequest") {
        return IopInvalidDeviceRequest(k, Address(device.address()), irp);
    }
    let name = major_function_name(major).unwrap_or("IRP_MJ_?");
    k.host().emit(What::EntryCalled { entry: EntryPoint::Dispatch, name: name.into(), routine });
    // SAFETY: the driver put this address in its table as the dispatch routine of its devices.
    let status =
        NTSTATUS(unsafe { k.host().call_driver(routine, &[device.address(), irp.address()]) } as u32);
    k.host().emit(What::EntryReturned {
        entry: EntryPoint::Dispatch,
        name: name.into(),
        routine,
        status: Some(status.0),
        irql: k.host().irql().0,
    });
    status
}

/// Refuses a request. The dispatch routine of everything that a driver does not handle: the machine fills the tables of driver objects
/// with its address. Windows does not export it; here that is what gives it one.
pub(crate) fn IopInvalidDeviceRequest(k: &Kernel, _device: Address, irp: Irp) -> NTSTATUS {
    field!(field!(irp, IRP, IoStatus), IO_STATUS_BLOCK, Status).write(STATUS_INVALID_DEVICE_REQUEST);
    IofCompleteRequest(k, irp, 0);
    STATUS_INVALID_DEVICE_REQUEST
}

/// Completes a request: from the current location up, each completion routine is called; then the requester is told.
pub(crate) fn IofCompleteRequest(k: &Kernel, irp: Irp, _boost: i8) {
    let count = field!(irp, IRP, StackCount).read();
    let location = field!(irp, IRP, CurrentLocation);
    if location.read() > count + 1 || field!(irp, IRP, Type).read() != nt::IO_TYPE_IRP {
        k.bugcheck(
            BugCheck::MULTIPLE_IRP_COMPLETE_REQUESTS,
            [irp.address(), 0, 0, 0],
            "a request was completed that is complete already",
        );
    }
    let mut stack = current(k, irp);
    loop {
        location.write(location.read() + 1);
        let above = stack.address() + STEP as u64;
        field!(irp, IRP, CurrentStackLocation).write(Address(above).ptr());
        if location.read() > count + 1 {
            break;
        }
        let values = stack.read();
        let pending = values.Control & SL_PENDING_RETURNED;
        field!(irp, IRP, PendingReturned).write(pending);
        let status = field!(field!(irp, IRP, IoStatus), IO_STATUS_BLOCK, Status).read();
        let wanted = if status.is_success() { SL_INVOKE_ON_SUCCESS } else { SL_INVOKE_ON_ERROR };
        let canceled = field!(irp, IRP, Cancel).read() != 0 && values.Control & SL_INVOKE_ON_CANCEL != 0;
        let at_top = location.read() == count + 1;
        GuestSlice::<u8>::new(k, stack.address() + 1, 3).fill(0);
        GuestSlice::<u8>::new(k, field!(stack, IO_STACK_LOCATION, Parameters).address(), 0x20).fill(0);
        field!(stack, IO_STACK_LOCATION, FileObject).write(null_mut());
        if values.Control & wanted != 0 || canceled {
            let device = if at_top {
                0
            } else {
                field!(Location::new(k, above), IO_STACK_LOCATION, DeviceObject).read() as u64
            };
            let arguments = [device, irp.address(), values.Context as u64];
            // SAFETY: the driver above set this address as the completion routine of its location.
            let status = unsafe { k.host().call_driver(values.CompletionRoutine as u64, &arguments) } as u32;
            if status == STATUS_MORE_PROCESSING_REQUIRED.0 {
                return;
            }
        } else if pending != 0 && !at_top {
            let control = field!(Location::new(k, above), IO_STACK_LOCATION, Control);
            control.write(control.read() | SL_PENDING_RETURNED);
        }
        if at_top {
            break;
        }
        stack = Location::new(k, above);
    }
    finish(k, irp);
}

/// Tells the requester.
fn finish(k: &Kernel, irp: Irp) {
    let IRP {
        Flags,
        IoStatus,
        UserIosb,
        UserEvent,
        UserBuffer,
        AssociatedIrp,
        PendingReturned,
        MdlAddress,
        ..
    } = irp.read();
    let tell = || {
        if let Some(block) = Guest::<IO_STATUS_BLOCK>::optional(k, UserIosb as u64) {
            block.write(IoStatus);
        }
        if let Some(event) = Guest::<KEVENT>::optional(k, UserEvent as u64) {
            // SAFETY: the requester gave this event with the request and waits for it.
            unsafe { k.executive().KeSetEvent(event.ptr(), 0, false) };
        }
    };
    if Flags & IRP_CLOSE_OPERATION != 0 {
        tell();
        return;
    }
    let failed = IoStatus.Status.is_error();
    if Flags & IRP_BUFFERED_IO != 0 {
        if Flags & IRP_INPUT_OPERATION != 0 && !failed && IoStatus.Information > 0 {
            let bytes = IoStatus.Information;
            let from = GuestSlice::<u8>::new(k, AssociatedIrp as u64, bytes);
            GuestSlice::<u8>::new(k, UserBuffer as u64, bytes).copy_from(from);
        }
        if Flags & IRP_DEALLOCATE_BUFFER != 0 {
            k.free_pool(AssociatedIrp as u64);
        }
    }
    let mut list = MdlAddress as u64;
    while let Some(descriptor) = Guest::<nt::MDL>::optional(k, list) {
        list = field!(descriptor, nt::MDL, Next).read() as u64;
        crate::mm::mdl::MmUnlockPages(k, descriptor);
        crate::mm::mdl::IoFreeMdl(k, descriptor);
    }
    // A request that failed before anybody waited for it is told by its return value alone.
    if !failed || PendingReturned != 0 {
        tell();
    }
    IoFreeIrp(k, irp);
}

/// A request of the kernel itself.
pub(super) struct Request {
    major: u8,
    pub(super) parameters: [u64; 4],
}

impl Request {
    pub(super) fn new(major: u8) -> Self {
        Self { major, parameters: [0; 4] }
    }
}

/// Sends a request and waits for its end.
pub(super) fn send(k: &Kernel, device: Device, file: Option<File>, request: &Request) -> NTSTATUS {
    const STATUS_AT: u64 = size_of::<KEVENT>() as u64;
    let bytes = size_of::<KEVENT>() + size_of::<IO_STATUS_BLOCK>();
    let block =
        k.executive().ExAllocatePoolWithTag(nt::NonPagedPoolNx, bytes, TAG).expose_provenance() as u64;
    let irp = IoAllocateIrp(k, field!(device, DEVICE_OBJECT, StackSize).read(), 0);
    if block == 0 || irp == Address::NULL {
        for block in [block, irp.0].into_iter().filter(|block| *block != 0) {
            k.free_pool(block);
        }
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let irp = Irp::new(k, irp.0);
    let event = Guest::<KEVENT>::new(k, block);
    let result = Guest::<IO_STATUS_BLOCK>::new(k, block + STATUS_AT);
    // SAFETY: the event lies in the block just allocated.
    unsafe { k.executive().KeInitializeEvent(event.ptr(), NotificationEvent, false) };
    field!(irp, IRP, UserEvent).write(event.ptr());
    field!(irp, IRP, UserIosb).write(result.ptr());
    field!(irp, IRP, Flags).write(IRP_CLOSE_OPERATION);
    field!(irp, IRP, Thread).write(k.host().current_thread().as_ptr().cast());
    let stack = next(k, irp);
    field!(stack, IO_STACK_LOCATION, MajorFunction).write(request.major);
    field!(stack, IO_STACK_LOCATION, Parameters).write(request.parameters);
    if let Some(file) = file {
        field!(stack, IO_STACK_LOCATION, FileObject).write(file.ptr());
        field!(irp, IRP, OriginalFileObject).write(file.ptr());
    }
    let mut status = IofCallDriver(k, device, irp);
    if status == STATUS_PENDING {
        k.host().waits_for(Some((record::WaitKind::Request, irp.address() as usize)));
        // SAFETY: the event is the one above, and the block stays until the wait is over.
        unsafe { k.executive().KeWaitForSingleObject(event.ptr().cast(), 0, 0, 0, core::ptr::null()) };
        k.host().waits_for(None);
        status = field!(result, IO_STATUS_BLOCK, Status).read();
    }
    IoFreeIrp(k, irp);
    k.free_pool(block);
    status
}

// --- cancellation ----------------------------------------------------------------------------------------------

/// Acquires the lock of all cancel routines.
pub(crate) fn IoAcquireCancelSpinLock(k: &Kernel, old: Guest<u8>) {
    let lock = k.io().cancel_lock.as_ptr();
    // SAFETY: the lock is the kernel's own and lives as long.
    old.write(unsafe { k.executive().KeAcquireSpinLockRaiseToDpc(lock) }.0);
}

/// Releases the lock of all cancel routines.
pub(crate) fn IoReleaseCancelSpinLock(k: &Kernel, old: Irql) {
    let lock = k.io().cancel_lock.as_ptr();
    // SAFETY: as above; the caller holds it.
    unsafe { k.executive().KeReleaseSpinLock(lock, old) };
}

/// Cancels a request: marks it and calls its cancel routine, which releases the lock. Returns whether there was one.
pub(crate) fn IoCancelIrp(k: &Kernel, irp: Irp) -> u8 {
    let lock = k.io().cancel_lock.as_ptr();
    // SAFETY: the lock is the kernel's own and lives as long.
    let old = unsafe { k.executive().KeAcquireSpinLockRaiseToDpc(lock) };
    field!(irp, IRP, Cancel).write(1);
    let routine = field!(irp, IRP, CancelRoutine);
    let address = routine.read() as u64;
    routine.write(null_mut());
    if address == 0 {
        IoReleaseCancelSpinLock(k, old);
        return 0;
    }
    field!(irp, IRP, CancelIrql).write(old.0);
    let device = field!(current(k, irp), IO_STACK_LOCATION, DeviceObject).read() as u64;
    // SAFETY: the driver that holds the request set this address as its cancel routine.
    unsafe { k.host().call_driver(address, &[device, irp.address()]) };
    1
}
