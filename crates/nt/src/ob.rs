//! Objects: headers, directories, types, symbolic links, attributes.
//!
//! Models the public symbols of 64-bit Windows (7 to 11). An object is a *body* with an [`OBJECT_HEADER`] `0x30`
//! bytes before it and, before that, the optional headers that [`OBJECT_HEADER::InfoMask`] names. Body, header and
//! optional headers are one allocation; always step between them with a pointer to the whole of it.

use crate::layout::layout;
use crate::ntdef::UNICODE_STRING;

mod directory;
mod header;
mod types;

pub use directory::*;
pub use header::*;
pub use types::*;

layout! {
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

/// Layouts of the parts of this module.
pub(crate) const PARTS: [&[&crate::layout::Layout]; 4] =
    [header::LAYOUTS, directory::LAYOUTS, types::LAYOUTS, LAYOUTS];

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
