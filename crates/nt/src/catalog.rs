//! The catalog: which callback objects exist on Windows, who makes them, who listens, when they ring and with what.
//!
//! Windows documents three of these objects (`SetSystemTime`, `PowerState`, `ProcessorAdd`). The rest is known from
//! symbols, from decompiled kernels and drivers, from published research and from a debugger's record of one boot. Each
//! entry therefore says where it comes from ([`Source`]) and how far to trust it ([`Certainty`]), and names the popular
//! misreading that it corrects, where there is one.
//!
//! Five tables, each the only place of its facts:
//! - [`entries`]: the objects;
//! - [`EVENTS`]: what Windows does to make the kernel's own objects ring, as data that a machine can play;
//! - [`BOOT_ATTEMPTS`]: one recorded boot, the 76 calls of `ExCreateCallback` in order, as data that can be replayed;
//! - [`ROUTINES`]: what the mechanism's routines do, step by step;
//! - [`OUTCOMES`]: what `ExCreateCallback` and its wrappers mean by a status.
//!
//! Presence of the built-in objects is not repeated here: [`Profile`] lists them by version.

mod boot;
mod builtin;
mod driver;
mod event;
mod kernel;
mod lookup;
mod outcome;
mod routine;
mod types;
mod unnamed;

pub use boot::{Attempt, BOOT_ATTEMPTS, Caller, Verdict, boot_trace};
pub use event::{Argument, Call, Condition, EVENTS, Event, Member, Structure, events_of, find_event};
pub use lookup::{entries, find, full_path, leaf};
pub use outcome::{OUTCOMES, Outcome, outcomes_of};
pub use routine::{ROUTINES, RoutineEntry, find_routine};
pub use types::{
    Certainty, Entry, Gathered, Listener, Name, Parameter, Party, Permanence, Presence, Shape, Sharing,
    Source,
};

#[cfg(doc)]
use crate::Profile;
