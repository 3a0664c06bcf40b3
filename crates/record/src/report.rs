//! The report of one run: what was loaded, what happened, how it ended, what is wrong with it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Ending, Event, Finding, Modules, Schedule, Severity, Snapshot};

/// What became of a driver at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum UnloadOutcome {
    /// `DriverUnload` ran and the image is gone.
    Unloaded,
    /// The driver has no `DriverUnload`: it can never leave, and has no departure audit.
    NotUnloadable,
    /// Asked to stay (`--keep-loaded`).
    Kept,
    /// `DriverEntry` failed, so the image went at once.
    EntryFailed,
    /// The machine died first.
    NotReached,
}

/// One driver of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DriverRecord {
    /// File name, unique in the run (`listener.sys`, `listener.sys#2`).
    pub name: String,
    /// Where it was mapped.
    pub base: u64,
    /// `SizeOfImage`.
    pub size: u64,
    /// What `DriverEntry` returned; `None` if it never returned.
    pub entry_status: Option<u32>,
    /// What became of it.
    pub unload: UnloadOutcome,
}

/// Whether the same inputs give the same stream again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reproducible {
    /// The answer.
    pub yes: bool,
    /// Why not, where not.
    pub because: Vec<String>,
}

/// Facts of the host and the moment, kept apart from the stream because they differ from run to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HostFacts {
    /// Wall time of the run in microseconds.
    pub wall_us: u64,
    /// Process id of the kernel process.
    pub pid: u32,
}

/// Something a scenario expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Check {
    /// What was expected, in words.
    pub expected: String,
    /// What was got instead; `None` where the expectation was met.
    pub got: Option<String>,
    /// Line of the scenario file that says so.
    pub line: Option<u32>,
}

/// What a scenario expected, and what of the run was expected. Empty where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Expectations {
    /// Every expectation, in the order of the scenario.
    pub checks: Vec<Check>,
    /// Whether the ending is one that was expected.
    pub ending: bool,
    /// Positions in [`Report::findings`] of those that were expected.
    pub findings: Vec<usize>,
    /// Drivers of which it was expected that they do not start.
    pub drivers: Vec<String>,
}

impl Expectations {
    /// Returns the expectations that were not met.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.got.is_some())
    }
}

/// Why a run is not the one that was asked for. The text is one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", tag = "kind", content = "why")
)]
pub enum NotPlayed {
    /// A step was refused, and those behind it were not played.
    Step(String),
    /// The run could not follow the schedule that it was to play again.
    Schedule(String),
    /// The call that was to fail was never made.
    Fault(String),
    /// A file could not be written, and the steps behind that were not played.
    File(String),
}

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// Version of this structure.
    pub version: u32,
    /// Version profile.
    pub profile: String,
    /// Windows build number.
    pub build: u32,
    /// Seed.
    pub seed: u64,
    /// Virtual processors.
    pub processors: u8,
    /// Whether the processors ran at the same time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub parallel: bool,
    /// The schedule it ran; `None` where it was too long to be kept, or there was none because processors ran at the same time.
    pub schedule: Option<Schedule>,
    /// Drivers in load order.
    pub drivers: Vec<DriverRecord>,
    /// Modules, the kernel first.
    pub modules: Modules,
    /// The event stream.
    pub events: Vec<Event>,
    /// How it ended.
    pub ending: Ending,
    /// Why it is not the run that was asked for, where it is not.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_played: Option<NotPlayed>,
    /// The file that the machine was written to as a crash dump, where it was.
    #[cfg_attr(feature = "serde", serde(default))]
    pub dump: Option<String>,
    /// State at the end, where the machine lived to tell.
    pub last: Option<Snapshot>,
    /// What the rules found.
    pub findings: Vec<Finding>,
    /// Findings that were dropped because their rule is allowed.
    #[cfg_attr(feature = "serde", serde(default))]
    pub allowed: u64,
    /// What the scenario expected.
    #[cfg_attr(feature = "serde", serde(default))]
    pub expectations: Expectations,
    /// Exports that were called and only pretend, by name with the number of calls.
    pub stubs_called: Vec<(String, u64)>,
    /// Why the records may not be trusted: memory of the run itself was damaged. Empty is good.
    pub tainted: Vec<String>,
    /// Whether the stream can be had again.
    pub reproducible: Reproducible,
    /// Facts of the host.
    pub host: HostFacts,
}

impl Report {
    /// Current value of [`Report::version`].
    pub const VERSION: u32 = 1;

    /// Returns the findings that nobody expected.
    pub fn unexpected(&self) -> impl Iterator<Item = &Finding> {
        let expected = |index: &usize| self.expectations.findings.contains(index);
        self.findings
            .iter()
            .enumerate()
            .filter(move |(index, _)| !expected(index))
            .map(|(_, finding)| finding)
    }

    /// Returns the drivers that did not start, though nobody expected it.
    pub fn failed_drivers(&self) -> impl Iterator<Item = &DriverRecord> {
        self.drivers.iter().filter(|driver| {
            driver.unload == UnloadOutcome::EntryFailed && !self.expectations.drivers.contains(&driver.name)
        })
    }

    /// Returns the worst severity found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Returns the `DebugPrint` texts in order.
    pub fn debug_output(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match &event.what {
            crate::What::DebugPrint { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }
}
