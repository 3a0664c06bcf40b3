//! What an exception is told with: the record, the registers, and what the dispatcher and a language handler pass each other.
//!
//! Models `winnt.h` and `ntxcapi.h` for x64.

use crate::layout::layout;
use crate::ntdef::PVOID;

/// Bits of `EXCEPTION_RECORD.ExceptionFlags`.
pub mod exception_flags {
    /// Going on behind the exception is not possible.
    pub const EXCEPTION_NONCONTINUABLE: u32 = 0x01;
    /// Frames are being unwound.
    pub const EXCEPTION_UNWINDING: u32 = 0x02;
    /// Frames are being unwound up to the end of the stack.
    pub const EXCEPTION_EXIT_UNWIND: u32 = 0x04;
    /// A frame lies outside of the stack.
    pub const EXCEPTION_STACK_INVALID: u32 = 0x08;
    /// Raised while a handler of another exception ran.
    pub const EXCEPTION_NESTED_CALL: u32 = 0x10;
    /// The frame is the one that unwinding leads to.
    pub const EXCEPTION_TARGET_UNWIND: u32 = 0x20;
    /// An unwind came upon one that was under way, and goes on in its place.
    pub const EXCEPTION_COLLIDED_UNWIND: u32 = 0x40;
}

/// What a language handler says (`EXCEPTION_DISPOSITION`).
pub mod disposition {
    /// The driver goes on with the registers in the `CONTEXT`.
    pub const ExceptionContinueExecution: u32 = 0;
    /// Not mine.
    pub const ExceptionContinueSearch: u32 = 1;
}

/// Parameters that an exception can have at most.
pub const EXCEPTION_MAXIMUM_PARAMETERS: usize = 15;

layout! {
    /// What happened.
    pub struct EXCEPTION_RECORD : 0x98 {
        /// Status.
        0x00 ExceptionCode: u32,
        /// [`exception_flags`].
        0x04 ExceptionFlags: u32,
        /// The exception that led to this one.
        0x08 ExceptionRecord: *mut EXCEPTION_RECORD,
        /// Where.
        0x10 ExceptionAddress: PVOID,
        /// How many of the parameters there are.
        0x18 NumberParameters: u32,
        /// Padding.
        0x1C _Fill01C: u32,
        /// Parameters; of an access violation 0 for a read, 1 for a write, 8 for a fetch, and the address.
        0x20 ExceptionInformation: [u64; 15],
    }

    /// A register of 128 bits. Windows aligns it to 16 bytes; here what holds it says where it lies.
    pub struct M128A : 0x10 {
        /// Low half.
        0x00 Low: u64,
        /// High half.
        0x08 High: i64,
    }

    /// The registers.
    pub struct CONTEXT : 0x4D0 {
        /// Home space of whoever gets the structure by value.
        0x000 P1Home: [u64; 6],
        /// Which parts are there.
        0x030 ContextFlags: u32,
        /// SSE control word.
        0x034 MxCsr: u32,
        /// Selectors: CS, DS, ES, FS, GS, SS.
        0x038 SegCs: [u16; 6],
        /// Flags.
        0x044 EFlags: u32,
        /// Debug registers: 0 to 3, 6, 7.
        0x048 Dr0: [u64; 6],
        /// `rax`.
        0x078 Rax: u64,
        /// `rcx`.
        0x080 Rcx: u64,
        /// `rdx`.
        0x088 Rdx: u64,
        /// `rbx`.
        0x090 Rbx: u64,
        /// `rsp`.
        0x098 Rsp: u64,
        /// `rbp`.
        0x0A0 Rbp: u64,
        /// `rsi`.
        0x0A8 Rsi: u64,
        /// `rdi`.
        0x0B0 Rdi: u64,
        /// `r8`.
        0x0B8 R8: u64,
        /// `r9`.
        0x0C0 R9: u64,
        /// `r10`.
        0x0C8 R10: u64,
        /// `r11`.
        0x0D0 R11: u64,
        /// `r12`.
        0x0D8 R12: u64,
        /// `r13`.
        0x0E0 R13: u64,
        /// `r14`.
        0x0E8 R14: u64,
        /// `r15`.
        0x0F0 R15: u64,
        /// `rip`.
        0x0F8 Rip: u64,
        /// Head of the legacy floating-point state (`XSAVE_FORMAT`), SSE control word included, and the x87 registers.
        0x100 FltSave: [u64; 20],
        /// XMM registers 0 to 15; Windows names each.
        0x1A0 Xmm0: [M128A; 16],
        /// Rest of the legacy floating-point state.
        0x2A0 _Fill2A0: [u64; 12],
        /// Vector registers.
        0x300 VectorRegister: [M128A; 26],
        /// Their control word.
        0x4A0 VectorControl: u64,
        /// Debug control word.
        0x4A8 DebugControl: u64,
        /// Last branches.
        0x4B0 LastBranchToRip: [u64; 4],
    }

    /// Both, as a filter gets them.
    pub struct EXCEPTION_POINTERS : 0x10 {
        /// What happened.
        0x00 ExceptionRecord: *mut EXCEPTION_RECORD,
        /// The registers where it happened.
        0x08 ContextRecord: *mut CONTEXT,
    }

    /// What a language handler is told about a frame.
    pub struct DISPATCHER_CONTEXT : 0x50 {
        /// Where the frame stands.
        0x00 ControlPc: u64,
        /// Base of its image.
        0x08 ImageBase: u64,
        /// Its `RUNTIME_FUNCTION`.
        0x10 FunctionEntry: PVOID,
        /// Base of the frame.
        0x18 EstablisherFrame: u64,
        /// Where unwinding leads to.
        0x20 TargetIp: u64,
        /// The registers of the frame.
        0x28 ContextRecord: *mut CONTEXT,
        /// The handler.
        0x30 LanguageHandler: PVOID,
        /// Its data.
        0x38 HandlerData: PVOID,
        /// What earlier lookups found.
        0x40 HistoryTable: PVOID,
        /// Where the handler goes on in its data.
        0x48 ScopeIndex: u32,
        /// Padding.
        0x4C Fill0: u32,
    }
}

impl CONTEXT {
    /// Makes one in which nothing but the instruction pointer is known. It has control, integer and segment registers and the
    /// floating-point state.
    #[must_use]
    pub const fn at(rip: u64) -> Self {
        Self {
            P1Home: [0; 6],
            // `CONTEXT_AMD64` with the four parts.
            ContextFlags: 0x0010_000F,
            MxCsr: 0x1F80,
            SegCs: [0; 6],
            EFlags: 0x202,
            Dr0: [0; 6],
            Rax: 0,
            Rcx: 0,
            Rdx: 0,
            Rbx: 0,
            Rsp: 0,
            Rbp: 0,
            Rsi: 0,
            Rdi: 0,
            R8: 0,
            R9: 0,
            R10: 0,
            R11: 0,
            R12: 0,
            R13: 0,
            R14: 0,
            R15: 0,
            Rip: rip,
            FltSave: [0; 20],
            Xmm0: [M128A { Low: 0, High: 0 }; 16],
            _Fill2A0: [0; 12],
            VectorRegister: [M128A { Low: 0, High: 0 }; 26],
            VectorControl: 0,
            DebugControl: 0,
            LastBranchToRip: [0; 4],
        }
    }
}
