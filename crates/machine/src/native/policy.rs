//! Which of the threads that can run runs next, and when the running one is interrupted.
//!
//! NT preempts a thread below `DISPATCH_LEVEL` at any instruction; here it may happen at scheduling points: at every
//! export call, when the IRQL falls below `DISPATCH_LEVEL`, and while a lock is spun on. Seed 0 never interrupts and takes the threads in
//! turn. Any other seed draws one of two ways once: *random* interrupts with a drawn chance and takes any thread; *priorities* (PCT:
//! Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010) gives
//! each thread a random priority, always runs the highest, and lowers the running one's at a few drawn points, which finds bugs
//! that need few, well placed switches. Nothing but the seed decides.

use std::cell::{Cell, RefCell};

use super::random::Random;

/// Most points at which priorities change.
const CHANGES: u64 = 4;

/// A seeded choice of schedules.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Apart from the machine's other random numbers, so that a cookie does not depend on a schedule.
    random: Random,
    kind: Kind,
    /// Whether exploring has begun. The boot is the same for all seeds.
    on: Cell<bool>,
    /// Scheduling points so far.
    points: Cell<u64>,
    /// The next lower priority to give.
    low: Cell<u64>,
}

#[derive(Debug)]
enum Kind {
    InTurn,
    /// Interrupts at one point in so many.
    Random(u64),
    /// Points at which the running thread becomes the lowest.
    Priorities(RefCell<Vec<u64>>),
}

impl Policy {
    /// Draws the way of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let policy = |random, kind| Self {
            random,
            kind,
            on: Cell::new(false),
            points: Cell::new(0),
            // Priorities given later are lower than all given before, and than all drawn ones.
            low: Cell::new(1 << 32),
        };
        if seed == 0 {
            return policy(Random::new(0), Kind::InTurn);
        }
        let random = Random::new(seed ^ 0x7C15_5EED_0F5C_4ED5);
        let kind = if random.below(2) == 0 {
            Kind::Random(2 << random.below(5))
        } else {
            // How long the run will be is not known: lengths of all magnitudes are tried.
            let length = 16_u64 << random.below(9);
            let count = random.below(CHANGES + 1);
            Kind::Priorities(RefCell::new((0..count).map(|_| random.below(length)).collect()))
        };
        policy(random, kind)
    }

    /// Begins to explore.
    pub(crate) fn begin(&self) {
        self.on.set(true);
    }

    /// Returns whether threads are taken in turn and never interrupted.
    pub(crate) fn in_turn(&self) -> bool {
        matches!(self.kind, Kind::InTurn) || !self.on.get()
    }

    /// Draws a priority for a thread.
    pub(crate) fn priority(&self) -> u64 {
        (1 << 32) + self.random.draw() % (1 << 32)
    }

    /// Returns a priority below every other.
    pub(crate) fn lowest(&self) -> u64 {
        self.low.set(self.low.get() - 1);
        self.low.get()
    }

    /// Chooses among ready threads, given their priorities in the order in which they became ready.
    pub(crate) fn choose(&self, priorities: &[u64]) -> usize {
        match self.kind {
            _ if self.in_turn() => 0,
            Kind::InTurn => 0,
            Kind::Random(_) => self.random.below(priorities.len() as u64) as usize,
            Kind::Priorities(_) => {
                let best = priorities.iter().enumerate().rev().max_by_key(|(_, priority)| **priority);
                best.map_or(0, |(index, _)| index)
            }
        }
    }

    /// Counts a scheduling point. Returns whether the running thread, of priority `running`, is interrupted, and a new
    /// priority for it. `best` is the highest priority of the threads that can run.
    pub(crate) fn point(&self, running: u64, best: u64) -> (bool, Option<u64>) {
        if self.in_turn() {
            return (false, None);
        }
        let number = self.points.replace(self.points.get() + 1);
        match &self.kind {
            Kind::InTurn => (false, None),
            Kind::Random(one_in) => (self.random.below(*one_in) == 0, None),
            Kind::Priorities(changes) if changes.borrow().contains(&number) => (true, Some(self.lowest())),
            Kind::Priorities(_) => (best > running, None),
        }
    }

    /// Returns how many turns other threads get after a step of the scenario; `all` where they are let come to rest.
    pub(crate) fn turns(&self, all: u32) -> u32 {
        if self.in_turn() || self.random.below(2) == 0 { all } else { self.random.below(8) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(seed: u64) -> Vec<(usize, bool)> {
        let policy = Policy::new(seed);
        policy.begin();
        let priorities: Vec<u64> = (0..5).map(|_| policy.priority()).collect();
        (0..500).map(|_| (policy.choose(&priorities), policy.point(priorities[0], priorities[1]).0)).collect()
    }

    #[test]
    fn seed_0_takes_threads_in_turn_and_never_interrupts() {
        assert!(decisions(0).iter().all(|decision| *decision == (0, false)));
    }

    #[test]
    fn a_seed_decides_the_same_every_time_and_seeds_differ() {
        let all: std::collections::BTreeSet<_> = (1..50).map(decisions).collect();
        // Seeds that draw priorities and no change point may well agree.
        assert!(all.len() > 25, "{}", all.len());
        for seed in 1..50 {
            assert_eq!(decisions(seed), decisions(seed));
        }
    }

    #[test]
    fn nothing_is_explored_before_it_begins() {
        let policy = Policy::new(7);
        assert_eq!(policy.choose(&[1, 2, 3]), 0);
        assert_eq!(policy.point(0, u64::MAX), (false, None));
    }
}
