//! Processes, threads and loaded modules.
//!
//! [`ETHREAD`] and [`EPROCESS`] follow the public symbols of Windows 10 20H1 to 22H2 (10.0.19041 to 19045, x64), as
//! far as drivers are seen to read them without asking an export; both are cut off after the last modeled member.
//! [`KLDR_DATA_TABLE_ENTRY`] has kept its place since Windows 7.

use crate::ke::{DISPATCHER_HEADER, KTHREAD};
use crate::layout::layout;
use crate::ntdef::{CLIENT_ID, HANDLE, LIST_ENTRY, PVOID, UNICODE_STRING};

layout! {
    /// Thread object, first part.
    pub struct ETHREAD : 0x500 {
        /// The kernel's part.
        0x000 Tcb: KTHREAD,
        /// When it was created.
        0x430 CreateTime: i64,
        /// Not modeled.
        0x438 _Fill438: [u64; 3],
        /// First instruction.
        0x450 StartAddress: PVOID,
        /// Not modeled.
        0x458 _Fill458: [u64; 4],
        /// Process and thread identifiers.
        0x478 Cid: CLIENT_ID,
        /// Not modeled.
        0x488 _Fill488: [u64; 15],
    }

    /// Process object, first part.
    pub struct EPROCESS : 0x600 {
        /// `Pcb.Header`, type 3.
        0x000 Header: DISPATCHER_HEADER,
        /// `Pcb.ProfileListHead`.
        0x018 ProfileListHead: LIST_ENTRY,
        /// `Pcb.DirectoryTableBase`: CR3.
        0x028 DirectoryTableBase: u64,
        /// Not modeled.
        0x030 _Fill030: [u64; 0x81],
        /// Push lock of the process.
        0x438 ProcessLock: usize,
        /// Process identifier.
        0x440 UniqueProcessId: HANDLE,
        /// Node in the list of all processes.
        0x448 ActiveProcessLinks: LIST_ENTRY,
        /// Not modeled.
        0x458 _Fill458: [u64; 2],
        /// When it was created.
        0x468 CreateTime: i64,
        /// Not modeled.
        0x470 _Fill470: [u64; 9],
        /// Primary token, a fast reference.
        0x4B8 Token: usize,
        /// Not modeled.
        0x4C0 _Fill4C0: [u64; 16],
        /// Identifier of the parent.
        0x540 InheritedFromUniqueProcessId: HANDLE,
        /// Not modeled.
        0x548 _Fill548: u64,
        /// Process environment block, null for System.
        0x550 Peb: PVOID,
        /// Not modeled.
        0x558 _Fill558: [u64; 3],
        /// Handle table.
        0x570 ObjectTable: PVOID,
        /// Not modeled.
        0x578 _Fill578: [u64; 6],
        /// First characters of the image's name, ASCII.
        0x5A8 ImageFileName: [u8; 15],
        /// Priority class.
        0x5B7 PriorityClass: u8,
        /// Not modeled.
        0x5B8 _Fill5B8: [u64; 5],
        /// List of the threads.
        0x5E0 ThreadListHead: LIST_ENTRY,
        /// Not modeled.
        0x5F0 _Fill5F0: [u64; 2],
    }

    /// A loaded module in `PsLoadedModuleList`; `DRIVER_OBJECT.DriverSection` points to one.
    pub struct KLDR_DATA_TABLE_ENTRY : 0xA0 {
        /// Node in `PsLoadedModuleList`.
        0x00 InLoadOrderLinks: LIST_ENTRY,
        /// Exception table of the image.
        0x10 ExceptionTable: PVOID,
        /// Bytes of the exception table.
        0x18 ExceptionTableSize: u32,
        /// Global pointer, unused on x64.
        0x20 GpValue: PVOID,
        /// Paged information.
        0x28 NonPagedDebugInfo: PVOID,
        /// Where the image lies.
        0x30 DllBase: PVOID,
        /// `DriverEntry`.
        0x38 EntryPoint: PVOID,
        /// Bytes of the image.
        0x40 SizeOfImage: u32,
        /// Path of the file.
        0x48 FullDllName: UNICODE_STRING,
        /// Last component of the path.
        0x58 BaseDllName: UNICODE_STRING,
        /// Bit `0x20` (signed image) is what `ObRegisterCallbacks` asks for.
        0x68 Flags: u32,
        /// References by importing images.
        0x6C LoadCount: u16,
        /// Signature level and type.
        0x6E SignatureInfo: u16,
        /// Section object.
        0x70 SectionPointer: PVOID,
        /// Header checksum.
        0x78 CheckSum: u32,
        /// Bytes of the part covered by coverage data.
        0x7C CoverageSectionSize: u32,
        /// Coverage data.
        0x80 CoverageSection: PVOID,
        /// Modules this one imports from.
        0x88 LoadedImports: PVOID,
        /// Unused.
        0x90 Spare: PVOID,
        /// Bytes of the image when its discardable part was still there.
        0x98 SizeOfImageNotRounded: u32,
        /// Header time stamp.
        0x9C TimeDateStamp: u32,
    }
}
