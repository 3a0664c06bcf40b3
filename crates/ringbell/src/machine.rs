//! The machine as the library offers it: what was done becomes steps of the story, and the end is judged.

use nt::catalog;
use nt::{Irql, NTSTATUS};
use record::{Ending, Modules, Report, Reproducible, UnloadOutcome};

use crate::{DumpForm, Ring};
use ::machine::{Config, Done, MachineError, Member, Untrapped};

/// A driver that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its name in this run: the file name, with `#2` behind it for the second of that name.
    pub name: String,
    /// What `DriverEntry` returned.
    pub status: NTSTATUS,
}

/// A running machine. Dropping it ends the kernel process without a report.
#[derive(Debug)]
pub struct Machine {
    inner: ::machine::Machine,
    config: Config,
}

impl Machine {
    /// Starts a kernel process and boots the executive in it.
    ///
    /// # Errors
    ///
    /// Fails where the configuration is wrong, the process cannot be had, or this is no Linux on x86-64.
    pub fn boot(config: Config) -> Result<Self, MachineError> {
        Ok(Self { inner: ::machine::Machine::boot(config.clone())?, config })
    }

    /// Maps a driver and calls its `DriverEntry`. A failing status is an answer, not an error: see [`Driver::status`].
    ///
    /// # Errors
    ///
    /// [`MachineError::Refused`] where the image cannot be loaded, and the machine goes on;
    /// [`MachineError::Ended`] where the machine died, and [`Machine::finish`] tells how.
    pub fn load(&mut self, name: &str, image: &[u8]) -> Result<Driver, MachineError> {
        self.inner.step(&format!("load {name}"))?;
        let (name, status) = self.inner.load(name, image)?;
        Ok(Driver { name, status: NTSTATUS(status) })
    }

    /// Rings a callback object, as `ExNotifyCallback` called from a driver at that IRQL would.
    ///
    /// # Errors
    ///
    /// [`MachineError::Refused`] where no such object exists; [`MachineError::Ended`] where the machine died.
    pub fn ring(&mut self, ring: &Ring) -> Result<(), MachineError> {
        self.inner.step(&format!("ring {ring}"))?;
        self.inner.notify(&ring.object, ring.argument1, ring.argument2, ring.irql.0)
    }

    /// Plays an event of Windows, such as `power.ac`: rings what Windows would ring, with its arguments, at its IRQL.
    ///
    /// # Errors
    ///
    /// As for [`Machine::ring`].
    pub fn event(&mut self, event: &catalog::Event) -> Result<(), MachineError> {
        self.inner.step(&format!("event {}", event.name))?;
        self.inner.event(event.name)
    }

    /// Lets virtual time pass: timers fire, sleeping threads wake up. It costs no real time.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn advance(&mut self, time: std::time::Duration) -> Result<(), MachineError> {
        self.inner.step(&format!("wait {time:?}"))?;
        self.inner.advance(ticks(time))
    }

    /// Does several things at once, each in a system thread of its own, interleaved as the seed says, and returns when all are
    /// done, with what each came to. One that names what is not there keeps all from beginning.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn parallel(&mut self, members: &[Member<'_>]) -> Result<Vec<Done>, MachineError> {
        let titles: Vec<String> = members.iter().map(title).collect();
        self.inner.step(&format!("parallel: {}", titles.join(" | ")))?;
        self.inner.parallel(members)
    }

    /// Describes every callback object and the namespace as they are now.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn snapshot(&mut self) -> Result<record::Snapshot, MachineError> {
        self.inner.snapshot()
    }

    /// Returns the events so far.
    pub fn events(&self) -> &[record::Event] {
        self.inner.events()
    }

    /// Writes the machine as a Windows crash dump, as it is now: `ringbell inspect` and other readers of such dumps find in it
    /// what is alive.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died and nothing [remains](Machine::keep_remains) of it, [`MachineError::Write`] where `out` failed.
    pub fn dump(&mut self, form: DumpForm, out: &mut impl std::io::Write) -> Result<(), MachineError> {
        self.inner.dump(form, out)
    }

    /// Makes the kernel process stay when the machine dies, so that [`Machine::dump`] writes the dump of a bugcheck or a hang, with memory as it
    /// was then. Nothing of the machine runs any more.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn keep_remains(&mut self) -> Result<(), MachineError> {
        self.inner.keep_remains()
    }

    /// Names the run: dumps of runs with another name or other settings are of another boot, by the `BootId` that they show.
    pub fn name_run(&mut self, name: u64) {
        self.inner.name_run(name);
    }

    /// Returns whether the machine has died and can be dumped all the same.
    pub fn has_remains(&self) -> bool {
        self.inner.has_remains()
    }

    /// Asks a driver to leave: `DriverUnload`, departure audit, and the image is gone.
    ///
    /// # Errors
    ///
    /// As for [`Machine::ring`].
    pub fn unload(&mut self, driver: &Driver) -> Result<UnloadOutcome, MachineError> {
        self.inner.step(&format!("unload {}", driver.name))?;
        self.inner.unload(&driver.name)
    }

    /// Gives up being the base of others: the kernel process cannot fork any more, whatever driver code makes it do.
    ///
    /// # Errors
    ///
    /// [`MachineError::Ended`] where the machine died.
    pub fn never_fork(&mut self) -> Result<(), MachineError> {
        self.inner.never_fork()
    }

    /// Makes this machine the base of others: what was done so far is done once.
    pub fn into_base(self) -> Base {
        Base { inner: self.inner.into_base() }
    }

    /// Returns whether the machine has died.
    pub fn has_ended(&self) -> bool {
        self.inner.has_ended()
    }

    /// Ends the machine and judges the run.
    pub fn finish(self) -> Report {
        let build = self.inner.build();
        let outcome = self.inner.finish();
        let findings = rules::judge(&outcome.events, &outcome.modules, &outcome.ending);
        let mut drivers = outcome.drivers;
        if outcome.ending == Ending::Finished {
            let kept = drivers.iter_mut().filter(|driver| driver.unload == UnloadOutcome::NotReached);
            kept.for_each(|driver| driver.unload = UnloadOutcome::Kept);
        }
        let reproducible = reproducible(&self.config, &outcome.ending, &outcome.untrapped, &outcome.modules);
        let mut tainted = outcome.tainted;
        if !outcome.host_output.is_empty() {
            tainted.push(format!("the kernel process complained: {}", outcome.host_output.trim_end()));
        }
        Report {
            version: Report::VERSION,
            profile: self.config.profile,
            build,
            seed: self.config.seed,
            processors: self.config.processors,
            parallel: self.config.parallel,
            schedule: outcome.schedule,
            drivers,
            modules: outcome.modules,
            reproducible,
            events: outcome.events,
            ending: outcome.ending,
            not_played: None,
            dump: None,
            last: outcome.last,
            findings,
            allowed: 0,
            expectations: record::Expectations::default(),
            stubs_called: outcome.stubs_called,
            tainted,
            host: outcome.host,
        }
    }
}

/// A machine that does nothing any more but fork. See [`Machine::into_base`].
#[derive(Debug)]
pub struct Base {
    inner: ::machine::Base,
}

impl Base {
    /// Forks a machine that goes on with `config`. Its stream begins with everything the base recorded. A fork of a base
    /// that was only booted goes the very way of a machine that is booted with `config`, event for event.
    ///
    /// # Errors
    ///
    /// Fails where `config` differs in what is settled at boot, where the host gives no process, and where the base is no
    /// more.
    pub fn fork(&mut self, config: Config) -> Result<Machine, MachineError> {
        Ok(Machine { inner: self.inner.fork(config.clone())?, config })
    }
}

/// Says what a member does, in the words of a step.
fn title(member: &Member<'_>) -> String {
    match *member {
        Member::Load { name, .. } => format!("load {name}"),
        Member::Unload { driver } => format!("unload {driver}"),
        Member::Notify { object, argument1, argument2, irql } => {
            let object = object.into();
            format!("ring {}", Ring { object, argument1, argument2, irql: Irql(irql) })
        }
        Member::Event { name } => format!("event {name}"),
        Member::Advance { ticks } => format!("wait {:?}", duration_of(ticks)),
    }
}

/// Returns the time of a number of ticks.
fn duration_of(ticks: u64) -> std::time::Duration {
    std::time::Duration::from_micros(ticks / 10) + std::time::Duration::from_nanos(ticks % 10 * 100)
}

/// Returns the ticks of 100 ns in a time.
pub(crate) fn ticks(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX)
}

/// Whether the same drivers, steps and seed give the same stream: not where wall time or the host decided, and not where a driver holds
/// an instruction that shows it the host and cannot be made to trap.
fn reproducible(
    config: &Config,
    ending: &Ending,
    untrapped: &[(String, Vec<Untrapped>)],
    modules: &Modules,
) -> Reproducible {
    let mut because = Vec::new();
    if config.parallel {
        because.push(
            "with `--parallel` processors run at the same time, and the host decides who is first".into(),
        );
    }
    match ending {
        Ending::Hang(hang) if !hang.deadlock => because.push("the time limit ended the run".into()),
        Ending::Interrupted { .. } => because.push("somebody interrupted the run".into()),
        Ending::Died { .. } => because.push("the kernel process died without last words".into()),
        _ => {}
    }
    for (driver, found) in untrapped {
        let Some(module) = modules.0.iter().find(|module| module.name == *driver) else { continue };
        let mut names: Vec<&str> = found.iter().map(|one| one.instruction.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let places = found.iter().filter(|one| one.instruction == name);
            // Where there is one beyond doubt, it is the one to tell.
            let first = places.clone().find(|one| one.certain).or_else(|| places.clone().next());
            let Some(first) = first else { continue };
            let place = modules.locate(module.base + u64::from(first.rva));
            let is = if first.certain { "is" } else { "has bytes that look like" };
            let more = match places.count() - 1 {
                0 => String::new(),
                1 => " (and 1 more)".into(),
                more => format!(" (and {more} more)"),
            };
            because.push(format!(
                "`{place}` {is} `{name}`{more}, which cannot be trapped here and shows the host"
            ));
        }
    }
    Reproducible { yes: because.is_empty(), because }
}
