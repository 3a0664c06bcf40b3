//! The first pass: who takes the exception.

use std::cell::Cell;

use nt::exception_flags::{EXCEPTION_NESTED_CALL, EXCEPTION_NONCONTINUABLE};
use nt::{EXCEPTION_RECORD, STATUS_INVALID_DISPOSITION, STATUS_NONCONTINUABLE_EXCEPTION, disposition};
use ntoskrnl::guest::Guest;
use ntoskrnl::{Host, field};
use record::ExceptionOutcome;

use super::super::stack;
use super::super::world::World;
use super::records::{Block, Record};
use super::walk::{State, Step, Walker};
use super::{Business, business};

/// What came of it. That a handler took the exception is none of these: it unwinds, and never comes back.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value on the stack; a filter that goes on costs no allocation"
)]
pub(super) enum Verdict {
    /// The driver goes on with these registers.
    Continue(State),
    /// Nobody takes it. Where record and registers were shown, 0 for nowhere.
    Unhandled([u64; 2]),
}

/// Asks the handlers of the frames from the call or trap `origin`, which is the current one, up.
pub(super) fn search(world: &World, origin: u64, record: &Record) -> Verdict {
    // SAFETY: the current entry, on this fiber's host stack.
    let stored = unsafe { stack::entry(origin) };
    // SAFETY: as above; those before it are being served too.
    let walker = unsafe { Walker::new(origin) };
    let (Some(stored), Some(mut walker), Some(block)) = (stored, walker, Block::take()) else {
        return Verdict::Unhandled([0; 2]);
    };
    block.write_record(world, record);
    block.write_context(world, &walker.state());
    let current = Business::Search(Cell::new(0));
    let outer = stored.business.replace(std::ptr::from_ref(&current).expose_provenance() as u64);
    let flags = Guest::<EXCEPTION_RECORD>::new(world.kernel(), block.record);
    let flags = field!(flags, EXCEPTION_RECORD, ExceptionFlags);
    // Base of the outermost frame whose handler was asked when this exception came.
    let mut nested = 0;
    let verdict = loop {
        // SAFETY: the current entry and those before it.
        let frame = match unsafe { walker.next() } {
            Step::Frame(frame) => frame,
            Step::Crossed(entry) => {
                // SAFETY: as above.
                if let Some(Business::Search(asked)) = unsafe { business(entry) } {
                    nested = nested.max(asked.get());
                }
                continue;
            }
            Step::End => break Verdict::Unhandled([block.record, block.context]),
        };
        let said = match frame.handler.filter(|handler| handler.exception) {
            None => disposition::ExceptionContinueSearch,
            Some(handler) => {
                let inside = if nested != 0 { EXCEPTION_NESTED_CALL } else { 0 };
                flags.write(flags.read() & !EXCEPTION_NESTED_CALL | inside);
                block.write_dispatcher(world, &frame, &handler, 0, 0);
                if let Business::Search(asked) = &current {
                    asked.set(frame.establisher);
                }
                let arguments = [block.record, frame.establisher, block.context, block.dispatcher];
                // SAFETY: the image's own handler, by its unwind data, with the arguments of its contract.
                unsafe { world.call_driver(handler.routine, &arguments) as u32 }
            }
        };
        if frame.establisher == nested {
            nested = 0;
        }
        match said {
            disposition::ExceptionContinueSearch => {}
            disposition::ExceptionContinueExecution if flags.read() & EXCEPTION_NONCONTINUABLE == 0 => {
                let state = block.read_context(world);
                let at = state.context.rip;
                world.tell_handled(record.code, record.address, ExceptionOutcome::Continued { at });
                break Verdict::Continue(state);
            }
            disposition::ExceptionContinueExecution => world.raise_broken(
                STATUS_NONCONTINUABLE_EXCEPTION,
                block.record,
                "a filter wanted to go on behind an exception that cannot be continued",
            ),
            _ => world.raise_broken(
                STATUS_INVALID_DISPOSITION,
                block.record,
                "an exception handler returned no disposition",
            ),
        }
    };
    stored.business.set(outer);
    block.give_back();
    verdict
}
