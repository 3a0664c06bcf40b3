//! A machine, and the hook that turns a freshly started copy of this program into one.
//!
//! The hook is a function pointer in `.init_array`: the C library calls it before `main`, in every program that links
//! this module, be it a command, somebody's test binary or a bench. It looks at standard input, finds that it is no
//! sealed memory with the magic, and returns; that costs one system call. In a kernel process it never returns. Hook and
//! [`Machine::boot`] live in one module, and `boot` names the hook, so no linker can keep one and drop the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use record::{DriverRecord, Ending, HostFacts, Module, Modules, Snapshot, UnloadOutcome, What};

use super::instructions::Trapping;
use super::known::{Facts, Known};
use super::process::{Process, Stopped};
use super::shared::{MAGIC, Shared};
use super::{ending, exit, kernel, sys};
use crate::wire::{Command, Reply};
use crate::{Config, Done, MachineError, Member, Outcome, Untrapped};

/// Wall time a kernel process may take to boot.
pub(super) const BOOT_LIMIT: Duration = Duration::from_secs(20);

#[used]
// SAFETY: The section holds pointers to functions that the C library calls with (argc, argv, envp); this is one.
#[unsafe(link_section = ".init_array")]
static TAKE_OVER: extern "C" fn() = take_over;

extern "C" fn take_over() {
    if is_kernel_process() {
        kernel::main();
    }
}

/// Returns whether standard input is the memory that a parent prepared.
fn is_kernel_process() -> bool {
    let mut start = [0; 16];
    sys::is_sealed(0)
        && matches!(sys::read_start(0, &mut start), Ok(16))
        && start[..8] == MAGIC[0].to_le_bytes()
        && start[8..] == MAGIC[1].to_le_bytes()
}

/// A Windows-shaped machine in a process of its own.
#[derive(Debug)]
pub struct Machine {
    pub(super) process: Process,
    pub(super) config: Config,
    pub(super) started: Instant,
    pub(super) modules: Modules,
    /// Facts of every image that was sent over, by the driver's name.
    pub(super) images: Vec<(String, Arc<Facts>)>,
    /// Facts of images that this machine, its base or another fork of it has met.
    pub(super) known: Known,
    pub(super) drivers: Vec<DriverRecord>,
    pub(super) build: u32,
    pub(super) trapping: Trapping,
    pub(super) untrapped: Vec<(String, Vec<Untrapped>)>,
    /// What tells the run from others with the same settings.
    pub(super) run: u64,
}

impl Machine {
    /// Starts a kernel process and boots the executive in it.
    ///
    /// # Errors
    ///
    /// Fails where the configuration is wrong or the process cannot be had.
    pub fn boot(config: Config) -> Result<Self, MachineError> {
        std::hint::black_box(&TAKE_OVER);
        if is_kernel_process() {
            return Err(MachineError::Boot("a kernel process cannot start another".into()));
        }
        if !config.ring_bytes.is_power_of_two() || !(4096..=1 << 30).contains(&config.ring_bytes) {
            let what = "`ring_bytes` must be a power of two between 4096 and 2^30";
            return Err(MachineError::Config(what.into()));
        }
        if !(1..=64).contains(&config.processors) {
            let what = "a machine has 1 to 64 processors";
            return Err(MachineError::Config(format!("{what}, not {}", config.processors)));
        }
        if config.parallel && config.schedule.is_some() {
            let what = "a schedule cannot order processors that run at the same time";
            return Err(MachineError::Config(what.into()));
        }
        let started = Instant::now();
        let nonce = nonce(started);
        let encoded =
            postcard::to_allocvec(&config).map_err(|error| MachineError::Config(error.to_string()))?;
        let (memory, shared) =
            Shared::create(config.ring_bytes / 8, nonce, &encoded).map_err(MachineError::Start)?;
        let mut process = Process::start(memory, shared, config.event_limit).map_err(MachineError::Start)?;
        match process.exchange(None, BOOT_LIMIT) {
            Some(Reply::Booted { nonce: theirs, kernel, build, trapping }) if theirs == nonce => {
                let modules = Modules(vec![kernel]);
                let mut machine = Self {
                    process,
                    config,
                    started,
                    modules,
                    images: Vec::new(),
                    known: Known::default(),
                    drivers: Vec::new(),
                    build,
                    trapping,
                    untrapped: Vec::new(),
                    run: 0,
                };
                // Not a part of the configuration, which has to be short.
                if let Some(schedule) = machine.config.schedule.clone() {
                    let seed = machine.config.seed;
                    machine.done(&Command::Reseed { seed, schedule: Some(schedule) })?;
                }
                Ok(machine)
            }
            Some(Reply::Refused(why)) => Err(MachineError::Boot(why)),
            Some(_) => Err(MachineError::Boot("the kernel process answered something else".into())),
            None if process.interrupted.is_some() => Err(MachineError::Interrupted),
            None => {
                let said = String::from_utf8_lossy(&process.output);
                let said = said.trim();
                let (ending, _) = ending::read(&process, &Modules::default(), BOOT_LIMIT);
                if let Ending::EventLimit { limit } = ending {
                    let noun = if limit == 1 { "event" } else { "events" };
                    return Err(MachineError::Config(format!(
                        "the boot alone makes more than {limit} {noun}, which is the limit\nhint: raise the event limit"
                    )));
                }
                let why = match (ending, said.lines().next()) {
                    (Ending::Bugcheck(check), _) => check.reason,
                    (_, Some(line)) => line.to_owned(),
                    (Ending::Died { signal: Some(signal), .. }, None) => {
                        format!("ended by signal {signal}")
                    }
                    (_, None) => "it said nothing".into(),
                };
                Err(MachineError::Boot(format!(
                    "the kernel process did not boot: {why}\nhint: limits on memory or processes may forbid it (`ulimit -a` \
                     lists them)"
                )))
            }
        }
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the Windows build number the machine claims.
    pub fn build(&self) -> u32 {
        self.build
    }

    /// Returns the kernel process's id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the events so far.
    pub fn events(&self) -> &[record::Event] {
        &self.process.events
    }

    /// Returns whether the machine is dead.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Makes the kernel process stay when the machine dies, so that [`dump`](Self::dump) still finds what memory holds.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended.
    pub fn keep_remains(&mut self) -> Result<(), MachineError> {
        self.done(&Command::Stay)
    }

    /// Names the run: dumps of runs with another name or other settings are of another boot. The name goes into the `BootId` that dumps show.
    pub fn name_run(&mut self, name: u64) {
        self.run = name;
    }

    /// Returns whether the machine is dead and [`dump`](Self::dump) can be called all the same.
    pub fn has_remains(&self) -> bool {
        self.process.has_remains()
    }

    pub(super) fn ask(&mut self, command: &Command) -> Result<Reply, MachineError> {
        match self.process.exchange(Some(command), self.config.timeout) {
            Some(Reply::Refused(why)) => Err(MachineError::Refused(why)),
            Some(reply) => Ok(reply),
            None => Err(MachineError::Ended),
        }
    }

    /// A reply of the wrong kind: the process is not to be trusted any further.
    pub(super) fn confused(&mut self) -> MachineError {
        self.process.tainted = Some("the kernel process sent the answer to another question".into());
        self.process.reap(false);
        MachineError::Ended
    }

    pub(super) fn done(&mut self, command: &Command) -> Result<(), MachineError> {
        match self.ask(command)? {
            Reply::Done => Ok(()),
            _ => Err(self.confused()),
        }
    }

    /// Gives up being the base of others: the kernel process cannot fork any more, whatever driver code makes it do.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended.
    pub fn never_fork(&mut self) -> Result<(), MachineError> {
        self.done(&Command::NeverFork)
    }

    /// Records that a step of the scenario begins.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended.
    pub fn step(&mut self, text: &str) -> Result<(), MachineError> {
        self.done(&Command::Step { text: text.into() })
    }

    /// Lets `ticks` of virtual time pass, in units of 100 ns: timers fire, threads wake up.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended, or ends.
    pub fn advance(&mut self, ticks: u64) -> Result<(), MachineError> {
        self.done(&Command::Advance { ticks })
    }

    /// Describes all callback objects.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended, or ends.
    pub fn snapshot(&mut self) -> Result<Snapshot, MachineError> {
        match self.ask(&Command::Snapshot)? {
            Reply::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(self.confused()),
        }
    }

    /// Rings the callback object named `object` at `irql`.
    ///
    /// # Errors
    ///
    /// Refused where there is no such object. Fails where the machine has ended, or ends.
    pub fn notify(
        &mut self,
        object: &str,
        argument1: u64,
        argument2: u64,
        irql: u8,
    ) -> Result<(), MachineError> {
        self.done(&Command::Notify { object: object.into(), argument1, argument2, irql })
    }

    /// Plays an event of [`nt::catalog::EVENTS`]: rings what Windows would ring, with its arguments, at its IRQL.
    ///
    /// # Errors
    ///
    /// Refused where there is no such event, or its object does not exist. Fails where the machine has ended, or
    /// ends.
    pub fn event(&mut self, name: &str) -> Result<(), MachineError> {
        self.done(&Command::Event { name: name.into() })
    }

    /// Maps a driver and calls its `DriverEntry`. Returns the driver's name in this run, and the status.
    ///
    /// # Errors
    ///
    /// Refused where the image cannot be loaded; the text says why. Fails where the machine has ended, or ends.
    pub fn load(&mut self, name: &str, image: &[u8]) -> Result<(String, u32), MachineError> {
        let name = self.announce(name, image);
        let reply = self.ask(&Command::Load { name: name.clone(), image: image.to_vec() });
        match reply {
            Ok(Reply::Loaded { base, size, status }) => {
                self.loaded(&name, base, size, status);
                Ok((name, status))
            }
            Ok(_) => Err(self.confused()),
            Err(error) => {
                if matches!(error, MachineError::Refused(_)) {
                    self.forget(&name);
                }
                Err(error)
            }
        }
    }

    /// Enters a driver that is about to be loaded, and returns its name in this run. Done before the answer is known: a
    /// driver that dies in its entry is in the report too.
    fn announce(&mut self, name: &str, image: &[u8]) -> String {
        let name = self.unique(name);
        let facts = self.known.facts(image, self.trapping);
        let found = &facts.untrapped;
        self.untrapped.extend((!found.is_empty()).then(|| (name.clone(), found.clone())));
        self.images.push((name.clone(), facts));
        self.drivers.push(DriverRecord {
            name: name.clone(),
            base: 0,
            size: 0,
            entry_status: None,
            unload: UnloadOutcome::NotReached,
        });
        name
    }

    fn loaded(&mut self, name: &str, base: u64, size: u64, status: u32) {
        if let Some(driver) = self.drivers.iter_mut().find(|driver| driver.name == name) {
            (driver.base, driver.size, driver.entry_status) = (base, size, Some(status));
            // NT_SUCCESS.
            if status >> 31 != 0 {
                driver.unload = UnloadOutcome::EntryFailed;
            }
        }
    }

    /// Strikes a driver whose image was refused.
    fn forget(&mut self, name: &str) {
        self.images.retain(|(known, _)| known != name);
        self.untrapped.retain(|(known, _)| known != name);
        self.drivers.retain(|driver| driver.name != name);
    }

    fn unloaded(&mut self, driver: &str, outcome: UnloadOutcome) {
        if let Some(record) = self.drivers.iter_mut().find(|record| record.name == driver) {
            record.unload = outcome;
        }
    }

    /// Does several things at once, each in a system thread of its own, and returns when all are done. An answer is
    /// [`Done::Refused`] where that one was refused. One that names what is not there keeps all from beginning; an object
    /// that goes while they are under way does not.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended, or ends.
    pub fn parallel(&mut self, members: &[Member<'_>]) -> Result<Vec<Done>, MachineError> {
        let mut names = Vec::new();
        let mut commands = Vec::new();
        for member in members {
            let (name, command) = match *member {
                Member::Load { name, image } => {
                    let name = self.announce(name, image);
                    (Some(name.clone()), Command::Load { name, image: image.to_vec() })
                }
                Member::Unload { driver } => (Some(driver.into()), Command::Unload { driver: driver.into() }),
                Member::Notify { object, argument1, argument2, irql } => {
                    (None, Command::Notify { object: object.into(), argument1, argument2, irql })
                }
                Member::Event { name } => (None, Command::Event { name: name.into() }),
                Member::Advance { ticks } => (None, Command::Advance { ticks }),
            };
            names.push(name);
            commands.push(command);
        }
        let Reply::Parallel(replies) = self.ask(&Command::Parallel { members: commands })? else {
            return Err(self.confused());
        };
        if replies.len() != members.len() {
            return Err(self.confused());
        }
        let mut all = Vec::new();
        for ((member, name), reply) in members.iter().zip(names).zip(replies) {
            all.push(match (member, name, reply) {
                (Member::Load { .. }, Some(name), Reply::Loaded { base, size, status }) => {
                    self.loaded(&name, base, size, status);
                    Done::Loaded { name, status }
                }
                (Member::Load { .. }, Some(name), reply @ (Reply::Done | Reply::Refused(_))) => {
                    // Never begun, or refused.
                    self.forget(&name);
                    if let Reply::Refused(why) = reply { Done::Refused(why) } else { Done::Done }
                }
                (Member::Unload { .. }, Some(name), Reply::Unloaded(outcome)) => {
                    self.unloaded(&name, outcome);
                    Done::Unloaded(outcome)
                }
                (_, _, Reply::Done) => Done::Done,
                (_, _, Reply::Refused(why)) => Done::Refused(why),
                _ => return Err(self.confused()),
            });
        }
        Ok(all)
    }

    /// Learns from the events where the images were, also those of drivers that never came to an answer.
    fn place_modules(&mut self) {
        for (name, facts) in std::mem::take(&mut self.images) {
            let symbols = facts.symbols.clone();
            let place = self.process.events.iter().find_map(|event| match &event.what {
                What::ImageLoaded { name: loaded, base, size, .. } if *loaded == name => Some((*base, *size)),
                _ => None,
            });
            let Some((base, size)) = place else { continue };
            if let Some(driver) = self.drivers.iter_mut().find(|driver| driver.name == name) {
                (driver.base, driver.size) = (base, size);
            }
            self.modules.0.push(Module { name, base, size, symbols });
        }
    }

    fn unique(&self, name: &str) -> String {
        let taken = |name: &str| self.drivers.iter().any(|driver| driver.name == name);
        if !taken(name) {
            return name.into();
        }
        (2..).map(|number| format!("{name}#{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Asks a driver to leave: `DriverUnload`, audit, unmap.
    ///
    /// # Errors
    ///
    /// Refused where there is no such driver. Fails where the machine has ended, or ends.
    pub fn unload(&mut self, driver: &str) -> Result<UnloadOutcome, MachineError> {
        let Reply::Unloaded(outcome) = self.ask(&Command::Unload { driver: driver.into() })? else {
            return Err(self.confused());
        };
        self.unloaded(driver, outcome);
        Ok(outcome)
    }

    /// Ends the machine and returns everything about the run.
    pub fn finish(mut self) -> Outcome {
        let mut last = None;
        let mut stubs_called = Vec::new();
        let mut ending = None;
        if let Ok(Reply::Finished { last: snapshot, stubs_called: stubs }) = self.ask(&Command::Finish) {
            (last, stubs_called) = (snapshot, stubs);
            self.process.reap(false);
            if matches!(self.process.stopped, Some(Stopped { status: Some(status), .. })
                if status.code() == Some(exit::FINISHED))
            {
                ending = Some(Ending::Finished);
            }
        }
        self.process.reap(false);
        self.place_modules();
        let ending = ending.unwrap_or_else(|| {
            let (ending, event) = ending::read(&self.process, &self.modules, self.config.timeout);
            self.process.events.extend(event);
            ending
        });
        Outcome {
            schedule: if self.config.parallel { None } else { self.process.shared.schedule() },
            ending,
            events: std::mem::take(&mut self.process.events),
            modules: std::mem::take(&mut self.modules),
            drivers: std::mem::take(&mut self.drivers),
            untrapped: std::mem::take(&mut self.untrapped),
            last,
            stubs_called,
            tainted: self.process.taints(),
            host_output: String::from_utf8_lossy(&self.process.output).into_owned(),
            host: HostFacts {
                wall_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
                pid: self.process.id(),
            },
        }
    }
}

/// Returns a number that no other machine of this host has at the moment. Uniqueness is all that is asked of it.
pub(super) fn nonce(now: Instant) -> [u64; 2] {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let high = hasher.finish();
    hasher.write(format!("{now:?}").as_bytes());
    [hasher.finish(), high]
}
