//! Who runs next.
//!
//! One host thread, many fibers. Fibers switch only where they ask to: parking, ending, giving way, and at scheduling
//! points where the [`Policy`] says so: first come first served with seed 0. The clock is virtual: it moves a little with every export call and jumps to the next deadline when
//! nobody can run, so a driver that sleeps ten seconds costs nothing. When nobody can run and no deadline is left,
//! nothing will ever happen again, and that is told at once instead of after the time limit.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nt::KTHREAD;

use super::fiber::{DriverStack, Fiber, State};
use super::policy::Policy;
use super::processor::NOW;

/// Virtual time of one scheduling point, in units of 100 ns.
const POINT: i64 = 1;

/// All fibers of the machine.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) policy: Policy,
    fibers: RefCell<Vec<Rc<Fiber>>>,
    ready: RefCell<VecDeque<Rc<Fiber>>>,
    current: RefCell<Option<Rc<Fiber>>>,
    /// Context of [`Scheduler::run`] while a fiber runs.
    back: Cell<u64>,
}

/// Why [`Scheduler::run`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nobody can run before this time.
    Until(i64),
    /// Nobody can ever run.
    Never,
}

impl Scheduler {
    /// Makes a scheduler without threads, whose choices follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            policy: Policy::new(seed),
            fibers: RefCell::default(),
            ready: RefCell::default(),
            current: RefCell::default(),
            back: Cell::default(),
        }
    }

    /// Returns the virtual time in units of 100 ns.
    pub(crate) fn now(&self) -> i64 {
        NOW.time.load(Ordering::Relaxed)
    }

    /// Lets `time` units pass.
    pub(crate) fn pass(&self, time: i64) {
        NOW.time.store(self.now().saturating_add(time.max(0)), Ordering::Relaxed);
    }

    /// Adds a thread. `None`: no room for another.
    pub(crate) fn start(&self, thread: NonNull<KTHREAD>, id: u32, body: Box<dyn FnOnce()>) -> Option<()> {
        let taken: Vec<u64> = self.fibers.borrow().iter().map(|fiber| fiber.driver_stack.number()).collect();
        let number = (0..DriverStack::MOST).find(|number| !taken.contains(number))?;
        let fiber = Fiber::new(thread, id, DriverStack::new(number)?, body).ok()?;
        fiber.priority.set(self.policy.priority());
        self.fibers.borrow_mut().push(Rc::clone(&fiber));
        self.ready.borrow_mut().push_back(fiber);
        Some(())
    }

    /// Returns top and limit of the driver stack of `thread`.
    pub(crate) fn stack_of(&self, thread: NonNull<KTHREAD>) -> Option<(u64, u64)> {
        let fiber = self.find(thread)?;
        Some((fiber.driver_stack.top(), fiber.driver_stack.limit()))
    }

    fn find(&self, thread: NonNull<KTHREAD>) -> Option<Rc<Fiber>> {
        let alive = |fiber: &&Rc<Fiber>| fiber.thread == thread && fiber.state.get() != State::Ended;
        self.fibers.borrow().iter().find(alive).cloned()
    }

    fn current(&self) -> Rc<Fiber> {
        match &*self.current.borrow() {
            Some(fiber) => Rc::clone(fiber),
            None => panic!("no thread is running"),
        }
    }

    /// Runs fibers until `done`, or until nobody can run. Called on the scheduler's own stack.
    pub(crate) fn run(&self, done: impl Fn() -> bool) -> Option<Pause> {
        while !done() {
            let Some(fiber) = self.take() else {
                let first = self.deadlines().min();
                return Some(first.map_or(Pause::Never, Pause::Until));
            };
            *self.current.borrow_mut() = Some(Rc::clone(&fiber));
            fiber.resume(&self.back);
            *self.current.borrow_mut() = None;
            if fiber.state.get() == State::Ended {
                self.fibers.borrow_mut().retain(|other| !Rc::ptr_eq(other, &fiber));
            }
        }
        None
    }

    /// Takes the next fiber from those that are ready, or else those whose deadline has come.
    fn take(&self) -> Option<Rc<Fiber>> {
        if self.ready.borrow().is_empty() || !self.policy.in_turn() {
            self.wake_due();
        }
        let mut ready = self.ready.borrow_mut();
        let priorities: Vec<u64> = ready.iter().map(|fiber| fiber.priority.get()).collect();
        ready.remove(self.policy.choose(&priorities))
    }

    fn deadlines(&self) -> impl Iterator<Item = i64> {
        let fibers = self.fibers.borrow();
        let deadlines: Vec<i64> = fibers
            .iter()
            .filter_map(|fiber| match fiber.state.get() {
                State::Parked(deadline) => deadline,
                State::Ready | State::Ended => None,
            })
            .collect();
        deadlines.into_iter()
    }

    /// Makes every fiber ready whose deadline has come, in the order of the deadlines.
    fn wake_due(&self) {
        let now = self.now();
        let mut due: Vec<(i64, Rc<Fiber>)> = self
            .fibers
            .borrow()
            .iter()
            .filter_map(|fiber| match fiber.state.get() {
                State::Parked(Some(deadline)) if deadline <= now => Some((deadline, Rc::clone(fiber))),
                _ => None,
            })
            .collect();
        // Stable: equal deadlines keep the order in which the threads were made.
        due.sort_by_key(|(deadline, _)| *deadline);
        let mut ready = self.ready.borrow_mut();
        for (_, fiber) in due {
            fiber.state.set(State::Ready);
            ready.push_back(fiber);
        }
    }

    /// Parks the current fiber until [`Scheduler::unpark`] or `deadline`.
    pub(crate) fn park(&self, deadline: Option<i64>) {
        let fiber = self.current();
        if fiber.token.take() || deadline.is_some_and(|deadline| deadline <= self.now()) {
            return;
        }
        fiber.state.set(State::Parked(deadline));
        fiber.suspend(&self.back);
    }

    /// Lets `thread` go on, or not park the next time.
    pub(crate) fn unpark(&self, thread: NonNull<KTHREAD>) {
        let Some(fiber) = self.find(thread) else { return };
        if let State::Parked(_) = fiber.state.get() {
            fiber.state.set(State::Ready);
            self.ready.borrow_mut().push_back(fiber);
        } else {
            fiber.token.set(true);
        }
    }

    /// Lets the other ready fibers run first. Returns whether there were any.
    pub(crate) fn give_way(&self) -> bool {
        if self.ready.borrow().is_empty() {
            return false;
        }
        let fiber = self.current();
        // Whoever spins or has run for long is not chosen again before the others.
        fiber.priority.set(self.policy.lowest());
        self.wait_turn(&fiber);
        true
    }

    fn wait_turn(&self, fiber: &Rc<Fiber>) {
        self.ready.borrow_mut().push_back(Rc::clone(fiber));
        fiber.suspend(&self.back);
    }

    /// Counts the virtual time of an export call.
    pub(crate) fn tick(&self) {
        self.pass(POINT);
    }

    /// A scheduling point of a thread below `DISPATCH_LEVEL`: interrupts it where the policy says so.
    pub(crate) fn point(&self) {
        if self.policy.in_turn() || self.current.borrow().is_none() {
            return;
        }
        self.wake_due();
        let best = self.ready.borrow().iter().map(|fiber| fiber.priority.get()).max();
        let Some(best) = best else { return };
        let fiber = self.current();
        let (interrupted, priority) = self.policy.point(fiber.priority.get(), best);
        if let Some(priority) = priority {
            fiber.priority.set(priority);
        }
        if interrupted {
            self.wait_turn(&fiber);
        }
    }

    /// Ends the current fiber.
    pub(crate) fn exit(&self) -> ! {
        let fiber = self.current();
        fiber.state.set(State::Ended);
        let last = Rc::as_ptr(&fiber);
        drop(fiber);
        // SAFETY: the list, and `run` on its own stack, keep the fiber until `run` goes on, which frees it.
        unsafe { &*last }.suspend(&self.back);
        panic!("a fiber ran after its end")
    }

    /// Describes every thread, for the report of a deadlock. Addresses are in hexadecimal: the parent names them.
    pub(crate) fn describe(&self) -> Vec<String> {
        let line = |fiber: &Rc<Fiber>| {
            let what = match fiber.state.get() {
                State::Parked(None) => "waits without a limit".into(),
                State::Parked(Some(until)) => format!("waits until {until}"),
                State::Ready => "can run".into(),
                State::Ended => "has ended".into(),
            };
            match fiber.caller() {
                0 => format!("thread {} {what}", fiber.id),
                caller => format!("thread {} {what}, called from {caller:#x}", fiber.id),
            }
        };
        self.fibers.borrow().iter().map(line).collect()
    }

    /// Returns the first address from which driver code called an export that still waits; 0 for none.
    pub(crate) fn first_caller(&self) -> u64 {
        self.fibers.borrow().iter().map(|fiber| fiber.caller()).find(|caller| *caller != 0).unwrap_or(0)
    }
}
