//! The second pass: cleaning up, and going on elsewhere (`RtlUnwindEx`).

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use nt::exception_flags::{EXCEPTION_COLLIDED_UNWIND, EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWINDING};
use nt::{DISPATCHER_CONTEXT, EXCEPTION_RECORD, STATUS_INVALID_DISPOSITION, STATUS_INVALID_UNWIND_TARGET};
use nt::{STATUS_UNWIND, disposition};
use ntoskrnl::guest::Guest;
use ntoskrnl::{Host, Unwind, field};
use record::ExceptionOutcome;

use super::super::processor::NOW;
use super::super::world::World;
use super::super::{kernel_image, stack};
use super::records::{Block, Record};
use super::walk::{Frame, Step, Walker};
use super::{Business, business, leave};

/// Unwinds from the export call that is being served to the frame `goal.frame`, and goes on at `goal.target` in it.
pub(crate) fn unwind(world: &World, goal: &Unwind) -> ! {
    let level = NOW.entry.load(Ordering::Relaxed);
    // SAFETY: the current entry, on this fiber's host stack.
    let stored = unsafe { stack::entry(level) };
    // SAFETY: as above; those before it are being served too.
    let walker = unsafe { Walker::new(level) };
    let (Some(stored), Some(mut walker), Some(block)) = (stored, walker, Block::take()) else {
        world.raise_broken(STATUS_INVALID_UNWIND_TARGET, goal.record, "an unwind began on no kernel stack");
    };
    let told = goal.record != 0;
    let at = if told { goal.record } else { block.record };
    if !told {
        block.write_record(world, &Record::new(STATUS_UNWIND.0, walker.state().context.rip, &[]));
    }
    let record = Guest::<EXCEPTION_RECORD>::new(world.kernel(), at);
    let flags = field!(record, EXCEPTION_RECORD, ExceptionFlags);
    flags.write(flags.read() | EXCEPTION_UNWINDING);
    let current = Business::Unwind(RefCell::new(None), block.dispatcher);
    stored.business.set(std::ptr::from_ref(&current).expose_provenance() as u64);
    let mut crossed = Vec::new();
    // Where the handler of the next frame goes on: set where an unwind that was under way is taken over.
    let mut collided = None;
    let lost = |why| world.raise_broken(STATUS_INVALID_UNWIND_TARGET, goal.record, why);
    loop {
        let before = walker.clone();
        // SAFETY: the current entry and those before it.
        let frame = match unsafe { walker.next() } {
            Step::Frame(frame) => frame,
            Step::Crossed(entry) => {
                // SAFETY: as above.
                match unsafe { business(entry) } {
                    Some(Business::Unwind(place, dispatcher)) => {
                        // The frame whose handler was left: it goes on behind the routine that was running.
                        let Some(place) = place.borrow().clone() else { continue };
                        walker = place;
                        let context = Guest::<DISPATCHER_CONTEXT>::new(world.kernel(), *dispatcher);
                        collided = Some(field!(context, DISPATCHER_CONTEXT, ScopeIndex).read());
                    }
                    Some(Business::Search(_)) => {}
                    None => {
                        // SAFETY: as above.
                        let stored = unsafe { stack::entry(entry) };
                        let export = stored.and_then(stack::export);
                        // A handler that was left for another exception is no routine that does something else.
                        let told = export.filter(|number| *number != world.handler_number());
                        crossed.extend(told.map(kernel_image::stub));
                    }
                }
                continue;
            }
            Step::End => lost("an unwind led to no frame of the stack"),
        };
        if frame.establisher > goal.frame {
            lost("an unwind led to a frame that is none, or lies below");
        }
        let scope = collided.take();
        clean_up(world, goal, &block, &current, (before, &frame), (at, scope));
        if frame.establisher == goal.frame {
            let mut state = frame.state;
            state.context.registers[0] = goal.value;
            state.context.rip = goal.target;
            if told {
                let code = field!(record, EXCEPTION_RECORD, ExceptionCode).read();
                let address = field!(record, EXCEPTION_RECORD, ExceptionAddress).read() as u64;
                let outcome = ExceptionOutcome::Unwound { target: goal.target, crossed };
                world.tell_handled(code, address, outcome);
            }
            leave::to(walker.level, state);
        }
    }
}

/// Calls the termination handler of a frame, if it has one. `place` is the walk before the frame.
fn clean_up(
    world: &World,
    goal: &Unwind,
    block: &Block,
    current: &Business,
    (place, frame): (Walker, &Frame),
    (record, collided): (u64, Option<u32>),
) {
    let Some(handler) = frame.handler.filter(|handler| handler.termination) else { return };
    let stored = Guest::<EXCEPTION_RECORD>::new(world.kernel(), record);
    let flags = field!(stored, EXCEPTION_RECORD, ExceptionFlags);
    const OF_FRAME: u32 = EXCEPTION_TARGET_UNWIND | EXCEPTION_COLLIDED_UNWIND;
    let target = if frame.establisher == goal.frame { EXCEPTION_TARGET_UNWIND } else { 0 };
    let collision = if collided.is_some() { EXCEPTION_COLLIDED_UNWIND } else { 0 };
    flags.write(flags.read() & !OF_FRAME | target | collision);
    block.write_context(world, &frame.state);
    block.write_dispatcher(world, frame, &handler, goal.target, collided.unwrap_or(0));
    if let Business::Unwind(at, _) = current {
        *at.borrow_mut() = Some(place);
    }
    let arguments = [record, frame.establisher, block.context, block.dispatcher];
    // SAFETY: the image's own handler, by its unwind data, with the arguments of its contract.
    let said = unsafe { world.call_driver(handler.routine, &arguments) as u32 };
    if said != disposition::ExceptionContinueSearch {
        world.raise_broken(
            STATUS_INVALID_DISPOSITION,
            record,
            "a termination handler returned another disposition than to go on searching",
        );
    }
    flags.write(flags.read() & !OF_FRAME);
}
