//! Kernel: dispatcher objects, DPCs, APCs, threads and the per-processor block behind GS.
//!
//! Models `wdm.h` for the public structures, and the public symbols of Windows 10 20H1 to 22H2 (10.0.19041 to 19045,
//! x64) for [`KTHREAD`], [`KPCR`] and [`KPRCB`], which differ between builds. Only members that drivers are seen to
//! read are modeled; the rest is filler.

use crate::layout::layout;
use crate::ntdef::{HANDLE, LIST_ENTRY, PVOID, SINGLE_LIST_ENTRY};
use crate::ps::{EPROCESS, ETHREAD};

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

    /// Asynchronous procedure call.
    pub struct KAPC : 0x58 {
        /// Type 0x12.
        0x00 Type: u8,
        /// Unused.
        0x01 SpareByte0: u8,
        /// Size of the structure.
        0x02 Size: u8,
        /// Unused.
        0x03 SpareByte1: u8,
        /// Unused.
        0x04 SpareLong0: u32,
        /// Thread it runs in.
        0x08 Thread: *mut KTHREAD,
        /// Node in the thread's list.
        0x10 ApcListEntry: LIST_ENTRY,
        /// Runs at APC_LEVEL.
        0x20 KernelRoutine: PVOID,
        /// Runs instead when the thread ends first.
        0x28 RundownRoutine: PVOID,
        /// Runs at PASSIVE_LEVEL, or null.
        0x30 NormalRoutine: PVOID,
        /// Context of the normal routine.
        0x38 NormalContext: PVOID,
        /// First argument.
        0x40 SystemArgument1: PVOID,
        /// Second argument.
        0x48 SystemArgument2: PVOID,
        /// Which APC environment it belongs to.
        0x50 ApcStateIndex: i8,
        /// Kernel (0) or user (1).
        0x51 ApcMode: i8,
        /// Set while queued.
        0x52 Inserted: u8,
    }

    /// APC state of a thread, as `KeStackAttachProcess` saves it.
    pub struct KAPC_STATE : 0x30 {
        /// Pending kernel and user APCs.
        0x00 ApcListHead: [LIST_ENTRY; 2],
        /// Process the thread runs in.
        0x20 Process: *mut EPROCESS,
        /// Kernel or special APC in progress.
        0x28 InProgressFlags: u8,
        /// A kernel APC is pending.
        0x29 KernelApcPending: u8,
        /// A user APC is pending.
        0x2A UserApcPending: u8,
    }

    /// Thread as the kernel sees it, Windows 10 build 19041.
    pub struct KTHREAD : 0x430 {
        /// Type 6; signaled when the thread has ended.
        0x000 Header: DISPATCHER_HEADER,
        /// Not modeled.
        0x018 _Fill018: [u64; 2],
        /// Top of the stack at its creation.
        0x028 InitialStack: PVOID,
        /// Lowest address of the stack.
        0x030 StackLimit: PVOID,
        /// Highest address of the stack.
        0x038 StackBase: PVOID,
        /// Not modeled.
        0x040 _Fill040: [u64; 3],
        /// Stack pointer while switched out.
        0x058 KernelStack: PVOID,
        /// Not modeled.
        0x060 _Fill060: [u64; 7],
        /// `ApcState`: pending kernel and user APCs.
        0x098 ApcListHead: [LIST_ENTRY; 2],
        /// `ApcState`: process the thread runs in now, attached or not.
        0x0B8 ApcStateProcess: *mut EPROCESS,
        /// `ApcState`: APC in progress.
        0x0C0 InProgressFlags: u8,
        /// `ApcState`: a kernel APC is pending.
        0x0C1 KernelApcPending: u8,
        /// `ApcState`: a user APC is pending.
        0x0C2 UserApcPending: u8,
        /// Current priority; lies in what would be padding of `ApcState`.
        0x0C3 Priority: i8,
        /// Not modeled.
        0x0C4 _Fill0C4: u32,
        /// Result of the last wait.
        0x0C8 WaitStatus: i64,
        /// Wait blocks in use.
        0x0D0 WaitBlockList: *mut KWAIT_BLOCK,
        /// Node in a processor's wait list.
        0x0D8 WaitListEntry: LIST_ENTRY,
        /// Queue the thread serves.
        0x0E8 Queue: PVOID,
        /// Thread environment block, null for system threads.
        0x0F0 Teb: PVOID,
        /// Not modeled.
        0x0F8 RelativeTimerBias: u64,
        /// Timer of timed waits.
        0x100 Timer: KTIMER,
        /// Built-in wait blocks; the tail of the fourth is shared with the members after it.
        0x140 WaitBlock: [KWAIT_BLOCK; 3],
        /// First part of the fourth wait block.
        0x1D0 _Fill1D0: [u32; 5],
        /// Negative while kernel APCs are disabled (critical region).
        0x1E4 KernelApcDisable: i16,
        /// Negative while special kernel APCs are disabled too (guarded region).
        0x1E6 SpecialApcDisable: i16,
        /// Not modeled.
        0x1E8 _Fill1E8: [u64; 7],
        /// Process the thread belongs to.
        0x220 Process: *mut EPROCESS,
        /// Not modeled.
        0x228 _Fill228: [u8; 10],
        /// 0 when the current system call came from kernel mode, 1 from user mode.
        0x232 PreviousMode: i8,
        /// Not modeled.
        0x233 _Fill233: [u8; 0x1FD],
    }

    /// Processor control block, first part. Lies in [`KPCR`] at `0x180`.
    pub struct KPRCB : 0xD80 {
        /// SSE control word.
        0x000 MxCsr: u32,
        /// Processor number in its group; inlined `KeGetCurrentProcessorNumber` reads it at `gs:[184h]`.
        0x004 LegacyNumber: u8,
        /// Zero.
        0x005 ReservedMustBeZero: u8,
        /// A software interrupt is requested.
        0x006 InterruptRequest: u8,
        /// The processor is halted.
        0x007 IdleHalt: u8,
        /// Running thread, `gs:[188h]`.
        0x008 CurrentThread: *mut KTHREAD,
        /// Thread chosen to run next.
        0x010 NextThread: *mut KTHREAD,
        /// Idle thread.
        0x018 IdleThread: *mut KTHREAD,
        /// Depth of nested interrupts.
        0x020 NestingLevel: u8,
        /// This processor keeps the clock.
        0x021 ClockOwner: u8,
        /// Clock ticks pending.
        0x022 PendingTickFlags: u8,
        /// Idle state.
        0x023 IdleState: u8,
        /// System-wide processor index, `gs:[1A4h]`.
        0x024 Number: u32,
        /// Top of the current kernel stack.
        0x028 RspBase: u64,
        /// Scheduler lock.
        0x030 PrcbLock: u64,
        /// Not modeled.
        0x038 _Fill038: [u64; 0x1A9],
    }

    /// Processor control region: one page behind GS.
    ///
    /// The real one is larger than a page. From `0xF00` on there is no NT content here: that area is left to whoever
    /// hosts the drivers.
    pub struct KPCR : 0x1000 {
        /// Descriptor table.
        0x000 GdtBase: PVOID,
        /// Task state segment.
        0x008 TssBase: PVOID,
        /// User stack pointer during a system call.
        0x010 UserRsp: u64,
        /// This structure, `gs:[18h]`.
        0x018 SelfPcr: *mut KPCR,
        /// [`KPCR::Prcb`], `gs:[20h]`.
        0x020 CurrentPrcb: *mut KPRCB,
        /// Queued spin locks.
        0x028 LockArray: PVOID,
        /// Thread environment block of the running thread.
        0x030 Used_Self: PVOID,
        /// Interrupt table.
        0x038 IdtBase: PVOID,
        /// Unused.
        0x040 Unused: [u64; 2],
        /// IRQL for debuggers; the authority on x64 is CR8.
        0x050 Irql: u8,
        /// Cache geometry.
        0x051 SecondLevelCacheAssociativity: u8,
        /// Processor number, unused.
        0x052 ObsoleteNumber: u8,
        /// Unused.
        0x053 Fill0: u8,
        /// Unused.
        0x054 Unused0: [u32; 3],
        /// Version of this structure.
        0x060 MajorVersion: u16,
        /// Revision of this structure.
        0x062 MinorVersion: u16,
        /// Loops per microsecond.
        0x064 StallScaleFactor: u32,
        /// Unused.
        0x068 Unused1: [u64; 3],
        /// Kernel's own.
        0x080 KernelReserved: [u32; 15],
        /// Cache size.
        0x0BC SecondLevelCacheSize: u32,
        /// HAL's own.
        0x0C0 HalReserved: [u32; 16],
        /// Unused.
        0x100 Unused2: u32,
        /// Debugger data.
        0x108 KdVersionBlock: PVOID,
        /// Unused.
        0x110 Unused3: PVOID,
        /// Padding up to the cache line.
        0x118 _PcrAlign1: [u32; 26],
        /// Control block.
        0x180 Prcb: KPRCB,
        /// Free for the host.
        0xF00 HostReserved: [u64; 32],
    }

    /// A time that can be read without a lock: two high halves around the low one.
    pub struct KSYSTEM_TIME : 0xC {
        /// Low half.
        0x0 LowPart: u32,
        /// High half, written last.
        0x4 High1Time: i32,
        /// High half, written first.
        0x8 High2Time: i32,
    }

    /// The page at `0xFFFFF78000000000` that every driver can read, as far as it kept its place since Windows 7.
    pub struct KUSER_SHARED_DATA : 0x3F0 {
        /// Unused.
        0x000 TickCountLowDeprecated: u32,
        /// Milliseconds per tick, 8.24 fixed point.
        0x004 TickCountMultiplier: u32,
        /// Time since boot in 100 ns.
        0x008 InterruptTime: KSYSTEM_TIME,
        /// UTC since 1601 in 100 ns.
        0x014 SystemTime: KSYSTEM_TIME,
        /// Local time's distance from UTC.
        0x020 TimeZoneBias: KSYSTEM_TIME,
        /// Lowest image machine, `0x8664`.
        0x02C ImageNumberLow: u16,
        /// Highest image machine, `0x8664`.
        0x02E ImageNumberHigh: u16,
        /// System directory, such as `C:\Windows`.
        0x030 NtSystemRoot: [u16; 260],
        /// Stack trace depth.
        0x238 MaxStackTraceDepth: u32,
        /// Crypto exponent.
        0x23C CryptoExponent: u32,
        /// Standard or daylight time.
        0x240 TimeZoneId: u32,
        /// Large page size.
        0x244 LargePageMinimum: u32,
        /// Not modeled.
        0x248 _Fill248: [u32; 6],
        /// Build number, on Windows 10 and later.
        0x260 NtBuildNumber: u32,
        /// 1 workstation, 2 domain controller, 3 server.
        0x264 NtProductType: u32,
        /// The product type is valid.
        0x268 ProductTypeIsValid: u8,
        /// Filler.
        0x269 _Fill269: u8,
        /// `PROCESSOR_ARCHITECTURE_AMD64`, 9.
        0x26A NativeProcessorArchitecture: u16,
        /// Major version.
        0x26C NtMajorVersion: u32,
        /// Minor version.
        0x270 NtMinorVersion: u32,
        /// `PF_*` processor features.
        0x274 ProcessorFeatures: [u8; 64],
        /// Not modeled.
        0x2B4 _Fill2B4: [u32; 5],
        /// Expiry of an evaluation copy.
        0x2C8 SystemExpirationDate: i64,
        /// `VER_SUITE_*` bits.
        0x2D0 SuiteMask: u32,
        /// Kernel debugger: bit 0 enabled, bit 1 not present.
        0x2D4 KdDebuggerEnabled: u8,
        /// Mitigation defaults.
        0x2D5 MitigationPolicies: u8,
        /// Cycles per `pause`.
        0x2D6 CyclesPerYield: u16,
        /// Session at the console.
        0x2D8 ActiveConsoleId: u32,
        /// Volume dismounts.
        0x2DC DismountCount: u32,
        /// Runtime package state.
        0x2E0 ComPlusPackage: u32,
        /// Last input.
        0x2E4 LastSystemRITEventTickCount: u32,
        /// Pages of memory.
        0x2E8 NumberOfPhysicalPages: u32,
        /// Safe mode.
        0x2EC SafeBootMode: u8,
        /// Not modeled.
        0x2ED _Fill2ED: [u8; 3],
        /// Flags.
        0x2F0 SharedDataFlags: u32,
        /// Not modeled.
        0x2F4 _Fill2F4: [u32; 3],
        /// Performance counter frequency.
        0x300 QpcFrequency: i64,
        /// Not modeled.
        0x308 _Fill308: [u64; 3],
        /// Ticks since boot.
        0x320 TickCount: KSYSTEM_TIME,
        /// Not modeled.
        0x32C _Fill32C: u32,
        /// Cookie of encoded pointers.
        0x330 Cookie: u32,
        /// Not modeled.
        0x334 _Fill334: [u32; 35],
        /// Processors running.
        0x3C0 ActiveProcessorCount: u32,
        /// Processor groups.
        0x3C4 ActiveGroupCount: u8,
        /// Not modeled.
        0x3C5 _Fill3C5: [u8; 0x2B],
    }
}

/// Distance of the host's own area from the start of the [`KPCR`].
pub const KPCR_HOST_OFFSET: usize = core::mem::offset_of!(KPCR, HostReserved);

/// Where [`KUSER_SHARED_DATA`] lies in kernel space on x64.
pub const KUSER_SHARED_DATA_ADDRESS: u64 = 0xFFFF_F780_0000_0000;

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

impl KTHREAD {
    /// Reaches the thread object that starts with this kernel thread.
    #[must_use]
    pub const fn ethread(this: *mut Self) -> *mut ETHREAD {
        this.cast()
    }
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
