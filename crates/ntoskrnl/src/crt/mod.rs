//! The C library of the kernel: strings, characters, numbers, `printf`.
//!
//! Models what `ntoskrnl.exe` exports from Microsoft's C library, in the C locale: only ASCII letters have a case. The memory
//! routines stand in [`rtl::memory`](crate::rtl::memory).

pub(crate) mod character;
pub(crate) mod number;
pub(crate) mod print;
pub(crate) mod secure;
pub(crate) mod sort;
pub(crate) mod string;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
