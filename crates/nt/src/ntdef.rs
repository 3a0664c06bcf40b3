//! Basic definitions: lists, counted strings, object attributes.
//!
//! Models `ntdef.h` of the Windows Driver Kit for x64. Different from it: `LARGE_INTEGER` is a plain `i64`, and
//! `BOOLEAN` is a `u8`, because a driver may store any byte there and NT tests it against zero.

use core::ffi::c_void;

use crate::layout::layout;

/// One byte, false when zero.
pub type BOOLEAN = u8;
/// A 64-bit signed number; NT's union with its halves is not needed where 64-bit numbers exist.
pub type LARGE_INTEGER = i64;
/// A handle as the kernel passes it around.
pub type HANDLE = *mut c_void;
/// The address of anything.
pub type PVOID = *mut c_void;
/// A counted string of bytes; [`STRING`] under its usual name.
pub type ANSI_STRING = STRING;

layout! {
    /// Node or head of a circular doubly linked list.
    pub struct LIST_ENTRY : 0x10 {
        /// Next node; the head itself when the list is empty.
        0x00 Flink: *mut LIST_ENTRY,
        /// Previous node; the head itself when the list is empty.
        0x08 Blink: *mut LIST_ENTRY,
    }

    /// Node or head of a singly linked list.
    pub struct SINGLE_LIST_ENTRY : 0x8 {
        /// Next node or null.
        0x00 Next: *mut SINGLE_LIST_ENTRY,
    }

    /// Counted UTF-16 string. Lengths are in bytes and a terminator is not promised.
    pub struct UNICODE_STRING : 0x10 {
        /// Bytes in use.
        0x00 Length: u16,
        /// Bytes allocated.
        0x02 MaximumLength: u16,
        /// First unit.
        0x08 Buffer: *mut u16,
    }

    /// Counted string of bytes.
    pub struct STRING : 0x10 {
        /// Bytes in use.
        0x00 Length: u16,
        /// Bytes allocated.
        0x02 MaximumLength: u16,
        /// First byte.
        0x08 Buffer: *mut u8,
    }

    /// Names an object and says how to open or create it.
    pub struct OBJECT_ATTRIBUTES : 0x30 {
        /// Size of the structure, `0x30`; anything else is refused with `STATUS_INVALID_PARAMETER`.
        0x00 Length: u32,
        /// Directory that a relative name starts from, or null.
        0x08 RootDirectory: HANDLE,
        /// Name, or null for an unnamed object.
        0x10 ObjectName: *mut UNICODE_STRING,
        /// `OBJ_*` bits.
        0x18 Attributes: u32,
        /// Security descriptor for a new object, or null.
        0x20 SecurityDescriptor: PVOID,
        /// Impersonation wishes, or null.
        0x28 SecurityQualityOfService: PVOID,
    }

    /// Names a thread by process and thread identifier.
    pub struct CLIENT_ID : 0x10 {
        /// Process identifier.
        0x00 UniqueProcess: HANDLE,
        /// Thread identifier.
        0x08 UniqueThread: HANDLE,
    }

    /// Globally unique identifier.
    pub struct GUID : 0x10 {
        /// First eight digits.
        0x00 Data1: u32,
        /// Next four digits.
        0x04 Data2: u16,
        /// Next four digits.
        0x06 Data3: u16,
        /// The last sixteen digits, byte by byte.
        0x08 Data4: [u8; 8],
    }

    /// What `RtlGetVersion` fills in when asked for the long form.
    pub struct RTL_OSVERSIONINFOEXW : 0x11C {
        /// Size of the structure: `0x11C`, or `0x114` for the short form.
        0x000 dwOSVersionInfoSize: u32,
        /// Major version.
        0x004 dwMajorVersion: u32,
        /// Minor version.
        0x008 dwMinorVersion: u32,
        /// Build number.
        0x00C dwBuildNumber: u32,
        /// `VER_PLATFORM_WIN32_NT`, 2.
        0x010 dwPlatformId: u32,
        /// Service pack name, NUL-terminated.
        0x014 szCSDVersion: [u16; 128],
        /// Major service pack number. The short form ends before it.
        0x114 wServicePackMajor: u16,
        /// Minor service pack number.
        0x116 wServicePackMinor: u16,
        /// `VER_SUITE_*` bits.
        0x118 wSuiteMask: u16,
        /// `VER_NT_WORKSTATION` 1, `_DOMAIN_CONTROLLER` 2, `_SERVER` 3.
        0x11A wProductType: u8,
        /// Unused.
        0x11B wReserved: u8,
    }
}

/// Size of the short form of [`RTL_OSVERSIONINFOEXW`], `RTL_OSVERSIONINFOW`.
pub const RTL_OSVERSIONINFOW_SIZE: usize = core::mem::offset_of!(RTL_OSVERSIONINFOEXW, wServicePackMajor);

/// [`RTL_OSVERSIONINFOEXW::dwPlatformId`] of every NT.
pub const VER_PLATFORM_WIN32_NT: u32 = 2;
/// [`RTL_OSVERSIONINFOEXW::wProductType`]: a client system.
pub const VER_NT_WORKSTATION: u8 = 1;
/// [`RTL_OSVERSIONINFOEXW::wSuiteMask`]: remote desktop with one session, as on every client system.
pub const VER_SUITE_SINGLEUSERTS: u16 = 0x0100;

impl LIST_ENTRY {
    /// A node that is on no list.
    pub const NULL: Self = Self { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() };
}

impl UNICODE_STRING {
    /// The string without buffer.
    pub const EMPTY: Self = Self { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() };
}

impl STRING {
    /// The string without buffer.
    pub const EMPTY: Self = Self { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() };
}
