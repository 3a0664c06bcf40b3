//! Objects: headers, directories, types, symbolic links, attributes.
//!
//! Models the public symbols of 64-bit Windows (7 to 11). An object is a *body* with an [`OBJECT_HEADER`] `0x30`
//! bytes before it and, before that, the optional headers that [`OBJECT_HEADER::InfoMask`] names. Body, header and
//! optional headers are one allocation; always step between them with a pointer to the whole of it.

use crate::ex::EX_PUSH_LOCK;
use crate::layout::layout;
use crate::ntdef::{HANDLE, LIST_ENTRY, PVOID, UNICODE_STRING};
use crate::se::GENERIC_MAPPING;

/// Buckets of an object directory.
pub const NUMBER_HASH_BUCKETS: usize = 37;

layout! {
    /// Header in front of every object.
    pub struct OBJECT_HEADER : 0x30 {
        /// References, handles' included.
        0x00 PointerCount: i64,
        /// Open handles.
        0x08 HandleCount: i64,
        /// Guards the header.
        0x10 Lock: EX_PUSH_LOCK,
        /// Type; encoded with a cookie and the header's address on Windows 10 and later.
        0x18 TypeIndex: u8,
        /// Reference tracing.
        0x19 TraceFlags: u8,
        /// Which optional headers there are, [`info`] bits.
        0x1A InfoMask: u8,
        /// [`flags`] bits.
        0x1B Flags: u8,
        /// Unused.
        0x1C Reserved: u32,
        /// Creation parameters while the object is new; quota block afterwards.
        0x20 ObjectCreateInfo: PVOID,
        /// Descriptor, a fast reference: the low four bits count.
        0x28 SecurityDescriptor: usize,
    }

    /// Optional header: node in the type's list of objects.
    pub struct OBJECT_HEADER_CREATOR_INFO : 0x20 {
        /// Node in the type's list.
        0x00 TypeList: LIST_ENTRY,
        /// Process that created the object.
        0x10 CreatorUniqueProcess: HANDLE,
        /// Where it was created.
        0x18 CreatorBackTraceIndex: u16,
        /// Unused.
        0x1A Reserved: u16,
    }

    /// Optional header: the name.
    pub struct OBJECT_HEADER_NAME_INFO : 0x20 {
        /// Directory that holds the object; null once the name is removed.
        0x00 Directory: *mut OBJECT_DIRECTORY,
        /// Last component of the name. Stays when the name is removed from the directory.
        0x08 Name: UNICODE_STRING,
        /// Queries in progress.
        0x18 ReferenceCount: i32,
    }

    /// Optional header: handles per process.
    pub struct OBJECT_HEADER_HANDLE_INFO : 0x10 {
        /// Database, or the only process.
        0x00 HandleCountDataBase: PVOID,
        /// Handles of the only process.
        0x08 HandleCount: u32,
    }

    /// Optional header: quota charged.
    pub struct OBJECT_HEADER_QUOTA_INFO : 0x20 {
        /// Paged pool charged.
        0x00 PagedPoolCharge: u32,
        /// Nonpaged pool charged.
        0x04 NonPagedPoolCharge: u32,
        /// Security descriptor charged.
        0x08 SecurityDescriptorCharge: u32,
        /// Padding.
        0x0C Reserved1: u32,
        /// Block the descriptor was charged to.
        0x10 SecurityDescriptorQuotaBlock: PVOID,
        /// Unused.
        0x18 Reserved2: u64,
    }

    /// Optional header: process with exclusive use.
    pub struct OBJECT_HEADER_PROCESS_INFO : 0x10 {
        /// The process.
        0x00 ExclusiveProcess: PVOID,
        /// Unused.
        0x08 Reserved: u64,
    }

    /// Optional header: auditing.
    pub struct OBJECT_HEADER_AUDIT_INFO : 0x10 {
        /// Descriptor to audit with.
        0x00 SecurityDescriptor: PVOID,
        /// Unused.
        0x08 Reserved: u64,
    }

    /// Optional header: footer.
    pub struct OBJECT_HEADER_EXTENDED_INFO : 0x10 {
        /// Footer behind the body.
        0x00 Footer: PVOID,
        /// Unused.
        0x08 Reserved: u64,
    }

    /// Optional header: how much padding precedes a cache-aligned object.
    pub struct OBJECT_HEADER_PADDING_INFO : 0x4 {
        /// Bytes.
        0x00 PaddingAmount: u32,
    }

    /// One object in a directory.
    pub struct OBJECT_DIRECTORY_ENTRY : 0x18 {
        /// Next entry of the bucket.
        0x00 ChainLink: *mut OBJECT_DIRECTORY_ENTRY,
        /// Body of the object.
        0x08 Object: PVOID,
        /// Full hash of the name.
        0x10 HashValue: u32,
    }

    /// Object directory, Windows 10 1709 and later.
    pub struct OBJECT_DIRECTORY : 0x158 {
        /// Chains of entries, newest first; the bucket is the hash modulo 37.
        0x000 HashBuckets: [*mut OBJECT_DIRECTORY_ENTRY; NUMBER_HASH_BUCKETS],
        /// Guards the directory.
        0x128 Lock: EX_PUSH_LOCK,
        /// Device map or null.
        0x130 DeviceMap: PVOID,
        /// Directory searched next, or null.
        0x138 ShadowDirectory: *mut OBJECT_DIRECTORY,
        /// Private namespace or null.
        0x140 NamespaceEntry: PVOID,
        /// Session or null.
        0x148 SessionObject: PVOID,
        /// Flags.
        0x150 Flags: u32,
        /// Session or `0xFFFFFFFF`.
        0x154 SessionId: u32,
    }

    /// Object directory, Windows 7 to 8.1.
    pub struct OBJECT_DIRECTORY_V1 : 0x150 {
        /// Chains of entries, newest first.
        0x000 HashBuckets: [*mut OBJECT_DIRECTORY_ENTRY; NUMBER_HASH_BUCKETS],
        /// Guards the directory.
        0x128 Lock: EX_PUSH_LOCK,
        /// Device map or null.
        0x130 DeviceMap: PVOID,
        /// Session or `0xFFFFFFFF`.
        0x138 SessionId: u32,
        /// Private namespace or null.
        0x140 NamespaceEntry: PVOID,
        /// Flags.
        0x148 Flags: u32,
    }

    /// Object directory, first builds of Windows 10.
    pub struct OBJECT_DIRECTORY_V2 : 0x158 {
        /// Chains of entries, newest first.
        0x000 HashBuckets: [*mut OBJECT_DIRECTORY_ENTRY; NUMBER_HASH_BUCKETS],
        /// Guards the directory.
        0x128 Lock: EX_PUSH_LOCK,
        /// Device map or null.
        0x130 DeviceMap: PVOID,
        /// Directory searched next, or null.
        0x138 ShadowDirectory: *mut OBJECT_DIRECTORY_V2,
        /// Session or `0xFFFFFFFF`.
        0x140 SessionId: u32,
        /// Private namespace or null.
        0x148 NamespaceEntry: PVOID,
        /// Flags.
        0x150 Flags: u32,
    }

    /// What a type does with its objects, Windows 8 and later.
    pub struct OBJECT_TYPE_INITIALIZER : 0x78 {
        /// Size of the structure.
        0x00 Length: u16,
        /// [`type_flags`] bits.
        0x02 ObjectTypeFlags: u8,
        /// More flags.
        0x03 ObjectTypeFlags2: u8,
        /// Code for tracing.
        0x04 ObjectTypeCode: u32,
        /// Attributes refused for objects of the type.
        0x08 InvalidAttributes: u32,
        /// Meaning of the generic rights.
        0x0C GenericMapping: GENERIC_MAPPING,
        /// Rights that exist.
        0x1C ValidAccessMask: u32,
        /// Rights kept in any case.
        0x20 RetainAccess: u32,
        /// Pool of the objects.
        0x24 PoolType: u32,
        /// Paged pool charged per object.
        0x28 DefaultPagedPoolCharge: u32,
        /// Nonpaged pool charged per object.
        0x2C DefaultNonPagedPoolCharge: u32,
        /// Prints an object.
        0x30 DumpProcedure: PVOID,
        /// Runs when a handle is made.
        0x38 OpenProcedure: PVOID,
        /// Runs when a handle is closed.
        0x40 CloseProcedure: PVOID,
        /// Runs when the last reference is gone.
        0x48 DeleteProcedure: PVOID,
        /// Resolves the rest of a path.
        0x50 ParseProcedure: PVOID,
        /// Reads and writes the descriptor.
        0x58 SecurityProcedure: PVOID,
        /// Names an object.
        0x60 QueryNameProcedure: PVOID,
        /// Allows or refuses closing a handle.
        0x68 OkayToCloseProcedure: PVOID,
        /// Where to find the waitable part: flag mask.
        0x70 WaitObjectFlagMask: u32,
        /// Offset of the flag.
        0x74 WaitObjectFlagOffset: u16,
        /// Offset of the pointer.
        0x76 WaitObjectPointerOffset: u16,
    }

    /// What a type does with its objects, Windows 7.
    pub struct OBJECT_TYPE_INITIALIZER_V1 : 0x70 {
        /// Size of the structure.
        0x00 Length: u16,
        /// [`type_flags`] bits.
        0x02 ObjectTypeFlags: u8,
        /// Code for tracing.
        0x04 ObjectTypeCode: u32,
        /// Attributes refused for objects of the type.
        0x08 InvalidAttributes: u32,
        /// Meaning of the generic rights.
        0x0C GenericMapping: GENERIC_MAPPING,
        /// Rights that exist.
        0x1C ValidAccessMask: u32,
        /// Rights kept in any case.
        0x20 RetainAccess: u32,
        /// Pool of the objects.
        0x24 PoolType: u32,
        /// Paged pool charged per object.
        0x28 DefaultPagedPoolCharge: u32,
        /// Nonpaged pool charged per object.
        0x2C DefaultNonPagedPoolCharge: u32,
        /// Prints an object.
        0x30 DumpProcedure: PVOID,
        /// Runs when a handle is made.
        0x38 OpenProcedure: PVOID,
        /// Runs when a handle is closed.
        0x40 CloseProcedure: PVOID,
        /// Runs when the last reference is gone.
        0x48 DeleteProcedure: PVOID,
        /// Resolves the rest of a path.
        0x50 ParseProcedure: PVOID,
        /// Reads and writes the descriptor.
        0x58 SecurityProcedure: PVOID,
        /// Names an object.
        0x60 QueryNameProcedure: PVOID,
        /// Allows or refuses closing a handle.
        0x68 OkayToCloseProcedure: PVOID,
    }

    /// Object type, Windows 8 and later.
    pub struct OBJECT_TYPE : 0xD8 {
        /// Objects of the type, when creators are recorded.
        0x00 TypeList: LIST_ENTRY,
        /// Name of the type.
        0x10 Name: UNICODE_STRING,
        /// Waitable part for types without one.
        0x20 DefaultObject: PVOID,
        /// Place in the table of types.
        0x28 Index: u8,
        /// Objects alive.
        0x2C TotalNumberOfObjects: u32,
        /// Handles open.
        0x30 TotalNumberOfHandles: u32,
        /// Most objects so far.
        0x34 HighWaterNumberOfObjects: u32,
        /// Most handles so far.
        0x38 HighWaterNumberOfHandles: u32,
        /// What the type does.
        0x40 TypeInfo: OBJECT_TYPE_INITIALIZER,
        /// Guards the type.
        0xB8 TypeLock: EX_PUSH_LOCK,
        /// Pool tag of the objects: the first four characters of the name.
        0xC0 Key: u32,
        /// `ObRegisterCallbacks` registrations, another mechanism.
        0xC8 CallbackList: LIST_ENTRY,
    }

    /// Object type, Windows 7.
    pub struct OBJECT_TYPE_V1 : 0xD0 {
        /// Objects of the type, when creators are recorded.
        0x00 TypeList: LIST_ENTRY,
        /// Name of the type.
        0x10 Name: UNICODE_STRING,
        /// Waitable part for types without one.
        0x20 DefaultObject: PVOID,
        /// Place in the table of types.
        0x28 Index: u8,
        /// Objects alive.
        0x2C TotalNumberOfObjects: u32,
        /// Handles open.
        0x30 TotalNumberOfHandles: u32,
        /// Most objects so far.
        0x34 HighWaterNumberOfObjects: u32,
        /// Most handles so far.
        0x38 HighWaterNumberOfHandles: u32,
        /// What the type does.
        0x40 TypeInfo: OBJECT_TYPE_INITIALIZER_V1,
        /// Guards the type.
        0xB0 TypeLock: EX_PUSH_LOCK,
        /// Pool tag of the objects.
        0xB8 Key: u32,
        /// `ObRegisterCallbacks` registrations.
        0xC0 CallbackList: LIST_ENTRY,
    }

    /// Body of a symbolic link.
    pub struct OBJECT_SYMBOLIC_LINK : 0x28 {
        /// When it was created.
        0x00 CreationTime: i64,
        /// Path it stands for.
        0x08 LinkTarget: UNICODE_STRING,
        /// Drive number or zero.
        0x18 DosDeviceDriveIndex: u32,
        /// Flags, Windows 8 and later.
        0x1C Flags: u32,
        /// Least rights a caller needs, Windows 10 and later.
        0x20 AccessMask: u32,
    }

    /// What `ObQueryNameString` writes in front of a name.
    pub struct OBJECT_NAME_INFORMATION : 0x10 {
        /// The full path.
        0x00 Name: UNICODE_STRING,
    }

    /// What a handle grants, as `ObReferenceObjectByHandle` reports it.
    pub struct OBJECT_HANDLE_INFORMATION : 0x8 {
        /// `OBJ_*` attributes of the handle.
        0x0 HandleAttributes: u32,
        /// Rights granted.
        0x4 GrantedAccess: u32,
    }
}

/// Values of [`OBJECT_HEADER::Flags`].
pub mod flags {
    /// The object still has its creation parameters.
    pub const NEW_OBJECT: u8 = 0x01;
    /// Created from kernel mode.
    pub const KERNEL_OBJECT: u8 = 0x02;
    /// Only kernel handles may exist.
    pub const KERNEL_ONLY_ACCESS: u8 = 0x04;
    /// Exclusive to one process.
    pub const EXCLUSIVE: u8 = 0x08;
    /// The name stays when the last handle is closed.
    pub const PERMANENT: u8 = 0x10;
    /// Default quota charged for the descriptor.
    pub const DEFAULT_SECURITY_QUOTA: u8 = 0x20;
    /// One process holds all handles.
    pub const SINGLE_HANDLE_ENTRY: u8 = 0x40;
    /// Deleted in the releasing thread.
    pub const DELETED_INLINE: u8 = 0x80;
}

/// Bits of [`OBJECT_HEADER::InfoMask`]; the higher bit lies at the lower address.
pub mod info {
    /// [`super::OBJECT_HEADER_CREATOR_INFO`].
    pub const CREATOR: u8 = 0x01;
    /// [`super::OBJECT_HEADER_NAME_INFO`].
    pub const NAME: u8 = 0x02;
    /// [`super::OBJECT_HEADER_HANDLE_INFO`].
    pub const HANDLE: u8 = 0x04;
    /// [`super::OBJECT_HEADER_QUOTA_INFO`].
    pub const QUOTA: u8 = 0x08;
    /// [`super::OBJECT_HEADER_PROCESS_INFO`].
    pub const PROCESS: u8 = 0x10;
    /// [`super::OBJECT_HEADER_AUDIT_INFO`].
    pub const AUDIT: u8 = 0x20;
    /// [`super::OBJECT_HEADER_EXTENDED_INFO`].
    pub const EXTENDED: u8 = 0x40;
    /// [`super::OBJECT_HEADER_PADDING_INFO`], variable in size.
    pub const PADDING: u8 = 0x80;

    /// Sizes of the optional headers by bit number; padding has none of its own.
    pub const SIZES: [usize; 8] = [
        size_of::<super::OBJECT_HEADER_CREATOR_INFO>(),
        size_of::<super::OBJECT_HEADER_NAME_INFO>(),
        size_of::<super::OBJECT_HEADER_HANDLE_INFO>(),
        size_of::<super::OBJECT_HEADER_QUOTA_INFO>(),
        size_of::<super::OBJECT_HEADER_PROCESS_INFO>(),
        size_of::<super::OBJECT_HEADER_AUDIT_INFO>(),
        size_of::<super::OBJECT_HEADER_EXTENDED_INFO>(),
        0,
    ];
}

/// Values of [`OBJECT_TYPE_INITIALIZER::ObjectTypeFlags`].
pub mod type_flags {
    /// Names of the type are never case-sensitive.
    pub const CASE_INSENSITIVE: u8 = 0x01;
    /// Objects of the type have no names.
    pub const UNNAMED_OBJECTS_ONLY: u8 = 0x02;
    /// Waiting uses a default object.
    pub const USE_DEFAULT_OBJECT: u8 = 0x04;
    /// Unnamed objects have a descriptor too.
    pub const SECURITY_REQUIRED: u8 = 0x08;
    /// Handles are counted per process.
    pub const MAINTAIN_HANDLE_COUNT: u8 = 0x10;
    /// Objects are listed at the type.
    pub const MAINTAIN_TYPE_LIST: u8 = 0x20;
    /// `ObRegisterCallbacks` supports the type.
    pub const SUPPORTS_OBJECT_CALLBACKS: u8 = 0x40;
    /// Objects are aligned to a cache line.
    pub const CACHE_ALIGNED: u8 = 0x80;
}

/// Tells how far before the [`OBJECT_HEADER`] the optional header of `bit` lies, or `None` when it is absent.
///
/// NT keeps the answers in a table, `ObpInfoMaskToOffset`, indexed by the bits up to and including `bit`.
///
/// ```
/// # use ringbell_nt as nt;
/// use nt::ob::{info, info_mask_to_offset};
/// assert_eq!(info_mask_to_offset(info::NAME, info::NAME), Some(0x20));
/// assert_eq!(info_mask_to_offset(info::NAME | info::CREATOR, info::NAME), Some(0x40));
/// assert_eq!(info_mask_to_offset(info::CREATOR, info::NAME), None);
/// ```
#[must_use]
pub const fn info_mask_to_offset(mask: u8, bit: u8) -> Option<usize> {
    if mask & bit == 0 || !bit.is_power_of_two() {
        return None;
    }
    Some(info_size(mask & (bit | (bit - 1))))
}

/// Adds up the optional headers that `mask` names.
#[must_use]
pub const fn info_size(mask: u8) -> usize {
    let mut size = 0;
    let mut index = 0;
    while index < info::SIZES.len() {
        if mask & (1 << index) != 0 {
            size += info::SIZES[index];
        }
        index += 1;
    }
    size
}

impl OBJECT_HEADER {
    /// Distance from the header to the body.
    pub const BODY_OFFSET: usize = size_of::<Self>();

    /// Steps from the body of an object back to its header.
    ///
    /// # Safety
    ///
    /// `body` must point into an allocation that has a header before it, with provenance over both.
    #[must_use]
    pub const unsafe fn from_body(body: PVOID) -> *mut Self {
        // SAFETY: the caller promises that the header lies before the body in the same allocation.
        unsafe { body.byte_sub(Self::BODY_OFFSET) }.cast()
    }

    /// Steps from the header of an object to its body.
    ///
    /// # Safety
    ///
    /// `header` must point into an allocation that has a body after it, with provenance over both.
    #[must_use]
    pub const unsafe fn body(header: *mut Self) -> PVOID {
        // SAFETY: the caller promises that the body lies behind the header in the same allocation.
        unsafe { header.byte_add(Self::BODY_OFFSET) }.cast()
    }

    /// Steps from the header to the optional header of `bit`, or gives `None` when `mask` does not have it.
    ///
    /// # Safety
    ///
    /// `mask` must be the header's `InfoMask`, and `header`'s provenance must cover the optional headers.
    #[must_use]
    pub const unsafe fn optional<T>(header: *mut Self, mask: u8, bit: u8) -> Option<*mut T> {
        let Some(offset) = info_mask_to_offset(mask, bit) else { return None };
        // SAFETY: the caller promises that the headers named by `mask` lie before this one in the same allocation.
        Some(unsafe { header.byte_sub(offset) }.cast())
    }

    /// Encodes a type index for a header at `address`; the same operation decodes.
    ///
    /// Windows 10 and later mix in `ObHeaderCookie` and the second byte of the header's address.
    #[must_use]
    pub const fn cook_type_index(index: u8, address: u64, cookie: u8) -> u8 {
        index ^ cookie ^ (address >> 8) as u8
    }
}

/// The handle is inherited by new processes.
pub const OBJ_INHERIT: u32 = 0x0000_0002;
/// The name stays until it is removed explicitly.
pub const OBJ_PERMANENT: u32 = 0x0000_0010;
/// One process only.
pub const OBJ_EXCLUSIVE: u32 = 0x0000_0020;
/// Names are compared without regard to case.
pub const OBJ_CASE_INSENSITIVE: u32 = 0x0000_0040;
/// Creating an existing object opens it.
pub const OBJ_OPENIF: u32 = 0x0000_0080;
/// Open a symbolic link itself.
pub const OBJ_OPENLINK: u32 = 0x0000_0100;
/// The handle is the kernel's.
pub const OBJ_KERNEL_HANDLE: u32 = 0x0000_0200;
/// Check access although the caller is the kernel.
pub const OBJ_FORCE_ACCESS_CHECK: u32 = 0x0000_0400;
/// Ignore the device map of an impersonated user.
pub const OBJ_IGNORE_IMPERSONATED_DEVICEMAP: u32 = 0x0000_0800;
/// Do not follow reparse points.
pub const OBJ_DONT_REPARSE: u32 = 0x0000_1000;
/// Exclusive to kernel mode; has no public name.
pub const OBJ_KERNEL_EXCLUSIVE: u32 = 0x0001_0000;
/// Every attribute that Windows 8.1 and later accept.
pub const OBJ_VALID_ATTRIBUTES: u32 = 0x0001_1FF2;
/// Every attribute that Windows 7 and its predecessors accept.
pub const OBJ_VALID_ATTRIBUTES_V1: u32 = 0x0000_07F2;

/// Reparse steps after which a path is given up.
pub const OBJ_MAX_REPARSE_ATTEMPTS: u32 = 63;
