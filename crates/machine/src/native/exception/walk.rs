//! From frame to frame up the stack of a thread, across the kernel.

use std::sync::atomic::Ordering;

use image::unwind::Context;
use nt::CONTEXT;
use ntoskrnl::UnwoundFrame;
use ntoskrnl::guest::Guest;

use super::super::processor::NOW;
use super::super::stack::{self, INTERRUPTED, Interrupted};
use super::super::{fault, ranges, registers};
use super::records;
use crate::plan;

/// Most frames of one walk. A stack of 24 KiB has no more with a word each.
const MOST: u32 = 3072;

/// `XSAVE` area as far as it is looked at: the legacy part, and which parts are there.
#[repr(C, align(64))]
pub(crate) struct Area {
    head: [u32; 6],
    mxcsr: u32,
    _mask: u32,
    _x87: [u128; 8],
    xmm: [u128; 16],
    _rest: [u64; 12],
    present: u64,
}

const _: () = assert!(std::mem::offset_of!(Area, xmm) == 160 && std::mem::offset_of!(Area, present) == 512);

/// Everything driver code goes on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) flags: u32,
    pub(crate) mxcsr: u32,
}

/// Flags that a driver may set: the arithmetic ones and the direction; interrupts are on and bit 1 is one.
const FLAGS: u32 = 0x0CD5;
const FLAGS_ON: u32 = 0x0202;

/// Bits of MXCSR that every x64 processor has.
const MXCSR: u32 = 0xFFFF;

impl State {
    /// Takes what a trap interrupted.
    pub(super) fn of_trap(words: &[u64; 18], area: &Area) -> Self {
        let mut context = Context { rip: words[fault::RIP], xmm: area.xmm, ..Context::default() };
        context.registers.copy_from_slice(&words[..16]);
        Self { context, flags: words[registers::FLAGS] as u32, mxcsr: area.mxcsr }
    }

    /// Puts it back, for the driver to go on.
    pub(super) fn to_trap(self, words: &mut [u64; 18], area: &mut Area) {
        let clean = self.clean();
        words[..16].copy_from_slice(&clean.context.registers);
        words[fault::RIP] = clean.context.rip;
        words[registers::FLAGS] = u64::from(clean.flags);
        area.xmm = clean.context.xmm;
        area.mxcsr = clean.mxcsr;
        // XMM registers in the initial state are not read back without this.
        area.present |= 2;
    }

    /// Makes what a filter wrote into something that the processor takes.
    pub(super) fn clean(self) -> Self {
        Self { flags: self.flags & FLAGS | FLAGS_ON, mxcsr: self.mxcsr & MXCSR, ..self }
    }
}

/// A frame on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What it stands at: its registers before it is undone.
    pub(super) state: State,
    /// Base.
    pub(super) establisher: u64,
    /// Its language handler.
    pub(super) handler: Option<Handler>,
}

/// A language handler, by addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handler {
    pub(super) routine: u64,
    pub(super) data: u64,
    pub(super) exception: bool,
    pub(super) termination: bool,
    /// Base of the image.
    pub(super) base: u64,
    /// The `RUNTIME_FUNCTION`, 0 where it is not in memory.
    pub(super) function: u64,
}

/// A step up.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack of one walk; a box would be allocated for each step"
)]
pub(super) enum Step {
    /// To the next frame, which is undone.
    Frame(Frame),
    /// To the driver that called the kernel by this entry; the kernel had called what was left.
    Crossed(u64),
    /// There are no more, or what is there is no stack.
    End,
}

/// Writes the registers that the driver goes on with behind the export call that is being served.
pub(crate) fn capture(context: Guest<CONTEXT>) {
    // SAFETY: the current entry, on this fiber's host stack.
    if let Some(walker) = unsafe { Walker::new(NOW.entry.load(Ordering::Relaxed)) } {
        records::write_context(context, &walker.state);
    }
}

/// Makes the registers at `context`, of a frame that stands at `pc`, those of its caller.
pub(crate) fn unwind_frame(pc: u64, context: Guest<CONTEXT>) -> Option<UnwoundFrame> {
    let top = NOW.stack.load(Ordering::Relaxed);
    let read = |at| stack::word(at, top);
    let mut state = records::read_context(context);
    state.context.rip = pc;
    let range = ranges::find(pc);
    let Some((base, table)) = range.and_then(|range| Some((range.base, range.functions?))) else {
        let establisher = state.context.rsp();
        state.context.rip = read(establisher)?;
        state.context.set_rsp(establisher + 8);
        records::write_context(context, &state);
        return Some(UnwoundFrame { establisher, handler: None, called_for: [false; 2] });
    };
    let frame = table.unwind(base, &mut state.context, read).ok()?;
    records::write_context(context, &state);
    let handler = frame.handler.map(|handler| [handler.rva, handler.data].map(|rva| base + u64::from(rva)));
    let called_for = frame.handler.map_or([false; 2], |handler| [handler.exception, handler.termination]);
    Some(UnwoundFrame { establisher: frame.establisher, handler, called_for })
}

/// Where a walk is.
#[derive(Clone, Debug)]
pub(super) struct Walker {
    state: State,
    /// The call or trap in which driver code stands where the frames are: who comes back to one has to get back to that first.
    pub(super) level: u64,
    /// The call in which the kernel called that driver code, 0 for none.
    outer: u64,
    /// Host stack pointer while that driver code runs.
    host: u64,
    left: u32,
}

impl Walker {
    /// Begins in driver code at the call or trap `entry`. `None` where there is none, or its stack is not the thread's.
    ///
    /// # Safety
    ///
    /// As for [`stack::entry`], and for all entries before it.
    pub(super) unsafe fn new(entry: u64) -> Option<Self> {
        // SAFETY: the caller's promise.
        let stored = unsafe { stack::entry(entry) }?;
        let walker = |state, host| Self { state, level: entry, outer: stored.previous, host, left: MOST };
        if stored.export == INTERRUPTED {
            // SAFETY: such an entry is the head of the larger structure.
            let interrupted = unsafe { &*std::ptr::from_ref(stored).cast::<Interrupted>() };
            return Some(walker(interrupted.state, interrupted.host));
        }
        let context = stored.context(NOW.stack.load(Ordering::Relaxed))?;
        let host = entry + size_of::<stack::Entry>() as u64;
        Some(walker(State { context, flags: FLAGS_ON, mxcsr: stored.mxcsr as u32 }, host))
    }

    /// Returns the registers of the frame that comes next.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Goes one step up.
    ///
    /// # Safety
    ///
    /// As for [`Walker::new`].
    pub(super) unsafe fn next(&mut self) -> Step {
        let Some(left) = self.left.checked_sub(1) else { return Step::End };
        self.left = left;
        let top = NOW.stack.load(Ordering::Relaxed);
        let range = ranges::find(self.state.context.rip);
        if range.is_none() && self.is_kernel_next() {
            let outer = self.outer;
            // SAFETY: the caller's promise.
            let Some(next) = (unsafe { Self::new(outer) }) else { return Step::End };
            *self = Self { left, ..next };
            return Step::Crossed(outer);
        }
        let before = self.state;
        let context = &mut self.state.context;
        let read = |at| stack::word(at, top);
        let functions = range.and_then(|range| Some((range.base, range.functions?)));
        let Some((base, table)) = functions else {
            // No function that is known: a leaf, as Windows takes it.
            let Some(address) = read(context.rsp()) else { return Step::End };
            context.rip = address;
            context.set_rsp(context.rsp() + 8);
            return Step::Frame(Frame { state: before, establisher: before.context.rsp(), handler: None });
        };
        let Ok(frame) = table.unwind(base, context, read) else { return Step::End };
        let limit = top.saturating_sub(plan::STACK_SIZE);
        if !(limit..top).contains(&frame.establisher) || !frame.establisher.is_multiple_of(8) {
            return Step::End;
        }
        let function = table.entry_rva(before.context.rip.wrapping_sub(base) as u32);
        let handler = frame.handler.map(|handler| Handler {
            routine: base + u64::from(handler.rva),
            data: base + u64::from(handler.data),
            exception: handler.exception,
            termination: handler.termination,
            base,
            function: function.map_or(0, |rva| base + u64::from(rva)),
        });
        Step::Frame(Frame { state: before, establisher: frame.establisher, handler })
    }

    /// Whether the driver code was called by the kernel at this very place: the stack is as `enter_driver` left it.
    fn is_kernel_next(&self) -> bool {
        let saved = std::ptr::with_exposed_provenance::<u64>(self.host as usize);
        // SAFETY: the lowest word that `enter_driver` stored when it called this driver code, which did not return yet.
        let driver = unsafe { saved.read() } & !15;
        let arguments = driver.wrapping_sub(self.state.context.rsp());
        matches!(arguments, 0x20 | 0x40)
    }
}
