//! Ringbell implements the callback objects of the Windows NT executive, runs real Windows x64 kernel drivers against
//! them on plain Linux, and audits what they leave behind.
//!
//! A driver under test needs no Windows, no signing and no reboot; a test is a few lines:
//!
//! ```no_run
//! use ringbell::{Config, Machine};
//!
//! let mut machine = Machine::boot(Config::default())?;
//! let driver = machine.load("my.sys", &std::fs::read("my.sys")?)?;
//! machine.ring(&r"\Callback\PowerState=1,0@dispatch".parse()?)?;
//! machine.unload(&driver)?;
//! let report = machine.finish();
//! assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Machine`] boots a kernel process; [`Machine::finish`] returns the [`Report`], already judged by the rules.
#![forbid(unsafe_code)]

pub mod bundled;
pub mod explore;
mod machine;
pub mod near;
mod play;
mod ring;
pub mod scenario;
mod shortest;

pub use ::machine::dump::Form as DumpForm;
pub use ::machine::{Config, Done, MachineError, Member, interrupt};
pub use explore::{Exploration, Explore};
pub use machine::{Base, Driver, Machine};
pub use play::{Action, Play};
pub use record::{Ending, Event, Finding, Report, Severity, What};
pub use ring::{BadRing, Ring, object_path};
pub use scenario::{Scenario, Stopped};
pub use shortest::{Shortest, shortest};
pub use view::story::{story, verdict};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
