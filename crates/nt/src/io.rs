//! I/O: drivers, devices, requests.
//!
//! Models `wdm.h` for x64. Different from it: the unions of [`IRP`] are flattened to the members that drivers use, and
//! the parameters of [`IO_STACK_LOCATION`] are four words with one struct per request kind to read them as.
//! [`DEVICE_OBJECT`] carries the header's `DECLSPEC_ALIGN(MEMORY_ALLOCATION_ALIGNMENT)`, so it is `0x150` bytes.

use crate::ke::{KDPC, KEVENT, KSPIN_LOCK};
use crate::layout::layout;
use crate::ntdef::{LIST_ENTRY, PVOID, UNICODE_STRING};
use crate::status::NTSTATUS;

mod power;
mod request;

pub use power::*;
pub use request::*;

/// Address of a dispatch routine, `NTSTATUS (DeviceObject, Irp)`.
pub type PDRIVER_DISPATCH = PVOID;
/// Address of `DriverUnload`, `void (DriverObject)`.
pub type PDRIVER_UNLOAD = PVOID;
/// Address of a work item's routine, `void (DeviceObject, Context)`.
pub type PIO_WORKITEM_ROUTINE = PVOID;

layout! {
    /// A loaded driver.
    pub struct DRIVER_OBJECT : 0x150 {
        /// 4.
        0x000 Type: i16,
        /// Bytes.
        0x002 Size: i16,
        /// First of its devices.
        0x008 DeviceObject: *mut DEVICE_OBJECT,
        /// `DRVO_*` bits.
        0x010 Flags: u32,
        /// Where the image lies.
        0x018 DriverStart: PVOID,
        /// Bytes of the image.
        0x020 DriverSize: u32,
        /// Module list entry.
        0x028 DriverSection: PVOID,
        /// Its extension.
        0x030 DriverExtension: *mut DRIVER_EXTENSION,
        /// Name, such as `\Driver\sample`.
        0x038 DriverName: UNICODE_STRING,
        /// Registry path of the hardware description.
        0x048 HardwareDatabase: *mut UNICODE_STRING,
        /// Fast I/O routines.
        0x050 FastIoDispatch: PVOID,
        /// Entry point.
        0x058 DriverInit: PVOID,
        /// Start routine.
        0x060 DriverStartIo: PVOID,
        /// Unload routine, or null: the driver cannot be unloaded.
        0x068 DriverUnload: PDRIVER_UNLOAD,
        /// One dispatch routine per `IRP_MJ_*`.
        0x070 MajorFunction: [PDRIVER_DISPATCH; 28],
    }

    /// Extension of a driver object, public part and the members behind it.
    pub struct DRIVER_EXTENSION : 0x50 {
        /// The driver.
        0x00 DriverObject: *mut DRIVER_OBJECT,
        /// `AddDevice` of a plug and play driver.
        0x08 AddDevice: PVOID,
        /// Reinitializations so far.
        0x10 Count: u32,
        /// Name of the service key.
        0x18 ServiceKeyName: UNICODE_STRING,
        /// Extensions the driver asked for.
        0x28 ClientDriverExtension: PVOID,
        /// File system filter routines.
        0x30 FsFilterCallbacks: PVOID,
        /// Kernel shim data.
        0x38 KseCallbacks: PVOID,
        /// Verifier data.
        0x40 DvCallbacks: PVOID,
        /// Verifier data.
        0x48 VerifierContext: PVOID,
    }

    /// A queue of requests to a device.
    pub struct KDEVICE_QUEUE : 0x28 {
        /// 0x14.
        0x00 Type: i16,
        /// Bytes.
        0x02 Size: i16,
        /// Waiting requests.
        0x08 DeviceListHead: LIST_ENTRY,
        /// Guards the queue.
        0x18 Lock: KSPIN_LOCK,
        /// Set while the device works; the upper bits are a hint.
        0x20 Busy: u64,
    }

    /// A device.
    pub struct DEVICE_OBJECT : 0x150 {
        /// 3.
        0x000 Type: i16,
        /// Bytes with the driver's extension.
        0x002 Size: u16,
        /// References by handles and attachments.
        0x004 ReferenceCount: i32,
        /// Its driver.
        0x008 DriverObject: *mut DRIVER_OBJECT,
        /// Next device of the driver.
        0x010 NextDevice: *mut DEVICE_OBJECT,
        /// Device attached on top.
        0x018 AttachedDevice: *mut DEVICE_OBJECT,
        /// Request in work.
        0x020 CurrentIrp: *mut IRP,
        /// Timer.
        0x028 Timer: PVOID,
        /// `DO_*` bits.
        0x030 Flags: u32,
        /// `FILE_*` device characteristics.
        0x034 Characteristics: u32,
        /// Volume mounted on it.
        0x038 Vpb: PVOID,
        /// The driver's own memory, or null.
        0x040 DeviceExtension: PVOID,
        /// `FILE_DEVICE_*`.
        0x048 DeviceType: u32,
        /// Stack locations a request needs.
        0x04C StackSize: i8,
        /// Place in a queue.
        0x050 Queue: [u64; 9],
        /// Alignment of buffers.
        0x098 AlignmentRequirement: u32,
        /// Queue of requests.
        0x0A0 DeviceQueue: KDEVICE_QUEUE,
        /// DPC of the device.
        0x0C8 Dpc: KDPC,
        /// Threads in it.
        0x108 ActiveThreadCount: u32,
        /// Who may open it.
        0x110 SecurityDescriptor: PVOID,
        /// Guards the device.
        0x118 DeviceLock: KEVENT,
        /// Bytes per sector.
        0x130 SectorSize: u16,
        /// Unused.
        0x132 Spare1: u16,
        /// Extension of the I/O manager.
        0x138 DeviceObjectExtension: *mut DEVOBJ_EXTENSION,
        /// Unused.
        0x140 Reserved: PVOID,
        /// Padding of the aligned structure.
        0x148 _Fill148: u64,
    }

    /// Extension of a device object.
    pub struct DEVOBJ_EXTENSION : 0x70 {
        /// 13.
        0x00 Type: i16,
        /// Zero.
        0x02 Size: u16,
        /// The device.
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        /// Power bits.
        0x10 PowerFlags: u32,
        /// Power data.
        0x18 Dope: PVOID,
        /// `DOE_*` bits.
        0x20 ExtensionFlags: u32,
        /// Plug and play node.
        0x28 DeviceNode: PVOID,
        /// Device it is attached to.
        0x30 AttachedTo: *mut DEVICE_OBJECT,
        /// Starts in progress.
        0x38 StartIoCount: i32,
        /// Key of the next start.
        0x3C StartIoKey: i32,
        /// Flags of the next start.
        0x40 StartIoFlags: u32,
        /// Volume.
        0x48 Vpb: PVOID,
        /// Dependencies of a device.
        0x50 DependencyNode: PVOID,
        /// Interrupts of the device.
        0x58 InterruptContext: PVOID,
        /// How many there are.
        0x60 InterruptCount: i32,
        /// Verifier data.
        0x68 VerifierContext: PVOID,
    }

    /// An open file or device.
    pub struct FILE_OBJECT : 0xD8 {
        /// 5.
        0x00 Type: i16,
        /// Bytes.
        0x02 Size: i16,
        /// Device it was opened on.
        0x08 DeviceObject: *mut DEVICE_OBJECT,
        /// Volume.
        0x10 Vpb: PVOID,
        /// The driver's own.
        0x18 FsContext: PVOID,
        /// The driver's own.
        0x20 FsContext2: PVOID,
        /// Sections of a file.
        0x28 SectionObjectPointer: PVOID,
        /// Cache map.
        0x30 PrivateCacheMap: PVOID,
        /// Last status.
        0x38 FinalStatus: NTSTATUS,
        /// File that a name is relative to.
        0x40 RelatedFileObject: *mut FILE_OBJECT,
        /// Synchronous waiters count it.
        0x48 LockOperation: u8,
        /// The file is being deleted.
        0x49 DeletePending: u8,
        /// Opened for reading.
        0x4A ReadAccess: u8,
        /// Opened for writing.
        0x4B WriteAccess: u8,
        /// Opened for deletion.
        0x4C DeleteAccess: u8,
        /// Others may read.
        0x4D SharedRead: u8,
        /// Others may write.
        0x4E SharedWrite: u8,
        /// Others may delete.
        0x4F SharedDelete: u8,
        /// `FO_*` bits.
        0x50 Flags: u32,
        /// Name as opened.
        0x58 FileName: UNICODE_STRING,
        /// Position.
        0x68 CurrentByteOffset: i64,
        /// Threads waiting for the file.
        0x70 Waiters: u32,
        /// Busy.
        0x74 Busy: u32,
        /// Last lock.
        0x78 LastLock: PVOID,
        /// Synchronous files: lock.
        0x80 Lock: KEVENT,
        /// Signaled when a request is complete.
        0x98 Event: KEVENT,
        /// Completion port.
        0xB0 CompletionContext: PVOID,
        /// Guards the list.
        0xB8 IrpListLock: KSPIN_LOCK,
        /// Requests.
        0xC0 IrpList: LIST_ENTRY,
        /// Extension.
        0xD0 FileObjectExtension: PVOID,
    }

    /// Work item of the I/O manager. Opaque to drivers; this is its public-symbol layout, Windows 8 and later.
    pub struct IO_WORKITEM : 0x58 {
        /// What the worker queue sees.
        0x00 WorkItem: crate::ex::WORK_QUEUE_ITEM,
        /// Routine to call.
        0x20 Routine: PIO_WORKITEM_ROUTINE,
        /// Device or driver the item belongs to.
        0x28 IoObject: PVOID,
        /// Context of the routine.
        0x30 Context: PVOID,
        /// Work on behalf flags.
        0x38 WorkOnBehalfThread: PVOID,
        /// Type.
        0x40 Type: u32,
        /// Activity the work belongs to.
        0x44 ActivityId: crate::ntdef::GUID,
    }
}

/// Layouts of the parts of this module.
pub(crate) const PARTS: [&[&crate::layout::Layout]; 2] = [LAYOUTS, request::LAYOUTS];

/// Device type: unknown.
pub const FILE_DEVICE_UNKNOWN: u32 = 0x22;
/// Device characteristic: check the device's descriptor for every open below it.
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
/// Transfer method: through a system buffer.
pub const METHOD_BUFFERED: u32 = 0;
/// Transfer method: descriptor list, towards the device.
pub const METHOD_IN_DIRECT: u32 = 1;
/// Transfer method: descriptor list, from the device.
pub const METHOD_OUT_DIRECT: u32 = 2;
/// Transfer method: the requester's addresses.
pub const METHOD_NEITHER: u32 = 3;
/// Access for a control code: any.
pub const FILE_ANY_ACCESS: u32 = 0;
/// Access for a control code: read.
pub const FILE_READ_ACCESS: u32 = 1;
/// Access for a control code: write.
pub const FILE_WRITE_ACCESS: u32 = 2;

/// Device flag: requests use a system buffer.
pub const DO_BUFFERED_IO: u32 = 0x0000_0004;
/// Device flag: one opener only.
pub const DO_EXCLUSIVE: u32 = 0x0000_0008;
/// Device flag: requests use descriptor lists.
pub const DO_DIRECT_IO: u32 = 0x0000_0010;
/// Device flag: has a name.
pub const DO_DEVICE_HAS_NAME: u32 = 0x0000_0040;
/// Device flag: being set up; nobody may open it yet.
pub const DO_DEVICE_INITIALIZING: u32 = 0x0000_0080;
/// Device flag: be told of shutdown.
pub const DO_SHUTDOWN_REGISTERED: u32 = 0x0000_0800;

/// Driver flag: the driver is to be unloaded.
pub const DRVO_UNLOAD_INVOKED: u32 = 0x0000_0001;
/// Driver flag: a driver without plug and play.
pub const DRVO_LEGACY_DRIVER: u32 = 0x0000_0002;
/// Driver flag: the object was made for `IoCreateDriver`.
pub const DRVO_BUILTIN_DRIVER: u32 = 0x0000_0004;
/// Driver flag: the driver has run its entry point.
pub const DRVO_INITIALIZED: u32 = 0x0000_0010;

/// `Type` of a device object.
pub const IO_TYPE_DEVICE: i16 = 3;
/// `Type` of a driver object.
pub const IO_TYPE_DRIVER: i16 = 4;
/// `Type` of a file object.
pub const IO_TYPE_FILE: i16 = 5;
/// `Type` of a request.
pub const IO_TYPE_IRP: i16 = 6;
/// `Type` of a device object's extension.
pub const IO_TYPE_DEVICE_OBJECT_EXTENSION: i16 = 13;

/// Packs a control code.
///
/// ```
/// # use ringbell_nt as nt;
/// assert_eq!(nt::CTL_CODE(nt::FILE_DEVICE_UNKNOWN, 0x800, nt::METHOD_BUFFERED, nt::FILE_ANY_ACCESS), 0x22_2000);
/// ```
#[must_use]
pub const fn CTL_CODE(device_type: u32, function: u32, method: u32, access: u32) -> u32 {
    (device_type << 16) | (access << 14) | (function << 2) | method
}
