//! Who runs next, and on which processor.
//!
//! One host thread, many fibers, and processors as data: each has at most one fiber, and the host runs a piece of one and then a
//! piece of another. Fibers switch only where they ask to: parking, ending, giving way, and at scheduling points where
//! the [`Policy`] says so. Below `DISPATCH_LEVEL` a fiber may lose its processor there to another one; from that level up it
//! keeps it, and only other processors go on meanwhile, so that they do contend for its spin locks.
//!
//! The order of turn, which is that of seed 0: on one processor, the order in which threads became able to run; threads
//! whose deadline has come are at its end, and get their turn when nobody else can run. With several, the same for whoever waits
//! for a processor, an idle processor takes the first that may run on it, and processors take turns every [`SLICE`](points::SLICE) points and
//! wherever one spins in vain. The clock is virtual: it moves a little with every export call and jumps to the next deadline when
//! no processor can go on, so a driver that sleeps ten seconds costs nothing. When none can and no deadline is left, nothing
//! will ever happen again, and that is told at once instead of after the time limit.
//!
//! Nothing of the host is locked or borrowed across a point: what a fiber holds there are NT's own locks.
//!
//! With `--parallel` each processor has a host thread, and [`lane`] says what differs.

mod lane;
mod place;
mod points;
mod spinning;
mod tell;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nt::{Irql, KTHREAD};
use record::Switch;

use super::fiber::{DriverStack, Fiber, State};
use super::giant;
use super::policy::{Order, Policy};
use super::processor::{self, TIME};

use lane::Lane;
use place::{Place, candidates, may_have};

pub(crate) use tell::Parked;

/// All fibers of the machine.
#[derive(Debug)]
pub(crate) struct Scheduler {
    policy: Policy,
    fibers: RefCell<Vec<Rc<Fiber>>>,
    /// Those that wait for a processor.
    ready: RefCell<VecDeque<Rc<Fiber>>>,
    /// Number of processors.
    count: u8,
    /// What each processor runs.
    processors: RefCell<Vec<Option<Rc<Fiber>>>>,
    /// One for each host thread.
    lanes: Vec<Lane>,
    /// Whom the running thread was interrupted for.
    next: RefCell<Option<Place>>,
    /// Points since the processor that runs began its turn.
    slice: Cell<u32>,
    /// No deadline of a parked thread is earlier.
    earliest: Cell<i64>,
    /// The thread that lets timers expire.
    clock: Cell<Option<NonNull<KTHREAD>>>,
    /// When the next timer expires.
    pub(crate) next_timer: Cell<Option<i64>>,
    /// How many threads spin on locks.
    spinning: Cell<u32>,
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
    /// Makes a scheduler of `processors` without threads, which takes them in turn; `record` is told of what later is not in
    /// turn.
    pub(crate) fn new(processors: u8, record: fn(Switch)) -> Self {
        Self {
            policy: Policy::new(record),
            fibers: RefCell::default(),
            ready: RefCell::default(),
            count: processors,
            processors: RefCell::new(vec![None; usize::from(processors)]),
            lanes: (0..processors).map(|_| Lane::default()).collect(),
            next: RefCell::default(),
            slice: Cell::default(),
            earliest: Cell::new(i64::MAX),
            clock: Cell::default(),
            next_timer: Cell::default(),
            spinning: Cell::default(),
        }
    }

    /// From here on choices follow `order`. Called when no thread runs.
    pub(crate) fn reseed(&self, order: Order) {
        self.policy.reseed(order);
        for fiber in &*self.fibers.borrow() {
            fiber.priority.set(self.policy.priority());
        }
    }

    /// Says which thread lets timers expire.
    pub(crate) fn set_clock(&self, thread: NonNull<KTHREAD>) {
        self.clock.set(Some(thread));
    }

    /// Returns the number of processors.
    pub(crate) fn processors(&self) -> u8 {
        self.count
    }

    /// Returns the virtual time in units of 100 ns.
    pub(crate) fn now(&self) -> i64 {
        TIME.load(Ordering::Relaxed)
    }

    /// Lets `time` units pass.
    pub(crate) fn pass(&self, time: i64) {
        TIME.store(self.now().saturating_add(time.max(0)), Ordering::Relaxed);
    }

    /// Adds a thread. `None`: no room for another.
    pub(crate) fn start(&self, thread: NonNull<KTHREAD>, id: u32, body: Box<dyn FnOnce()>) -> Option<()> {
        let taken: Vec<u64> = self.fibers.borrow().iter().map(|fiber| fiber.driver_stack.number()).collect();
        let number = (0..DriverStack::MOST).find(|number| !taken.contains(number))?;
        let fiber = Fiber::new(thread, id, DriverStack::new(number)?, body).ok()?;
        fiber.priority.set(self.policy.priority());
        self.fibers.borrow_mut().push(Rc::clone(&fiber));
        self.enqueue(fiber);
        Some(())
    }

    /// Binds `thread`, which does not run, to the processors of the set `affinity`.
    pub(crate) fn bind(&self, thread: NonNull<KTHREAD>, affinity: u64) {
        if let Some(fiber) = self.find(thread) {
            fiber.affinity.set(Some(affinity));
        }
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
        match &*self.lane().current.borrow() {
            Some(fiber) => Rc::clone(fiber),
            None => panic!("no thread is running"),
        }
    }

    /// Runs fibers until `done`, or until nobody can run. Called on the scheduler's own stack.
    pub(crate) fn run(&self, done: impl Fn() -> bool) -> Option<Pause> {
        if giant::is_on() {
            return self.run_beside(&done);
        }
        while !done() {
            let Some(place) = self.take() else { return Some(self.pause()) };
            self.turn(&place);
        }
        None
    }

    /// Says what to wait for when nobody can run.
    fn pause(&self) -> Pause {
        self.deadlines().min().map_or(Pause::Never, Pause::Until)
    }

    /// Runs a fiber until it switches.
    fn turn(&self, place: &Place) {
        let Place { fiber, processor } = place;
        self.seat(fiber, *processor);
        let lane = self.lane();
        *lane.current.borrow_mut() = Some(Rc::clone(fiber));
        fiber.resume(&lane.back);
        *lane.current.borrow_mut() = None;
        if fiber.state.get() != State::Running {
            self.processors.borrow_mut()[usize::from(fiber.processor.get())] = None;
            // What an idle processor is at.
            processor::set_irql(Irql::PASSIVE);
        }
        if fiber.state.get() == State::Ended {
            self.fibers.borrow_mut().retain(|other| !Rc::ptr_eq(other, fiber));
        }
    }

    /// Gives `processor` to `fiber`, and makes whoever has it wait for one.
    fn seat(&self, fiber: &Rc<Fiber>, processor: u8) {
        if processor != processor::number() {
            self.slice.set(0);
        }
        processor::enter(processor);
        if fiber.state.get() == State::Running {
            return;
        }
        fiber.state.set(State::Running);
        fiber.processor.set(processor);
        let place = self.ready.borrow().iter().position(|other| Rc::ptr_eq(other, fiber));
        place.map(|index| self.ready.borrow_mut().remove(index));
        let before = self.processors.borrow_mut()[usize::from(processor)].replace(Rc::clone(fiber));
        if let Some(before) = before {
            before.state.set(State::Ready);
            self.enqueue(before);
        }
    }

    /// Lets others run until nobody can, but not for more than `most` turns, and fewer where the policy says so.
    pub(crate) fn settle(&self, most: u32) {
        if giant::is_on() {
            return self.settle_beside(most);
        }
        let turns = self.policy.turns(most);
        for turn in 0..most {
            if self.nobody() || self.policy.goes_on(turn >= turns) {
                return;
            }
            let once = Cell::new(false);
            self.run(|| once.replace(true));
        }
    }

    /// Returns whether nobody can run, while nobody does.
    fn nobody(&self) -> bool {
        let first = self.ready.borrow().front().is_some_and(|fiber| fiber.can_go_on());
        !(first && self.count == 1) && self.places(true).is_empty()
    }

    /// Takes the next fiber from those that are ready, or else those whose deadline has come.
    fn take(&self) -> Option<Place> {
        if let Some(place) = self.next.take() {
            return Some(place);
        }
        if self.ready.borrow().is_empty() {
            for fiber in self.due() {
                fiber.state.set(State::Ready);
                self.enqueue(fiber);
            }
        }
        self.skip_spinners();
        if self.count == 1 {
            let ready = self.ready.borrow();
            let mut able = ready.iter().filter(|fiber| fiber.can_go_on());
            if let Some(first) = able.next() {
                let several = able.next().is_some() || !self.due().is_empty();
                if self.policy.takes_first(several) {
                    return Some(Place { fiber: Rc::clone(first), processor: 0 });
                }
            }
        }
        let places = self.places(true);
        if places.is_empty() {
            return None;
        }
        let chosen = self.policy.choose(&candidates(&places));
        places.into_iter().nth(chosen)
    }

    /// Returns whether there is somebody beside the running thread who can run.
    fn are_others(&self) -> bool {
        if !self.may_be_others() {
            return false;
        }
        if self.count > 1 {
            return !self.places(false).is_empty();
        }
        // One processor: the same in less time, since this is asked at every point.
        processor::irql() < Irql::DISPATCH
            && (self.ready.borrow().iter().any(|fiber| fiber.can_go_on()) || !self.due().is_empty())
    }

    /// Returns whether there may be somebody beside the running thread who can run; where not, there is nobody. Costs little.
    fn may_be_others(&self) -> bool {
        !self.ready.borrow().is_empty()
            || self.earliest.get() <= self.now()
            || self.processors.borrow().iter().flatten().count() > 1
    }

    fn deadlines(&self) -> impl Iterator<Item = i64> {
        let fibers = self.fibers.borrow();
        let deadlines: Vec<i64> = fibers
            .iter()
            .filter_map(|fiber| match fiber.state.get() {
                State::Parked(deadline) => deadline,
                State::Ready | State::Running | State::Ended => None,
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
        self.suspend(&fiber);
    }

    /// Lets `thread` go on, or not park the next time.
    pub(crate) fn unpark(&self, thread: NonNull<KTHREAD>) {
        let Some(fiber) = self.find(thread) else { return };
        if let State::Parked(_) = fiber.state.get() {
            fiber.state.set(State::Ready);
            self.enqueue(fiber);
        } else {
            fiber.token.set(true);
        }
    }

    /// Lets the others that can run go first. Returns whether there were any.
    pub(crate) fn give_way(&self) -> bool {
        let others = if giant::is_on() { self.wants_this() } else { self.are_others() };
        if !others {
            giant::pass();
            return false;
        }
        let fiber = self.current();
        // Whoever spins or has run for long is not chosen again before the others.
        fiber.priority.set(self.policy.lowest());
        self.wait_turn(&fiber);
        true
    }

    /// Leaves the processor, or at `DISPATCH_LEVEL` and above this turn of it.
    fn wait_turn(&self, fiber: &Rc<Fiber>) {
        if processor::irql() < Irql::DISPATCH {
            fiber.state.set(State::Ready);
            self.enqueue(Rc::clone(fiber));
        }
        self.suspend(fiber);
    }

    /// Leaves the host thread to whoever is next. Returns when `fiber` runs again, maybe in another host thread.
    fn suspend(&self, fiber: &Fiber) {
        fiber.suspend(&self.lane().back);
    }

    /// Adds a thread to those that wait for a processor.
    fn enqueue(&self, fiber: Rc<Fiber>) {
        self.ring_for(&fiber);
        self.ready.borrow_mut().push_back(fiber);
    }

    /// Lets the running thread run on the processors of the set `affinity` only, and moves it there; `None`: on all. Returns what
    /// was said before.
    pub(crate) fn set_affinity(&self, affinity: Option<u64>) -> Option<u64> {
        let fiber = self.current();
        let before = fiber.affinity.replace(affinity);
        self.move_away(&fiber);
        before
    }

    /// Leaves a processor that the running thread may not have any more, as soon as its IRQL lets it.
    fn move_away(&self, fiber: &Rc<Fiber>) {
        if may_have(fiber, fiber.processor.get()) || processor::irql() >= Irql::DISPATCH {
            return;
        }
        fiber.state.set(State::Ready);
        self.ring_for(fiber);
        self.ready.borrow_mut().push_front(Rc::clone(fiber));
        self.suspend(fiber);
    }

    /// Ends the current fiber.
    pub(crate) fn exit(&self) -> ! {
        let fiber = self.current();
        fiber.state.set(State::Ended);
        let last = Rc::as_ptr(&fiber);
        drop(fiber);
        // SAFETY: the list, and `run` on its own stack, keep the fiber until `run` goes on, which frees it.
        self.suspend(unsafe { &*last });
        panic!("a fiber ran after its end")
    }
}
