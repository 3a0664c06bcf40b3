//! Threads and the calls that are queued to them.
//!
//! [`KTHREAD`] follows the public symbols of Windows 10 20H1 to 22H2 (10.0.19041 to 19045, x64).

use super::{DISPATCHER_HEADER, KTIMER, KWAIT_BLOCK};
use crate::layout::layout;
use crate::ntdef::{LIST_ENTRY, PVOID};
use crate::ps::{EPROCESS, ETHREAD};

layout! {
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
}

impl KTHREAD {
    /// Reaches the thread object that starts with this kernel thread.
    #[must_use]
    pub const fn ethread(this: *mut Self) -> *mut ETHREAD {
        this.cast()
    }
}
