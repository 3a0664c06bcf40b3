//! Call stacks of drivers, across the kernel.
//!
//! Each export call leaves an [`Entry`] on the host stack: the registers of the driver at the call, and the entry before it.
//! A call stack starts from the registers of a trap or of the innermost entry, is unwound through driver code as the
//! images' unwind data says, and ends where the kernel called the driver; there the next entry says from where the kernel
//! had been called. So a driver that rings an object whose listener asks for something shows all three: the listener's call,
//! `nt!ExNotifyCallback`, and the ringing driver's call.
//!
//! Everything here can run in a signal handler: nothing is allocated, only the current driver stack and entries are read, and
//! the walk is bounded whatever a driver wrote there.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use image::unwind::Context;

use super::exception::State;
use super::fault::RIP;
use super::processor::NOW;
use super::{kernel_image, ranges};
use crate::plan;

/// Most addresses of a call stack. Deeper frames are left out.
pub(crate) const MOST: usize = 32;

/// Most entries that one walk follows.
const MOST_ENTRIES: usize = 32;

/// What `context::export_entry` stores on the host stack, in its order.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry {
    xmm: [u128; 10],
    rdi: u64,
    rsi: u64,
    /// The driver's stack pointer at the stub, where the return address lies.
    rsp: u64,
    pub(super) mxcsr: u64,
    rbx: u64,
    rbp: u64,
    r12: [u64; 4],
    /// The entry of the call that was served when this one came, 0 for none.
    pub(super) previous: u64,
    /// Number of the export, or [`INTERRUPTED`].
    pub(super) export: u64,
    /// Address of what is under way in the call, for those who look for exception handlers; 0 for nothing.
    pub(super) business: Cell<u64>,
    _align: u64,
}

const _: () = assert!(size_of::<Entry>() == 0x110);
const _: () = assert!(std::mem::offset_of!(Entry, rbx) == 0xC0);
const _: () = assert!(std::mem::offset_of!(Entry, previous) == 0xF0);

/// In the place of an export's number: no call but a trap, and the entry is the head of an [`Interrupted`].
pub(super) const INTERRUPTED: u64 = u64::MAX;

/// Driver code that a trap interrupted, while handlers for the exception are looked for.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Interrupted {
    entry: Entry,
    pub(super) state: State,
    /// Host stack pointer while that driver code ran.
    pub(super) host: u64,
}

impl Interrupted {
    /// Makes it for what is stored at `words`, 18 of them, as the first on the host stack; `previous` is the entry before.
    pub(super) fn new(state: State, words: u64, previous: u64) -> Self {
        let entry = Entry {
            xmm: [0; 10],
            rdi: 0,
            rsi: 0,
            rsp: 0,
            mxcsr: 0,
            rbx: 0,
            rbp: 0,
            r12: [0; 4],
            previous,
            export: INTERRUPTED,
            business: Cell::new(0),
            _align: 0,
        };
        Self { entry, state, host: words + 18 * 8 }
    }
}

impl Entry {
    /// Returns the registers with which the driver goes on when the call returns, as far as a call preserves them, on the stack that
    /// ends at `top`.
    pub(super) fn context(&self, top: u64) -> Option<Context> {
        let mut context = Context::default();
        let registers = &mut context.registers;
        [registers[3], registers[5], registers[6], registers[7]] = [self.rbx, self.rbp, self.rsi, self.rdi];
        registers[12..].copy_from_slice(&self.r12);
        context.xmm[6..].copy_from_slice(&self.xmm);
        context.rip = word(self.rsp, top)?;
        context.set_rsp(self.rsp + 8);
        Some(context)
    }
}

/// Returns the entry at `address`, `None` for 0.
///
/// # Safety
///
/// It is 0, or an entry whose call is still being served, and stays so while the reference is used.
pub(super) unsafe fn entry<'a>(address: u64) -> Option<&'a Entry> {
    // SAFETY: the caller's promise; an entry is changed through its cell only.
    unsafe { std::ptr::with_exposed_provenance::<Entry>(address as usize).as_ref() }
}

/// Where a call stack starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At the driver's call.
    Driver,
    /// In the export that was called, whose address comes first.
    Kernel,
}

/// A call stack: where each call returns to, innermost first, and exports that were called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    addresses: [u64; MOST],
    count: usize,
}

impl Stack {
    /// Returns the addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.addresses[..self.count].iter().copied()
    }

    /// Returns the addresses.
    pub(crate) fn addresses(&self) -> &[u64] {
        &self.addresses[..self.count]
    }

    /// Returns the addresses.
    pub(crate) fn to_vec(&self) -> Vec<u64> {
        self.addresses[..self.count].to_vec()
    }

    /// Returns whether there is room for more.
    fn push(&mut self, address: u64) -> bool {
        if let Some(place) = self.addresses.get_mut(self.count) {
            *place = address;
            self.count += 1;
        }
        self.count < MOST
    }
}

/// Returns the number of the export whose call stored `entry`; `None` for a trap.
pub(super) fn export(stored: &Entry) -> Option<u64> {
    (stored.export != INTERRUPTED).then_some(stored.export)
}

/// Makes `entry` the current one for a call of export `number`. Returns the one before.
///
/// # Safety
///
/// `entry` was stored by `context::export_entry`, nobody else refers to it, and it stays until the returned one is made
/// current again.
pub(crate) unsafe fn enter(entry: *mut Entry, number: u32) -> u64 {
    let previous = NOW.entry.load(Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let stored = unsafe { &mut *entry };
    stored.previous = previous;
    stored.export = u64::from(number);
    stored.business = Cell::new(0);
    NOW.entry.store(entry.expose_provenance() as u64, Ordering::Relaxed);
    previous
}

/// Returns the call stack of the export call that is being served.
pub(crate) fn current(from: From) -> Stack {
    // SAFETY: the entry belongs to the current fiber, which is in the call.
    unsafe { of_entry(NOW.entry.load(Ordering::Relaxed), NOW.stack.load(Ordering::Relaxed), from) }
}

/// Returns the call stack at a trap in driver code, or behind a jump out of it.
pub(crate) fn of_trap(registers: &[u64; 18]) -> Stack {
    let mut context = Context { rip: registers[RIP], ..Context::default() };
    context.registers.copy_from_slice(&registers[..16]);
    let mut stack = Stack::default();
    let top = NOW.stack.load(Ordering::Relaxed);
    climb(&mut context, top, &mut stack);
    // SAFETY: the entry belongs to the current fiber, and driver code runs inside of it.
    unsafe { follow(NOW.entry.load(Ordering::Relaxed), top, From::Kernel, &mut stack) };
    stack
}

/// Returns the call stack of the export call that stored `entry` (0 for none), on the driver stack that ends at `top`.
///
/// # Safety
///
/// The call is still being served, by the fiber with that stack.
pub(crate) unsafe fn of_entry(entry: u64, top: u64, from: From) -> Stack {
    let mut stack = Stack::default();
    // SAFETY: the caller's promise.
    unsafe { follow(entry, top, from, &mut stack) };
    stack
}

/// Appends the stacks of `entry` and of those before it.
///
/// # Safety
///
/// As for [`of_entry`].
unsafe fn follow(mut entry: u64, top: u64, mut from: From, stack: &mut Stack) {
    for _ in 0..MOST_ENTRIES {
        // SAFETY: the caller's promise; an entry stays while its call is served, and those before it were not over either.
        let Some(stored) = (unsafe { self::entry(entry) }) else { return };
        let interrupted = stored.export == INTERRUPTED;
        if from == From::Kernel && !interrupted {
            stack.push(kernel_image::stub(stored.export));
        }
        from = From::Kernel;
        let mut context = if interrupted {
            // SAFETY: such an entry is the head of the larger structure.
            unsafe { &*std::ptr::from_ref(stored).cast::<Interrupted>() }.state.context
        } else {
            let Some(context) = stored.context(top) else { return };
            context
        };
        // A language handler is called by the kernel itself: what it returns to lies in the host.
        if plan::is_guest(context.rip, 1) {
            if !stack.push(context.rip) {
                return;
            }
            climb(&mut context, top, stack);
        }
        entry = stored.previous;
    }
}

/// Appends the callers of the driver code that `context` stands in, as far as they are driver code.
fn climb(context: &mut Context, top: u64, stack: &mut Stack) {
    let mut functions = ranges::find(context.rip);
    loop {
        // A jump into nowhere has left its return address on top of the stack, like a leaf function.
        let stepped = match functions.and_then(|range| Some((range.base, range.functions?))) {
            Some((base, table)) => table.unwind(base, context, |at| word(at, top)).is_ok(),
            None if stack.count == 0 => word(context.rsp(), top)
                .map(|address| {
                    context.rip = address;
                    context.set_rsp(context.rsp() + 8);
                })
                .is_some(),
            None => false,
        };
        functions = ranges::find(context.rip);
        if !stepped || functions.is_none() || !stack.push(context.rip) {
            return;
        }
    }
}

/// Reads a word of the driver stack that ends at `top`.
pub(super) fn word(address: u64, top: u64) -> Option<u64> {
    let limit = top.checked_sub(plan::STACK_SIZE)?;
    if !address.is_multiple_of(8) || address < limit || address >= top {
        return None;
    }
    // SAFETY: inside of the fiber's driver stack, which is mapped while the fiber exists; drivers write it on this thread.
    Some(unsafe { std::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() })
}
