//! The search for a schedule that breaks a driver: one machine is booted and forked once per seed.
//!
//! Forks begin before the first driver is loaded, so threads that a `DriverEntry` starts are explored like any other, and a fork
//! goes the very way of `ringbell run` with its seed. Loading a driver in each fork costs less than forking does.
//!
//! The same scenario, first seed and number of schedules give the same finds with any number of jobs: where the search stops at
//! the first find, that is the one with the lowest seed, and whatever a job found beyond it is dropped.

mod complaint;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use record::{Ending, Report, Schedule};

use crate::scenario::{Scenario, Stopped};
use crate::{Base, Machine, Shortest, interrupt, shortest};
use ::machine::{Config, MachineError};

pub use complaint::{Complaint, complaints};
pub use faults::{FaultFind, FaultSearch, fail_each};

/// Most schedules tried to make that of a find shorter, unless told otherwise.
pub const TRIES: u64 = 1000;

/// Most machines at a time, on a host of few processors.
const MOST_JOBS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Returns how many machines run at a time at most: more only wait for each other, and each takes memory, processes and open
/// files.
pub fn most_jobs() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(MOST_JOBS, |all| all.max(MOST_JOBS))
}

/// What to explore, and how far.
#[derive(Clone, Debug)]
pub struct Explore {
    /// What each machine does. Seed and schedule of its settings are not looked at, and no dump is written.
    pub scenario: Scenario,
    /// Seed of the first schedule. Seed 0 takes threads in turn.
    pub first_seed: u64,
    /// How many seeds are tried, one after the other. They end at 2^64 - 1.
    pub schedules: u64,
    /// How many machines run at a time; more than [`most_jobs`] never do.
    pub jobs: NonZeroUsize,
    /// Whether to go on after the first find.
    pub keep_going: bool,
    /// Most schedules tried to make that of a find shorter; 0 leaves it as it is.
    pub tries: u64,
}

impl Explore {
    /// Explores `scenario` with 1,000 seeds from 0, up to the first find, on all processors.
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            first_seed: 0,
            schedules: 1000,
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            keep_going: false,
            tries: TRIES,
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Seed of the first schedule.
    pub first_seed: u64,
    /// How many schedules count: all, or those up to the first find.
    pub schedules: u64,
    /// Seed of the first schedule that was not played, where somebody interrupted the search.
    pub go_on: Option<u64>,
    /// Different complaints, by the seed that showed them first.
    pub finds: Vec<Find>,
}

/// A complaint, and how to have it again.
#[derive(Clone, Debug)]
pub struct Find {
    /// What is wrong.
    pub complaint: Complaint,
    /// Lowest seed that shows it.
    pub seed: u64,
    /// How many of the schedules show it.
    pub count: u64,
    /// The whole run with that seed.
    pub report: Report,
    /// A shorter schedule that shows the same and ends the same way (rules and ending, wherever), with the same seed for all
    /// else. `None` where none was searched for: the run left the order of turn nowhere, too often to be recorded, or ended at its
    /// time limit.
    pub shortest: Option<Shortest>,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many schedules were played, and so many different complaints found.
    Played {
        /// Schedules.
        schedules: u64,
        /// Different complaints.
        finds: usize,
    },
    /// The schedules of the finds are being made shorter; so many have been tried.
    Shortening {
        /// Schedules.
        tries: u64,
    },
}

type Key = (String, String);

/// What the jobs share.
struct Board {
    /// Index of the next seed.
    next: AtomicU64,
    /// Indices from here on are not played.
    end: AtomicU64,
    /// The first index that was begun and not ended, because somebody interrupted the search.
    open: AtomicU64,
    played: AtomicU64,
    finds: Mutex<BTreeMap<Key, (u64, Find)>>,
    /// The first error, by the index of its seed.
    failed: Mutex<Option<(u64, Stopped)>>,
    /// What a run said that did not make the call that was to fail.
    unmade: Mutex<Option<String>>,
    /// Whether a run made it, or none was to fail.
    made: AtomicBool,
}

/// Returns what a run shows, which may be that a step was refused.
fn shown(done: Result<Report, Stopped>) -> Result<(Vec<Complaint>, Report), Stopped> {
    match done {
        Ok(report) => Ok((complaints(&report), report)),
        Err(Stopped { error: MachineError::Refused(_), report: Some(report), .. }) => {
            Ok((complaints(&report), *report))
        }
        Err(stopped) => Err(stopped),
    }
}

/// Returns whether somebody interrupted the run, so that nothing follows from it.
fn cut_short(done: &Result<Report, Stopped>) -> bool {
    match done {
        Ok(report) => matches!(report.ending, Ending::Interrupted { .. }),
        Err(Stopped { error: MachineError::Interrupted, .. }) => true,
        Err(Stopped { report, .. }) => {
            report.as_ref().is_some_and(|report| matches!(report.ending, Ending::Interrupted { .. }))
        }
    }
}

/// Returns what is wrong with a run, wherever it is, and how it ended. A rule that judges an ending tells of it in its stead, so the
/// ending is none of the complaints then, and other runs break the same rule and go on.
fn kinds(complaints: &[Complaint], ending: &Ending) -> (BTreeSet<String>, Discriminant<Ending>, Option<u32>) {
    let code = match ending {
        Ending::Bugcheck(check) => Some(check.code),
        // A deadlock and a loop are two stories, of one variant.
        Ending::Hang(hang) => Some(hang.deadlock.into()),
        _ => None,
    };
    (complaints.iter().map(|complaint| complaint.what.clone()).collect(), discriminant(ending), code)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A job that panicked takes the whole search with it when its thread is joined.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Explore {
    /// Searches, and tells `watch` how far it is.
    ///
    /// # Errors
    ///
    /// Fails where a machine cannot be had, and where a step is refused with the first seed: an image that cannot be loaded, an
    /// object that is not there. Fails also where the seeds do not reach that far, where somebody ends a kernel process, and where the
    /// settings name a call that is to fail and no schedule ever makes it.
    pub fn run(&self, watch: impl Fn(Progress) + Sync) -> Result<Exploration, Stopped> {
        let last = self.first_seed.checked_add(self.schedules.saturating_sub(1));
        if last.is_none() {
            let (first, schedules) = (self.first_seed, self.schedules);
            let message = format!(
                "{schedules} schedules from seed {first} on go beyond the last seed, {}\nhint: begin earlier, or try fewer",
                u64::MAX
            );
            return Err(MachineError::Config(message).into());
        }
        let board = Board {
            next: AtomicU64::new(0),
            end: AtomicU64::new(self.schedules),
            open: AtomicU64::new(u64::MAX),
            played: AtomicU64::new(0),
            finds: Mutex::default(),
            failed: Mutex::default(),
            unmade: Mutex::default(),
            made: AtomicBool::new(false),
        };
        let jobs = self.jobs().min(usize::try_from(self.schedules).unwrap_or(usize::MAX));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(&board, &watch));
            }
        });
        let end = board.end.into_inner();
        let reached = board.open.into_inner().min(board.next.into_inner());
        let interrupted = interrupt::caught().is_some() && reached < end;
        let go_on = interrupted.then(|| self.first_seed.saturating_add(reached));
        if let Some((index, stopped)) = board.failed.into_inner().unwrap_or_else(PoisonError::into_inner)
            && index < end.max(1)
        {
            return Err(stopped);
        }
        let unmade = board.unmade.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = unmade.filter(|_| !interrupted && !board.made.into_inner()) {
            return Err(MachineError::Config(said).into());
        }
        let finds = board.finds.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut finds: Vec<(u64, Find)> = finds.into_values().filter(|(index, _)| *index < end).collect();
        // The ending of a run comes before what led to it; stable, and the map was sorted.
        finds.sort_by_key(|(index, _)| *index);
        let mut finds: Vec<Find> = finds.into_iter().map(|(_, find)| find).collect();
        if self.tries > 0 && !interrupted {
            self.shorten(&mut finds, &watch)?;
        }
        let schedules = if interrupted { reached } else { end };
        Ok(Exploration { first_seed: self.first_seed, schedules, go_on, finds })
    }

    fn jobs(&self) -> usize {
        self.jobs.min(most_jobs()).get()
    }

    fn base(&self) -> Result<Base, MachineError> {
        let config = Config { seed: 0, schedule: None, ..self.scenario.config.clone() };
        Ok(Machine::boot(config)?.into_base())
    }

    fn play(&self, base: &mut Base, seed: u64, schedule: Option<Schedule>) -> Result<Report, Stopped> {
        let config = Config { seed, schedule, ..self.scenario.config.clone() };
        self.scenario.run_on(base.fork(config)?)
    }

    /// One job: takes seeds until there are no more.
    fn work(&self, board: &Board, watch: &(impl Fn(Progress) + Sync)) {
        let fail = |index: u64, stopped: Stopped| {
            board.end.fetch_min(index + 1, Ordering::Relaxed);
            let mut failed = lock(&board.failed);
            if failed.as_ref().is_none_or(|(first, _)| index < *first) {
                *failed = Some((index, stopped));
            }
        };
        let mut base = match self.base() {
            Ok(base) => base,
            Err(MachineError::Interrupted) => return,
            Err(error) => return fail(0, error.into()),
        };
        loop {
            if interrupt::caught().is_some() {
                return;
            }
            let index = board.next.fetch_add(1, Ordering::Relaxed);
            if index >= board.end.load(Ordering::Relaxed) {
                return;
            }
            let seed = self.first_seed.saturating_add(index);
            // What the very first schedule refuses is the scenario's mistake; what only another refuses is a find.
            let done = self.play(&mut base, seed, None);
            if cut_short(&done) {
                board.open.fetch_min(index, Ordering::Relaxed);
                return;
            }
            match if index == 0 { done.map(|report| (complaints(&report), report)) } else { shown(done) } {
                Ok((complaints, report)) => {
                    match self.scenario.unmade(&report) {
                        Some((text, hint)) => {
                            lock(&board.unmade).get_or_insert_with(|| format!("{text}\nhint: {hint}"));
                        }
                        None => board.made.store(true, Ordering::Relaxed),
                    }
                    self.enter(board, index, seed, complaints, &report);
                }
                Err(stopped) => fail(index, stopped),
            }
            let schedules = board.played.fetch_add(1, Ordering::Relaxed) + 1;
            let finds = lock(&board.finds).len();
            watch(Progress::Played { schedules, finds });
        }
    }

    /// Enters what a run shows.
    fn enter(&self, board: &Board, index: u64, seed: u64, complaints: Vec<Complaint>, report: &Report) {
        if complaints.is_empty() {
            return;
        }
        if !self.keep_going {
            board.end.fetch_min(index + 1, Ordering::Relaxed);
        }
        let mut finds = lock(&board.finds);
        for complaint in complaints {
            let key = complaint.key();
            let fresh = |count| {
                let report = report.clone();
                (index, Find { complaint: complaint.clone(), seed, count, report, shortest: None })
            };
            match finds.get_mut(&key) {
                None => {
                    finds.insert(key, fresh(1));
                }
                Some((first, find)) if index < *first => {
                    // Where the search stops at the first, what was found with a higher seed does not count.
                    let count = if self.keep_going { find.count + 1 } else { 1 };
                    (*first, *find) = fresh(count);
                }
                Some((_, find)) => find.count += u64::from(self.keep_going),
            }
        }
    }

    /// Makes the schedules of finds shorter, several at a time.
    fn shorten(&self, finds: &mut [Find], watch: &(impl Fn(Progress) + Sync)) -> Result<(), Stopped> {
        let tries = AtomicU64::new(0);
        let failed = Mutex::new(None);
        let finds = Mutex::new(finds.iter_mut());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs() {
                scope.spawn(|| {
                    let mut base = None;
                    loop {
                        let Some(find) = lock(&finds).next() else { return };
                        let tried = || {
                            watch(Progress::Shortening { tries: tries.fetch_add(1, Ordering::Relaxed) + 1 });
                        };
                        if let Err(error) = self.shorten_one(find, &mut base, tried) {
                            *lock(&failed) = Some(error);
                            return;
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(MachineError::into(error)),
            None => Ok(()),
        }
    }

    fn shorten_one(
        &self,
        find: &mut Find,
        base: &mut Option<Base>,
        tried: impl Fn(),
    ) -> Result<(), MachineError> {
        let slow = matches!(&find.report.ending, Ending::Hang(hang) if !hang.deadlock);
        let Some(start) = find.report.schedule.as_ref().filter(|start| !start.switches.is_empty() && !slow)
        else {
            return Ok(());
        };
        let base = match base {
            Some(base) => base,
            None => base.insert(self.base()?),
        };
        let key = find.complaint.key();
        let all = kinds(&complaints(&find.report), &find.report.ending);
        let seed = find.seed;
        let mut failed = None;
        let mut found = shortest(start, self.tries, |schedule| {
            if failed.is_some() || interrupt::caught().is_some() {
                return None;
            }
            tried();
            let played = shown(self.play(base, seed, Some(schedule.clone())));
            let (complaints, report) = played.map_err(|stopped| failed = Some(stopped.error)).ok()?;
            // A run that shows more, or ends worse, is another story.
            let same = complaints.iter().any(|complaint| complaint.key() == key)
                && kinds(&complaints, &report.ending) == all;
            report.schedule.filter(|_| same)
        });
        if interrupt::caught().is_some() {
            // Whoever interrupts the search for a shorter one gets the best so far.
            (found.complete, failed) = (false, None);
        }
        find.shortest = Some(found);
        failed.map_or(Ok(()), Err)
    }
}
