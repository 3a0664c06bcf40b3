//! Processors as host threads, for `--parallel`.
//!
//! Each host thread runs the fibers of its processor and no others: first the one that has the processor, else the first that waits and
//! may have it. A fiber that waited may go on in another host thread than before. Nothing is interrupted at scheduling points but by
//! who else wants the giant lock there, and a thread that has run for long gives its processor away as ever; which processor comes
//! first is the host's affair, not the seed's.
//!
//! A thread without work sleeps. Virtual time moves with export calls and jumps when no processor can go on, as ever; and while
//! one processor is in driver code and another waits for a deadline, it moves along with the host's time, so that driver code
//! which looks at its own memory until a sleeping thread writes there comes to an end, as it would on Windows.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nt::Irql;

use super::super::fiber::{Fiber, State};
use super::super::{giant, processor, sys};
use super::place::{Place, may_have};
use super::{Pause, Scheduler};

/// How often a processor looks up that waits for a lock or for time.
const LOOK: Duration = Duration::from_millis(1);

/// The same in virtual time.
const LOOKED: i64 = 10_000;

/// Virtual time for which a step lets the threads go on that it set going, for each turn they would have in the order of turn.
const TURN: i64 = 100;

/// What a host thread has of its own.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The fiber that runs in it.
    pub(super) current: RefCell<Option<Rc<Fiber>>>,
    /// Context of its loop while a fiber runs.
    pub(super) back: Cell<u64>,
    /// Changes to wake it.
    bell: AtomicU32,
    /// Whether it sleeps and was not woken.
    idle: Cell<bool>,
}

impl Scheduler {
    /// Returns what belongs to the calling host thread.
    pub(super) fn lane(&self) -> &Lane {
        let number = if giant::is_on() { processor::number() } else { 0 };
        &self.lanes[usize::from(number)]
    }

    /// Runs the fibers of the calling host thread's processor, for good. Called with the giant lock.
    pub(crate) fn serve(&self) -> ! {
        loop {
            match self.take_here() {
                Some(place) => self.turn(&place),
                None => self.sleep(),
            }
        }
    }

    /// [`Scheduler::run`] where others run beside. Returns `None` when `done`, although others may go on.
    pub(super) fn run_beside(&self, done: &dyn Fn() -> bool) -> Option<Pause> {
        while !done() {
            match self.take_here() {
                Some(place) => self.turn(&place),
                None if self.is_quiet() => return Some(self.pause()),
                None => self.sleep(),
            }
        }
        None
    }

    /// [`Scheduler::settle`] where others run beside.
    pub(super) fn settle_beside(&self, most: u32) {
        let end = self.now() + i64::from(most) * TURN;
        while self.now() < end {
            match self.take_here() {
                Some(place) => self.turn(&place),
                None if self.is_quiet() => return,
                None => self.sleep(),
            }
        }
    }

    /// Takes the next fiber for this processor.
    fn take_here(&self) -> Option<Place> {
        let processor = processor::number();
        if let Some(fiber) = self.running(processor) {
            return fiber.can_go_on().then_some(Place { fiber, processor });
        }
        if !self.waits_for(processor) {
            for fiber in self.due() {
                fiber.state.set(State::Ready);
                self.enqueue(fiber);
            }
        }
        let ready = self.ready.borrow();
        let fiber = ready.iter().find(|fiber| fiber.can_go_on() && may_have(fiber, processor))?;
        Some(Place { fiber: Rc::clone(fiber), processor })
    }

    /// Returns whether a thread that is ready could have `processor`.
    fn waits_for(&self, processor: u8) -> bool {
        self.ready.borrow().iter().any(|fiber| fiber.can_go_on() && may_have(fiber, processor))
    }

    /// Returns whether another thread could have this processor instead of the running one.
    pub(super) fn wants_this(&self) -> bool {
        let due = || self.due().iter().any(|fiber| may_have(fiber, processor::number()));
        processor::irql() < Irql::DISPATCH && (self.waits_for(processor::number()) || due())
    }

    /// Returns whether no processor can go on: the others sleep, and nobody would have something to do.
    fn is_quiet(&self) -> bool {
        let here = usize::from(processor::number());
        let sleeps = |(number, lane): (usize, &Lane)| number == here || lane.idle.get();
        if !self.lanes.iter().enumerate().all(sleeps) {
            return false;
        }
        let due = self.due();
        (0..self.count).all(|number| match self.running(number) {
            Some(fiber) => !fiber.can_go_on(),
            None => !self.waits_for(number) && !due.iter().any(|fiber| may_have(fiber, number)),
        })
    }

    /// Sleeps until this host thread is woken.
    fn sleep(&self) {
        let (here, lane) = (processor::number(), self.lane());
        let deadlines = self.deadlines().next().is_some() || self.next_timer.get().is_some();
        let time = (deadlines || self.spinning.get() > 0).then_some(LOOK);
        lane.idle.set(true);
        // The first processor's thread is the one that knows what to do when all sleep.
        if here != 0 {
            self.ring(0);
        }
        let seen = lane.bell.load(Ordering::Relaxed);
        let expired = giant::wait(&lane.bell, seen, time);
        let first = self.lanes.iter().position(|lane| lane.idle.get()) == Some(usize::from(here));
        let others = self.lanes.iter().any(|lane| !lane.idle.get());
        lane.idle.set(false);
        if expired && deadlines && first && others {
            self.pass(LOOKED);
            if let Some(clock) = self.clock.get() {
                self.unpark(clock);
            }
        }
    }

    /// Wakes the host thread of processor `number`.
    pub(crate) fn ring(&self, number: u8) {
        let Some(lane) = self.lanes.get(usize::from(number)) else { return };
        if giant::is_on() && lane.idle.replace(false) {
            lane.bell.fetch_add(1, Ordering::Relaxed);
            sys::futex_wake(&lane.bell, u32::MAX);
        }
    }

    /// Wakes a host thread that could run `fiber`.
    pub(super) fn ring_for(&self, fiber: &Rc<Fiber>) {
        let numbers = (0..self.count).zip(&self.lanes);
        let free = numbers.filter(|(number, lane)| lane.idle.get() && may_have(fiber, *number));
        let first = free.map(|(number, _)| number).find(|number| self.running(*number).is_none());
        if let Some(number) = first {
            self.ring(number);
        }
    }

    /// Wakes the host threads whose fibers spin on locks, at least to look.
    pub(super) fn ring_spinners(&self) {
        if self.spinning.get() == 0 {
            return;
        }
        for number in 0..self.count {
            if self.running(number).is_some_and(|fiber| fiber.spin.get().is_some() && fiber.can_go_on()) {
                self.ring(number);
            }
        }
        for fiber in self.ready.borrow().iter().filter(|fiber| fiber.spin.get().is_some()) {
            self.ring_for(fiber);
        }
    }
}
