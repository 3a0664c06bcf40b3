//! Types of objects, two generations. (The newest kernels have eight more bytes at the end of `OBJECT_TYPE`.)

use crate::ex::EX_PUSH_LOCK;
use crate::layout::layout;
use crate::ntdef::{LIST_ENTRY, PVOID, UNICODE_STRING};
use crate::se::GENERIC_MAPPING;

layout! {
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
