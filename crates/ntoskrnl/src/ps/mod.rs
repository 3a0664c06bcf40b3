//! `Ps`: the System process and the threads in it.
//!
//! There is one process, `System`. It is a real object of type `Process`, and every thread that a driver makes is one of type
//! `Thread`: both can be referenced, waited for and opened by handle.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use executive::Origin;

pub(crate) mod identity;
pub(crate) mod thread;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

/// First thread identifier that is given to a driver's thread.
const FIRST_ID: u64 = 0x100;

/// What `Ps` keeps.
#[derive(Debug)]
pub(crate) struct Processes {
    /// The `EPROCESS` of System.
    pub(crate) system: AtomicU64,
    next_id: AtomicU64,
    /// Threads that run, and who made them.
    running: Mutex<BTreeMap<u64, Origin>>,
    /// Threads that have ended and whose reference nobody has dropped yet: a thread cannot free what it stands on.
    ended: Mutex<Vec<u64>>,
    any_ended: AtomicBool,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            system: AtomicU64::new(0),
            next_id: AtomicU64::new(FIRST_ID),
            running: Mutex::default(),
            ended: Mutex::default(),
            any_ended: AtomicBool::new(false),
        }
    }
}

impl Processes {
    /// Returns a fresh thread identifier; they are multiples of four.
    fn id(&self) -> u64 {
        self.next_id.fetch_add(4, Ordering::Relaxed)
    }
}
