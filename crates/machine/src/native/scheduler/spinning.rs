//! Threads that spin on a lock.

use std::rc::Rc;

use nt::Irql;

use super::super::fiber::{Fiber, Spin};
use super::Scheduler;

impl Scheduler {
    /// Waits a turn for the lock at `lock` to change.
    pub(crate) fn spin(&self, lock: u64) {
        let fiber = self.current();
        fiber.spin.set(Some(Spin::on(lock)));
        fiber.priority.set(self.policy.lowest());
        self.spinning.set(self.spinning.get() + 1);
        self.wait_turn(&fiber);
        self.spinning.set(self.spinning.get() - 1);
        fiber.spin.set(None);
    }

    /// Lets the thread that spins on `processor`, if one does, look up although its lock has not changed.
    pub(crate) fn interrupt_spinning(&self, processor: u8) {
        if let Some(fiber) = self.running(processor) {
            fiber.spin.set(None);
        }
        self.ring(processor);
    }

    /// Returns whether every processor spins at `DISPATCH_LEVEL` or above on a lock that does not change: no time that passes
    /// makes a difference.
    pub(crate) fn is_stuck(&self) -> bool {
        let stuck = |fiber: &Option<Rc<Fiber>>| {
            fiber.as_ref().is_some_and(|fiber| fiber.irql() >= Irql::DISPATCH && !fiber.can_go_on())
        };
        self.processors.borrow().iter().all(stuck)
    }

    /// Puts those behind everybody else whose turn it would be and who would spin in vain.
    pub(super) fn skip_spinners(&self) {
        let mut ready = self.ready.borrow_mut();
        if let Some(first) = ready.iter().position(|fiber| fiber.can_go_on()) {
            ready.rotate_left(first);
        }
    }
}
