//! Requests: the packet, its stack locations, the codes of what is asked.

use super::{DEVICE_OBJECT, FILE_OBJECT};
use crate::ke::KEVENT;
use crate::layout::layout;
use crate::mm::MDL;
use crate::ntdef::{LIST_ENTRY, PVOID};
use crate::status::NTSTATUS;

layout! {
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
