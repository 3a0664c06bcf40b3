//! I/O: drivers, devices, requests.
//!
//! Models `wdm.h` for x64. Different from it: the unions of [`IRP`] are flattened to the members that drivers use, and
//! the parameters of [`IO_STACK_LOCATION`] are four words with one struct per request kind to read them as.
//! [`DEVICE_OBJECT`] carries the header's `DECLSPEC_ALIGN(MEMORY_ALLOCATION_ALIGNMENT)`, so it is `0x150` bytes.

use crate::ke::{KDPC, KEVENT, KSPIN_LOCK};
use crate::layout::layout;
use crate::mm::MDL;
use crate::ntdef::{LIST_ENTRY, PVOID, UNICODE_STRING};
use crate::status::NTSTATUS;

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

    /// Extension of a device object, public part and the members behind it.
    pub struct DEVOBJ_EXTENSION : 0x48 {
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

    /// Outcome of a request.
    pub struct IO_STATUS_BLOCK : 0x10 {
        /// Status; the other half of the union is a pointer.
        0x00 Status: NTSTATUS,
        /// Bytes transferred, or what the request defines.
        0x08 Information: usize,
    }

    /// I/O request packet; its stack locations follow it.
    pub struct IRP : 0xD0 {
        /// 6.
        0x00 Type: i16,
        /// Bytes with stack locations.
        0x02 Size: u16,
        /// Processor it was allocated on.
        0x04 AllocationProcessorNumber: u16,
        /// Unused.
        0x06 Reserved1: u16,
        /// Buffer as a descriptor list, or null.
        0x08 MdlAddress: *mut MDL,
        /// `IRP_*` bits.
        0x10 Flags: u32,
        /// Union: system buffer, master request or count of its parts.
        0x18 AssociatedIrp: PVOID,
        /// Node in the thread's list.
        0x20 ThreadListEntry: LIST_ENTRY,
        /// Outcome.
        0x30 IoStatus: IO_STATUS_BLOCK,
        /// Mode of the requester.
        0x40 RequestorMode: i8,
        /// A driver returned `STATUS_PENDING`.
        0x41 PendingReturned: u8,
        /// Stack locations.
        0x42 StackCount: i8,
        /// Current one, counted from 1.
        0x43 CurrentLocation: i8,
        /// Set when canceled.
        0x44 Cancel: u8,
        /// IRQL at which the cancel lock was acquired.
        0x45 CancelIrql: u8,
        /// APC environment.
        0x46 ApcEnvironment: i8,
        /// Allocation bits.
        0x47 AllocationFlags: u8,
        /// Requester's status block.
        0x48 UserIosb: *mut IO_STATUS_BLOCK,
        /// Requester's event.
        0x50 UserEvent: *mut KEVENT,
        /// Union: APC routine and context, or allocation size.
        0x58 Overlay: [u64; 2],
        /// Cancel routine or null.
        0x68 CancelRoutine: PVOID,
        /// Requester's buffer.
        0x70 UserBuffer: PVOID,
        /// `Tail.Overlay`: the owning driver's four words (or a device queue entry).
        0x78 DriverContext: [PVOID; 4],
        /// `Tail.Overlay`: requesting thread.
        0x98 Thread: PVOID,
        /// `Tail.Overlay`: auxiliary buffer.
        0xA0 AuxiliaryBuffer: PVOID,
        /// `Tail.Overlay`: node for the owning driver.
        0xA8 ListEntry: LIST_ENTRY,
        /// `Tail.Overlay`: current stack location.
        0xB8 CurrentStackLocation: *mut IO_STACK_LOCATION,
        /// `Tail.Overlay`: file the request is for.
        0xC0 OriginalFileObject: *mut FILE_OBJECT,
        /// `Tail.Overlay`: extension.
        0xC8 IrpExtension: PVOID,
    }

    /// One driver's share of a request.
    pub struct IO_STACK_LOCATION : 0x48 {
        /// `IRP_MJ_*`.
        0x00 MajorFunction: u8,
        /// `IRP_MN_*`.
        0x01 MinorFunction: u8,
        /// `SL_*` request bits.
        0x02 Flags: u8,
        /// `SL_*` control bits.
        0x03 Control: u8,
        /// Union by request; read it as one of the `IO_PARAMETERS_*` structures.
        0x08 Parameters: [u64; 4],
        /// Target device.
        0x28 DeviceObject: *mut DEVICE_OBJECT,
        /// File the request is for.
        0x30 FileObject: *mut FILE_OBJECT,
        /// Called when the drivers below are done.
        0x38 CompletionRoutine: PVOID,
        /// Its context.
        0x40 Context: PVOID,
    }

    /// Parameters of `IRP_MJ_CREATE`.
    pub struct IO_PARAMETERS_CREATE : 0x20 {
        /// Security context.
        0x00 SecurityContext: PVOID,
        /// Create options and, in the top byte, disposition.
        0x08 Options: u32,
        /// Aligns the next member to a pointer.
        0x0C _Fill0C: u32,
        /// File attributes.
        0x10 FileAttributes: u16,
        /// Sharing.
        0x12 ShareAccess: u16,
        /// Aligns the next member to a pointer.
        0x14 _Fill14: u32,
        /// Bytes of extended attributes.
        0x18 EaLength: u32,
        /// Aligns the end.
        0x1C _Fill1C: u32,
    }

    /// Parameters of `IRP_MJ_READ` and `IRP_MJ_WRITE`.
    pub struct IO_PARAMETERS_READ : 0x18 {
        /// Bytes.
        0x00 Length: u32,
        /// Aligns the next member to a pointer.
        0x04 _Fill04: u32,
        /// Key of a lock.
        0x08 Key: u32,
        /// Aligns the next member to a pointer.
        0x0C _Fill0C: u32,
        /// Position.
        0x10 ByteOffset: i64,
    }

    /// Parameters of `IRP_MJ_DEVICE_CONTROL` and `IRP_MJ_INTERNAL_DEVICE_CONTROL`.
    pub struct IO_PARAMETERS_DEVICE_IO_CONTROL : 0x20 {
        /// Bytes of the output buffer.
        0x00 OutputBufferLength: u32,
        /// Aligns the next member to a pointer.
        0x04 _Fill04: u32,
        /// Bytes of the input buffer.
        0x08 InputBufferLength: u32,
        /// Aligns the next member to a pointer.
        0x0C _Fill0C: u32,
        /// Control code.
        0x10 IoControlCode: u32,
        /// Aligns the next member to a pointer.
        0x14 _Fill14: u32,
        /// Input buffer of `METHOD_NEITHER`.
        0x18 Type3InputBuffer: PVOID,
    }

    /// Parameters of `IRP_MJ_POWER`.
    pub struct IO_PARAMETERS_POWER : 0x20 {
        /// System context.
        0x00 SystemContext: u32,
        /// Aligns the next member to a pointer.
        0x04 _Fill04: u32,
        /// System or device power.
        0x08 Type: u32,
        /// Aligns the next member to a pointer.
        0x0C _Fill0C: u32,
        /// State.
        0x10 State: u32,
        /// Aligns the next member to a pointer.
        0x14 _Fill14: u32,
        /// Why.
        0x18 ShutdownType: u32,
        /// Aligns the end.
        0x1C _Fill1C: u32,
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

macro_rules! major_functions {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal,)*) => {
        $( $(#[doc = $doc])* pub const $name: u8 = $value; )*

        /// Names a major function code.
        #[must_use]
        pub const fn major_function_name(code: u8) -> Option<&'static str> {
            match code {
                $( $value => Some(stringify!($name)), )*
                _ => None,
            }
        }
    };
}

major_functions! {
    /// A handle is made.
    IRP_MJ_CREATE = 0x00,
    /// A named pipe is made.
    IRP_MJ_CREATE_NAMED_PIPE = 0x01,
    /// The last reference is gone.
    IRP_MJ_CLOSE = 0x02,
    /// Read.
    IRP_MJ_READ = 0x03,
    /// Write.
    IRP_MJ_WRITE = 0x04,
    /// Query information.
    IRP_MJ_QUERY_INFORMATION = 0x05,
    /// Set information.
    IRP_MJ_SET_INFORMATION = 0x06,
    /// Query extended attributes.
    IRP_MJ_QUERY_EA = 0x07,
    /// Set extended attributes.
    IRP_MJ_SET_EA = 0x08,
    /// Flush.
    IRP_MJ_FLUSH_BUFFERS = 0x09,
    /// Query the volume.
    IRP_MJ_QUERY_VOLUME_INFORMATION = 0x0A,
    /// Change the volume.
    IRP_MJ_SET_VOLUME_INFORMATION = 0x0B,
    /// List a directory.
    IRP_MJ_DIRECTORY_CONTROL = 0x0C,
    /// Control the file system.
    IRP_MJ_FILE_SYSTEM_CONTROL = 0x0D,
    /// Control the device.
    IRP_MJ_DEVICE_CONTROL = 0x0E,
    /// Control from another driver.
    IRP_MJ_INTERNAL_DEVICE_CONTROL = 0x0F,
    /// The system goes down.
    IRP_MJ_SHUTDOWN = 0x10,
    /// Lock.
    IRP_MJ_LOCK_CONTROL = 0x11,
    /// The last handle is closed.
    IRP_MJ_CLEANUP = 0x12,
    /// A mailslot is made.
    IRP_MJ_CREATE_MAILSLOT = 0x13,
    /// Read the descriptor.
    IRP_MJ_QUERY_SECURITY = 0x14,
    /// Change the descriptor.
    IRP_MJ_SET_SECURITY = 0x15,
    /// Power.
    IRP_MJ_POWER = 0x16,
    /// Management instrumentation.
    IRP_MJ_SYSTEM_CONTROL = 0x17,
    /// The device changes.
    IRP_MJ_DEVICE_CHANGE = 0x18,
    /// Query quotas.
    IRP_MJ_QUERY_QUOTA = 0x19,
    /// Change quotas.
    IRP_MJ_SET_QUOTA = 0x1A,
    /// Plug and play.
    IRP_MJ_PNP = 0x1B,
}

/// Highest major function code.
pub const IRP_MJ_MAXIMUM_FUNCTION: u8 = 0x1B;

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

macro_rules! po_cb {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal,)*) => {
        $( $(#[doc = $doc])* pub const $name: u32 = $value; )*

        /// Names the first argument of a PowerState notify.
        #[must_use]
        pub const fn po_cb_name(value: u32) -> Option<&'static str> {
            match value {
                $( $value => Some(stringify!($name)), )*
                _ => None,
            }
        }
    };
}

po_cb! {
    /// PowerState: the power policy changed.
    PO_CB_SYSTEM_POWER_POLICY = 0,
    /// PowerState: mains or battery.
    PO_CB_AC_STATUS = 1,
    /// PowerState: obsolete.
    PO_CB_BUTTON_COLLISION = 2,
    /// PowerState: about to leave the working state, or back in it.
    PO_CB_SYSTEM_STATE_LOCK = 3,
    /// PowerState: the lid was opened or closed.
    PO_CB_LID_SWITCH_STATE = 4,
    /// PowerState: the processor power policy changed.
    PO_CB_PROCESSOR_POWER_POLICY = 5,
}
