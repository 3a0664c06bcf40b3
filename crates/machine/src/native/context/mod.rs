//! The assembly: switching fibers, entering the host from a driver, calling a driver from the host.
//!
//! A fiber has two stacks. Host code runs on the host stack, driver code on the driver stack (24 KiB, as on Windows), so a
//! driver's stack never holds host data, and a driver that overruns it hits a guard. Where each stack continues is
//! kept in two slots of the processor's `KPCR` page, reached through GS: `HOST` while driver code runs, `DRIVER`
//! while host code runs. Entries nest to any depth: each saves the slots of the one before on the host stack. The third way
//! in is behind a signal ([`trap_entry`], [`exception_entry`]).
//!
//! corosensei was weighed and not taken: its coroutines are asymmetric with one stack each, and the two crossings below
//! would be needed beside it anyway. Unwinding never crosses a fiber: the world ends by `_exit`.
//!
//! Conventions: a Windows x64 callee preserves `rbx rbp rdi rsi r12`–`r15 xmm6`–`xmm15` and the control bits of MXCSR, a System V
//! callee only `rbx rbp r12`–`r15`; the stack is aligned to 16 before every call, and the direction flag is clear.

mod trapped;

use std::arch::naked_asm;

use nt::KPCR_HOST_OFFSET;

pub(crate) use trapped::{exception_entry, restore, trap_entry};

/// Offset in the `KPCR` page of the slot with the host stack pointer.
pub(crate) const HOST: usize = KPCR_HOST_OFFSET;

/// Offset in the `KPCR` page of the slot with the driver stack pointer.
pub(crate) const DRIVER: usize = KPCR_HOST_OFFSET + 8;

/// Offset in the `KPCR` page of the slot that says where driver code goes on behind a trap.
pub(crate) const TRAP_RIP: usize = KPCR_HOST_OFFSET + 16;

/// Offsets in the `KPCR` page of the slots with what trapped: signal and vector, error code, address.
pub(crate) const TRAP_WHAT: [usize; 3] =
    [KPCR_HOST_OFFSET + 32, KPCR_HOST_OFFSET + 40, KPCR_HOST_OFFSET + 48];

/// MXCSR of host code and of a fresh driver call: all exceptions masked, round to nearest.
static MXCSR: u32 = 0x1F80;

/// Saves the current context at `save` and continues the one that was saved as `load`.
///
/// # Safety
///
/// `save` is writable; `load` was written by this function or made by [`prepare`], its stack is intact, and it is continued
/// once only.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(save: *mut u64, load: u64) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// First code of a fiber: calls `r12(r13)`, which does not return.
#[unsafe(naked)]
unsafe extern "C" fn start() {
    naked_asm!("xor ebp, ebp", "mov rdi, r13", "call r12", "ud2")
}

/// Lays out the words below the top of a new stack so that [`switch`] to the returned value calls
/// `entry(argument)`. Returns the words, lowest first; they end at the top.
pub(crate) fn prepare(entry: extern "C" fn(usize) -> !, argument: usize) -> [u64; 10] {
    let control = 0x037F_u64 << 32 | 0x1F80;
    // control, r15, r14, r13, r12, rbx, rbp, return address, and two words so that `start` begins aligned to 16.
    [control, 0, 0, argument as u64, entry as usize as u64, 0, 0, start as *const () as u64, 0, 0]
}

/// Where every stub of the kernel image jumps to, with the export's number in `eax`.
///
/// Never called by Rust: its address is written into the kernel image.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn export_entry() {
    naked_asm!(
        // The home space: from here on all arguments are one array behind the return address.
        "mov [rsp + 0x08], rcx",
        "mov [rsp + 0x10], rdx",
        "mov [rsp + 0x18], r8",
        "mov [rsp + 0x20], r9",
        "mov r10, rsp",
        "mov rsp, gs:[{host}]",
        // What is stored here is an `Entry` of the module `stack`.
        "sub rsp, 0x110",
        "movaps [rsp + 0x00], xmm6",
        "movaps [rsp + 0x10], xmm7",
        "movaps [rsp + 0x20], xmm8",
        "movaps [rsp + 0x30], xmm9",
        "movaps [rsp + 0x40], xmm10",
        "movaps [rsp + 0x50], xmm11",
        "movaps [rsp + 0x60], xmm12",
        "movaps [rsp + 0x70], xmm13",
        "movaps [rsp + 0x80], xmm14",
        "movaps [rsp + 0x90], xmm15",
        "mov [rsp + 0xA0], rdi",
        "mov [rsp + 0xA8], rsi",
        "mov [rsp + 0xB0], r10",
        "stmxcsr [rsp + 0xB8]",
        // Host code preserves these; they are stored for whoever unwinds the driver's stack.
        "mov [rsp + 0xC0], rbx",
        "mov [rsp + 0xC8], rbp",
        "mov [rsp + 0xD0], r12",
        "mov [rsp + 0xD8], r13",
        "mov [rsp + 0xE0], r14",
        "mov [rsp + 0xE8], r15",
        "ldmxcsr [rip + {mxcsr}]",
        "cld",
        "mov gs:[{driver}], r10",
        "mov edi, eax",
        "mov rsi, r10",
        "mov rdx, rsp",
        "call {dispatch}",
        "movaps xmm6, [rsp + 0x00]",
        "movaps xmm7, [rsp + 0x10]",
        "movaps xmm8, [rsp + 0x20]",
        "movaps xmm9, [rsp + 0x30]",
        "movaps xmm10, [rsp + 0x40]",
        "movaps xmm11, [rsp + 0x50]",
        "movaps xmm12, [rsp + 0x60]",
        "movaps xmm13, [rsp + 0x70]",
        "movaps xmm14, [rsp + 0x80]",
        "movaps xmm15, [rsp + 0x90]",
        "mov rdi, [rsp + 0xA0]",
        "mov rsi, [rsp + 0xA8]",
        "ldmxcsr [rsp + 0xB8]",
        "mov rsp, [rsp + 0xB0]",
        // Volatile registers would carry host addresses, which differ from run to run.
        "xor ecx, ecx",
        "xor edx, edx",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "pxor xmm0, xmm0",
        "pxor xmm1, xmm1",
        "pxor xmm2, xmm2",
        "pxor xmm3, xmm3",
        "pxor xmm4, xmm4",
        "pxor xmm5, xmm5",
        "ret",
        host = const HOST,
        driver = const DRIVER,
        mxcsr = sym MXCSR,
        dispatch = sym super::dispatch::dispatch,
    )
}

/// Gives up the driver code that runs: the [`enter_driver`] that called it returns 0.
///
/// # Safety
///
/// GS leads to a `KPCR` page whose `HOST` slot is the host stack pointer while that driver code runs; no host frame above that
/// slot's place has to be dropped.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn abandon() -> ! {
    naked_asm!("xor eax, eax", "jmp {leave}", leave = sym leave_driver)
}

/// Goes back to whom [`enter_driver`] was called by, with what is in `rax`. Jumped to, never called. Nothing the driver left in `rsp` is
/// trusted.
#[unsafe(naked)]
unsafe extern "C" fn leave_driver() -> ! {
    naked_asm!(
        "mov rsp, gs:[{host}]",
        "cld",
        "pop qword ptr gs:[{driver}]",
        "pop qword ptr gs:[{host}]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host = const HOST,
        driver = const DRIVER,
    )
}

/// Calls driver code: `routine(arguments[0], …)` on the driver stack, below whatever is on it.
///
/// # Safety
///
/// GS leads to a `KPCR` page whose `DRIVER` slot is the driver stack pointer of the current fiber; `arguments` are
/// `count` readable words and `count` is even and at least 4; `routine` is code with the Windows x64 convention that
/// is entitled to them.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter_driver(routine: u64, arguments: *const u64, count: usize) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "push qword ptr gs:[{host}]",
        "push qword ptr gs:[{driver}]",
        "mov gs:[{host}], rsp",
        "mov rax, rdi",
        "mov r10, rsi",
        "mov r11, rdx",
        "lea rcx, [rdx * 8]",
        "mov rsp, gs:[{driver}]",
        "and rsp, -16",
        "sub rsp, rcx",
        "2:",
        "sub r11, 1",
        "mov rcx, [r10 + r11 * 8]",
        "mov [rsp + r11 * 8], rcx",
        "jnz 2b",
        "mov rcx, [rsp + 0x00]",
        "mov rdx, [rsp + 0x08]",
        "mov r8, [rsp + 0x10]",
        "mov r9, [rsp + 0x18]",
        // The driver sees no host values, not even in registers it may not use.
        "xor ebx, ebx",
        "xor ebp, ebp",
        "xor esi, esi",
        "xor edi, edi",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "pxor xmm0, xmm0",
        "pxor xmm1, xmm1",
        "pxor xmm2, xmm2",
        "pxor xmm3, xmm3",
        "pxor xmm4, xmm4",
        "pxor xmm5, xmm5",
        "pxor xmm6, xmm6",
        "pxor xmm7, xmm7",
        "pxor xmm8, xmm8",
        "pxor xmm9, xmm9",
        "pxor xmm10, xmm10",
        "pxor xmm11, xmm11",
        "pxor xmm12, xmm12",
        "pxor xmm13, xmm13",
        "pxor xmm14, xmm14",
        "pxor xmm15, xmm15",
        "ldmxcsr [rip + {mxcsr}]",
        "cld",
        "call rax",
        "jmp {leave}",
        host = const HOST,
        driver = const DRIVER,
        mxcsr = sym MXCSR,
        leave = sym leave_driver,
    )
}
