//! What happened in a machine, or was found in a memory image, as data.
//!
//! Everything Ringbell shows or judges is a value of this crate: the machine and the executive write
//! [`Event`]s, the rules read them and write [`Finding`]s, the views print both. The crate has no behavior
//! beyond looking things up in its own values, so that a stream recorded yesterday can be judged today.
//!
//! Addresses are plain `u64`: they belong to the machine or image that was observed, never to the process
//! that reads the record. [`Modules`] turns them into `driver.sys+0x1a2c`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod difference;
mod ending;
mod event;
mod exception;
mod fault;
mod finding;
mod found;
mod hash;
mod left;
mod module;
mod object;
mod owner;
mod pool;
mod report;
mod schedule;
mod trace;
mod wait;

pub use difference::{Boots, Change, Difference, ListenerChange, ObjectChange};
pub use ending::{BugcheckRecord, Ending, HangRecord, Registers};
pub use event::{Access, CreateOutcome, EntryPoint, Event, Mode, RefusedBecause, What};
pub use exception::ExceptionOutcome;
pub use fault::{FaultId, FaultPlan};
pub use finding::{Finding, RuleId, Severity};
pub use found::{
    Anomaly, Because, Confidence, Evidence, FoundBoot, FoundBugcheck, FoundListener, FoundObject, Inspection,
    Remnant, UnloadedRange, Value, ViewResult, Waiter,
};
pub use hash::Fnv1a;
pub use left::{Left, LeftKind, Made};
pub use module::{KERNEL, Located, Module, Modules, Symbol};
pub use object::{ListenerSnapshot, NamespaceEntry, ObjectSnapshot, Snapshot};
pub use pool::{PageableSection, PoolBlockLeft, PoolBlockRecord, PoolMisuse, PoolNoticed, PoolWrong};
pub use report::{
    Check, DriverRecord, Expectations, HostFacts, NotPlayed, Report, Reproducible, UnloadOutcome,
};
pub use schedule::{BadSchedule, SCHEDULER_VERSION, Schedule, Switch, Turn, parse_seed};
pub use trace::{AskedName, AttemptVerdict, ListedObject, NamePlace, TraceAttempt, TraceLog};
pub use wait::{Holder, Wait, WaitKind, WaitedFor, complete_waits, cycle_sentence, cycles};
