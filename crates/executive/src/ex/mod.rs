//! Executive: callback objects.

pub(crate) mod routines;

pub use self::routines::KernelRoutine;

use crate::executive::Executive;
use crate::platform::Platform;

/// Global variables of `ex`.
#[repr(C)]
pub(crate) struct Globals {
    reserved: usize,
}

impl<P: Platform> Executive<P> {
    /// Initializes callback objects: the type, the directory, the built-in objects.
    pub fn ExpInitializeCallbacks(&self) -> bool {
        false
    }
}
