//! The shortest schedule that still shows what was found.
//!
//! A schedule that a seed drew leaves the order of turn at many points, most of which have nothing to do with what it found.
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) leaves out more
//! and more of them as long as the run shows the same; then each that is left is left out alone until none can be, moved to an
//! earlier point, and given to a thread that was made earlier. What remains reads as the story of the race.
//!
//! Only a search: a shorter schedule may exist that no step of it comes by. None of the switches that are left can be left out alone.

use std::collections::BTreeSet;

use record::{Schedule, Switch, Turn};

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortest {
    /// The shortest schedule found. It shows what the first one showed.
    pub schedule: Schedule,
    /// How many schedules were tried.
    pub tries: u64,
    /// Whether nothing was left to try; otherwise the limit ended the search.
    pub complete: bool,
}

/// Makes `start` shorter as long as `play` shows the same, in at most `most` tries.
///
/// `play` runs a schedule and returns the one that ran, where the run showed what `start` showed; a run that was to follow
/// a schedule can depart from it where a switch could not happen. The same schedule must always give the same answer.
pub fn shortest(start: &Schedule, most: u64, play: impl FnMut(&Schedule) -> Option<Schedule>) -> Shortest {
    let mut targets: Vec<Turn> = start.switches.iter().map(|switch| switch.to).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut search = Search {
        version: start.version,
        best: start.switches.clone(),
        targets,
        known: BTreeSet::new(),
        tries: 0,
        most,
        play,
    };
    while !search.is_over() {
        let before = search.best.clone();
        search.halve();
        search.leave_out_each();
        search.simplify();
        if search.best == before {
            break;
        }
    }
    Shortest {
        schedule: Schedule { version: search.version, switches: search.best.clone() },
        tries: search.tries,
        complete: !search.is_over(),
    }
}

struct Search<P> {
    version: u32,
    best: Vec<Switch>,
    /// What ran instead at the points of the first schedule, each once, in order.
    targets: Vec<Turn>,
    /// What has been tried in vain.
    known: BTreeSet<Vec<Switch>>,
    tries: u64,
    most: u64,
    play: P,
}

/// Orders schedules: fewer switches first, then earlier points, then threads made earlier.
fn weight(switches: &[Switch]) -> (usize, Vec<u64>, Vec<Turn>) {
    let points = switches.iter().map(|switch| switch.point).collect();
    (switches.len(), points, switches.iter().map(|switch| switch.to).collect())
}

impl<P: FnMut(&Schedule) -> Option<Schedule>> Search<P> {
    fn is_over(&self) -> bool {
        self.tries >= self.most
    }

    /// Plays `candidate`, and keeps it where it is better and shows the same. Returns whether it was kept.
    fn try_out(&mut self, candidate: Vec<Switch>) -> bool {
        if self.is_over() || weight(&candidate) >= weight(&self.best) || self.known.contains(&candidate) {
            return false;
        }
        self.tries += 1;
        let schedule = Schedule { version: self.version, switches: candidate };
        match (self.play)(&schedule) {
            Some(ran) => {
                // What ran is the same run, so it needs no try of its own.
                let better = weight(&ran.switches) < weight(&schedule.switches);
                self.best = if better { ran.switches } else { schedule.switches };
                true
            }
            None => {
                self.known.insert(schedule.switches);
                false
            }
        }
    }

    /// Delta debugging: keeps one part of several, or leaves out one, and goes on with smaller parts where neither shows
    /// the same.
    fn halve(&mut self) {
        self.try_out(Vec::new());
        let mut parts = 2;
        while self.best.len() >= 2 && !self.is_over() {
            let size = self.best.len().div_ceil(parts);
            let starts: Vec<usize> = (0..self.best.len()).step_by(size).collect();
            let one = |best: &[Switch], start: usize| best[start..best.len().min(start + size)].to_vec();
            let others = |best: &[Switch], start: usize| {
                let end = best.len().min(start + size);
                [&best[..start], &best[end..]].concat()
            };
            if starts.iter().any(|start| self.try_out(one(&self.best, *start))) {
                parts = 2;
            } else if starts.iter().any(|start| self.try_out(others(&self.best, *start))) {
                parts = (parts - 1).max(2);
            } else if size == 1 {
                return;
            } else {
                parts = (parts * 2).min(self.best.len());
            }
        }
    }

    /// Leaves out each switch alone, from the last to the first, until none can be.
    fn leave_out_each(&mut self) {
        loop {
            let mut any = false;
            for index in (0..self.best.len()).rev() {
                // What ran may have been shorter by more than one.
                if index < self.best.len() {
                    let mut candidate = self.best.clone();
                    candidate.remove(index);
                    any |= self.try_out(candidate);
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Moves each switch to an earlier point, alone or with all behind it, and gives it to a thread made earlier.
    fn simplify(&mut self) {
        let mut index = 0;
        while index < self.best.len() && !self.is_over() {
            let length = self.best.len();
            while self.move_earlier(index) && self.best.len() == length {}
            if self.best.len() == length {
                self.choose_simpler(index);
            }
            if self.best.len() == length {
                index += 1;
            } else {
                index = 0;
            }
        }
    }

    fn move_earlier(&mut self, index: usize) -> bool {
        let first = index.checked_sub(1).map_or(0, |before| self.best[before].point + 1);
        // As far as possible, and then by smaller and smaller steps.
        let mut step = self.best[index].point - first;
        while step > 0 {
            let mut alone = self.best.clone();
            alone[index].point -= step;
            let mut with_rest = self.best.clone();
            with_rest[index..].iter_mut().for_each(|switch| switch.point -= step);
            if self.try_out(alone) || self.try_out(with_rest) {
                return true;
            }
            step /= 2;
        }
        false
    }

    fn choose_simpler(&mut self, index: usize) {
        let now = self.best[index].to;
        for target in self.targets.clone() {
            let mut candidate = self.best.clone();
            candidate[index].to = target;
            if target >= now || self.try_out(candidate) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random numbers that are the same every time (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    fn schedule(numbers: &mut Numbers, length: usize) -> Schedule {
        let mut point = 0;
        let mut switches = Vec::new();
        for _ in 0..length {
            point += 1 + numbers.below(20);
            let id = 8 + 4 * numbers.below(4) as u32;
            let to = match numbers.below(10) {
                0 => Turn::Step,
                1 => Turn::Clock,
                _ => Turn::Thread { id, processor: 0 },
            };
            switches.push(Switch { point, to });
        }
        Schedule { switches, ..Schedule::default() }
    }

    fn only(switches: Vec<Switch>) -> Schedule {
        Schedule { switches, ..Schedule::default() }
    }

    fn holds_all(schedule: &Schedule, needed: &[Switch]) -> bool {
        needed.iter().all(|switch| schedule.switches.contains(switch))
    }

    /// Whether no single switch can be left out.
    fn is_minimal(schedule: &Schedule, shows: impl Fn(&Schedule) -> bool) -> bool {
        (0..schedule.switches.len()).all(|index| {
            let mut fewer = schedule.clone();
            fewer.switches.remove(index);
            !shows(&fewer)
        })
    }

    #[test]
    fn exactly_what_is_needed_is_left() {
        let mut numbers = Numbers(1);
        for _ in 0..300 {
            let length = numbers.below(80) as usize;
            let start = schedule(&mut numbers, length);
            let needed: Vec<Switch> =
                start.switches.iter().copied().filter(|_| numbers.below(length as u64) < 4).collect();
            let found = shortest(&start, u64::MAX, |candidate| {
                holds_all(candidate, &needed).then(|| candidate.clone())
            });
            assert_eq!(found.schedule, only(needed), "of {start}");
            assert!(found.complete);
            // Delta debugging's worst case is quadratic; moving adds a few tries for each that is left.
            assert!(found.tries <= (length * length + 80 * length + 2) as u64, "{} of {length}", found.tries);
        }
    }

    /// Whatever the answers, even if they follow no reason: what comes out shows it, is minimal and not longer.
    #[test]
    fn what_comes_out_shows_the_same_and_cannot_lose_a_switch() {
        let mut numbers = Numbers(2);
        for round in 0..300 {
            let length = numbers.below(30) as usize;
            let start = schedule(&mut numbers, length);
            let one_in = 2 + numbers.below(6);
            let shows = |candidate: &Schedule| {
                let mut hash = round * 2 + 1;
                for switch in &candidate.switches {
                    let to = match switch.to {
                        Turn::Thread { id, .. } => u64::from(id),
                        Turn::Step => 1,
                        Turn::Clock => 2,
                    };
                    hash = Numbers(hash ^ (switch.point << 8) ^ to ^ 0x5EED_0000_0000).below(u64::MAX);
                }
                *candidate == start || hash % one_in == 0
            };
            let found = shortest(&start, u64::MAX, |candidate| shows(candidate).then(|| candidate.clone()));
            assert!(
                shows(&found.schedule) && is_minimal(&found.schedule, shows),
                "{start} to {}",
                found.schedule
            );
            assert!(found.schedule.switches.len() <= length);
            let points: Vec<u64> = found.schedule.switches.iter().map(|switch| switch.point).collect();
            assert!(points.is_sorted_by(|left, right| left < right), "{}", found.schedule);
            assert_eq!(found.schedule.to_string().parse(), Ok(found.schedule.clone()));
        }
    }

    #[test]
    fn a_search_ends_at_its_limit_and_keeps_what_it_has() {
        let mut numbers = Numbers(3);
        for most in 0..60 {
            let start = schedule(&mut numbers, 60);
            let needed = [start.switches[7], start.switches[40]];
            let mut tries = 0;
            let found = shortest(&start, most, |candidate| {
                tries += 1;
                holds_all(candidate, &needed).then(|| candidate.clone())
            });
            assert!(tries <= most && found.tries == tries);
            assert!(holds_all(&found.schedule, &needed));
            assert!(found.complete || tries == most);
        }
    }

    #[test]
    fn no_schedule_is_tried_twice() {
        let mut numbers = Numbers(4);
        let start = schedule(&mut numbers, 40);
        let needed = [start.switches[3], start.switches[20], start.switches[21]];
        let mut tried = BTreeSet::new();
        shortest(&start, u64::MAX, |candidate| {
            assert!(tried.insert(candidate.clone()), "{candidate} was tried before");
            holds_all(candidate, &needed).then(|| candidate.clone())
        });
    }

    #[test]
    fn what_needs_no_switch_is_seen_at_once() {
        let start = schedule(&mut Numbers(5), 1000);
        let found = shortest(&start, u64::MAX, |candidate| Some(candidate.clone()));
        assert_eq!((found.schedule, found.tries), (Schedule::default(), 1));
    }

    #[test]
    fn a_switch_moves_to_the_first_point_that_will_do_and_to_the_first_thread() {
        let thread = |id| Turn::Thread { id, processor: 0 };
        let start = only(vec![
            Switch { point: 57, to: thread(260) },
            Switch { point: 300, to: thread(256) },
            Switch { point: 900, to: Turn::Step },
        ]);
        // Some thread has to run at a point from 33 to 70, and the scenario has to go on within 20 points of it.
        let found = shortest(&start, u64::MAX, |candidate| {
            let [first, .., last] = candidate.switches[..] else { return None };
            let shows = (33..=70).contains(&first.point)
                && first.to != Turn::Step
                && last.to == Turn::Step
                && (last.point - first.point <= 20 || last.point == 900);
            shows.then(|| candidate.clone())
        });
        assert_eq!(found.schedule.to_string(), "s2:33=256,34=step");
    }

    #[test]
    fn what_could_not_happen_is_dropped_without_a_try() {
        let start = schedule(&mut Numbers(6), 64);
        let needed = start.switches[10];
        let mut tries = 0;
        let found = shortest(&start, 3, |candidate| {
            tries += 1;
            // Of everything that was to happen only this one could.
            candidate.switches.contains(&needed).then(|| only(vec![needed]))
        });
        assert_eq!(found.schedule, only(vec![needed]));
        assert_eq!(tries, 3);
    }
}
