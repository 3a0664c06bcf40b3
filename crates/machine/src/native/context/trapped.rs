//! The assembly behind a signal: driver code that trapped calls the host, and goes on with all of its registers.
//!
//! Unlike a call of an export, a trap may come anywhere, so every register is kept, the extended state in an `XSAVE` area. What the
//! slots of the `KPCR` page held is kept on the host stack, since the fiber may go on when others have used them.

use std::arch::naked_asm;

use super::{DRIVER, HOST, MXCSR, TRAP_RIP};

/// Offset in the `KPCR` page of the slot that keeps the driver's stack pointer while registers come and go.
const TRAP_RSP: usize = nt::KPCR_HOST_OFFSET + 24;

/// Bytes for an `XSAVE` area in its standard form with the parts of [`STATE`], which end at 2688.
const STATE_BYTES: usize = 0xB00;

/// Parts of the extended state that driver code may use and host code may change: x87, SSE, AVX, AVX-512.
const STATE: u32 = 0xE7;

/// Makes a place that driver code is sent to. It calls `$called` with what was saved: general registers in the order of their numbers,
/// `rip` and flags; and an `XSAVE` area; who needs neither takes no parameters. Then it goes on with what stands there.
macro_rules! entry {
    ($(#[doc = $doc:literal])* $name:ident calls $called:path) => {
        $(#[doc = $doc])*
        ///
        /// Never called by Rust: its address is written into the context of a signal. Needs a processor with `XSAVE`.
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
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
                "call {called}",
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
                called = sym $called,
            )
        }
    };
}

entry! {
    /// Where driver code is sent behind an instruction that was emulated: gives others a chance to run, then goes on at the address in the
    /// slot `TRAP_RIP` with every register as it was.
    trap_entry calls crate::native::dispatch::trapped
}

entry! {
    /// Where driver code is sent that trapped with an exception: has it dispatched, and goes on with the registers as they are then.
    exception_entry calls crate::native::exception::raised
}

/// Lets driver code go on with the registers at `resume`. What is on the host stack below where it called the host is given up.
///
/// # Safety
///
/// GS leads to a `KPCR` page whose `HOST` slot is the host stack pointer while that driver code runs; the values in `resume` are
/// ones that the processor takes; no host frame above that slot's place has to be dropped.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn restore(resume: *const crate::native::exception::Resume) -> ! {
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
