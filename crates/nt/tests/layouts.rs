//! The public structures against `windows-sys`, and the tables against themselves.
//!
//! Where that crate is wrong, the comparison leaves the member out and says why.

use std::mem::offset_of;

use ringbell_nt as nt;
use ringbell_nt::{Profile, layout};
use windows_sys::Wdk::Foundation as wdk;
use windows_sys::Wdk::Storage::FileSystem as fs;
use windows_sys::Wdk::System::SystemServices as sys;
use windows_sys::Win32::Foundation as win;
use windows_sys::Win32::Security as sec;
use windows_sys::Win32::System::IO as io;
use windows_sys::Win32::System::Kernel as kernel;
use windows_sys::Win32::System::SystemInformation::OSVERSIONINFOEXW;
use windows_sys::Win32::System::WindowsProgramming as programming;

/// Compares the offsets of members, and the sizes unless the line starts with `fields of`.
macro_rules! same {
    ($ours:ident, $theirs:ty { $($field:ident $(= $($path:ident).+)?),* $(,)? }) => {
        assert_eq!(size_of::<nt::$ours>(), size_of::<$theirs>(), "size of {}", stringify!($ours));
        same!(fields of $ours, $theirs { $($field $(= $($path).+)?),* });
    };
    (fields of $ours:ident, $theirs:ty { $($field:ident $(= $($path:ident).+)?),* $(,)? }) => {
        $(
            assert_eq!(
                offset_of!(nt::$ours, $field),
                same!(offset $theirs, $field $(, $($path).+)?),
                "offset of {}::{}", stringify!($ours), stringify!($field)
            );
        )*
    };
    (offset $theirs:ty, $field:ident) => { offset_of!($theirs, $field) };
    (offset $theirs:ty, $field:ident, $($path:ident).+) => { offset_of!($theirs, $($path).+) };
}

#[test]
fn basic_structures_agree_with_windows_sys() {
    same!(LIST_ENTRY, kernel::LIST_ENTRY { Flink, Blink });
    same!(SINGLE_LIST_ENTRY, kernel::SINGLE_LIST_ENTRY { Next });
    same!(UNICODE_STRING, win::UNICODE_STRING { Length, MaximumLength, Buffer });
    same!(STRING, kernel::STRING { Length, MaximumLength, Buffer });
    same!(
        OBJECT_ATTRIBUTES,
        wdk::OBJECT_ATTRIBUTES {
            Length,
            RootDirectory,
            ObjectName,
            Attributes,
            SecurityDescriptor,
            SecurityQualityOfService
        }
    );
    same!(CLIENT_ID, programming::CLIENT_ID { UniqueProcess, UniqueThread });
    same!(GUID, windows_sys::core::GUID { Data1 = data1, Data2 = data2, Data3 = data3, Data4 = data4 });
    same!(
        RTL_OSVERSIONINFOEXW,
        OSVERSIONINFOEXW {
            dwOSVersionInfoSize,
            dwMajorVersion,
            dwMinorVersion,
            dwBuildNumber,
            dwPlatformId,
            szCSDVersion,
            wServicePackMajor,
            wServicePackMinor,
            wSuiteMask,
            wProductType,
            wReserved
        }
    );
    same!(SLIST_ENTRY, kernel::SINGLE_LIST_ENTRY { Next });
    assert_eq!(size_of::<nt::SLIST_HEADER>(), size_of::<kernel::SLIST_HEADER>());
    same!(PROCESSOR_NUMBER, kernel::PROCESSOR_NUMBER { Group, Number, Reserved });
}

#[test]
fn dispatcher_structures_agree_with_windows_sys() {
    same!(DISPATCHER_HEADER, wdk::DISPATCHER_HEADER { SignalState, WaitListHead });
    assert_eq!(offset_of!(nt::DISPATCHER_HEADER, Size), offset_of!(wdk::DISPATCHER_HEADER_0_1, Size));
    assert_eq!(
        offset_of!(nt::DISPATCHER_HEADER, Signalling),
        offset_of!(wdk::DISPATCHER_HEADER_0_1, Signalling)
    );
    same!(KEVENT, wdk::KEVENT { Header });
    same!(KSEMAPHORE, sys::KSEMAPHORE { Header, Limit });
    same!(KMUTANT, wdk::KMUTANT { Header, MutantListEntry, OwnerThread, Abandoned = Anonymous, ApcDisable });
    // `Processor` is missing there, so its `Period` lies four bytes too low.
    same!(KTIMER, sys::KTIMER { Header, DueTime, TimerListEntry, Dpc });
    same!(
        KDPC,
        wdk::KDPC {
            DpcListEntry,
            ProcessorHistory,
            DeferredRoutine,
            DeferredContext,
            SystemArgument1,
            SystemArgument2,
            DpcData
        }
    );
    assert_eq!(offset_of!(nt::KDPC, Importance), offset_of!(wdk::KDPC_0_0, Importance));
    assert_eq!(offset_of!(nt::KDPC, Number), offset_of!(wdk::KDPC_0_0, Number));
    same!(KWAIT_BLOCK, wdk::KWAIT_BLOCK {
        WaitListEntry, WaitType, BlockState, WaitKey, Thread = Anonymous, Object, SparePtr
    });
    same!(KAPC, sys::KAPC {
        Type, Size, Thread, ApcListEntry, KernelRoutine = Reserved, NormalContext, SystemArgument1, SystemArgument2,
        ApcStateIndex, ApcMode, Inserted
    });
    same!(KAPC_STATE, fs::KAPC_STATE {
        ApcListHead, Process, InProgressFlags = Anonymous1, KernelApcPending, UserApcPending = Anonymous2
    });
    same!(FAST_MUTEX, wdk::FAST_MUTEX { Count, Owner, Contention, Event, OldIrql });
    same!(OWNER_ENTRY, wdk::OWNER_ENTRY { OwnerThread, TableSize = Anonymous });
    // `Reserved2` of 64-bit builds is missing there, so what follows lies eight bytes too low.
    assert_eq!(size_of::<wdk::ERESOURCE>() + 8, size_of::<nt::ERESOURCE>());
    same!(fields of ERESOURCE, wdk::ERESOURCE {
        SystemResourcesList, OwnerTable, ActiveCount, Flag = Anonymous1, SharedWaiters, ExclusiveWaiters, OwnerEntry,
        ActiveEntries, ContentionCount, NumberOfSharedWaiters, NumberOfExclusiveWaiters
    });
    same!(WORK_QUEUE_ITEM, wdk::WORK_QUEUE_ITEM { List, WorkerRoutine, Parameter });
    same!(EX_RUNDOWN_REF, sys::EX_RUNDOWN_REF { Count = Anonymous });
    same!(
        KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
        sys::KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT { State, NtNumber, Status, ProcNumber }
    );
    same!(KSYSTEM_TIME, sys::KSYSTEM_TIME { LowPart, High1Time, High2Time });
    // Ours ends before the processor state configuration.
    same!(fields of KUSER_SHARED_DATA, sys::KUSER_SHARED_DATA {
        TickCountMultiplier, InterruptTime, SystemTime, TimeZoneBias, ImageNumberLow, ImageNumberHigh, NtSystemRoot,
        MaxStackTraceDepth, TimeZoneId, LargePageMinimum, NtBuildNumber, NtProductType, ProductTypeIsValid,
        NativeProcessorArchitecture, NtMajorVersion, NtMinorVersion, ProcessorFeatures, SystemExpirationDate,
        SuiteMask, KdDebuggerEnabled, MitigationPolicies = Anonymous1, CyclesPerYield, ActiveConsoleId, DismountCount,
        ComPlusPackage, LastSystemRITEventTickCount, NumberOfPhysicalPages, SafeBootMode,
        SharedDataFlags = Anonymous3, QpcFrequency, TickCount = Anonymous4, Cookie, ActiveProcessorCount,
        ActiveGroupCount
    });
}

#[test]
fn security_structures_agree_with_windows_sys() {
    same!(SID, sec::SID { Revision, SubAuthorityCount, IdentifierAuthority, SubAuthority });
    same!(ACL, sec::ACL { AclRevision, Sbz1, AclSize, AceCount, Sbz2 });
    same!(ACE_HEADER, sec::ACE_HEADER { AceType, AceFlags, AceSize });
    same!(ACCESS_ALLOWED_ACE, sec::ACCESS_ALLOWED_ACE { Header, Mask, SidStart });
    same!(
        SECURITY_DESCRIPTOR,
        sec::SECURITY_DESCRIPTOR { Revision, Sbz1, Control, Owner, Group, Sacl, Dacl }
    );
    same!(
        SECURITY_DESCRIPTOR_RELATIVE,
        sec::SECURITY_DESCRIPTOR_RELATIVE { Revision, Sbz1, Control, Owner, Group, Sacl, Dacl }
    );
    same!(LUID, win::LUID { LowPart, HighPart });
    same!(GENERIC_MAPPING, sec::GENERIC_MAPPING { GenericRead, GenericWrite, GenericExecute, GenericAll });
    same!(
        SECURITY_QUALITY_OF_SERVICE,
        sec::SECURITY_QUALITY_OF_SERVICE { Length, ImpersonationLevel, ContextTrackingMode, EffectiveOnly }
    );
    same!(
        SECURITY_SUBJECT_CONTEXT,
        wdk::SECURITY_SUBJECT_CONTEXT { ClientToken, ImpersonationLevel, PrimaryToken, ProcessAuditId }
    );
}

#[test]
fn io_structures_agree_with_windows_sys() {
    same!(
        DRIVER_OBJECT,
        wdk::DRIVER_OBJECT {
            Type,
            Size,
            DeviceObject,
            Flags,
            DriverStart,
            DriverSize,
            DriverSection,
            DriverExtension,
            DriverName,
            HardwareDatabase,
            FastIoDispatch,
            DriverInit,
            DriverStartIo,
            DriverUnload,
            MajorFunction
        }
    );
    // The public part only; ours goes on.
    same!(fields of DRIVER_EXTENSION, wdk::DRIVER_EXTENSION { DriverObject, AddDevice, Count, ServiceKeyName });
    same!(KDEVICE_QUEUE, wdk::KDEVICE_QUEUE { Type, Size, DeviceListHead, Lock, Busy });
    // The header aligns the structure to 16 bytes, which makes it 0x150; that crate lost the attribute.
    assert_eq!(size_of::<wdk::DEVICE_OBJECT>(), 0x148);
    assert_eq!(size_of::<nt::DEVICE_OBJECT>(), 0x148_usize.next_multiple_of(16));
    same!(fields of DEVICE_OBJECT, wdk::DEVICE_OBJECT {
        Type, Size, ReferenceCount, DriverObject, NextDevice, AttachedDevice, CurrentIrp, Timer, Flags,
        Characteristics, Vpb, DeviceExtension, DeviceType, StackSize, Queue, AlignmentRequirement, DeviceQueue, Dpc,
        ActiveThreadCount, SecurityDescriptor, DeviceLock, SectorSize, Spare1, DeviceObjectExtension, Reserved
    });
    same!(
        DEVOBJ_EXTENSION,
        wdk::DEVOBJ_EXTENSION {
            Type,
            Size,
            DeviceObject,
            PowerFlags,
            Dope,
            ExtensionFlags,
            DeviceNode,
            AttachedTo,
            StartIoCount,
            StartIoKey,
            StartIoFlags,
            Vpb,
            DependencyNode,
            InterruptContext,
            InterruptCount,
            VerifierContext
        }
    );
    same!(
        FILE_OBJECT,
        wdk::FILE_OBJECT {
            Type,
            Size,
            DeviceObject,
            Vpb,
            FsContext,
            FsContext2,
            SectionObjectPointer,
            PrivateCacheMap,
            FinalStatus,
            RelatedFileObject,
            LockOperation,
            DeletePending,
            ReadAccess,
            WriteAccess,
            DeleteAccess,
            SharedRead,
            SharedWrite,
            SharedDelete,
            Flags,
            FileName,
            CurrentByteOffset,
            Waiters,
            Busy,
            LastLock,
            Lock,
            Event,
            CompletionContext,
            IrpListLock,
            IrpList,
            FileObjectExtension
        }
    );
    same!(IO_STATUS_BLOCK, io::IO_STATUS_BLOCK { Status = Anonymous, Information });
    same!(IRP, wdk::IRP {
        Type, Size, MdlAddress, Flags, AssociatedIrp, ThreadListEntry, IoStatus, RequestorMode, PendingReturned,
        StackCount, CurrentLocation, Cancel, CancelIrql, ApcEnvironment, AllocationFlags, UserIosb = Anonymous,
        UserEvent, Overlay, CancelRoutine, UserBuffer, DriverContext = Tail
    });
    let tail = offset_of!(wdk::IRP, Tail);
    assert_eq!(offset_of!(nt::IRP, Thread), tail + offset_of!(wdk::IRP_3_0, Thread));
    assert_eq!(offset_of!(nt::IRP, AuxiliaryBuffer), tail + offset_of!(wdk::IRP_3_0, AuxiliaryBuffer));
    assert_eq!(offset_of!(nt::IRP, ListEntry), tail + offset_of!(wdk::IRP_3_0, Anonymous2));
    assert_eq!(
        offset_of!(nt::IRP, CurrentStackLocation),
        tail + offset_of!(wdk::IRP_3_0, Anonymous2) + offset_of!(wdk::IRP_3_0_1, Anonymous)
    );
    assert_eq!(offset_of!(nt::IRP, OriginalFileObject), tail + offset_of!(wdk::IRP_3_0, OriginalFileObject));
    // Inside `Parameters` that crate lost the pointer alignment of 32-bit members; the whole is right.
    same!(
        IO_STACK_LOCATION,
        wdk::IO_STACK_LOCATION {
            MajorFunction,
            MinorFunction,
            Flags,
            Control,
            Parameters,
            DeviceObject,
            FileObject,
            CompletionRoutine,
            Context
        }
    );
    same!(MDL, wdk::MDL { Next, Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset });
    same!(OBJECT_NAME_INFORMATION, wdk::OBJECT_NAME_INFORMATION { Name });
    same!(OBJECT_HANDLE_INFORMATION, sys::OBJECT_HANDLE_INFORMATION { HandleAttributes, GrantedAccess });
}

#[test]
fn constants_agree_with_windows_sys() {
    macro_rules! equal { ($($theirs:ident: $($name:ident)*;)*) => { $($(
        assert_eq!(nt::$name as u64, $theirs::$name as u64, stringify!($name));
    )*)* } }
    equal! {
        win: OBJ_CASE_INSENSITIVE OBJ_DONT_REPARSE OBJ_EXCLUSIVE OBJ_FORCE_ACCESS_CHECK
            OBJ_IGNORE_IMPERSONATED_DEVICEMAP OBJ_INHERIT OBJ_KERNEL_HANDLE OBJ_OPENIF OBJ_OPENLINK OBJ_PERMANENT;
        fs: PO_CB_AC_STATUS PO_CB_BUTTON_COLLISION PO_CB_LID_SWITCH_STATE PO_CB_PROCESSOR_POWER_POLICY
            PO_CB_SYSTEM_POWER_POLICY PO_CB_SYSTEM_STATE_LOCK;
        sys: IRP_MJ_MAXIMUM_FUNCTION IRP_MJ_CREATE IRP_MJ_CLOSE IRP_MJ_READ IRP_MJ_WRITE IRP_MJ_DEVICE_CONTROL
            IRP_MJ_INTERNAL_DEVICE_CONTROL IRP_MJ_CLEANUP IRP_MJ_POWER IRP_MJ_PNP;
    }
}

#[test]
fn tables_are_whole() {
    for (index, layout) in layout::ALL.iter().enumerate() {
        assert!(!layout.doc.is_empty(), "{} says nothing", layout.name);
        assert!(
            layout::ALL[..index].iter().all(|other| other.name != layout.name),
            "{} is there twice",
            layout.name
        );
        assert_eq!(layout::by_name(layout.name), Some(*layout));
        let mut end = 0;
        for field in layout.fields {
            assert!(field.offset >= end, "{}::{} overlaps", layout.name, field.name);
            assert!(!field.doc.is_empty(), "{}::{} says nothing", layout.name, field.name);
            end = field.offset + field.size;
            assert_eq!(layout.field(field.name), Some(field));
        }
        assert!(end <= layout.size, "{} ends too early", layout.name);
        assert!(layout.named_fields().count() > 0);
    }
    let callback = layout::by_name("CALLBACK_OBJECT").unwrap();
    assert_eq!(callback.field("Signature").unwrap().type_name, "u32");
    assert_eq!(callback.field("ExpCallbackList").unwrap().offset, 0x28);
}

#[test]
fn layouts_follow_the_profile() {
    let size = |name: &str, profile| nt::layout_for(name, profile).unwrap().size;
    assert_eq!(size("CALLBACK_OBJECT", Profile::WIN8), 0x28);
    assert_eq!(size("_callback_object", Profile::WIN81), 0x38);
    assert_eq!(size("OBJECT_TYPE", Profile::NT6), 0xD0);
    assert_eq!(size("OBJECT_TYPE", Profile::WIN11_24H2), 0xD8);
    assert_eq!(size("OBJECT_TYPE_INITIALIZER", Profile::NT6), 0x70);
    assert_eq!(size("OBJECT_DIRECTORY", Profile::NT6), 0x150);
    assert_eq!(size("OBJECT_DIRECTORY", Profile::WIN10), 0x158);
    assert_eq!(size("OBJECT_DIRECTORY_V1", Profile::WIN10), 0x150, "asked for by its generation");
    assert!(nt::layout_for("NO_SUCH_TYPE", Profile::DEFAULT).is_none());
    for profile in Profile::ALL {
        assert_eq!(profile.callback_object_layout().size, profile.object_size.value);
        assert_eq!(profile.object_type_initializer_layout().size, profile.type_initializer_size.value);
        assert_eq!(profile.callback_object_layout().nt_name(), "CALLBACK_OBJECT");
        assert_eq!(profile.object_directory_layout().nt_name(), "OBJECT_DIRECTORY");
    }
}

#[test]
fn a_port_has_its_callback_where_each_version_has_it() {
    let at = |profile: &Profile, field: &str| profile.alpc_port_layout().field(field).unwrap().offset;
    let expected = [
        (Profile::NT6, 0x1A0, 0x148),
        (Profile::WIN8, 0x1B8, 0x160),
        (Profile::WIN81, 0x1C0, 0x158),
        (Profile::WIN10, 0x1D8, 0x170),
        (Profile::WIN11, 0x1D8, 0x170),
        (Profile::WIN11_24H2, 0x1D8, 0x170),
    ];
    for (profile, size, callback) in expected {
        assert_eq!(profile.alpc_port_layout().size, size, "{}", profile.name);
        assert_eq!(at(profile, "CallbackObject"), callback, "{}", profile.name);
        assert_eq!(at(profile, "CallbackContext"), callback + 8, "{}", profile.name);
        assert_eq!(nt::layout_for("_ALPC_PORT", profile), Some(profile.alpc_port_layout()));
        assert_eq!(profile.alpc_port_layout().nt_name(), "ALPC_PORT");
    }
}

#[test]
fn optional_headers_lie_where_the_mask_says() {
    use nt::ob::{info, info_mask_to_offset, info_size};
    assert_eq!(info_mask_to_offset(info::NAME, info::NAME), Some(0x20));
    assert_eq!(info_mask_to_offset(info::NAME | info::CREATOR, info::NAME), Some(0x40));
    assert_eq!(info_mask_to_offset(info::QUOTA | info::NAME, info::QUOTA), Some(0x40));
    assert_eq!(info_mask_to_offset(info::QUOTA, info::NAME), None);
    assert_eq!(info_mask_to_offset(0xFF, 0x03), None, "not one bit");
    assert_eq!(info_size(info::NAME), 0x20);
    // Pool blocks of callback objects: header, name, body, pool header, rounded up.
    let block = |mask| (info_size(mask) + 0x30 + 0x38 + 0x10_usize).next_multiple_of(0x10);
    assert_eq!(block(info::NAME), 0xA0);
    assert_eq!(block(info::NAME | info::QUOTA), 0xC0);
    assert_eq!(block(0), 0x80);
}

#[test]
fn type_indexes_decode_to_what_was_encoded() {
    let address = 0xFFFF_F805_1234_5630;
    for index in 0..=u8::MAX {
        let stored = nt::OBJECT_HEADER::cook_type_index(index, address, 0xA7);
        assert_eq!(nt::OBJECT_HEADER::cook_type_index(stored, address, 0xA7), index);
    }
    assert_eq!(nt::OBJECT_HEADER::cook_type_index(0x25, address, 0xA7), 0x25 ^ 0x56 ^ 0xA7);
}
