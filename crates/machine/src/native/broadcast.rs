//! A call on all processors at the same time: `KeIpiGenericCall`.
//!
//! On Windows the calling processor interrupts the others, all meet at a barrier at `IPI_LEVEL`, run the routine, and the caller waits until the last one has
//! returned (Microsoft's documentation; decompiled kernels of 24H2-class builds). Here a processor takes the interrupt at its next scheduling point below
//! `IPI_LEVEL`, so also while it spins for a lock; an idle one at once, in its idle thread. Driver code that reaches no point keeps the others waiting.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use nt::Irql;
use ntoskrnl::Host;

use super::processor::{self, NOW};
use super::world::World;

/// The call that is under way, of which there is one at a time.
#[derive(Debug, Default)]
pub(super) struct Broadcast {
    /// 1 while there is one.
    busy: AtomicU32,
    routine: Cell<u64>,
    context: Cell<u64>,
    /// Processors that have not been interrupted for it, as a set.
    pending: Cell<u64>,
    /// How many processors are not at the barrier yet.
    away: AtomicU32,
    /// How many have not returned from the routine yet.
    running: AtomicU32,
}

impl World {
    /// Calls `routine(context)` on all processors and returns what it returned on this one.
    ///
    /// # Safety
    ///
    /// As for [`Host::on_all_processors`].
    pub(super) unsafe fn broadcast(&self, routine: u64, context: u64) -> u64 {
        let call = &self.broadcast;
        while call.busy.load(Ordering::Relaxed) != 0 {
            // Whoever waits to call is called meanwhile.
            if !self.take_broadcast() {
                self.scheduler.spin(address(&call.busy));
            }
        }
        call.busy.store(1, Ordering::Relaxed);
        let (count, here) = (self.scheduler.processors(), processor::number());
        call.routine.set(routine);
        call.context.set(context);
        call.away.store(count.into(), Ordering::Relaxed);
        call.running.store(count.into(), Ordering::Relaxed);
        let old = processor::set_irql(Irql::IPI);
        let others = (0..count).filter(|number| *number != here);
        call.pending.set(others.clone().fold(0, |set, number| set | 1 << number));
        for number in others {
            self.scheduler.interrupt_spinning(number);
            self.wake_idle(number);
        }
        // SAFETY: the caller's promise.
        let value = unsafe { self.take_part() };
        self.wait_for_none(&call.running);
        processor::set_irql(old);
        call.busy.store(0, Ordering::Relaxed);
        value
    }

    /// Takes part in a call that this processor is interrupted for. Returns whether there was one.
    pub(super) fn take_broadcast(&self) -> bool {
        let pending = &self.broadcast.pending;
        if pending.get() == 0
            || pending.get() >> processor::number() & 1 == 0
            || processor::irql() >= Irql::IPI
        {
            return false;
        }
        pending.set(pending.get() & !(1 << processor::number()));
        let old = processor::set_irql(Irql::IPI);
        // What it interrupted did not call it.
        let interrupted = NOW.entry.swap(0, Ordering::Relaxed);
        let caller = NOW.caller.swap(0, Ordering::Relaxed);
        // SAFETY: whoever broadcasts promised that its routine is code with this contract.
        unsafe { self.take_part() };
        NOW.caller.store(caller, Ordering::Relaxed);
        NOW.entry.store(interrupted, Ordering::Relaxed);
        processor::set_irql(old);
        true
    }

    /// Waits for all processors, and runs the routine with them.
    ///
    /// # Safety
    ///
    /// As for [`Host::on_all_processors`], of the call that is under way.
    unsafe fn take_part(&self) -> u64 {
        let call = &self.broadcast;
        call.away.fetch_sub(1, Ordering::Relaxed);
        self.wait_for_none(&call.away);
        // SAFETY: the caller's promise.
        let value = unsafe { self.call_driver(call.routine.get(), &[call.context.get()]) };
        call.running.fetch_sub(1, Ordering::Relaxed);
        value
    }

    fn wait_for_none(&self, counter: &AtomicU32) {
        while counter.load(Ordering::Relaxed) != 0 {
            self.scheduler.spin(address(counter));
        }
    }
}

/// Returns the address of a word that is spun on.
fn address(word: &AtomicU32) -> u64 {
    word.as_ptr().expose_provenance() as u64
}
