//! Structured exceptions: from what a driver raised to whoever takes it.
//!
//! Models `KiDispatchException`, `RtlDispatchException` and `RtlUnwindEx` of Windows x64. A trap in driver code leaves the signal
//! handler by way of `context::exception_entry`, so that filters run as ordinary driver code, at the IRQL of the trap, and may fault
//! again; an export that raises comes here from where it stands. The [first pass](search) calls the language handlers of the frames from the
//! innermost up; one of them asks for the [second](unwinding), which calls them again to clean up and then goes on where it
//! was told ([`leave`]).
//!
//! Frames are those of drivers. Where the kernel called a driver the walk crosses to the frames of the driver that
//! had called the kernel, as on Windows, where the routines that call drivers back have no handlers: what such a routine
//! would have done behind the call never happens. A count stays raised, a lock stays held, the IRQL is what it was.
//! The end of the stack is the kernel's own call of a thread, an entry point or a DPC: there an exception is unhandled.
//!
//! # Deliberately different from Windows
//!
//! - Only what is an exception by its address is one: user memory, which is never mapped. A bad address in the kernel's half is a
//!   bugcheck, as on Windows, and so is user memory at `DISPATCH_LEVEL`. A fault *inside* an export is not delivered; exports
//!   raise where they check what a driver passes.
//! - `ExceptionAddress` of what an export raises is where the driver called it, not an address in the kernel.
//! - `DISPATCHER_CONTEXT.ContextRecord` is the `CONTEXT` that the handler gets anyway; there is no history table.
//! - Records lie on the driver's stack below the frame that raised, and take less of it than on Windows.

mod leave;
mod records;
mod search;
mod unwinding;
mod walk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use nt::{BugCheck, NTSTATUS};
use ntoskrnl::Exception;
use record::{ExceptionOutcome, What};

pub(crate) use self::leave::{Resume, arrive, go_on, is_under_way};
pub(crate) use self::records::Record;
use self::search::Verdict;
pub(crate) use self::unwinding::unwind;
pub(crate) use self::walk::State;
pub(crate) use self::walk::{capture, unwind_frame};
use super::fault::{self, Text};
use super::giant;
use super::kernel_image;
use super::processor::NOW;
use super::stack::{self, Interrupted};
use super::trap::Trap;
use super::world::{self, World};

/// Serves a trap in driver code. Called by [`exception_entry`](super::context::exception_entry) on the host stack with the general
/// registers, `rip` and the flags, and with an `XSAVE` area; returns to let the driver go on with what stands there then.
///
/// # Safety
///
/// `words` and `area` are what the entry has just written, and nobody else refers to them.
pub(crate) unsafe extern "C" fn raised(words: *mut [u64; 18], area: *mut walk::Area) {
    // SAFETY: the caller's promise.
    let words = unsafe { &mut *words };
    // SAFETY: the caller's promise.
    let area = unsafe { &mut *area };
    giant::enter();
    let before = NOW.caller.load(Ordering::Relaxed);
    let outer = NOW.entry.load(Ordering::Relaxed);
    let trap = Trap::of_driver(words);
    let state = State::of_trap(words, area);
    let interrupted = Interrupted::new(state, std::ptr::from_mut(words).addr() as u64, outer);
    let level = std::ptr::from_ref(&interrupted).expose_provenance() as u64;
    NOW.caller.store(trap.blamed(), Ordering::Relaxed);
    NOW.entry.store(level, Ordering::Relaxed);
    let served = catch_unwind(AssertUnwindSafe(|| {
        let world = world::world();
        let record = trap.record();
        world.tell_raised(&record);
        search::search(world, level, &record)
    }));
    NOW.caller.store(before, Ordering::Relaxed);
    NOW.entry.store(outer, Ordering::Relaxed);
    match served {
        Ok(Verdict::Continue(state)) => {
            state.to_trap(words, area);
            world::before_driver();
            giant::leave();
        }
        Ok(Verdict::Unhandled(records)) => trap.unhandled(records),
        Err(payload) => arrive(payload, level),
    }
}

impl World {
    /// Raises an exception in the name of the export call that is being served.
    pub(super) fn raise_exception(&self, exception: &Exception<'_>) -> ! {
        let level = NOW.entry.load(Ordering::Relaxed);
        let caller = NOW.caller.load(Ordering::Relaxed);
        let record = Record::of(exception, caller);
        let mut records = [0; 2];
        // What the kernel does by itself has no driver above it.
        if level != 0 {
            self.tell_raised(&record);
            match search::search(self, level, &record) {
                Verdict::Continue(state) => leave::to(level, state),
                Verdict::Unhandled(at) => records = at,
            }
        }
        let text = Text::new(format_args!("{}: {}", exception.reason, exception.code));
        let [code, address] = [u64::from(exception.code.0), caller];
        let (check, [third, fourth]) = if NOW.dpc.load(Ordering::Relaxed) != 0 {
            (BugCheck::KMODE_EXCEPTION_NOT_HANDLED, [record.information[0], record.information[1]])
        } else {
            (BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, records)
        };
        fault::bugcheck(check, [code, address, third, fourth], caller, text.bytes(), None)
    }

    /// Raises an exception of the dispatcher's own: a handler or a driver broke the rules.
    fn raise_broken(&self, code: NTSTATUS, previous: u64, reason: &str) -> ! {
        let flags = nt::exception_flags::EXCEPTION_NONCONTINUABLE;
        self.raise_exception(&Exception { code, flags, previous, information: &[], reason })
    }

    /// Returns the number of the export that is the language handler of C.
    fn handler_number(&self) -> u64 {
        let handler = self.export("__C_specific_handler").and_then(kernel_image::stub_at);
        handler.map_or(u64::MAX, |number| number as u64)
    }

    fn tell_raised(&self, record: &Record) {
        self.record(What::ExceptionRaised {
            code: record.code,
            address: record.address,
            information: record.information[..record.count].to_vec(),
        });
    }

    fn tell_handled(&self, code: u32, address: u64, outcome: ExceptionOutcome) {
        self.record(What::ExceptionHandled { code, address, outcome });
    }
}

/// What is under way in a call that raised or unwinds, for whoever walks past it. Lies on its host stack.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack of one walk; a box would be allocated for each step"
)]
enum Business {
    /// The handler of the frame with this base is asked for the exception.
    Search(std::cell::Cell<u64>),
    /// The handler of this frame cleans up; its `DISPATCHER_CONTEXT` lies there.
    Unwind(std::cell::RefCell<Option<walk::Walker>>, u64),
}

/// Returns what is under way in the call that stored `entry`.
///
/// # Safety
///
/// As for [`stack::entry`]; the value is not kept beyond the walk.
unsafe fn business<'a>(entry: u64) -> Option<&'a Business> {
    // SAFETY: the caller's promise.
    let stored = unsafe { stack::entry(entry) }?;
    let address = stored.business.get();
    // SAFETY: set while the value lies in a frame of that call, and cleared before that is left in order; left otherwise, the entry
    // is gone too.
    unsafe { std::ptr::with_exposed_provenance::<Business>(address as usize).as_ref() }
}
