//! Instructions of ring 0 that trap in ring 3 and are carried out here, from a short list.
//!
//! | instruction | what it does here |
//! |---|---|
//! | `mov r, cr8` / `mov cr8, r` | reads and sets the IRQL; pending DPCs run at the next export |
//! | `mov r, cr0/cr2/cr3/cr4`, `mov r, dr*` | constants of a plain machine; writes are refused |
//! | `cli`, `sti`, `stac`, `clac` | nothing: interrupts are virtual, `pushfq` always shows them on |
//! | `rdmsr` | `EFER`, `LSTAR`, `GS_BASE`, `KERNEL_GS_BASE`, `APIC_BASE`, `SYSENTER_*`, `PAT`; others are refused, like all `wrmsr` |
//! | `invlpg`, `wbinvd`, `invd`, `hlt` | nothing |
//! | `rdtsc`, `rdtscp` | the virtual time at 2.4 GHz, which each read moves by 100 ns; the virtual processor's number in ECX |
//! | `cpuid`, where the processor lets it trap | one fixed identity |
//! | `int 29h` | bugcheck 0x139 with the code in `ecx`, as `__fastfail` asks |
//! | `int 2Ch`, `int 2Dh` | failed assertion; debug service, of which nobody hears |
//! | reads of `KUSER_SHARED_DATA` by `mov`, `movzx`, `movsx`, `cmp`, `test`, `add`, `sub`, `and`, `or`, `xor`, and loads of XMM registers (not VEX) | the page's contents |
//!
//! Not trapped by the processor, so never seen here: `pushfq`, `popfq`, `rdrand` and the like. Those that show the host are
//! searched for in images instead.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use nt::{BugCheck, Irql};

use super::fault::{RIP, Text};
use super::instructions::CPUID;
use super::registers::Context;
use super::{identity, processor, shared_read, world};
use crate::plan;

/// What became of a trapped instruction.
#[expect(
    clippy::large_enum_variant,
    reason = "one value on the signal stack; a box would need the heap there"
)]
pub(crate) enum Emulated {
    /// Carried out; the driver goes on.
    Done,
    /// Windows would crash here.
    Bugcheck(BugCheck, [u64; 4], Text),
    /// None of the list.
    No,
}

/// `STATUS_PRIVILEGED_INSTRUCTION`.
const PRIVILEGED: u64 = 0xC000_0096;

/// General protection and page fault.
const GP: u64 = 13;
const PF: u64 = 14;

/// Carries out the instruction in `bytes`, which trapped with `vector`, touching `address`.
///
/// Runs in a signal handler, but one that interrupted driver code: no host code is half done, so it may allocate.
pub(crate) fn instruction(context: &mut Context<'_>, bytes: &[u8], vector: u64, address: u64) -> Emulated {
    let shared = plan::KUSER_SHARED_DATA..plan::KUSER_SHARED_DATA + plan::PAGE;
    let is_shared = vector == PF && shared.contains(&address);
    if vector != GP && !is_shared {
        return Emulated::No;
    }
    let rip = context.word(RIP);
    let decoded = Decoder::with_ip(64, bytes, rip, DecoderOptions::NONE).decode();
    if decoded.is_invalid() {
        return Emulated::No;
    }
    let done = if is_shared {
        read_shared(context, &decoded, address)
    } else {
        match privileged(context, &decoded) {
            Some(outcome) => outcome,
            None => return Emulated::No,
        }
    };
    if let Emulated::Done = done {
        context.set_word(RIP, decoded.next_ip());
        world::emulated(rip, &format!("{}", Described(&decoded, is_shared)));
    }
    done
}

/// What an event says about an instruction: its name, and what it concerned.
struct Described<'a>(&'a Instruction, bool);

impl std::fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = format!("{:?}", self.0.mnemonic()).to_lowercase();
        if self.1 {
            return write!(f, "{name} from KUSER_SHARED_DATA");
        }
        let special = [self.0.op0_register(), self.0.op1_register()]
            .into_iter()
            .find(|register| register.is_cr() || register.is_dr());
        match special {
            Some(register) => write!(f, "{name} with {}", format!("{register:?}").to_lowercase()),
            None => f.write_str(&name),
        }
    }
}

fn refused(context: &Context<'_>, what: std::fmt::Arguments<'_>) -> Emulated {
    let text = Text::new(format_args!("driver code used {what}, which this machine does not emulate"));
    let code = BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED;
    Emulated::Bugcheck(code, [PRIVILEGED, context.word(RIP), 0, 0], text)
}

fn privileged(context: &mut Context<'_>, decoded: &Instruction) -> Option<Emulated> {
    Some(match decoded.mnemonic() {
        Mnemonic::Cli
        | Mnemonic::Sti
        | Mnemonic::Stac
        | Mnemonic::Clac
        | Mnemonic::Hlt
        | Mnemonic::Invlpg
        | Mnemonic::Wbinvd
        | Mnemonic::Invd => Emulated::Done,
        Mnemonic::Mov if decoded.op1_register().is_cr() || decoded.op1_register().is_dr() => {
            let value = special_register(decoded.op1_register());
            let Some(value) = value else {
                return Some(refused(context, format_args!("a control register")));
            };
            context.set(decoded.op0_register(), value)?;
            Emulated::Done
        }
        Mnemonic::Mov if decoded.op0_register() == Register::CR8 => {
            let value = context.get(decoded.op1_register())?;
            let Some(irql) = u8::try_from(value).ok().map(Irql).filter(|irql| irql.is_valid()) else {
                return Some(refused(context, format_args!("cr8 with the value {value:#x}")));
            };
            if irql < processor::set_irql(irql) {
                processor::NOW.lowered.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            Emulated::Done
        }
        Mnemonic::Mov if decoded.op0_register().is_cr() || decoded.op0_register().is_dr() => {
            refused(context, format_args!("a write to a control or debug register"))
        }
        Mnemonic::Rdmsr => {
            let number = context.get(Register::ECX)? as u32;
            let Some(value) = msr(number) else {
                return Some(refused(context, format_args!("rdmsr of {number:#x}")));
            };
            context.set(Register::EAX, value & 0xFFFF_FFFF)?;
            context.set(Register::EDX, value >> 32)?;
            Emulated::Done
        }
        Mnemonic::Rdtsc | Mnemonic::Rdtscp => {
            let ticks = world::passing().wrapping_mul(identity::TICKS).cast_unsigned();
            context.set(Register::EAX, ticks & 0xFFFF_FFFF)?;
            context.set(Register::EDX, ticks >> 32)?;
            if decoded.mnemonic() == Mnemonic::Rdtscp {
                // What Windows keeps in IA32_TSC_AUX.
                context.set(Register::ECX, u64::from(processor::number()))?;
            }
            Emulated::Done
        }
        Mnemonic::Cpuid => {
            let leaf = context.get(Register::EAX)? as u32;
            let values = identity::cpuid(leaf, processor::number());
            for (register, value) in CPUID.into_iter().zip(values) {
                context.set(register, u64::from(value))?;
            }
            Emulated::Done
        }
        Mnemonic::Wrmsr => {
            let number = context.get(Register::ECX)?;
            refused(context, format_args!("wrmsr to {number:#x}"))
        }
        Mnemonic::In | Mnemonic::Out | Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => port(context),
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => port(context),
        Mnemonic::Int => return interrupt(context, decoded.immediate8()),
        Mnemonic::Swapgs
        | Mnemonic::Lgdt
        | Mnemonic::Lidt
        | Mnemonic::Lldt
        | Mnemonic::Ltr
        | Mnemonic::Lmsw
        | Mnemonic::Clts
        | Mnemonic::Xsetbv
        | Mnemonic::Iretq
        | Mnemonic::Sysretq
        | Mnemonic::Vmxon
        | Mnemonic::Vmcall
        | Mnemonic::Monitor
        | Mnemonic::Mwait => {
            let name = format!("{:?}", decoded.mnemonic()).to_lowercase();
            refused(context, format_args!("`{name}`"))
        }
        _ => return None,
    })
}

fn port(context: &Context<'_>) -> Emulated {
    let port = context.get(Register::DX).unwrap_or(0);
    refused(context, format_args!("port input or output (dx is {port:#x}); no device is behind any port"))
}

/// Values of a plain machine with paging and write protection on.
fn special_register(register: Register) -> Option<u64> {
    match register {
        Register::CR0 => Some(0x8005_0033),
        Register::CR2 => Some(0),
        Register::CR3 => Some(0x001A_D000),
        Register::CR4 => Some(0x0003_06F8),
        Register::CR8 => Some(u64::from(processor::irql().0)),
        Register::DR0 | Register::DR1 | Register::DR2 | Register::DR3 => Some(0),
        Register::DR6 => Some(0xFFFF_0FF0),
        Register::DR7 => Some(0x400),
        _ => None,
    }
}

fn msr(number: u32) -> Option<u64> {
    match number {
        // IA32_APIC_BASE: enabled, bootstrap processor.
        0x1B => Some(0xFEE0_0900),
        // IA32_SYSENTER_CS, ESP, EIP: unused on x64.
        0x174..=0x176 => Some(0),
        // IA32_PAT as Windows sets it.
        0x277 => Some(0x0007_0106_0007_0106),
        // IA32_EFER: system calls, long mode, no-execute.
        0xC000_0080 => Some(0xD01),
        // IA32_LSTAR: an address in the kernel's code.
        0xC000_0082 => Some(plan::KERNEL_IMAGE.base + plan::PAGE),
        // IA32_GS_BASE.
        0xC000_0101 => Some(processor::gs()),
        // IA32_KERNEL_GS_BASE: no user thread block.
        0xC000_0102 => Some(0),
        _ => None,
    }
}

fn interrupt(context: &Context<'_>, number: u8) -> Option<Emulated> {
    Some(match number {
        0x29 => {
            let code = context.get(Register::ECX)?;
            let known = nt::FastFail(code as u32);
            let text = Text::new(format_args!("driver code called `__fastfail`: {known}"));
            // Parameters 2 and 3 are addresses of a trap frame and an exception record, which this machine has not.
            Emulated::Bugcheck(BugCheck(0x139), [code, 0, 0, 0], text)
        }
        0x2C => {
            let text = Text::new(format_args!("an assertion of the driver failed"));
            let parameters = [0xC000_0420, context.word(RIP), 0, 0];
            Emulated::Bugcheck(BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, parameters, text)
        }
        // The debug service: no debugger listens.
        0x2D => Emulated::Done,
        _ => return None,
    })
}

fn read_shared(context: &mut Context<'_>, decoded: &Instruction, address: u64) -> Emulated {
    let offset = address - plan::KUSER_SHARED_DATA;
    // A driver may wait for one of the times in the page to come.
    if processor::is_shared_time(offset) {
        world::passing();
    }
    if shared_read::read(context, decoded, offset).is_some() {
        return Emulated::Done;
    }
    let text = shared_read::refusal(offset);
    Emulated::Bugcheck(BugCheck::PAGE_FAULT_IN_NONPAGED_AREA, [address, 0, context.word(RIP), 0], text)
}
