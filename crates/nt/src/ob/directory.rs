//! Directories of objects, three generations.

use crate::ex::EX_PUSH_LOCK;
use crate::layout::layout;
use crate::ntdef::PVOID;

/// Buckets of an object directory.
pub const NUMBER_HASH_BUCKETS: usize = 37;

layout! {
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
}
