//! The giant lock: with `--parallel`, whoever runs host code has it.
//!
//! Each virtual processor is then a host thread. Driver code of several processors runs at the same time; the executive, the
//! scheduler and the event ring are one thread's at a time, as they are where there is only one thread. The lock is taken where
//! driver code enters the host (an export, a trap) and given up where the host enters driver code (a return, a call), while a
//! processor has nothing to run, and at scheduling points where another processor waits for it. Without `--parallel` none of
//! this happens.
//!
//! It is a ticket lock: a processor that calls one export after the other cannot keep the rest waiting for ever. Early Unix and Linux on
//! several processors were locked like that; NT never was, so it orders things that NT would let happen at the same time.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use super::processor::{self, NOW};
use super::sys;

/// Looks at the lock before sleeping. Most of what holds it takes about a microsecond.
const LOOKS: u32 = 100;

/// Whether processors are host threads.
static ON: AtomicBool = AtomicBool::new(false);

/// The next ticket to draw.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The ticket whose turn it is.
static SERVING: AtomicU32 = AtomicU32::new(0);

/// One more than the processor whose thread has the lock, 0 for none.
static OWNER: AtomicU8 = AtomicU8::new(0);

/// Returns whether processors are host threads. Callable from a signal handler.
#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// From here on processors are host threads, and the calling one, which runs the first processor, has the lock.
pub(crate) fn turn_on() {
    ON.store(true, Ordering::SeqCst);
    take();
}

/// Takes the lock where host code begins: driver code called or trapped.
#[inline]
pub(crate) fn enter() {
    if is_on() {
        take();
        NOW.in_driver.store(false, Ordering::Relaxed);
    }
}

/// Gives the lock up where driver code begins.
#[inline]
pub(crate) fn leave() {
    if is_on() {
        NOW.in_driver.store(true, Ordering::Relaxed);
        give();
    }
}

/// Lets other processors have the lock first that wait for it. What the caller knows of the world may be over afterwards.
pub(crate) fn pass() {
    if is_on() && NEXT.load(Ordering::Relaxed) != SERVING.load(Ordering::Relaxed).wrapping_add(1) {
        give();
        take();
    }
}

/// Gives the lock up until `bell` is no longer `seen`, or for `time`. Returns whether the time was up.
pub(crate) fn wait(bell: &AtomicU32, seen: u32, time: Option<Duration>) -> bool {
    give();
    let expired = sys::futex_wait(bell, seen, u32::MAX, time);
    take();
    expired
}

/// What a signal handler does with the lock.
#[derive(Debug)]
pub(crate) struct Held(bool);

/// Takes the lock in the handler of a trap, unless host code was interrupted that has it. Not for signals from outside: they may come
/// where the lock is half taken.
pub(crate) fn hold() -> Held {
    let takes = is_on() && OWNER.load(Ordering::Relaxed) != processor::number() + 1;
    if takes {
        enter();
    }
    Held(takes)
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 {
            leave();
        }
    }
}

fn take() {
    let mine = NEXT.fetch_add(1, Ordering::SeqCst);
    let mut looks = 0;
    loop {
        let serving = SERVING.load(Ordering::SeqCst);
        if serving == mine {
            break;
        }
        if looks < LOOKS {
            looks += 1;
            std::hint::spin_loop();
        } else {
            sys::futex_wait(&SERVING, serving, bit(mine), None);
        }
    }
    OWNER.store(processor::number() + 1, Ordering::Relaxed);
}

fn give() {
    OWNER.store(0, Ordering::Relaxed);
    let next = SERVING.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
    if NEXT.load(Ordering::SeqCst) != next {
        sys::futex_wake(&SERVING, bit(next));
    }
}

/// Those that wait for a ticket sleep under this bit, so that mostly one is woken.
fn bit(ticket: u32) -> u32 {
    1 << (ticket % 32)
}
