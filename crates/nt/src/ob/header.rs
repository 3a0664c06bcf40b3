//! The header of an object, the optional headers before it, and the steps between them.

use super::OBJECT_DIRECTORY;
use crate::ex::EX_PUSH_LOCK;
use crate::layout::layout;
use crate::ntdef::{HANDLE, LIST_ENTRY, PVOID, UNICODE_STRING};

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
