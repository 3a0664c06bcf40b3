//! Playing a scenario on a machine.

use std::fmt;

use nt::NTSTATUS;
use record::{Check, Ending, Event, FaultPlan, Fnv1a, NotPlayed, Report, Snapshot, What};

use super::dump::Dumps;
use super::expect::{check, ending_words};
use super::mistake::printable;
use super::observe::Observer;
use super::{Act, Expectation, Place, Scenario, Step};
use crate::machine::ticks;
use crate::{Driver, Machine, Ring, near};
use ::machine::{Done, MachineError, Member};

/// Plays steps on a machine, and remembers what they came to. A copy can play on with a copy of the machine.
#[derive(Clone, Debug, Default)]
pub struct Player {
    /// Drivers in load order; those whose `DriverEntry` failed, and those that left, are here too.
    drivers: Vec<(Driver, bool)>,
    checks: Vec<Check>,
    /// Drivers of which it was expected that they do not start.
    failures: Vec<String>,
    observer: Observer,
    /// Whether the last step was a look.
    looking: bool,
    /// The step that is under way, or was when the machine stopped.
    place: Option<Place>,
}

impl Player {
    /// Makes a player that has played nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plays steps. A driver whose `DriverEntry` fails is out of the run, and the others go on, as on Windows. An
    /// expectation that is not met is remembered, and the run goes on.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died; [`MachineError::Refused`] where a step names an object that does not
    /// exist, or an image cannot be loaded.
    pub fn play(&mut self, machine: &mut Machine, steps: &[Step]) -> Result<(), MachineError> {
        for step in steps {
            self.place.clone_from(&step.place);
            self.step(machine, step)?;
            self.looking = matches!(step.act, Act::Expect(_));
        }
        self.place = None;
        Ok(())
    }

    /// Returns where the step stands that was under way last.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Asks the drivers that are still there to leave, the last one first.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn leave(&mut self, machine: &mut Machine) -> Result<(), MachineError> {
        for (driver, there) in self.drivers.iter_mut().rev() {
            if std::mem::take(there) {
                machine.unload(driver)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, machine: &mut Machine, step: &Step) -> Result<(), MachineError> {
        match &step.act {
            Act::Load(driver) => {
                let driver = machine.load(&driver.name, &driver.image)?;
                let there = driver.status.is_success();
                self.drivers.push((driver, there));
            }
            Act::Ring(ring) => {
                let done = machine.ring(ring);
                return done.map_err(|error| with_near_object(machine, &ring.object, error));
            }
            Act::Event(event) => machine.event(event)?,
            Act::Wait(time) => machine.advance(*time)?,
            Act::Unload(name) => return self.unload(machine, name),
            Act::Parallel(members) => return self.parallel(machine, members),
            Act::Expect(expectation) => {
                if !self.looking {
                    self.observer.look(machine.events());
                }
                let got = self.compare(machine, expectation)?;
                self.checks.push(check(expectation, got, step.place.as_ref()));
            }
        }
        Ok(())
    }

    fn unload(&mut self, machine: &mut Machine, name: &str) -> Result<(), MachineError> {
        let Some((driver, there)) = self.drivers.iter_mut().rev().find(|(driver, _)| driver.name == name)
        else {
            return Err(MachineError::Refused(format!("no driver `{}` is loaded", printable(name))));
        };
        // One whose `DriverEntry` failed is gone already, as on Windows.
        if std::mem::take(there) {
            machine.unload(driver)?;
        }
        Ok(())
    }

    /// Does several things at once. What is wrong with one of them is told with its place.
    fn parallel(&mut self, machine: &mut Machine, steps: &[Step]) -> Result<(), MachineError> {
        let mut members = Vec::new();
        let mut played = Vec::new();
        for step in steps {
            members.push(match &step.act {
                Act::Load(driver) => Member::Load { name: &driver.name, image: &driver.image },
                Act::Ring(Ring { object, argument1, argument2, irql }) => {
                    let (argument1, argument2) = (*argument1, *argument2);
                    Member::Notify { object, argument1, argument2, irql: irql.0 }
                }
                Act::Event(event) => Member::Event { name: event.name },
                Act::Wait(time) => Member::Advance { ticks: ticks(*time) },
                // One whose `DriverEntry` failed is gone already, as on Windows.
                Act::Unload(driver) if self.is_gone(driver) => continue,
                Act::Unload(driver) => Member::Unload { driver },
                Act::Parallel(_) | Act::Expect(_) => {
                    let what = "only load, ring, event, wait and unload can be done at once";
                    return Err(MachineError::Refused(what.into()));
                }
            });
            played.push(step);
        }
        let mut refused = None;
        for (step, done) in played.into_iter().zip(machine.parallel(&members)?) {
            match (&step.act, done) {
                (_, Done::Loaded { name, status }) => {
                    let status = NTSTATUS(status);
                    self.drivers.push((Driver { name, status }, status.is_success()));
                }
                (Act::Unload(name), Done::Unloaded(_)) => self.gone(name),
                (_, Done::Refused(why)) if refused.is_none() => refused = Some((step, why)),
                _ => {}
            }
        }
        let Some((step, why)) = refused else { return Ok(()) };
        self.place.clone_from(&step.place);
        let error = MachineError::Refused(why);
        Err(match &step.act {
            Act::Ring(ring) => with_near_object(machine, &ring.object, error),
            _ => error,
        })
    }

    /// Whether a driver was loaded and is not there any more.
    fn is_gone(&self, name: &str) -> bool {
        self.drivers.iter().any(|(driver, there)| driver.name == name && !there)
    }

    fn gone(&mut self, name: &str) {
        for (_, there) in self.drivers.iter_mut().filter(|(driver, _)| driver.name == name) {
            *there = false;
        }
    }

    /// Returns what was got instead of what was expected.
    fn compare(
        &mut self,
        machine: &mut Machine,
        expectation: &Expectation,
    ) -> Result<Option<String>, MachineError> {
        Ok(match expectation {
            Expectation::Status { driver, status } => {
                let known = self.drivers.iter().find(|(known, _)| known.name == *driver);
                let Some((known, _)) = known else {
                    return Ok(Some("a driver that was never loaded".into()));
                };
                if !status.is_met(known.status) {
                    return Ok(Some(known.status.to_string()));
                }
                if !known.status.is_success() {
                    self.failures.push(known.name.clone());
                }
                None
            }
            Expectation::Exists { object, exists } => {
                let snapshot = machine.snapshot()?;
                match (find(&snapshot, object).is_some(), *exists) {
                    (true, false) => Some("one".into()),
                    (false, true) => Some(missing(&snapshot, object)),
                    _ => None,
                }
            }
            Expectation::Listeners { object, driver, count } => {
                let snapshot = machine.snapshot()?;
                let Some(found) = find(&snapshot, object) else {
                    return Ok(Some(missing(&snapshot, object)));
                };
                let wanted = |routine: u64| {
                    driver.is_none() || self.observer.driver(routine).as_deref() == driver.as_deref()
                };
                let there = found.listeners.iter().filter(|listener| wanted(listener.routine)).count() as u32;
                (there != *count).then(|| there.to_string())
            }
            Expectation::Deliveries { object, driver, count } => {
                let there = self.observer.deliveries(object.as_deref(), driver.as_deref());
                (there != *count).then(|| there.to_string())
            }
            Expectation::Printed { text, driver, count } => {
                let printed: Vec<&str> = self.observer.prints(driver.as_deref()).collect();
                let there = printed.iter().filter(|printed| printed.contains(text.as_str())).count() as u32;
                let met = count.map_or(there > 0, |count| there == count);
                (!met).then(|| match (there, printed.last()) {
                    (0, Some(last)) => format!("other output, last `{}`", printable(last.trim_end())),
                    (0, None) => "no output".into(),
                    (there, _) => super::expect::plural(there, "time", "times"),
                })
            }
        })
    }
}

fn find<'a>(snapshot: &'a Snapshot, object: &str) -> Option<&'a record::ObjectSnapshot> {
    let named = |name: &str| name.eq_ignore_ascii_case(object);
    snapshot.objects.iter().find(|it| it.name.as_deref().is_some_and(named))
}

fn names(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    snapshot.objects.iter().filter_map(|object| object.name.as_deref())
}

fn missing(snapshot: &Snapshot, object: &str) -> String {
    match near::nearest(object, names(snapshot)) {
        Some(near) => format!("none of this name, but one `{near}`"),
        None => "none".into(),
    }
}

/// Names the object that was probably meant, where a ring was refused because there is none.
fn with_near_object(machine: &mut Machine, object: &str, error: MachineError) -> MachineError {
    let MachineError::Refused(why) = error else { return error };
    let near = machine
        .snapshot()
        .ok()
        .and_then(|snapshot| near::nearest(object, names(&snapshot)).map(str::to_owned))
        .filter(|near| !near.eq_ignore_ascii_case(object));
    MachineError::Refused(match (near, why.split_once("\nhint: ")) {
        (Some(near), Some((message, hint))) => format!("{message}\nhint: did you mean `{near}`? {hint}"),
        _ => why,
    })
}

impl Scenario {
    /// Plays it from beginning to end. A machine that dies ends the run, and the report tells how.
    ///
    /// # Errors
    ///
    /// Fails where the machine cannot be had, where an image is refused, where a step names an object that does not
    /// exist, where the dump cannot be written, where the run cannot follow the schedule or makes no call that was to fail, and where
    /// somebody ends the kernel process from outside. What happened until then is in the error's report; the drivers that
    /// were loaded have been asked to leave all the same.
    pub fn run(&self) -> Result<Report, Stopped> {
        let mut dumps = Dumps::open(self.dump.as_deref(), self.dump_form).map_err(MachineError::Write)?;
        let (done, place, report) = Machine::boot(self.config.clone()).map(|mut machine| {
            let mut player = Player::new();
            let ready = machine.never_fork().and_then(|()| match self.dump {
                Some(_) => {
                    machine.name_run(self.name());
                    machine.keep_remains()
                }
                None => Ok(()),
            });
            let played = ready.and_then(|()| player.play(&mut machine, &self.steps));
            let mut done = dumps.after(&mut machine, played);
            if !self.keep_loaded {
                let left = player.leave(&mut machine);
                let left = if machine.has_remains() { dumps.after(&mut machine, left) } else { left };
                done = done.and(left);
            }
            let place = player.place.clone();
            let mut report = self.judge(machine.finish(), player);
            report.dump = self.dump.as_ref().filter(|_| dumps.written).map(|path| path.display().to_string());
            (done, place, report)
        })?;
        let report = Stopped::unless_played(done, place, report)?;
        match self.misfit(&report).filter(|_| !matches!(report.ending, Ending::Interrupted { .. })) {
            Some((why, error)) => Err(Stopped::with(error, None, report, why)),
            None => Ok(report),
        }
    }

    /// Plays it from beginning to end on a machine that is there, such as a fork. No dump is written, and whether the run
    /// followed a schedule, and a call failed that was to, is not asked.
    ///
    /// # Errors
    ///
    /// As for [`Scenario::run`], but for what concerns dump and schedule.
    pub fn run_on(&self, mut machine: Machine) -> Result<Report, Stopped> {
        let mut player = Player::new();
        let done = player.play(&mut machine, &self.steps);
        let left = if self.keep_loaded { Ok(()) } else { player.leave(&mut machine) };
        let place = player.place.clone();
        let report = self.judge(machine.finish(), player);
        Stopped::unless_played(done.and(left), place, report)
    }

    /// Returns a number for what is done, and by which drivers. It tells dumps of one scenario from those of another.
    fn name(&self) -> u64 {
        fn add(hash: &mut Fnv1a, part: &[u8]) {
            hash.add(part);
            // A mark between the parts.
            hash.add(&[0xFF]);
        }
        fn add_act(hash: &mut Fnv1a, act: &Act) {
            add(hash, act.to_string().as_bytes());
            match act {
                Act::Load(driver) => add(hash, &driver.image),
                Act::Parallel(members) => members.iter().for_each(|member| add_act(hash, &member.act)),
                _ => {}
            }
        }
        let mut hash = Fnv1a::default();
        add(&mut hash, format!("{:?} {:?}", self.config.faults, self.config.schedule).as_bytes());
        self.steps.iter().for_each(|step| add_act(&mut hash, &step.act));
        hash.value()
    }

    /// Tells where the run did not follow the schedule that it was to play again, or made no call that was to fail.
    fn misfit(&self, report: &Report) -> Option<(NotPlayed, MachineError)> {
        let told = |text: &str, hint: &str| MachineError::Refused(format!("{text}\nhint: {hint}"));
        let schedule = self.config.schedule.as_ref().zip(report.schedule.as_ref());
        if let Some(text) = schedule.and_then(|(wanted, ran)| wanted.misfit(ran)) {
            let hint = "play the drivers, steps, seed and processors that the schedule was found with";
            let error = told(&text, hint);
            return Some((NotPlayed::Schedule(text), error));
        }
        let (text, hint) = self.unmade(report)?;
        let error = told(&text, hint);
        Some((NotPlayed::Fault(text), error))
    }

    /// Tells that a call was to fail and was not made in the run.
    pub(crate) fn unmade(&self, report: &Report) -> Option<(String, &'static str)> {
        let failed = |event: &Event| matches!(event.what, What::FallibleCall { failed: true, .. });
        let said = match self.config.faults.as_ref()? {
            FaultPlan::Watch => return None,
            FaultPlan::Number(number) => (
                format!("no call was made to fail: the drivers make fewer than {number} that can"),
                "`ringbell explore --faults` makes each of them fail",
            ),
            FaultPlan::At(fault) => (
                format!("no call was made to fail: the drivers never come to `{fault}`"),
                "play the drivers, steps and seed that it was found with; `ringbell explore --faults` finds it anew",
            ),
        };
        (!report.events.iter().any(failed)).then_some(said)
    }

    /// Holds the report of a machine that `player` played on to what the scenario says about rules and expects.
    pub fn judge(&self, mut report: Report, player: Player) -> Report {
        report.allowed = self.levels.apply(&mut report.findings) as u64;
        let looks = self.steps.iter().filter_map(|step| match &step.act {
            Act::Expect(expectation) => Some((expectation, step.place.as_ref())),
            _ => None,
        });
        let mut checks = player.checks;
        for (expectation, place) in looks.skip(checks.len()) {
            let got = format!("{} before it came to this", ending_words(&report.ending));
            checks.push(check(expectation, Some(got), place));
        }
        report.expectations.checks = checks;
        report.expectations.drivers = player.failures;
        self.expected.judge(&mut report);
        report
    }
}

/// A run that was stopped by something that is not the drivers' doing.
#[derive(Debug)]
pub struct Stopped {
    /// What stopped it.
    pub error: MachineError,
    /// The step that was under way, where a scenario file has it.
    pub place: Option<Place>,
    /// What happened until then, where there was a machine.
    pub report: Option<Box<Report>>,
}

impl Stopped {
    /// Returns the report of a run that came to its end, however the drivers brought that about.
    fn unless_played(
        done: Result<(), MachineError>,
        place: Option<Place>,
        report: Report,
    ) -> Result<Report, Self> {
        match (done, report.ending.killed_by()) {
            (Ok(()) | Err(MachineError::Ended), None) => Ok(report),
            (Ok(()) | Err(MachineError::Ended), Some(signal)) => {
                let error = MachineError::Killed(signal);
                Err(Self { error, place: None, report: Some(Box::new(report)) })
            }
            (Err(error), _) => Err(Self::after(error, place, report)),
        }
    }

    /// Stops at `error`, and says in the report what that is.
    fn after(error: MachineError, place: Option<Place>, report: Report) -> Self {
        let text = error.to_string();
        let why = text.lines().next().unwrap_or_default().to_owned();
        let why =
            if matches!(error, MachineError::Write(_)) { NotPlayed::File(why) } else { NotPlayed::Step(why) };
        Self::with(error, place, report, why)
    }

    fn with(error: MachineError, place: Option<Place>, mut report: Report, why: NotPlayed) -> Self {
        if let NotPlayed::Schedule(text) = &why {
            report.reproducible.yes = false;
            report.reproducible.because.push(text.clone());
        }
        report.not_played = Some(why);
        Self { error, place, report: Some(Box::new(report)) }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        self.error.fmt(f)
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<MachineError> for Stopped {
    fn from(error: MachineError) -> Self {
        Self { error, place: None, report: None }
    }
}
