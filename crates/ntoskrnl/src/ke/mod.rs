//! `Ke`: IRQL, locks, dispatcher objects, time, processors.
//!
//! Nearly all of it hands on to the executive's own `ke`; what is here is the calling contract.

pub(crate) mod dispatcher;
pub(crate) mod dpc;
pub(crate) mod irql;
pub(crate) mod processor;
pub(crate) mod spin_lock;
pub(crate) mod thread;
pub(crate) mod time;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
