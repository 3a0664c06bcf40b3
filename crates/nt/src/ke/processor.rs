//! What a processor knows of itself: the page behind GS.
//!
//! Follows the public symbols of x64 kernels; the members here have kept their place since Windows 7.

use super::KTHREAD;
use crate::layout::layout;
use crate::ntdef::PVOID;

layout! {
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
}

/// Distance of the host's own area from the start of the [`KPCR`].
pub const KPCR_HOST_OFFSET: usize = core::mem::offset_of!(KPCR, HostReserved);
