//! Names of kernel routines that have an address and no code.

/// Bytes of text that the routines take.
pub(crate) const TEXT_BYTES: usize = 0x1000;
