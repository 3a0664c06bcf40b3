//! Kernel: dispatcher objects, DPCs, APCs, threads and the per-processor block behind GS.
//!
//! Models `wdm.h` for the public structures, and the public symbols of Windows 10 20H1 to 22H2 (10.0.19041 to 19045,
//! x64) for [`KTHREAD`], [`KPCR`] and [`KPRCB`], which differ between builds. Only members that drivers are seen to
//! read are modeled; the rest is filler.

use crate::layout::layout;
use crate::ntdef::{HANDLE, LIST_ENTRY, PVOID, SINGLE_LIST_ENTRY};

mod exception;
mod processor;
mod shared;
mod thread;

pub use exception::*;
pub use processor::*;
pub use shared::*;
pub use thread::*;

/// A spin lock: zero when free, bit 0 set while held. The lock is the value itself, not a pointer to one.
pub type KSPIN_LOCK = usize;
/// Address of a DPC routine, `void (Dpc, Context, Argument1, Argument2)`.
pub type PKDEFERRED_ROUTINE = PVOID;
/// A mutex is a mutant that NT releases at thread end only with a bugcheck.
pub type KMUTEX = KMUTANT;

layout! {
    /// Head of everything a thread can wait for.
    pub struct DISPATCHER_HEADER : 0x18 {
        /// Kind of object, a [`dispatcher`] value.
        0x00 Type: u8,
        /// Kind-dependent: abandoned, absolute timer, signalling.
        0x01 Signalling: u8,
        /// Size of the object in units of four bytes.
        0x02 Size: u8,
        /// Kind-dependent: inserted timer, debug state.
        0x03 Inserted: u8,
        /// Signaled when above zero.
        0x04 SignalState: i32,
        /// Wait blocks of those who wait.
        0x08 WaitListHead: LIST_ENTRY,
    }

    /// Event.
    pub struct KEVENT : 0x18 {
        /// Type 0 stays signaled until reset, type 1 releases one waiter. `Size` is 6.
        0x00 Header: DISPATCHER_HEADER,
    }

    /// Semaphore.
    pub struct KSEMAPHORE : 0x20 {
        /// Type 5; the count is its `SignalState`.
        0x00 Header: DISPATCHER_HEADER,
        /// Largest count.
        0x18 Limit: i32,
    }

    /// Mutant, the kernel's mutex.
    pub struct KMUTANT : 0x38 {
        /// Type 2; owned while `SignalState` is not positive.
        0x00 Header: DISPATCHER_HEADER,
        /// Node in the owner's list of mutants.
        0x18 MutantListEntry: LIST_ENTRY,
        /// Thread that owns it, or null.
        0x28 OwnerThread: *mut KTHREAD,
        /// Set when its owner ended without releasing it.
        0x30 Abandoned: u8,
        /// 1 for a mutex: owning it disables kernel APCs.
        0x31 ApcDisable: u8,
    }

    /// Timer.
    pub struct KTIMER : 0x40 {
        /// Type 8 (notification) or 9 (synchronization).
        0x00 Header: DISPATCHER_HEADER,
        /// When it is due, in interrupt time.
        0x18 DueTime: u64,
        /// Node in the timer table.
        0x20 TimerListEntry: LIST_ENTRY,
        /// DPC to queue, or null.
        0x30 Dpc: *mut KDPC,
        /// Processor whose table holds it.
        0x38 Processor: u32,
        /// Milliseconds between repetitions, or zero.
        0x3C Period: u32,
    }

    /// Deferred procedure call.
    pub struct KDPC : 0x40 {
        /// Type 0x13, or 0x1A when threaded.
        0x00 Type: u8,
        /// Low, medium or high.
        0x01 Importance: u8,
        /// Target processor.
        0x02 Number: u16,
        /// Node in the processor's queue.
        0x08 DpcListEntry: SINGLE_LIST_ENTRY,
        /// Processors it ran on.
        0x10 ProcessorHistory: u64,
        /// Routine to run at DISPATCH_LEVEL.
        0x18 DeferredRoutine: PKDEFERRED_ROUTINE,
        /// Its context.
        0x20 DeferredContext: PVOID,
        /// First argument of the queueing.
        0x28 SystemArgument1: PVOID,
        /// Second argument of the queueing.
        0x30 SystemArgument2: PVOID,
        /// Queue it is on, null when it is on none.
        0x38 DpcData: PVOID,
    }

    /// One thread waiting for one object.
    pub struct KWAIT_BLOCK : 0x30 {
        /// Node in the object's wait list.
        0x00 WaitListEntry: LIST_ENTRY,
        /// Wait for all (0) or any (1).
        0x10 WaitType: u8,
        /// State of the block.
        0x11 BlockState: u8,
        /// Index that the wait returns.
        0x12 WaitKey: u16,
        /// Unused.
        0x14 SpareLong: i32,
        /// Thread that waits.
        0x18 Thread: *mut KTHREAD,
        /// Object waited for.
        0x20 Object: PVOID,
        /// Unused.
        0x28 SparePtr: PVOID,
    }
}

/// Layouts of the parts of this module.
pub(crate) const PARTS: [&[&crate::layout::Layout]; 5] =
    [LAYOUTS, thread::LAYOUTS, processor::LAYOUTS, shared::LAYOUTS, exception::LAYOUTS];

/// Values of [`DISPATCHER_HEADER::Type`].
pub mod dispatcher {
    /// Event that stays signaled.
    pub const NOTIFICATION_EVENT: u8 = 0;
    /// Event that releases one waiter.
    pub const SYNCHRONIZATION_EVENT: u8 = 1;
    /// Mutant or mutex.
    pub const MUTANT: u8 = 2;
    /// Process.
    pub const PROCESS: u8 = 3;
    /// Queue.
    pub const QUEUE: u8 = 4;
    /// Semaphore.
    pub const SEMAPHORE: u8 = 5;
    /// Thread.
    pub const THREAD: u8 = 6;
    /// Timer that stays signaled.
    pub const NOTIFICATION_TIMER: u8 = 8;
    /// Timer that releases one waiter.
    pub const SYNCHRONIZATION_TIMER: u8 = 9;
    /// [`super::KAPC`], which is no dispatcher object but shares the numbering.
    pub const APC: u8 = 0x12;
    /// [`super::KDPC`], likewise.
    pub const DPC: u8 = 0x13;
    /// Threaded [`super::KDPC`].
    pub const THREADED_DPC: u8 = 0x1A;
}

/// `KPROCESSOR_MODE`: kernel.
pub const KernelMode: u8 = 0;
/// `KPROCESSOR_MODE`: user.
pub const UserMode: u8 = 1;

/// `EVENT_TYPE`: stays signaled until reset.
pub const NotificationEvent: u32 = 0;
/// `EVENT_TYPE`: releases one waiter and resets itself.
pub const SynchronizationEvent: u32 = 1;
/// `TIMER_TYPE`: stays signaled.
pub const NotificationTimer: u32 = 0;
/// `TIMER_TYPE`: releases one waiter.
pub const SynchronizationTimer: u32 = 1;
/// `KWAIT_REASON`: the executive waits.
pub const Executive: u32 = 0;
/// `WAIT_TYPE`: wait for all objects.
pub const WaitAll: u32 = 0;
/// `WAIT_TYPE`: wait for any object.
pub const WaitAny: u32 = 1;
/// Most objects one wait may name.
pub const MAXIMUM_WAIT_OBJECTS: u32 = 64;
/// Objects a wait may name without its own array of wait blocks.
pub const THREAD_WAIT_OBJECTS: u32 = 3;

/// Handle of the current process in calls that take a process handle.
pub const NT_CURRENT_PROCESS: HANDLE = core::ptr::without_provenance_mut(usize::MAX);
/// Handle of the current thread in calls that take a thread handle.
pub const NT_CURRENT_THREAD: HANDLE = core::ptr::without_provenance_mut(usize::MAX - 1);
