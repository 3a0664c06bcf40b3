//! How a run ended.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Wait;

/// General-purpose registers at a fault, in hardware order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(missing_docs, reason = "the fields are the registers' own names")]
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
}

/// A bugcheck: the machine stopped because Windows would have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BugcheckRecord {
    /// Bugcheck code (`0xD1`).
    pub code: u32,
    /// The four parameters, with the meaning Windows gives them.
    pub parameters: [u64; 4],
    /// What happened, in one lowercase sentence.
    pub reason: String,
    /// Code address to blame: the faulting instruction in driver code, or the driver's call that led to a fault in
    /// the kernel.
    pub at: Option<u64>,
    /// Text of the faulting instruction, where there is one.
    pub instruction: Option<String>,
    /// Registers, where a trap gave them.
    pub registers: Option<Registers>,
    /// Call stack of the driver: where each call returns to, innermost first, with the address of the export where the
    /// kernel was called.
    pub stack: Vec<u64>,
}

/// A run that had to be stopped from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HangRecord {
    /// Limit that ran out, in milliseconds of wall time.
    pub limit_ms: u64,
    /// Where the driver was when the limit ran out, where that is known.
    pub at: Option<u64>,
    /// Call stack of the driver there: where each call returns to, innermost first.
    pub stack: Vec<u64>,
    /// Whether every thread waits for something that nobody left can signal (found at once, without the limit).
    pub deadlock: bool,
    /// What is known about it: one line per thread or lock.
    pub details: Vec<String>,
    /// Who waits for whom, where that is known: in a deadlock.
    pub waits: Vec<Wait>,
    /// The threads that wait for each other, in the order of who waits for whom.
    pub cycles: Vec<Vec<u32>>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Ending {
    /// Every step was played.
    Finished,
    /// Windows would have crashed.
    Bugcheck(Box<BugcheckRecord>),
    /// The time limit ran out, or nothing could ever run again.
    Hang(HangRecord),
    /// The driver touched an import that is not there and cannot go on.
    AbsentExport {
        /// Module named in the import table.
        module: String,
        /// Name or `#ordinal`.
        name: String,
        /// Driver address that touched it.
        at: u64,
    },
    /// More events than the limit.
    EventLimit {
        /// The limit.
        limit: u64,
    },
    /// Somebody interrupted the run (Ctrl-C), and it was ended where it was.
    Interrupted {
        /// The signal.
        signal: i32,
        /// Where the driver was, where that is known.
        at: Option<u64>,
        /// Call stack of the driver there: where each call returns to, innermost first.
        stack: Vec<u64>,
    },
    /// The kernel process died without last words. Neither signal nor code: its parent had to end it.
    Died {
        /// Signal number, if a signal ended it.
        signal: Option<i32>,
        /// Exit code otherwise.
        code: Option<i32>,
    },
}

impl Ending {
    /// Returns the signal by which somebody ended the kernel process from outside: one that neither the processor nor the process
    /// itself raises.
    pub fn killed_by(&self) -> Option<i32> {
        // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS, as Linux numbers them.
        const OWN: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
        match self {
            Self::Died { signal: Some(signal), .. } if !OWN.contains(signal) => Some(*signal),
            _ => None,
        }
    }
}
