//! Memory: the header of a pool block, tags, pool types, memory descriptor lists.
//!
//! Models `POOL_HEADER` of the public symbols (64-bit builds, Windows 7 to 11) and `MDL` of `wdm.h`.

use crate::layout::layout;
use crate::ntdef::PVOID;

/// Bytes per allocation unit of the pools; block sizes in [`POOL_HEADER`] count these.
pub const POOL_BLOCK: usize = 0x10;
/// Bytes in a page.
pub const PAGE_SIZE: usize = 0x1000;
/// Largest request that gets a [`POOL_HEADER`]; a larger one gets whole pages.
pub const POOL_BUDDY_MAX: usize = PAGE_SIZE - 0x20;

layout! {
    /// Header in front of every pool block smaller than a page.
    pub struct POOL_HEADER : 0x10 {
        /// Size of the block before this one, in units of 16 bytes.
        0x00 PreviousSize: u8,
        /// Pool the block belongs to.
        0x01 PoolIndex: u8,
        /// Size of this block with header, in units of 16 bytes.
        0x02 BlockSize: u8,
        /// Pool type of the request, plus one bit while in use.
        0x03 PoolType: u8,
        /// Tag, first character lowest.
        0x04 PoolTag: u32,
        /// Process charged for the block, or null.
        0x08 ProcessBilled: PVOID,
    }

    /// Memory descriptor list: a buffer and the pages under it.
    pub struct MDL : 0x30 {
        /// Next list of a chain.
        0x00 Next: *mut MDL,
        /// Bytes of this structure and the page numbers behind it.
        0x08 Size: u16,
        /// `MDL_*` bits.
        0x0A MdlFlags: u16,
        /// Processor group the list was allocated on.
        0x0C AllocationProcessorNumber: u16,
        /// Filler.
        0x0E Reserved: u16,
        /// Process whose address space the buffer is in.
        0x10 Process: PVOID,
        /// Kernel address, valid with `MDL_MAPPED_TO_SYSTEM_VA` or `MDL_SOURCE_IS_NONPAGED_POOL`.
        0x18 MappedSystemVa: PVOID,
        /// Page that the buffer starts in.
        0x20 StartVa: PVOID,
        /// Bytes in the buffer.
        0x28 ByteCount: u32,
        /// Where in its first page the buffer starts.
        0x2C ByteOffset: u32,
    }
}

/// `MdlFlags`: [`MDL::MappedSystemVa`] is valid by mapping.
pub const MDL_MAPPED_TO_SYSTEM_VA: u16 = 0x0001;
/// `MdlFlags`: the pages are locked.
pub const MDL_PAGES_LOCKED: u16 = 0x0002;
/// `MdlFlags`: built over nonpaged pool; [`MDL::MappedSystemVa`] is valid.
pub const MDL_SOURCE_IS_NONPAGED_POOL: u16 = 0x0004;
/// `MdlFlags`: the list has a fixed size.
pub const MDL_ALLOCATED_FIXED_SIZE: u16 = 0x0008;
/// `MdlFlags`: part of another list.
pub const MDL_PARTIAL: u16 = 0x0010;

/// `POOL_TYPE`: nonpaged and executable.
pub const NonPagedPool: u32 = 0;
/// `POOL_TYPE`: paged.
pub const PagedPool: u32 = 1;
/// `POOL_TYPE`: nonpaged, the system ends when there is none.
pub const NonPagedPoolMustSucceed: u32 = 2;
/// `POOL_TYPE`: nonpaged, aligned to a cache line.
pub const NonPagedPoolCacheAligned: u32 = 4;
/// `POOL_TYPE`: paged, aligned to a cache line.
pub const PagedPoolCacheAligned: u32 = 5;
/// `POOL_TYPE`: nonpaged and not executable, since Windows 8.
pub const NonPagedPoolNx: u32 = 0x200;
/// `POOL_TYPE` bit: the block comes zeroed (builds with the newer pool).
pub const POOL_ZERO_ALLOCATION: u32 = 0x400;
/// `POOL_TYPE` bit: charge the current process.
pub const POOL_QUOTA: u32 = 0x8;
/// `POOL_TYPE` bit of the routines that charge anyway: return null instead of raising. The value is that of [`POOL_QUOTA`].
pub const POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: u32 = 0x8;
/// `POOL_TYPE` bit: raise instead of returning null.
pub const POOL_RAISE_IF_ALLOCATION_FAILURE: u32 = 0x10;

/// `POOL_FLAGS` of `ExAllocatePool2`: charge the current process.
pub const POOL_FLAG_USE_QUOTA: u64 = 0x1;
/// `POOL_FLAGS`: do not zero the block.
pub const POOL_FLAG_UNINITIALIZED: u64 = 0x2;
/// `POOL_FLAGS`: session pool.
pub const POOL_FLAG_SESSION: u64 = 0x4;
/// `POOL_FLAGS`: aligned to a cache line.
pub const POOL_FLAG_CACHE_ALIGNED: u64 = 0x8;
/// `POOL_FLAGS`: raise instead of returning null.
pub const POOL_FLAG_RAISE_ON_FAILURE: u64 = 0x20;
/// `POOL_FLAGS`: nonpaged, not executable.
pub const POOL_FLAG_NON_PAGED: u64 = 0x40;
/// `POOL_FLAGS`: nonpaged, executable.
pub const POOL_FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
/// `POOL_FLAGS`: paged.
pub const POOL_FLAG_PAGED: u64 = 0x100;

/// Packs a tag the way the pool stores it: first character in the lowest byte.
#[must_use]
pub const fn pool_tag(tag: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*tag)
}

/// Tags of the blocks that make up the callback mechanism.
pub mod tag {
    use super::pool_tag;

    /// Object of the type Callback with its headers, Windows 8.1 and later.
    pub const CALL: u32 = pool_tag(b"Call");
    /// The same up to Windows 8: the last character carries the high bit of "protected" pool.
    pub const CALL_PROTECTED: u32 = pool_tag(b"Cal\xEC");
    /// Registration of a routine.
    pub const CALLBACK_REGISTRATION: u32 = pool_tag(b"CBRe");
    /// Stored name of an object.
    pub const OBJECT_NAME: u32 = pool_tag(b"ObNm");
    /// Entry of an object directory.
    pub const OBJECT_DIRECTORY_ENTRY: u32 = pool_tag(b"ObDi");
    /// Creation parameters of an object that is not inserted yet.
    pub const OBJECT_CREATE_INFO: u32 = pool_tag(b"ObCI");
    /// References the enumeration of callback objects takes.
    pub const ENUMERATION: u32 = pool_tag(b"ExEn");
    /// References taken without a tag.
    pub const DEFAULT: u32 = pool_tag(b"Dflt");
    /// Access control list.
    pub const ACL: u32 = pool_tag(b"SeAc");
    /// Security descriptor.
    pub const SECURITY_DESCRIPTOR: u32 = pool_tag(b"SeSd");
    /// Routine block of the unrelated `EX_CALLBACK` mechanism.
    pub const ROUTINE_BLOCK: u32 = pool_tag(b"Cbrb");
    /// Session notification context.
    pub const SESSION_NOTIFICATION: u32 = pool_tag(b"IoSn");
    /// Allocation of a driver that gives no tag.
    pub const NONE: u32 = pool_tag(b"None");
    /// Memory of the executive itself (directory objects and other types start with their own name).
    pub const DIRECTORY_OBJECT: u32 = pool_tag(b"Dire");
    /// Type objects.
    pub const TYPE_OBJECT: u32 = pool_tag(b"ObjT");
    /// Symbolic link objects.
    pub const SYMBOLIC_LINK_OBJECT: u32 = pool_tag(b"Symb");
}
