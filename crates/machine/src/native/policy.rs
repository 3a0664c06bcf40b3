//! Which of the threads that can run runs next, and when the running one is interrupted.
//!
//! NT preempts a thread below `DISPATCH_LEVEL` at any instruction; here it may happen at scheduling points: where an
//! export is entered and left, where a trapped instruction was emulated, where the IRQL falls below `DISPATCH_LEVEL`, where a
//! push lock is taken or given back, where a wait is over, and while a lock is spun on. Seed 0 never interrupts and takes the
//! threads in turn. Any other seed draws one of two ways once: *random* interrupts with a drawn chance and takes any
//! thread; *priorities* (PCT: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
//! Bugs", ASPLOS 2010) gives each thread a random priority, always runs the highest, and lowers the running one's at
//! a few drawn points, which finds bugs that need few, well placed switches. A schedule is the third way: it says itself
//! where the order of turn is left. Nothing but seed and schedule decides.
//!
//! The clock interrupts where an export is entered and left below `DISPATCH_LEVEL`. On Windows it ticks every 15.6 ms or less and a
//! thread can lose its processor for far longer between two instructions, so a timer's routine may come anywhere from its due time on,
//! and that time may come anywhere. In turn it comes late and regularly; see [`Clock`] for what a seed draws.
//!
//! Points are numbered where there is a choice, and every departure from the order of turn is recorded, so that any run can be
//! played again without its seed's draws.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use record::{Schedule, Switch, Turn};

use super::random::Random;

/// Most points at which priorities change.
const CHANGES: u64 = 4;

/// When the clock interrupts, under a seed.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// At one point in so many.
    one_in: u64,
    /// How far time may go on by itself to reach what is to come next, in units of 100 ns.
    reach: i64,
    /// How often it still may.
    left: u64,
}

/// Whether the clock interrupts at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// It does not.
    None,
    /// It does, and timers that are due expire.
    Due,
    /// It does, when time has gone on to what is to come next.
    Next,
}

/// Where choices come from.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// A seed.
    Seed(u64),
    /// A schedule, exactly.
    Schedule(Schedule),
}

/// A thread that can run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// What a schedule calls it.
    pub(crate) turn: Turn,
    /// Its priority, where threads are chosen by priority.
    pub(crate) priority: u64,
}

/// A choice of schedules.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Apart from the machine's other random numbers, so that a cookie does not depend on a schedule.
    random: Random,
    kind: RefCell<Kind>,
    /// Apart from those of threads, so that a driver without timers has the same schedules whatever is drawn here.
    ticks: Random,
    clock: Cell<Option<Clock>>,
    /// Whether exploring has begun. The boot is the same for all seeds.
    on: Cell<bool>,
    /// Points so far at which there was a choice.
    points: Cell<u64>,
    /// The next lower priority to give.
    low: Cell<u64>,
    /// Takes what was not in turn.
    record: fn(Switch),
}

#[derive(Debug)]
enum Kind {
    InTurn,
    /// Interrupts at one point in so many.
    Random(u64),
    /// Points at which the running thread becomes the lowest.
    Priorities(Vec<u64>),
    /// What is left of a schedule.
    Replay(VecDeque<Switch>),
}

impl Policy {
    /// Makes a policy that takes threads in turn until [`Policy::reseed`]; tells `record` of what is not in turn.
    pub(crate) fn new(record: fn(Switch)) -> Self {
        Self {
            random: Random::new(0),
            kind: RefCell::new(Kind::InTurn),
            ticks: Random::new(0),
            clock: Cell::new(None),
            on: Cell::new(false),
            points: Cell::new(0),
            low: Cell::new(0),
            record,
        }
    }

    /// From here on choices follow `order`, and points are counted: once after the boot, and again in each fork of a machine,
    /// before driver code goes on. What was recorded until then stays true: points are not counted anew.
    pub(crate) fn reseed(&self, order: Order) {
        self.on.set(true);
        // Priorities given later are lower than all given before, and than all drawn ones.
        self.low.set(1 << 32);
        let clock = self.draw_clock(&order);
        let kind = match order {
            Order::Schedule(schedule) => {
                self.random.restart(0);
                Kind::Replay(schedule.switches.into())
            }
            Order::Seed(seed) => {
                self.random.restart(seed ^ 0x7C15_5EED_0F5C_4ED5);
                if seed == 0 { Kind::InTurn } else { self.draw_kind() }
            }
        };
        *self.kind.borrow_mut() = kind;
        self.clock.set(clock);
    }

    fn draw_kind(&self) -> Kind {
        if self.random.below(2) == 0 {
            return Kind::Random(2 << self.random.below(5));
        }
        // How long the run will be is not known: lengths of all magnitudes are tried.
        let length = 16_u64 << self.random.below(9);
        let count = self.random.below(CHANGES + 1);
        Kind::Priorities((0..count).map(|_| self.points.get() + self.random.below(length)).collect())
    }

    fn draw_clock(&self, order: &Order) -> Option<Clock> {
        let Order::Seed(seed @ 1..) = order else { return None };
        self.ticks.restart(seed ^ 0xC10C_5EED_71C5_0DD5);
        // Chances and times of all magnitudes, from 10 µs to 1 s; in half of the seeds time goes its way.
        let one_in = 1 << self.ticks.below(8);
        let reach = if self.ticks.below(2) == 0 { 0 } else { 10_i64.pow(2 + self.ticks.below(6) as u32) };
        Some(Clock { one_in, reach, left: 1 << self.ticks.below(3) })
    }

    /// A point where the clock could interrupt the `running` thread: there are timers or deadlines, and the next lies `ahead` of
    /// now, a due timer 0; `None`: only deadlines that have come, which need no interrupt. In turn it does where `in_turn`.
    pub(crate) fn clock(&self, running: Turn, in_turn: bool, ahead: Option<i64>) -> Tick {
        let in_turn = if in_turn { Tick::Due } else { Tick::None };
        let Some(number) = self.number() else { return in_turn };
        self.keep_change(number);
        let comes = match ahead {
            Some(..=0) => Tick::Due,
            Some(_) => Tick::Next,
            None => in_turn,
        };
        let wanted = self.wanted(number);
        let tick = match (wanted, self.clock.get()) {
            (Some(Turn::Clock), _) if ahead.is_some() => comes,
            (Some(turn), _) if turn == running => Tick::None,
            (Some(_), _) => {
                self.give_up();
                return in_turn;
            }
            (None, Some(clock)) => {
                self.draw_tick(clock, ahead.map(|ahead| (ahead, comes))).unwrap_or(in_turn)
            }
            (None, None) => in_turn,
        };
        if tick != in_turn || wanted.is_some() {
            self.departs(number, if tick == Tick::None { running } else { Turn::Clock });
        }
        tick
    }

    /// Draws whether the clock interrupts; `None`: as in turn.
    fn draw_tick(&self, clock: Clock, next: Option<(i64, Tick)>) -> Option<Tick> {
        let (ahead, comes) = next?;
        if ahead > 0 && (ahead > clock.reach || clock.left == 0) {
            return None;
        }
        if self.ticks.below(clock.one_in) != 0 {
            return if ahead > 0 { None } else { Some(Tick::None) };
        }
        if ahead > 0 {
            self.clock.set(Some(Clock { left: clock.left - 1, ..clock }));
        }
        Some(comes)
    }

    /// Leaves a change of priorities that was to come at point `number` to the next one: this is no point of theirs.
    fn keep_change(&self, number: u64) {
        if let Kind::Priorities(changes) = &mut *self.kind.borrow_mut() {
            changes.iter_mut().filter(|change| **change == number).for_each(|change| *change += 1);
        }
    }

    /// Draws a priority for a thread.
    pub(crate) fn priority(&self) -> u64 {
        (1 << 32) + self.random.draw() % (1 << 32)
    }

    /// Returns a priority below every other.
    pub(crate) fn lowest(&self) -> u64 {
        self.low.set(self.low.get().saturating_sub(1));
        self.low.get()
    }

    /// Numbers a point. `None` before exploring has begun.
    fn number(&self) -> Option<u64> {
        self.on.get().then(|| self.points.replace(self.points.get() + 1))
    }

    /// Notes that `to` was chosen at point `number` and was not in turn.
    fn departs(&self, number: u64, to: Turn) {
        (self.record)(Switch { point: number, to });
    }

    /// Returns what a schedule that is replayed wants at point `number`, if it wants something.
    fn wanted(&self, number: u64) -> Option<Turn> {
        let Kind::Replay(left) = &mut *self.kind.borrow_mut() else { return None };
        let next = left.front().filter(|next| next.point == number)?.to;
        left.pop_front();
        Some(next)
    }

    /// The schedule that is replayed wants what cannot be: nothing that it says later has a meaning.
    fn give_up(&self) {
        if let Kind::Replay(left) = &mut *self.kind.borrow_mut() {
            left.clear();
        }
    }

    /// Tells whether the first of the threads that can run is chosen in any case, and counts the point, if it is one: where
    /// there are `several`. Saves listing them.
    pub(crate) fn takes_first(&self, several: bool) -> bool {
        let in_turn = match &*self.kind.borrow() {
            Kind::InTurn => true,
            Kind::Replay(left) => left.front().is_none_or(|next| next.point != self.points.get()),
            Kind::Random(_) | Kind::Priorities(_) => false,
        };
        let takes = in_turn || !self.on.get() || !several;
        if takes && several {
            self.number();
        }
        takes
    }

    /// Chooses among threads that can run, in turn, while none runs. There must be one.
    pub(crate) fn choose(&self, candidates: &[Candidate]) -> usize {
        if candidates.len() < 2 {
            return 0;
        }
        let Some(number) = self.number() else { return 0 };
        let wanted = self.wanted(number);
        let index = match &*self.kind.borrow() {
            Kind::InTurn => 0,
            Kind::Random(_) => self.random.below(candidates.len() as u64) as usize,
            Kind::Priorities(_) => highest(candidates),
            Kind::Replay(_) => match wanted.map(|turn| position(candidates, turn)) {
                None => 0,
                Some(Some(index)) => index,
                Some(None) => usize::MAX,
            },
        };
        let Some(chosen) = candidates.get(index) else {
            self.give_up();
            return 0;
        };
        if index != 0 || wanted.is_some() {
            self.departs(number, chosen.turn);
        }
        index
    }

    /// A point where the running thread could go on, or one of the others run. In turn it goes on, or the first of the
    /// others where `rotates`. Returns which other one does; `None`: it goes on.
    pub(crate) fn point(
        &self,
        running: (Turn, &Cell<u64>),
        rotates: bool,
        candidates: impl FnOnce() -> Vec<Candidate>,
    ) -> Option<usize> {
        let in_turn = if rotates { Some(0) } else { None };
        let Some(number) = self.number() else { return in_turn };
        let (turn, priority) = running;
        let wanted = self.wanted(number);
        let kind = self.kind.borrow();
        let (index, candidates) = match &*kind {
            Kind::InTurn => return in_turn,
            Kind::Random(one_in) => {
                if self.random.below(*one_in) != 0 {
                    return in_turn;
                }
                let candidates = candidates();
                // One more: the running thread itself.
                (self.random.below(candidates.len() as u64 + 1) as usize, candidates)
            }
            Kind::Priorities(changes) => {
                if changes.contains(&number) {
                    priority.set(self.lowest());
                }
                let candidates = candidates();
                let index = highest(&candidates);
                let higher = candidates.get(index).is_some_and(|best| best.priority > priority.get());
                (if higher { index } else { candidates.len() }, candidates)
            }
            Kind::Replay(_) => {
                let Some(wanted) = wanted else { return in_turn };
                let candidates = candidates();
                let index =
                    if wanted == turn { Some(candidates.len()) } else { position(&candidates, wanted) };
                let Some(index) = index else {
                    drop(kind);
                    self.give_up();
                    return in_turn;
                };
                (index, candidates)
            }
        };
        let chosen = (index < candidates.len()).then_some(index);
        if chosen != in_turn || wanted.is_some() {
            self.departs(number, candidates.get(index).map_or(turn, |chosen| chosen.turn));
        }
        chosen
    }

    /// Draws how many turns other threads get after a step of the scenario, of `all` that let them come to rest.
    pub(crate) fn turns(&self, all: u32) -> u32 {
        let kind = self.kind.borrow();
        if !self.on.get() || matches!(*kind, Kind::InTurn | Kind::Replay(_)) || self.random.below(2) == 0 {
            return all;
        }
        self.random.below(8) as u32
    }

    /// A point where the scenario could go on although threads can run. Returns whether it does: in turn it waits; a seed
    /// lets it go on where `over`.
    pub(crate) fn goes_on(&self, over: bool) -> bool {
        let Some(number) = self.number() else { return false };
        let over = match self.wanted(number) {
            Some(Turn::Step) => true,
            Some(Turn::Thread { .. } | Turn::Clock) => {
                self.give_up();
                false
            }
            None => over,
        };
        if over {
            self.departs(number, Turn::Step);
        }
        over
    }
}

/// Returns the position of the highest priority, the first of equal ones.
fn highest(candidates: &[Candidate]) -> usize {
    let best = candidates.iter().enumerate().rev().max_by_key(|(_, candidate)| candidate.priority);
    best.map_or(0, |(index, _)| index)
}

fn position(candidates: &[Candidate], turn: Turn) -> Option<usize> {
    candidates.iter().position(|candidate| candidate.turn == turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static RECORDED: RefCell<Vec<Switch>> = const { RefCell::new(Vec::new()) };
    }

    fn candidates() -> Vec<Candidate> {
        let candidate =
            |id| Candidate { turn: Turn::Thread { id, processor: 0 }, priority: u64::from(id) << 33 };
        [8, 16, 12].map(candidate).to_vec()
    }

    /// What was decided at 300 points, what was recorded, and what a schedule of that records.
    fn decide(order: Order) -> (Vec<Option<usize>>, Vec<Switch>) {
        RECORDED.take();
        let policy = Policy::new(|switch| RECORDED.with_borrow_mut(|all| all.push(switch)));
        policy.reseed(order);
        let priority = Cell::new(14 << 33);
        let running = || (Turn::Thread { id: 14, processor: 0 }, &priority);
        let decisions = (0..100)
            .flat_map(|round| {
                let waits = policy.goes_on(policy.turns(10) < 10);
                // Due, a little ahead, far ahead, and nothing ahead.
                let ahead = [Some(0), Some(500), Some(900_000), None][round % 4];
                let tick = policy.clock(running().0, round % 16 == 0, ahead);
                [
                    Some(policy.choose(&candidates())),
                    policy.point(running(), round % 8 == 7, candidates),
                    waits.then_some(9),
                    Some(tick as usize),
                ]
            })
            .collect();
        (decisions, RECORDED.take())
    }

    #[test]
    fn a_seed_decides_the_same_every_time_and_seeds_differ() {
        let all: std::collections::BTreeSet<_> = (1..50).map(|seed| decide(Order::Seed(seed)).0).collect();
        // Seeds that draw priorities and no change point may well agree.
        assert!(all.len() > 25, "{}", all.len());
        for seed in 1..50 {
            assert_eq!(decide(Order::Seed(seed)), decide(Order::Seed(seed)));
        }
    }

    #[test]
    fn a_recorded_schedule_decides_what_its_seed_decided() {
        for seed in 0..50 {
            let (decisions, switches) = decide(Order::Seed(seed));
            let schedule = Schedule { switches, ..Schedule::default() };
            assert_eq!(seed == 0, schedule.switches.is_empty());
            let read: Schedule = schedule.to_string().parse().unwrap();
            assert_eq!(decide(Order::Schedule(read)), (decisions, schedule.switches), "seed {seed}");
        }
    }

    /// In turn the clock interrupts regularly and never lets time go on; over seeds it comes at each point, due or ahead of its
    /// time, and also stays away where it would come in turn.
    #[test]
    fn the_clock_may_interrupt_anywhere() {
        let ticks = |order: Order| {
            let policy = Policy::new(|_| ());
            policy.reseed(order);
            let running = Turn::Thread { id: 8, processor: 0 };
            let tick =
                |point: u64| policy.clock(running, point == 30, Some(if point < 20 { 90_000 } else { 0 }));
            (0..40).map(tick).collect::<Vec<_>>()
        };
        let in_turn = ticks(Order::Seed(0));
        assert!((0..40).all(|point| (in_turn[point] == Tick::Due) == (point == 30)), "{in_turn:?}");
        let all: Vec<_> = (1..4000).map(|seed| ticks(Order::Seed(seed))).collect();
        for point in 0..40 {
            let wanted = if point < 20 { Tick::Next } else { Tick::Due };
            let first = |ticks: &&Vec<Tick>| ticks.iter().position(|tick| *tick == wanted) == Some(point);
            assert!(all.iter().any(|ticks| first(&ticks)), "never first at point {point}");
        }
        assert!(all.iter().any(|ticks| ticks[30] == Tick::None));
        let steps = |ticks: &Vec<Tick>| ticks.iter().filter(|tick| **tick == Tick::Next).count();
        assert!(all.iter().all(|ticks| steps(ticks) <= 4) && all.iter().any(|ticks| steps(ticks) == 0));
    }

    #[test]
    fn a_schedule_that_does_not_fit_is_left_where_it_does_not() {
        for text in [
            "s2:2=16,6=99,9=8",
            "s2:2=16,4=8,9=8",
            "s2:2=16,7=step,9=8",
            "s2:2=16,6=clock,9=8",
            "s2:2=16,5=8,9=8",
        ] {
            let wanted: Schedule = text.parse().unwrap();
            let (decisions, switches) = decide(Order::Schedule(wanted.clone()));
            assert_eq!(decisions[0], Some(1));
            assert_eq!(switches.len(), 1, "{text}: {switches:?}");
            let ran = Schedule { switches, ..Schedule::default() };
            assert!(wanted.misfit(&ran).unwrap().contains("does not fit"), "{text}");
        }
    }

    #[test]
    fn nothing_is_explored_or_counted_before_it_begins() {
        let policy = Policy::new(|_| panic!("nothing is recorded"));
        assert_eq!(policy.choose(&candidates()), 0);
        assert_eq!(policy.point((Turn::Step, &Cell::new(0)), false, candidates), None);
        assert!(!policy.goes_on(true));
        assert_eq!(policy.points.get(), 0);
    }
}
