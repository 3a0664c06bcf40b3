//! Kernel: IRQL, spin locks, dispatcher objects, DPCs, timers, threads.
//!
//! Models the layer of `ntoskrnl` with the prefix `Ke`. Deliberately different: there is no scheduler and
//! there are no APCs (both belong to the platform), timed waits use the platform's clock rather than
//! `KTHREAD.Timer`, and the timer table is one ordered queue.

mod audit;
pub(crate) mod dispatcher;
mod dpc;
mod event;
mod fault;
mod irql;
pub(crate) mod list;
mod mutant;
mod push_lock;
mod semaphore;
mod spin_lock;
mod thread;
mod timer;
mod wait;
mod waiting;

use nt::{KSPIN_LOCK, LIST_ENTRY};

pub use self::audit::{QueuedDpc, SetTimer};
pub use self::thread::{initialize_process, initialize_thread};
pub use self::timer::BOOT_SYSTEM_TIME;
pub use self::waiting::ThreadWait;

use crate::executive::{self, Executive};
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Most virtual processors.
pub(crate) const PROCESSORS: usize = 64;

/// Global variables of `ke`.
#[repr(C)]
pub(crate) struct Globals {
    /// Nonzero once the world has ended; guards of the safe layer do nothing then.
    pub(crate) over: usize,
    /// Guards every dispatcher object, every wait and the timer queue.
    pub(crate) dispatcher_lock: KSPIN_LOCK,
    /// Timers in the order they are due.
    pub(crate) timers: LIST_ENTRY,
    /// When the first of them is due; [`timer::NONE_DUE`] for none.
    pub(crate) first_due: u64,
    /// Mutants that are owned. NT keeps a list at each thread.
    pub(crate) owned_mutants: LIST_ENTRY,
    /// DPC queues.
    pub(crate) dpc: [dpc::Queue; PROCESSORS],
}

impl<P: Platform> Executive<P> {
    /// Returns the global variables of `ke`.
    pub(crate) fn ke(&self) -> Live<Globals> {
        field!(self.live_globals(), executive::Globals, ke)
    }

    /// Makes the global variables ready.
    pub(crate) fn ke_initialize(&self) {
        list::initialize(field!(self.ke(), Globals, timers));
        field!(self.ke(), Globals, first_due).set(timer::NONE_DUE);
        list::initialize(field!(self.ke(), Globals, owned_mutants));
    }

    /// Notes that the world has ended, so that guards that drop during an unwind leave it alone.
    pub(crate) fn ke_mark_over(&self) {
        field!(self.ke(), Globals, over).atomic().store(1, core::sync::atomic::Ordering::Release);
    }

    /// Tells whether the world has ended in a bugcheck, a deadlock, or by a routine that unwound.
    pub fn is_over(&self) -> bool {
        field!(self.ke(), Globals, over).atomic().load(core::sync::atomic::Ordering::Acquire) != 0
    }

    /// Runs something that may never return; an unwind out of it ends the world, unless the platform says that it only leaves
    /// the routine.
    pub(crate) fn ke_outside<R>(&self, outside: impl FnOnce() -> R) -> R {
        struct OverOnUnwind<'a, P: Platform>(&'a Executive<P>);
        impl<P: Platform> Drop for OverOnUnwind<'_, P> {
            fn drop(&mut self) {
                if !self.0.platform().leaves_routine() {
                    self.0.ke_mark_over();
                }
            }
        }
        let guard = OverOnUnwind(self);
        let result = outside();
        core::mem::forget(guard);
        result
    }
}
