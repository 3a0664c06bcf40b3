//! Objects: types, headers, directories, names, handles, references.

use crate::executive::Executive;
use crate::platform::Platform;

/// Global variables of `ob`.
#[repr(C)]
pub(crate) struct Globals {
    reserved: usize,
}

impl<P: Platform> Executive<P> {
    /// Creates the types `Type`, `Directory`, `SymbolicLink` and the root of the namespace.
    pub(crate) fn ob_initialize(&self) -> bool {
        true
    }

    /// Deletes the objects whose last reference went away at a raised IRQL. `ke` calls it when a thread is back at
    /// `PASSIVE_LEVEL` outside critical and guarded regions; NT has a worker thread for it.
    pub(crate) fn ob_drain_deferred(&self) {}
}
