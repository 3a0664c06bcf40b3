//! What the scheduler tells of its threads, for the report of a deadlock.

use std::ptr::NonNull;
use std::rc::Rc;

use nt::KTHREAD;

use super::super::fiber::{Fiber, State};
use super::super::stack::Stack;
use super::Scheduler;

/// A thread that waits without a limit, or spins in vain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub(crate) thread: NonNull<KTHREAD>,
    pub(crate) id: u32,
    /// Where the driver called the export that it waits in; 0 for nowhere.
    pub(crate) caller: u64,
}

impl Scheduler {
    /// Returns the threads that spin on a lock that does not change, and do not run.
    pub(crate) fn spinners(&self) -> Vec<Parked> {
        let fibers = self.fibers.borrow();
        let spinners = fibers.iter().filter(|fiber| !fiber.can_go_on());
        spinners.map(|fiber| Parked { thread: fiber.thread, id: fiber.id, caller: fiber.caller() }).collect()
    }

    /// Returns the threads that wait without a limit, in the order in which they were made.
    pub(crate) fn parked(&self) -> Vec<Parked> {
        let fibers = self.fibers.borrow();
        let parked = fibers.iter().filter(|fiber| fiber.state.get() == State::Parked(None));
        parked.map(|fiber| Parked { thread: fiber.thread, id: fiber.id, caller: fiber.caller() }).collect()
    }

    /// Returns where the driver called the export that `thread`, which is not running, is in; 0 for nowhere.
    pub(crate) fn caller_of(&self, thread: NonNull<KTHREAD>) -> u64 {
        self.find(thread).map_or(0, |fiber| fiber.caller())
    }

    /// Describes every thread, for the report of a deadlock. Addresses are in hexadecimal: the parent names them.
    pub(crate) fn describe(&self) -> Vec<String> {
        let fibers = self.fibers.borrow();
        let mut lines = Vec::new();
        // Not those of the machine itself, which wait for something to do.
        for fiber in fibers.iter().filter(|fiber| fiber.id != 0 && fiber.id.is_multiple_of(4)) {
            lines.push(self.line(fiber));
        }
        lines
    }

    fn line(&self, fiber: &Rc<Fiber>) -> String {
        let what = match (fiber.state.get(), fiber.spin.get()) {
            (State::Ready | State::Running, Some(spin)) => {
                format!("spins at {} on the lock at {:#x}", fiber.irql(), spin.lock)
            }
            (State::Parked(None), _) => "waits without a limit".into(),
            (State::Parked(Some(until)), _) => format!("waits until {until}"),
            (State::Ready | State::Running, None) => "can run".into(),
            (State::Ended, _) => "has ended".into(),
        };
        let place = match fiber.state.get() {
            State::Running if self.processors() > 1 => format!(" on processor {}", fiber.processor.get()),
            _ => String::new(),
        };
        match fiber.caller() {
            0 => format!("thread {}{place} {what}", fiber.id),
            caller => format!("thread {}{place} {what}, called from {caller:#x}", fiber.id),
        }
    }

    /// Returns the first address from which driver code called an export that still waits, 0 for none, and the call stack
    /// there.
    pub(crate) fn first_caller(&self) -> (u64, Stack) {
        let fibers = self.fibers.borrow();
        let first = fibers.iter().find(|fiber| fiber.caller() != 0);
        first.map(|fiber| (fiber.caller(), fiber.stack())).unwrap_or_default()
    }
}
