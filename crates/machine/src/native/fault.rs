//! Ending the world: last words, then `_exit`. Nothing is unwound and nothing is freed.
//!
//! Everything here can run in a signal handler on a machine whose memory a driver has damaged: it reads atomics and
//! (checked) guest stack, and writes shared memory.

use std::sync::atomic::{AtomicU8, Ordering};

use nt::BugCheck;

use super::last_words::{Kind, Pen};
use super::processor::{self, NOW};
use super::stack::{self, From, Stack};
use super::{exit, giant, ranges, remains, sys, watch};
use crate::plan;

/// Text without allocation; what does not fit is cut off.
pub(crate) struct Text {
    bytes: [u8; 512],
    length: usize,
}

impl Text {
    /// Formats `arguments`.
    pub(crate) fn new(arguments: std::fmt::Arguments<'_>) -> Self {
        let mut text = Self { bytes: [0; 512], length: 0 };
        let _ = std::fmt::write(&mut text, arguments);
        text
    }

    /// Returns what was written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes()))
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Registers and instruction at a trap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trapped<'a> {
    pub(crate) registers: &'a [u64; 18],
    pub(crate) instruction: &'a [u8],
}

/// Position of RSP and RIP in the registers of last words.
pub(crate) const RSP: usize = 4;
/// As above.
pub(crate) const RIP: usize = 16;

/// Returns the words from `rsp` up to the top of the current driver stack that look like return addresses: they lie in a
/// loaded image.
pub(crate) fn return_addresses(rsp: u64) -> impl Iterator<Item = u64> {
    let top = NOW.stack.load(Ordering::Relaxed);
    let limit = top.saturating_sub(plan::STACK_SIZE);
    let start = rsp.next_multiple_of(8);
    let inside = top != 0 && start >= limit && start < top;
    let words = if inside { (top - start) / 8 } else { 0 };
    (0..words)
        .map(move |index| {
            let address = std::ptr::with_exposed_provenance::<u64>((start + index * 8) as usize);
            // SAFETY: between limit and top of the current driver stack, which is mapped while its fiber is current.
            unsafe { address.read_volatile() }
        })
        .filter(|word| ranges::find(*word).is_some_and(|range| range.loaded))
}

fn write_moment(pen: &Pen<'_>) {
    pen.moment(
        processor::TIME.load(Ordering::Relaxed).cast_unsigned(),
        processor::number(),
        NOW.thread.load(Ordering::Relaxed),
        processor::irql().0,
        NOW.caller.load(Ordering::Relaxed),
    );
}

/// One more than the processor whose thread ends the world, 0 while it lives.
static DYING: AtomicU8 = AtomicU8::new(0);

fn finish(kind: Kind, write: impl FnOnce(&Pen<'_>)) -> ! {
    // Threads may die at the same time; the first one tells.
    let mine = processor::number() + 1;
    match DYING.compare_exchange(0, mine, Ordering::SeqCst, Ordering::SeqCst) {
        Err(other) if other != mine && giant::is_on() => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
    // A second death while the first is being written changes nothing.
    if let Some(pen) = watch::pen().filter(|pen| !pen.is_done()) {
        write_moment(&pen);
        write(&pen);
        pen.done(kind);
    }
    remains::show();
    sys::exit_now(exit::LAST_WORDS)
}

/// Ends in a bugcheck.
pub(crate) fn bugcheck(
    code: BugCheck,
    parameters: [u64; 4],
    at: u64,
    text: &[u8],
    trapped: Option<Trapped<'_>>,
) -> ! {
    finish(Kind::Bugcheck, |pen| {
        pen.bugcheck(code.0, parameters);
        pen.at(at);
        pen.text(text);
        let mut stack = None;
        if let Some(trapped) = trapped {
            // Host registers would tell nothing about the driver, and differ from run to run.
            if plan::is_guest(trapped.registers[RIP], 1) {
                pen.registers(trapped.registers);
                pen.instruction(trapped.instruction);
            }
            stack = Some(stack::of_trap(trapped.registers));
        }
        pen.stack(stack.unwrap_or_else(|| stack::current(From::Kernel)).iter());
    })
}

/// Ends because nothing can ever run again; `at` is a driver address to blame, with its call stack; `details` are lines.
pub(crate) fn deadlock(at: u64, stack: &Stack, details: &str) -> ! {
    finish(Kind::Deadlock, |pen| {
        pen.at(at);
        pen.stack(stack.iter());
        pen.text(details.as_bytes());
    })
}

/// Ends because an import that is not there was touched at `at`.
pub(crate) fn absent(
    access: u64,
    arguments: [u64; 4],
    module: &str,
    name: &str,
    at: u64,
    trapped: Trapped<'_>,
) -> ! {
    finish(Kind::Absent, |pen| {
        pen.absent(access, arguments, module.as_bytes(), name.as_bytes());
        pen.at(at);
        pen.stack(stack::of_trap(trapped.registers).iter());
        pen.registers(trapped.registers);
        pen.instruction(trapped.instruction);
    })
}

/// Ends because the parent asked where the machine is; `rip` is where it was interrupted.
pub(crate) fn hang(rip: u64, registers: &[u64; 18]) -> ! {
    let in_driver = plan::is_driver_code(rip) && !plan::KERNEL_IMAGE.contains(rip);
    let rsp = registers[RSP];
    let driver_rsp = if plan::STACKS.contains(rsp) { rsp } else { processor::slots()[1] };
    let at = match (in_driver, NOW.caller.load(Ordering::Relaxed)) {
        (true, _) => rip,
        // On the way in or out of an export nobody is noted; the driver's stack tells who called.
        (false, 0) => return_addresses(driver_rsp).next().unwrap_or(0),
        (false, caller) => caller,
    };
    let thread = NOW.thread.load(Ordering::Relaxed);
    let text = match (in_driver, at) {
        (true, _) => Text::new(format_args!("thread {thread} runs driver code and does not come back")),
        (false, 0) => Text::new(format_args!("thread {thread} runs in the kernel")),
        (false, _) => Text::new(format_args!("thread {thread} is in an export and does not come back")),
    };
    finish(Kind::Hang, |pen| {
        pen.at(at);
        if in_driver {
            pen.registers(registers);
            pen.stack(stack::of_trap(registers).iter());
        } else {
            pen.stack(stack::current(From::Kernel).iter());
        }
        pen.text(text.bytes());
    })
}

/// Ends because an export was called with a stack pointer that leads outside of guest memory.
pub(crate) fn no_stack(rsp: u64) -> ! {
    let text = Text::new(format_args!(
        "an export was called with the stack pointer {rsp:#x}, which is no kernel stack"
    ));
    // A double fault, as the first push would be on Windows.
    bugcheck(
        BugCheck::UNEXPECTED_KERNEL_MODE_TRAP,
        [8, 0, 0, 0],
        NOW.caller.load(Ordering::Relaxed),
        text.bytes(),
        None,
    )
}
