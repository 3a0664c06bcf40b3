//! Callback objects found in Windows memory images: crash dumps, raw images, virtual machine cores.
//!
//! The lower half turns a file into memory and knows nothing of callback objects:
//!
//! ```text
//! file ─► Physical (runs, positional reads) ─► AddressSpace (page tables) ─► Memory (virtual reads)
//! ```
//!
//! # Hostile input
//!
//! An image is evidence, and evidence may be forged. No allocation is sized by a header field that was not first
//! checked against the file's length, every walk is bounded, and a value that is not there carries its reason
//! ([`Missing`]) instead of a zero.
#![forbid(unsafe_code)]

mod memory;
pub mod trace;
mod translate;

pub use memory::{
    KernelRange, Level, Memory, MemoryExt, Missing, PAGE_SIZE, PartialRead, Physical, Piece, Why,
};
pub use translate::{AddressSpace, PageSize, Translation};
