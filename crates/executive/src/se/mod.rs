//! Security: identifiers, access control lists, descriptors, tokens, the access check.

use crate::executive::Executive;
use crate::platform::Platform;

/// Global variables of `se`.
#[repr(C)]
pub(crate) struct Globals {
    reserved: usize,
}

impl<P: Platform> Executive<P> {
    /// Makes the global variables ready.
    pub(crate) fn se_initialize(&self) {}
}
