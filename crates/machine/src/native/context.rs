//! The assembly: switching fibers, entering the host from a driver, calling a driver from the host.
//!
//! A fiber has two stacks. Host code runs on the host stack, driver code on the driver stack (24 KiB, as on Windows), so a
//! driver's stack never holds host data, and a driver that overruns it hits a guard. Where each stack continues is
//! kept in two slots of the processor's `KPCR` page, reached through GS: `HOST` while driver code runs, `DRIVER`
//! while host code runs. Entries nest to any depth: each saves the slots of the one before on the host stack. A third way in
//! is [`trap_entry`], behind an instruction that trapped and was emulated.
//!
//! corosensei was weighed and not taken: its coroutines are asymmetric with one stack each, and the two crossings below
//! would be needed beside it anyway. Unwinding never crosses a fiber: the world ends by `_exit`.
//!
//! Conventions: a Windows x64 callee preserves `rbx rbp rdi rsi r12`–`r15 xmm6`–`xmm15` and the control bits of MXCSR, a System V
//! callee only `rbx rbp r12`–`r15`; the stack is aligned to 16 before every call, and the direction flag is clear.

use std::arch::naked_asm;

use nt::KPCR_HOST_OFFSET;

/// Offset in the `KPCR` page of the slot with the host stack pointer.
pub(crate) const HOST: usize = KPCR_HOST_OFFSET;

/// Offset in the `KPCR` page of the slot with the driver stack pointer.
pub(crate) const DRIVER: usize = KPCR_HOST_OFFSET + 8;

/// Offset in the `KPCR` page of the slot that says where driver code goes on behind a trap.
pub(crate) const TRAP_RIP: usize = KPCR_HOST_OFFSET + 16;

/// Offset in the `KPCR` page of the slot that keeps the driver's stack pointer while registers come and go.
const TRAP_RSP: usize = KPCR_HOST_OFFSET + 24;

/// Offsets in the `KPCR` page of the slots with what trapped: signal and vector, error code, address.
pub(crate) const TRAP_WHAT: [usize; 3] =
    [KPCR_HOST_OFFSET + 32, KPCR_HOST_OFFSET + 40, KPCR_HOST_OFFSET + 48];

/// Bytes for an `XSAVE` area in its standard form with the parts of [`STATE`], which end at 2688.
const STATE_BYTES: usize = 0xB00;

/// Parts of the extended state that driver code may use and host code may change: x87, SSE, AVX, AVX-512.
const STATE: u32 = 0xE7;

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

/// Where driver code is sent behind an instruction that was emulated: gives others a chance to run, then goes on at the address
/// in the slot `TRAP_RIP` with every register as it was. Needs a processor with `XSAVE`.
///
/// Never called by Rust: its address is written into the context of a signal. What the slots held is kept on the host
/// stack, since the fiber may go on when others have used them.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn trap_entry() {
    naked_asm!(
        "mov gs:[{trap_rsp}], rsp",
        "mov rsp, gs:[{host}]",
        "pushfq",
        "push rax",
        "push rcx",
        "push rdx",
        "push rbx",
        "push rbp",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push qword ptr gs:[{trap_rsp}]",
        "push qword ptr gs:[{trap_rip}]",
        "mov rax, gs:[{trap_rsp}]",
        "mov gs:[{driver}], rax",
        "mov rbx, rsp",
        "sub rsp, {bytes}",
        "and rsp, -64",
        // The header of the area has to be zero.
        "cld",
        "xor eax, eax",
        "lea rdi, [rsp + 512]",
        "mov ecx, 8",
        "rep stosq",
        "mov eax, {state}",
        "xor edx, edx",
        "xsave64 [rsp]",
        "ldmxcsr [rip + {mxcsr}]",
        "call {trapped}",
        "mov eax, {state}",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rsp, rbx",
        "pop qword ptr gs:[{trap_rip}]",
        "pop qword ptr gs:[{trap_rsp}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rbx",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "popfq",
        "mov rsp, gs:[{trap_rsp}]",
        "jmp qword ptr gs:[{trap_rip}]",
        host = const HOST,
        driver = const DRIVER,
        trap_rip = const TRAP_RIP,
        trap_rsp = const TRAP_RSP,
        bytes = const STATE_BYTES,
        state = const STATE,
        mxcsr = sym MXCSR,
        trapped = sym super::dispatch::trapped,
    )
}

/// Where driver code is sent that trapped with an exception: has it dispatched, and goes on with the registers as they are
/// then. As [`trap_entry`], but what is saved can be changed: general registers, `rip` and flags in the order of their numbers, and
/// an `XSAVE` area.
///
/// Never called by Rust: its address is written into the context of a signal.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exception_entry() {
    naked_asm!(
        "mov gs:[{trap_rsp}], rsp",
        "mov rsp, gs:[{host}]",
        "pushfq",
        "push qword ptr gs:[{trap_rip}]",
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r11",
        "push r10",
        "push r9",
        "push r8",
        "push rdi",
        "push rsi",
        "push rbp",
        "push qword ptr gs:[{trap_rsp}]",
        "push rbx",
        "push rdx",
        "push rcx",
        "push rax",
        "mov rax, gs:[{trap_rsp}]",
        "mov gs:[{driver}], rax",
        "mov rbx, rsp",
        "sub rsp, {bytes}",
        "and rsp, -64",
        // The header of the area has to be zero.
        "cld",
        "xor eax, eax",
        "lea rdi, [rsp + 512]",
        "mov ecx, 8",
        "rep stosq",
        "mov eax, {state}",
        "xor edx, edx",
        "xsave64 [rsp]",
        "ldmxcsr [rip + {mxcsr}]",
        "mov rdi, rbx",
        "mov rsi, rsp",
        "call {raised}",
        "mov eax, {state}",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rsp, rbx",
        "pop rax",
        "pop rcx",
        "pop rdx",
        "pop rbx",
        "pop qword ptr gs:[{trap_rsp}]",
        "pop rbp",
        "pop rsi",
        "pop rdi",
        "pop r8",
        "pop r9",
        "pop r10",
        "pop r11",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "pop qword ptr gs:[{trap_rip}]",
        "popfq",
        "mov rsp, gs:[{trap_rsp}]",
        "jmp qword ptr gs:[{trap_rip}]",
        host = const HOST,
        driver = const DRIVER,
        trap_rip = const TRAP_RIP,
        trap_rsp = const TRAP_RSP,
        bytes = const STATE_BYTES,
        state = const STATE,
        mxcsr = sym MXCSR,
        raised = sym super::exception::raised,
    )
}

/// Lets driver code go on with the registers at `resume`. What is on the host stack below where it called the host is given up.
///
/// # Safety
///
/// GS leads to a `KPCR` page whose `HOST` slot is the host stack pointer while that driver code runs; the values in `resume` are
/// ones that the processor takes; no host frame above that slot's place has to be dropped.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn restore(resume: *const super::exception::Resume) -> ! {
    naked_asm!(
        "movaps xmm0, [rdi + 0xA0]",
        "movaps xmm1, [rdi + 0xB0]",
        "movaps xmm2, [rdi + 0xC0]",
        "movaps xmm3, [rdi + 0xD0]",
        "movaps xmm4, [rdi + 0xE0]",
        "movaps xmm5, [rdi + 0xF0]",
        "movaps xmm6, [rdi + 0x100]",
        "movaps xmm7, [rdi + 0x110]",
        "movaps xmm8, [rdi + 0x120]",
        "movaps xmm9, [rdi + 0x130]",
        "movaps xmm10, [rdi + 0x140]",
        "movaps xmm11, [rdi + 0x150]",
        "movaps xmm12, [rdi + 0x160]",
        "movaps xmm13, [rdi + 0x170]",
        "movaps xmm14, [rdi + 0x180]",
        "movaps xmm15, [rdi + 0x190]",
        "ldmxcsr [rdi + 0x90]",
        "mov rax, [rdi + 0x80]",
        "mov gs:[{trap_rip}], rax",
        "mov rax, [rdi + 0x20]",
        "mov gs:[{trap_rsp}], rax",
        "push qword ptr [rdi + 0x88]",
        "popfq",
        "mov rax, [rdi + 0x00]",
        "mov rcx, [rdi + 0x08]",
        "mov rdx, [rdi + 0x10]",
        "mov rbx, [rdi + 0x18]",
        "mov rbp, [rdi + 0x28]",
        "mov rsi, [rdi + 0x30]",
        "mov r8, [rdi + 0x40]",
        "mov r9, [rdi + 0x48]",
        "mov r10, [rdi + 0x50]",
        "mov r11, [rdi + 0x58]",
        "mov r12, [rdi + 0x60]",
        "mov r13, [rdi + 0x68]",
        "mov r14, [rdi + 0x70]",
        "mov r15, [rdi + 0x78]",
        "mov rdi, [rdi + 0x38]",
        "mov rsp, gs:[{trap_rsp}]",
        "jmp qword ptr gs:[{trap_rip}]",
        trap_rip = const TRAP_RIP,
        trap_rsp = const TRAP_RSP,
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
        "xor eax, eax",
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
        // Nothing the driver left in `rsp` is trusted.
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
        mxcsr = sym MXCSR,
    )
}
