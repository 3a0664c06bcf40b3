//! Security: identifiers, access lists, descriptors, access masks, privileges.
//!
//! Models `ntifs.h`. Access lists and security identifiers are variable in size: the structs are their heads.

use crate::layout::layout;
use crate::ntdef::{BOOLEAN, PVOID};

/// Rights in an access mask: 16 specific, 8 standard, 4 generic.
pub type ACCESS_MASK = u32;

layout! {
    /// Security identifier with one sub-authority; others have more behind it.
    pub struct SID : 0xC {
        /// 1.
        0x0 Revision: u8,
        /// How many there are.
        0x1 SubAuthorityCount: u8,
        /// Issuer, big-endian; `NT Authority` is 5.
        0x2 IdentifierAuthority: [u8; 6],
        /// The first sub-authority.
        0x8 SubAuthority: [u32; 1],
    }

    /// Head of an access control list.
    pub struct ACL : 0x8 {
        /// [`ACL_REVISION`].
        0x0 AclRevision: u8,
        /// Zero.
        0x1 Sbz1: u8,
        /// Bytes with all entries.
        0x2 AclSize: u16,
        /// Entries.
        0x4 AceCount: u16,
        /// Zero.
        0x6 Sbz2: u16,
    }

    /// Head of an access control entry.
    pub struct ACE_HEADER : 0x4 {
        /// Kind.
        0x0 AceType: u8,
        /// Inheritance bits.
        0x1 AceFlags: u8,
        /// Bytes.
        0x2 AceSize: u16,
    }

    /// Entry that grants rights.
    pub struct ACCESS_ALLOWED_ACE : 0xC {
        /// Kind 0.
        0x0 Header: ACE_HEADER,
        /// Rights granted.
        0x4 Mask: ACCESS_MASK,
        /// First word of the security identifier.
        0x8 SidStart: u32,
    }

    /// Absolute security descriptor.
    pub struct SECURITY_DESCRIPTOR : 0x28 {
        /// 1.
        0x00 Revision: u8,
        /// Zero.
        0x01 Sbz1: u8,
        /// `SE_*` control bits.
        0x02 Control: u16,
        /// Owner or null.
        0x08 Owner: *mut SID,
        /// Group or null.
        0x10 Group: *mut SID,
        /// System list or null.
        0x18 Sacl: *mut ACL,
        /// Discretionary list or null.
        0x20 Dacl: *mut ACL,
    }

    /// Security descriptor in one block, with offsets instead of pointers.
    pub struct SECURITY_DESCRIPTOR_RELATIVE : 0x14 {
        /// 1.
        0x00 Revision: u8,
        /// Zero.
        0x01 Sbz1: u8,
        /// `SE_*` control bits with [`SE_SELF_RELATIVE`].
        0x02 Control: u16,
        /// Offset of the owner or zero.
        0x04 Owner: u32,
        /// Offset of the group or zero.
        0x08 Group: u32,
        /// Offset of the system list or zero.
        0x0C Sacl: u32,
        /// Offset of the discretionary list or zero.
        0x10 Dacl: u32,
    }

    /// Locally unique identifier.
    pub struct LUID : 0x8 {
        /// Low half.
        0x0 LowPart: u32,
        /// High half.
        0x4 HighPart: i32,
    }

    /// What the four generic rights mean for a type.
    pub struct GENERIC_MAPPING : 0x10 {
        /// Read.
        0x0 GenericRead: ACCESS_MASK,
        /// Write.
        0x4 GenericWrite: ACCESS_MASK,
        /// Execute.
        0x8 GenericExecute: ACCESS_MASK,
        /// All.
        0xC GenericAll: ACCESS_MASK,
    }

    /// Impersonation wishes of an opener.
    pub struct SECURITY_QUALITY_OF_SERVICE : 0xC {
        /// Bytes.
        0x0 Length: u32,
        /// 0 anonymous to 3 delegation.
        0x4 ImpersonationLevel: u32,
        /// 0 static, 1 dynamic.
        0x8 ContextTrackingMode: u8,
        /// Only the rights in effect.
        0x9 EffectiveOnly: BOOLEAN,
    }

    /// Who asks: the tokens an access check looks at.
    pub struct SECURITY_SUBJECT_CONTEXT : 0x20 {
        /// Impersonation token or null.
        0x00 ClientToken: PVOID,
        /// Impersonation level.
        0x08 ImpersonationLevel: u32,
        /// Token of the process.
        0x10 PrimaryToken: PVOID,
        /// Identifier for audits.
        0x18 ProcessAuditId: PVOID,
    }
}

impl GENERIC_MAPPING {
    /// Replaces the generic rights in `mask` by what they mean for the type, as `RtlMapGenericMask` does.
    #[must_use]
    pub const fn map(&self, mut mask: ACCESS_MASK) -> ACCESS_MASK {
        if mask & GENERIC_READ != 0 {
            mask |= self.GenericRead;
        }
        if mask & GENERIC_WRITE != 0 {
            mask |= self.GenericWrite;
        }
        if mask & GENERIC_EXECUTE != 0 {
            mask |= self.GenericExecute;
        }
        if mask & GENERIC_ALL != 0 {
            mask |= self.GenericAll;
        }
        mask & !(GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL)
    }
}

/// Mapping of the type Callback, `ExpCallbackMapping`.
pub const CALLBACK_MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0000,
    GenericWrite: 0x0002_0001,
    GenericExecute: 0x0012_0000,
    GenericAll: 0x001F_0001,
};
/// Mapping of the type Directory.
pub const DIRECTORY_MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0003,
    GenericWrite: 0x0002_000C,
    GenericExecute: 0x0002_0003,
    GenericAll: 0x000F_000F,
};
/// Mapping of the type SymbolicLink.
pub const SYMBOLIC_LINK_MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0001,
    GenericWrite: 0x0002_0000,
    GenericExecute: 0x0002_0001,
    GenericAll: 0x000F_0001,
};

/// Standard right: delete, or make temporary.
pub const DELETE: ACCESS_MASK = 0x0001_0000;
/// Standard right: read the descriptor.
pub const READ_CONTROL: ACCESS_MASK = 0x0002_0000;
/// Standard right: change the access list.
pub const WRITE_DAC: ACCESS_MASK = 0x0004_0000;
/// Standard right: change the owner.
pub const WRITE_OWNER: ACCESS_MASK = 0x0008_0000;
/// Standard right: wait.
pub const SYNCHRONIZE: ACCESS_MASK = 0x0010_0000;
/// The standard rights except [`SYNCHRONIZE`].
pub const STANDARD_RIGHTS_REQUIRED: ACCESS_MASK = 0x000F_0000;
/// All standard rights.
pub const STANDARD_RIGHTS_ALL: ACCESS_MASK = 0x001F_0000;
/// Right to read and write the system list.
pub const ACCESS_SYSTEM_SECURITY: ACCESS_MASK = 0x0100_0000;
/// Asks for whatever is granted.
pub const MAXIMUM_ALLOWED: ACCESS_MASK = 0x0200_0000;
/// Generic right.
pub const GENERIC_ALL: ACCESS_MASK = 0x1000_0000;
/// Generic right.
pub const GENERIC_EXECUTE: ACCESS_MASK = 0x2000_0000;
/// Generic right.
pub const GENERIC_WRITE: ACCESS_MASK = 0x4000_0000;
/// Generic right.
pub const GENERIC_READ: ACCESS_MASK = 0x8000_0000;

/// Directory right: list.
pub const DIRECTORY_QUERY: ACCESS_MASK = 0x1;
/// Directory right: pass through.
pub const DIRECTORY_TRAVERSE: ACCESS_MASK = 0x2;
/// Directory right: add an object.
pub const DIRECTORY_CREATE_OBJECT: ACCESS_MASK = 0x4;
/// Directory right: add a directory.
pub const DIRECTORY_CREATE_SUBDIRECTORY: ACCESS_MASK = 0x8;
/// Every right of the type Directory.
pub const DIRECTORY_ALL_ACCESS: ACCESS_MASK = 0x000F_000F;
/// Symbolic link right: read the target.
pub const SYMBOLIC_LINK_QUERY: ACCESS_MASK = 0x1;
/// Every right of the type SymbolicLink.
pub const SYMBOLIC_LINK_ALL_ACCESS: ACCESS_MASK = 0x000F_0001;
/// Every right of the type Event.
pub const EVENT_ALL_ACCESS: ACCESS_MASK = 0x001F_0003;

/// Revision of every [`SID`].
pub const SID_REVISION: u8 = 1;
/// Most sub-authorities a [`SID`] may have.
pub const SID_MAX_SUB_AUTHORITIES: u8 = 15;
/// Revision of an access list without object entries.
pub const ACL_REVISION: u8 = 2;
/// Revision of an access list with object entries.
pub const ACL_REVISION_DS: u8 = 4;
/// Kind of an entry that grants.
pub const ACCESS_ALLOWED_ACE_TYPE: u8 = 0;
/// Kind of an entry that denies.
pub const ACCESS_DENIED_ACE_TYPE: u8 = 1;
/// Kind of an entry that audits.
pub const SYSTEM_AUDIT_ACE_TYPE: u8 = 2;
/// Revision of every security descriptor.
pub const SECURITY_DESCRIPTOR_REVISION: u8 = 1;
/// Control bit: the owner came from a default.
pub const SE_OWNER_DEFAULTED: u16 = 0x0001;
/// Control bit: the group came from a default.
pub const SE_GROUP_DEFAULTED: u16 = 0x0002;
/// Control bit: there is a discretionary list (a null one grants everything).
pub const SE_DACL_PRESENT: u16 = 0x0004;
/// Control bit: the discretionary list came from a default.
pub const SE_DACL_DEFAULTED: u16 = 0x0008;
/// Control bit: there is a system list.
pub const SE_SACL_PRESENT: u16 = 0x0010;
/// Control bit: offsets instead of pointers.
pub const SE_SELF_RELATIVE: u16 = 0x8000;

/// Privilege number: create permanent objects.
pub const SE_CREATE_PERMANENT_PRIVILEGE: u32 = 16;
/// Privilege number: load drivers.
pub const SE_LOAD_DRIVER_PRIVILEGE: u32 = 10;
/// Privilege number: manage audits.
pub const SE_SECURITY_PRIVILEGE: u32 = 8;
/// Privilege number: take ownership.
pub const SE_TAKE_OWNERSHIP_PRIVILEGE: u32 = 9;
/// Privilege number: change the system time.
pub const SE_SYSTEMTIME_PRIVILEGE: u32 = 12;
/// Privilege number: increase base priority.
pub const SE_INC_BASE_PRIORITY_PRIVILEGE: u32 = 14;
/// Privilege number: shut down.
pub const SE_SHUTDOWN_PRIVILEGE: u32 = 19;
/// Privilege number: debug programs.
pub const SE_DEBUG_PRIVILEGE: u32 = 20;
/// Privilege number: pass through directories without access (on by default for everyone).
pub const SE_CHANGE_NOTIFY_PRIVILEGE: u32 = 23;
/// Privilege number: impersonate.
pub const SE_IMPERSONATE_PRIVILEGE: u32 = 29;
/// Privilege number: act as part of the system.
pub const SE_TCB_PRIVILEGE: u32 = 7;

/// Issuer of `S-1-1`.
pub const SECURITY_WORLD_SID_AUTHORITY: [u8; 6] = [0, 0, 0, 0, 0, 1];
/// Issuer of `S-1-5`.
pub const SECURITY_NT_AUTHORITY: [u8; 6] = [0, 0, 0, 0, 0, 5];
/// Issuer of the integrity levels, `S-1-16`.
pub const SECURITY_MANDATORY_LABEL_AUTHORITY: [u8; 6] = [0, 0, 0, 0, 0, 16];
/// Sub-authority of LocalSystem, `S-1-5-18`.
pub const SECURITY_LOCAL_SYSTEM_RID: u32 = 18;
/// First sub-authority of the built-in groups, `S-1-5-32`.
pub const SECURITY_BUILTIN_DOMAIN_RID: u32 = 32;
/// Second sub-authority of Administrators, `S-1-5-32-544`.
pub const DOMAIN_ALIAS_RID_ADMINS: u32 = 544;
