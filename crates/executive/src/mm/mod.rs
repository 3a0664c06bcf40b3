//! Memory: the pools.

use crate::executive::Executive;
use crate::platform::Platform;

/// Global variables of `mm`.
#[repr(C)]
pub(crate) struct Globals {
    reserved: usize,
}

impl<P: Platform> Executive<P> {
    /// Makes the global variables ready.
    pub(crate) fn mm_initialize(&self) {}
}
