//! `Rtl`: strings, memory, versions, security descriptors, time.

pub(crate) mod convert;
pub(crate) mod counted;
pub(crate) mod memory;
pub(crate) mod multibyte;
pub(crate) mod random;
pub(crate) mod security;
pub(crate) mod string;
pub(crate) mod time;
pub(crate) mod version;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
