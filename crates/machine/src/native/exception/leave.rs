//! Leaving the kernel for another place in a driver than where it was called.
//!
//! Between the code that decides to and the driver's frame lie host frames: of the export that decided, of the routines of the
//! kernel that called driver code on the way, and of the calls that those served. They are given up one level after the other. Within a level
//! an ordinary Rust unwind drops what is on the host stack, up to `dispatch` or `raised`; from there either the driver goes
//! on, or the call of driver code that this level served is abandoned, and the unwind goes on in the level that made it.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;

use super::super::processor::NOW;
use super::super::{context, giant, world};
use super::walk::State;

/// What a Rust unwind carries.
struct Goal {
    /// The call or trap whose driver code goes on.
    level: u64,
    state: State,
}

/// Registers in the order of `context::restore`.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct Resume {
    registers: [u64; 16],
    rip: u64,
    flags: u64,
    mxcsr: u64,
    _align: u64,
    xmm: [u128; 16],
}

const _: () = assert!(std::mem::offset_of!(Resume, rip) == 0x80 && std::mem::offset_of!(Resume, xmm) == 0xA0);

/// Lets driver code at the call or trap `level` go on with `state`. What the host has on its stack up to there is dropped.
pub(super) fn to(level: u64, state: State) -> ! {
    NOW.leaving.store(true, Ordering::Relaxed);
    resume_unwind(Box::new(Goal { level, state: state.clean() }))
}

/// Whether host frames are being left for driver code.
pub(crate) fn is_under_way() -> bool {
    NOW.leaving.load(Ordering::Relaxed)
}

/// Goes on leaving if driver code did not return but was abandoned. Called behind every call of driver code.
#[inline]
pub(crate) fn go_on() {
    if NOW.abandoned.load(Ordering::Relaxed) != 0 {
        go_on_leaving();
    }
}

#[cold]
fn go_on_leaving() -> ! {
    let goal = NOW.abandoned.swap(0, Ordering::Relaxed);
    let goal = std::ptr::with_exposed_provenance_mut::<Goal>(goal as usize);
    // SAFETY: made by `arrive` with `Box::into_raw` just before, and taken once.
    resume_unwind(unsafe { Box::from_raw(goal) })
}

/// Ends an unwind in the call or trap `level`, whose host frames are gone: the driver goes on, or the level above is left too.
pub(crate) fn arrive(payload: Box<dyn Any + Send>, level: u64) -> ! {
    let goal = match payload.downcast::<Goal>() {
        Ok(goal) => goal,
        // A panic: a mistake of this program, which the caller's ABI turns into an abort.
        Err(payload) => resume_unwind(payload),
    };
    if goal.level != level {
        NOW.abandoned.store(Box::into_raw(goal).expose_provenance() as u64, Ordering::Relaxed);
        // Whoever called that driver code takes the lock back.
        giant::leave();
        // SAFETY: driver code runs in this level, called by `enter_driver`, and nothing of the level is on the host stack that has to
        // be dropped.
        unsafe { context::abandon() }
    }
    NOW.leaving.store(false, Ordering::Relaxed);
    let State { context: found, flags, mxcsr } = goal.state;
    drop(goal);
    world::before_driver();
    let resume = Resume {
        registers: found.registers,
        rip: found.rip,
        flags: u64::from(flags),
        mxcsr: u64::from(mxcsr),
        _align: 0,
        xmm: found.xmm,
    };
    giant::leave();
    // SAFETY: the registers are clean, and belong to driver code of this level, which never gets back to this host stack.
    unsafe { context::restore(&raw const resume) }
}
