//! Executive: callback objects, resources, mutexes, work items.
//!
//! [`CALLBACK_OBJECT`] and [`CALLBACK_REGISTRATION`] are private types, absent from the public symbols; their layouts
//! come from decompilations of shipped x64 kernels of several generations and agree with the tables in WinObjEx64.
//! Padding of both is zero only on builds that allocate them zeroed (24H2-class kernels).

use crate::ke::{KEVENT, KSPIN_LOCK, KTHREAD};
use crate::layout::layout;
use crate::ntdef::{BOOLEAN, LIST_ENTRY, PVOID, SINGLE_LIST_ENTRY};

/// Address of a callback routine; [`CALLBACK_FUNCTION`] is its type.
pub type PCALLBACK_FUNCTION = PVOID;

/// A callback routine: context of its registration, then the two arguments of the notify.
#[cfg(target_arch = "x86_64")]
pub type CALLBACK_FUNCTION = unsafe extern "win64" fn(context: PVOID, argument1: PVOID, argument2: PVOID);

/// [`CALLBACK_OBJECT::Signature`]: the bytes `Call`.
pub const CALLBACK_SIGNATURE: u32 = u32::from_le_bytes(*b"Call");
/// Object access right: notify a callback object.
pub const CALLBACK_MODIFY_STATE: u32 = 0x0001;
/// Every access right of the type.
pub const CALLBACK_ALL_ACCESS: u32 = 0x001F_0001;

layout! {
    /// Body of a callback object, Windows 8.1 and later.
    pub struct CALLBACK_OBJECT : 0x38 {
        /// The bytes `Call`. Never cleared, so freed pool keeps stale ones.
        0x00 Signature: u32,
        /// Guards the list of registrations; the value itself, not a pointer.
        0x08 Lock: KSPIN_LOCK,
        /// Registrations in the order they came.
        0x10 RegisteredCallbacks: LIST_ENTRY,
        /// When zero, a second registration is refused.
        0x20 AllowMultipleCallbacks: BOOLEAN,
        /// Node in the list of all callback objects, `ExpCallbackListHead`.
        0x28 ExpCallbackList: LIST_ENTRY,
    }

    /// Body of a callback object up to Windows 8.
    pub struct CALLBACK_OBJECT_V1 : 0x28 {
        /// The bytes `Call`.
        0x00 Signature: u32,
        /// Guards the list of registrations.
        0x08 Lock: KSPIN_LOCK,
        /// Registrations in the order they came.
        0x10 RegisteredCallbacks: LIST_ENTRY,
        /// When zero, a second registration is refused.
        0x20 AllowMultipleCallbacks: BOOLEAN,
    }

    /// A registered routine; its address is the handle that `ExRegisterCallback` returns.
    pub struct CALLBACK_REGISTRATION : 0x30 {
        /// Node in [`CALLBACK_OBJECT::RegisteredCallbacks`].
        0x00 Link: LIST_ENTRY,
        /// Object it belongs to; a counted reference.
        0x10 CallbackObject: *mut CALLBACK_OBJECT,
        /// Routine to call.
        0x18 CallbackFunction: PCALLBACK_FUNCTION,
        /// First argument of the routine.
        0x20 CallbackContext: PVOID,
        /// Calls in progress below DISPATCH_LEVEL.
        0x28 Busy: u32,
        /// Set when somebody waits to unregister it.
        0x2C UnregisterWaiting: BOOLEAN,
    }

    /// Block of the unrelated `EX_CALLBACK` mechanism (process, thread and image notify routines).
    pub struct EX_CALLBACK_ROUTINE_BLOCK : 0x18 {
        /// Guards against removal while in use.
        0x00 RundownProtect: usize,
        /// Routine to call.
        0x08 Function: PVOID,
        /// Its context.
        0x10 Context: PVOID,
    }

    /// A pointer whose low four bits count cached references.
    pub struct EX_FAST_REF : 0x8 {
        /// Pointer and count.
        0x00 Value: usize,
    }

    /// Push lock.
    pub struct EX_PUSH_LOCK : 0x8 {
        /// Zero when free.
        0x00 Value: usize,
    }

    /// Rundown protection.
    pub struct EX_RUNDOWN_REF : 0x8 {
        /// Twice the number of holders; bit 0 once rundown has begun.
        0x00 Count: usize,
    }

    /// Fast mutex; a guarded mutex has the same layout.
    pub struct FAST_MUTEX : 0x38 {
        /// 1 when free.
        0x00 Count: i32,
        /// Thread that owns it.
        0x08 Owner: *mut KTHREAD,
        /// Contended acquisitions.
        0x10 Contention: u32,
        /// Wakes a waiter.
        0x18 Event: KEVENT,
        /// IRQL to return to.
        0x30 OldIrql: u32,
    }

    /// An owner of an [`ERESOURCE`].
    pub struct OWNER_ENTRY : 0x10 {
        /// Thread, or tagged owner.
        0x00 OwnerThread: usize,
        /// Acquisitions and flags.
        0x08 TableSize: u32,
    }

    /// Reader and writer lock.
    pub struct ERESOURCE : 0x68 {
        /// Node in the list of all resources.
        0x00 SystemResourcesList: LIST_ENTRY,
        /// Further owners, or null.
        0x10 OwnerTable: *mut OWNER_ENTRY,
        /// Acquisitions.
        0x18 ActiveCount: i16,
        /// State bits; `0x80` when owned exclusively.
        0x1A Flag: u16,
        /// Waiting readers.
        0x20 SharedWaiters: PVOID,
        /// Waiting writers.
        0x28 ExclusiveWaiters: PVOID,
        /// Exclusive owner.
        0x30 OwnerEntry: OWNER_ENTRY,
        /// Owners.
        0x40 ActiveEntries: u32,
        /// Contended acquisitions.
        0x44 ContentionCount: u32,
        /// Waiting readers.
        0x48 NumberOfSharedWaiters: u32,
        /// Waiting writers.
        0x4C NumberOfExclusiveWaiters: u32,
        /// Unused.
        0x50 Reserved2: PVOID,
        /// Creator, or address of a stack trace.
        0x58 Address: PVOID,
        /// Guards the structure.
        0x60 SpinLock: KSPIN_LOCK,
    }

    /// Work item of the older kind.
    pub struct WORK_QUEUE_ITEM : 0x20 {
        /// Node in a queue.
        0x00 List: LIST_ENTRY,
        /// Routine a worker thread calls.
        0x10 WorkerRoutine: PVOID,
        /// Its argument.
        0x18 Parameter: PVOID,
    }

    /// Head of a lock-free singly linked list; must be aligned to 16 bytes.
    pub struct SLIST_HEADER : 0x10 {
        /// Depth and sequence.
        0x00 Alignment: u64,
        /// First entry.
        0x08 Region: u64,
    }

    /// Lookaside list of either pool: the public part. The whole is `0x80` bytes, aligned to 64.
    pub struct GENERAL_LOOKASIDE : 0x80 {
        /// Free blocks.
        0x00 ListHead: SLIST_HEADER,
        /// Blocks it tries to keep.
        0x10 Depth: u16,
        /// Most blocks it keeps.
        0x12 MaximumDepth: u16,
        /// Allocations.
        0x14 TotalAllocates: u32,
        /// Allocations that reached the pool.
        0x18 AllocateMisses: u32,
        /// Frees.
        0x1C TotalFrees: u32,
        /// Frees that reached the pool.
        0x20 FreeMisses: u32,
        /// Pool type.
        0x24 Type: u32,
        /// Tag of the blocks.
        0x28 Tag: u32,
        /// Bytes per block.
        0x2C Size: u32,
        /// Allocates when the list is empty.
        0x30 Allocate: PVOID,
        /// Frees when the list is full.
        0x38 Free: PVOID,
        /// Node in the list of lookaside lists.
        0x40 ListEntry: LIST_ENTRY,
        /// Counter at the last scan.
        0x50 LastTotalAllocates: u32,
        /// Counter at the last scan.
        0x54 LastAllocateMisses: u32,
        /// Unused.
        0x58 Future: [u32; 2],
        /// Padding to the cache line.
        0x60 _Fill60: [u64; 4],
    }

    /// Processor number with its group.
    pub struct PROCESSOR_NUMBER : 0x4 {
        /// Group.
        0x0 Group: u16,
        /// Number in the group.
        0x2 Number: u8,
        /// Zero.
        0x3 Reserved: u8,
    }

    /// Set of processors of one group.
    pub struct GROUP_AFFINITY : 0x10 {
        /// Bit per processor.
        0x0 Mask: u64,
        /// Group.
        0x8 Group: u16,
        /// Zero.
        0xA Reserved: [u16; 3],
    }

    /// First argument of a ProcessorAdd notify. The kernel's buffer has one more word behind it.
    pub struct KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT : 0x10 {
        /// 0 start, 1 complete, 2 failure.
        0x00 State: u32,
        /// Index of the processor.
        0x04 NtNumber: u32,
        /// Status of the addition.
        0x08 Status: crate::NTSTATUS,
        /// Number of the processor.
        0x0C ProcNumber: PROCESSOR_NUMBER,
    }

    /// Entry of a lock-free list.
    pub struct SLIST_ENTRY : 0x8 {
        /// Next entry.
        0x00 Next: SINGLE_LIST_ENTRY,
    }

    /// Optional routines around each call of `ExNotifyWithProcessing`.
    pub struct EX_CALLBACK_PROCESSING : 0x20 {
        /// Called before each routine, or null.
        0x00 Pre: PVOID,
        /// Called after each routine, or null.
        0x08 Post: PVOID,
        /// Fourth argument of both.
        0x10 Extra1: PVOID,
        /// Fifth argument of both.
        0x18 Extra2: PVOID,
    }
}

/// `KE_PROCESSOR_CHANGE_NOTIFY_STATE`: a processor is about to be added; the routine may refuse it.
pub const KeProcessorAddStartNotify: u32 = 0;
/// `KE_PROCESSOR_CHANGE_NOTIFY_STATE`: the processor runs.
pub const KeProcessorAddCompleteNotify: u32 = 1;
/// `KE_PROCESSOR_CHANGE_NOTIFY_STATE`: the processor was not added.
pub const KeProcessorAddFailureNotify: u32 = 2;
/// Flag of `KeRegisterProcessorChangeCallback`: tell of the processors that are already there.
pub const KE_PROCESSOR_CHANGE_ADD_EXISTING: u32 = 1;
