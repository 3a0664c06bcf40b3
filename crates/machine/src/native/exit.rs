//! Exit codes of a kernel process. They are between it and its parent: people see [`record::Ending`].

/// Told to finish.
pub(crate) const FINISHED: i32 = 0;
/// Last words say why.
pub(crate) const LAST_WORDS: i32 = 90;
/// The parent is gone.
pub(crate) const ORPHAN: i32 = 91;
/// The parent does not speak this protocol.
pub(crate) const PROTOCOL: i32 = 92;
/// The process could not become a machine.
pub(crate) const NO_MACHINE: i32 = 93;
