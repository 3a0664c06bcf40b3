//! What can be done at the same time as something else.

use record::UnloadOutcome;

/// One of several things that a machine does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member<'a> {
    /// Map a driver and call its `DriverEntry`.
    Load {
        /// File name.
        name: &'a str,
        /// The file.
        image: &'a [u8],
    },
    /// Ask a driver to leave.
    Unload {
        /// Its name in the run.
        driver: &'a str,
    },
    /// Ring a callback object.
    Notify {
        /// Its name.
        object: &'a str,
        /// First argument.
        argument1: u64,
        /// Second argument.
        argument2: u64,
        /// IRQL to ring at.
        irql: u8,
    },
    /// Play an event of the catalog.
    Event {
        /// Its name.
        name: &'a str,
    },
    /// Let virtual time pass, in units of 100 ns.
    Advance {
        /// How many.
        ticks: u64,
    },
}

/// What one of several things came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, or was never begun because another was refused.
    Done,
    /// The driver's `DriverEntry` returned.
    Loaded {
        /// Its name in the run.
        name: String,
        /// What it returned.
        status: u32,
    },
    /// The driver was asked to leave.
    Unloaded(UnloadOutcome),
    /// It was refused, and why.
    Refused(String),
}
