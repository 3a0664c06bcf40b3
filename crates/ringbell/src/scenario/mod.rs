//! A scenario: what a machine is, what is done with it in which order, and what is expected of it.
//!
//! The command line and a TOML file say the same things, and both become a [`Scenario`]. Everything that can be judged
//! without a machine is judged before one is started: names, numbers, rules, events, whether a driver that is to leave is
//! there at all. What only the machine knows, such as whether an object exists, is said with the step's place in the file.

mod cast;
mod driver;
mod dump;
mod expect;
mod levels;
mod mistake;
mod observe;
mod play;
mod read;
mod schedule;
mod schema;
mod settings;
mod source;
mod steps;
mod time;
mod value;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nt::catalog;

use crate::{DumpForm, Ring};
use ::machine::Config;

pub use driver::{DriverImage, read_limited, unreadable};
pub use expect::{Expectation, Expected, ExpectedEnding, ExpectedFinding, ExpectedStatus};
pub use levels::{Level, Levels, rule};
pub use mistake::{Mistake, Place, printable};
pub use play::{Player, Stopped};
pub use read::profile;
pub use schedule::{PARALLEL_PROCESSORS, fault, processors, schedule, seed};
pub use schema::schema;
pub use settings::{help, reference};
pub use steps::event;
pub use time::{duration, limit};

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Settings of the machine.
    pub config: Config,
    /// How findings are taken.
    pub levels: Levels,
    /// What is done, in order. Drivers that are still there at the end leave in reverse order.
    pub steps: Vec<Step>,
    /// What is expected of the whole run.
    pub expected: Expected,
    /// Where to write the machine as a crash dump, after the last step and before the drivers leave, or when it dies: with the
    /// bugcheck in its header, where it was one. A kernel process that is killed leaves no file.
    pub dump: Option<PathBuf>,
    /// The kind of that dump.
    pub dump_form: DumpForm,
    /// Whether the drivers stay loaded at the end. There is no departure audit then.
    pub keep_loaded: bool,
    /// Keys of a scenario file that name one schedule of many, `seed` or `schedule`, and where they stand.
    pub names_schedule: Vec<(&'static str, Place)>,
}

impl Scenario {
    /// Loads drivers, and no more.
    pub fn of(drivers: impl IntoIterator<Item = DriverImage>) -> Self {
        let steps = drivers.into_iter().map(|driver| Step::new(Act::Load(driver))).collect();
        Self { steps, ..Self::default() }
    }
}

/// One thing to do, and where that is written.
#[derive(Clone, Debug)]
pub struct Step {
    /// What to do.
    pub act: Act,
    /// Where a scenario file says so.
    pub place: Option<Place>,
}

impl Step {
    /// Makes a step that no file says.
    pub fn new(act: Act) -> Self {
        Self { act, place: None }
    }
}

/// What can be done.
#[derive(Clone, Debug)]
pub enum Act {
    /// Load a driver.
    Load(DriverImage),
    /// Ring an object.
    Ring(Ring),
    /// Play an event of Windows.
    Event(&'static catalog::Event),
    /// Let virtual time pass.
    Wait(Duration),
    /// Ask a driver to leave, by its name in the run.
    Unload(String),
    /// Do several things at once. They are loads, rings, events, waits and unloads.
    Parallel(Vec<Step>),
    /// Look whether the machine is as expected.
    Expect(Expectation),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(driver) => write!(f, "load {}", driver.name),
            Self::Ring(ring) => write!(f, "ring {ring}"),
            Self::Event(event) => write!(f, "event {}", event.name),
            Self::Wait(time) => write!(f, "wait {time:?}"),
            Self::Unload(driver) => write!(f, "unload {driver}"),
            Self::Parallel(members) => {
                let members: Vec<String> = members.iter().map(|member| member.act.to_string()).collect();
                write!(f, "parallel: {}", members.join(" | "))
            }
            Self::Expect(expectation) => write!(f, "expect {expectation}"),
        }
    }
}
