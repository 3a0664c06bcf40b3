//! Who runs next.
//!
//! One host thread, many fibers. Fibers switch only where they ask to: parking, ending, giving way, and at scheduling
//! points where the [`Policy`] says so: first come first served with seed 0. The order of turn is that in which threads became
//! able to run; threads whose deadline has come are at its end, and get their turn when nobody else can run. The clock is
//! virtual: it moves a little with every export call and jumps to the next deadline when nobody can run, so a driver that
//! sleeps ten seconds costs nothing. When nobody can run and no deadline is left, nothing will ever happen again, and
//! that is told at once instead of after the time limit.
//!
//! Nothing of the host is locked or borrowed across a point: what a fiber holds there are NT's own locks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nt::KTHREAD;
use record::{Switch, Turn};

use super::fiber::{DriverStack, Fiber, State};
use super::policy::{Candidate, Order, Policy};
use super::processor::NOW;
use super::stack::Stack;

/// Virtual time of one scheduling point, in units of 100 ns.
const POINT: i64 = 1;

/// All fibers of the machine.
#[derive(Debug)]
pub(crate) struct Scheduler {
    policy: Policy,
    fibers: RefCell<Vec<Rc<Fiber>>>,
    ready: RefCell<VecDeque<Rc<Fiber>>>,
    current: RefCell<Option<Rc<Fiber>>>,
    /// Whom the running thread was interrupted for.
    next: RefCell<Option<Rc<Fiber>>>,
    /// No deadline of a parked thread is earlier.
    earliest: Cell<i64>,
    /// Context of [`Scheduler::run`] while a fiber runs.
    back: Cell<u64>,
}

/// A thread that waits without a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub(crate) thread: NonNull<KTHREAD>,
    pub(crate) id: u32,
    /// Where the driver called the export that it waits in; 0 for nowhere.
    pub(crate) caller: u64,
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
    /// Makes a scheduler without threads, which takes them in turn; `record` is told of what later is not in turn.
    pub(crate) fn new(record: fn(Switch)) -> Self {
        Self {
            policy: Policy::new(record),
            fibers: RefCell::default(),
            ready: RefCell::default(),
            current: RefCell::default(),
            next: RefCell::default(),
            earliest: Cell::new(i64::MAX),
            back: Cell::default(),
        }
    }

    /// From here on choices follow `order`. Called when no thread runs.
    pub(crate) fn reseed(&self, order: Order) {
        self.policy.reseed(order);
        for fiber in &*self.fibers.borrow() {
            fiber.priority.set(self.policy.priority());
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

    /// Lets others run until nobody can, but not for more than `most` turns, and fewer where the policy says so.
    pub(crate) fn settle(&self, most: u32) {
        let turns = self.policy.turns(most);
        for turn in 0..most {
            if !self.somebody_can_run() || self.policy.goes_on(turn >= turns) {
                return;
            }
            let once = Cell::new(false);
            self.run(|| once.replace(true));
        }
    }

    /// Takes the next fiber from those that are ready, or else those whose deadline has come.
    fn take(&self) -> Option<Rc<Fiber>> {
        if let Some(fiber) = self.next.take() {
            return Some(fiber);
        }
        if self.ready.borrow().is_empty() {
            for fiber in self.due() {
                fiber.state.set(State::Ready);
                self.ready.borrow_mut().push_back(fiber);
            }
        }
        let all = self.able();
        if all.is_empty() {
            return None;
        }
        let chosen = self.policy.choose(&candidates(&all));
        self.set_off(all.into_iter().nth(chosen)?)
    }

    /// Makes `fiber`, which is able to run, no longer one of those that wait for their turn.
    fn set_off(&self, fiber: Rc<Fiber>) -> Option<Rc<Fiber>> {
        fiber.state.set(State::Ready);
        self.ready.borrow_mut().retain(|other| !Rc::ptr_eq(other, &fiber));
        Some(fiber)
    }

    /// Returns whether somebody beside the running thread can run.
    fn somebody_can_run(&self) -> bool {
        !self.ready.borrow().is_empty() || self.earliest.get() <= self.now() && !self.due().is_empty()
    }

    /// Returns those that can run beside the running thread, in the order of turn.
    fn able(&self) -> Vec<Rc<Fiber>> {
        let mut all: Vec<_> = self.ready.borrow().iter().cloned().collect();
        all.extend(self.due());
        all
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

    /// Returns every fiber whose deadline has come, in the order of the deadlines.
    fn due(&self) -> Vec<Rc<Fiber>> {
        let now = self.now();
        if self.earliest.get() > now {
            return Vec::new();
        }
        let mut due: Vec<(i64, Rc<Fiber>)> = self
            .fibers
            .borrow()
            .iter()
            .filter_map(|fiber| match fiber.state.get() {
                State::Parked(Some(deadline)) if deadline <= now => Some((deadline, Rc::clone(fiber))),
                _ => None,
            })
            .collect();
        if due.is_empty() {
            self.earliest.set(self.deadlines().min().unwrap_or(i64::MAX));
        }
        // Stable: equal deadlines keep the order in which the threads were made.
        due.sort_by_key(|(deadline, _)| *deadline);
        due.into_iter().map(|(_, fiber)| fiber).collect()
    }

    /// Parks the current fiber until [`Scheduler::unpark`] or `deadline`.
    pub(crate) fn park(&self, deadline: Option<i64>) {
        let fiber = self.current();
        if fiber.token.take() || deadline.is_some_and(|deadline| deadline <= self.now()) {
            drop(fiber);
            self.point();
            return;
        }
        if let Some(deadline) = deadline {
            self.earliest.set(self.earliest.get().min(deadline));
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

    /// Lets the others that can run go first. Returns whether there were any.
    pub(crate) fn give_way(&self) -> bool {
        if !self.somebody_can_run() {
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
        if self.current.borrow().is_none() || !self.somebody_can_run() {
            return;
        }
        let fiber = self.current();
        let Some(chosen) = self.policy.point(&fiber.priority, || candidates(&self.able())) else { return };
        let next = self.able().into_iter().nth(chosen).and_then(|fiber| self.set_off(fiber));
        *self.next.borrow_mut() = next;
        self.wait_turn(&fiber);
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

    /// Returns the first address from which driver code called an export that still waits, 0 for none, and the call stack
    /// there.
    pub(crate) fn first_caller(&self) -> (u64, Stack) {
        let fibers = self.fibers.borrow();
        let first = fibers.iter().find(|fiber| fiber.caller() != 0);
        first.map(|fiber| (fiber.caller(), fiber.stack())).unwrap_or_default()
    }
}

/// What the policy is told of threads.
fn candidates(fibers: &[Rc<Fiber>]) -> Vec<Candidate> {
    let candidate = |fiber: &Rc<Fiber>| Candidate {
        turn: Turn::Thread { id: fiber.id, processor: 0 },
        priority: fiber.priority.get(),
    };
    fibers.iter().map(candidate).collect()
}
