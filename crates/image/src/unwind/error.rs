//! Why a frame cannot be unwound.

use thiserror::Error;

use super::MAX_CHAIN;

/// Why a frame cannot be unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnwindError {
    /// Unwind data lies outside of the file, or is cut off.
    #[error("the unwind data at {rva:#x} is not in the file")]
    Outside {
        /// Where it should be.
        rva: u32,
    },
    /// Unwind data of a version that nobody has described.
    #[error("the unwind data at {rva:#x} has version {version}")]
    Version {
        /// Where it is.
        rva: u32,
        /// Its version.
        version: u8,
    },
    /// A code that does not exist, or whose further slots are cut off.
    #[error("the unwind data at {rva:#x} has the operation {operation}, which is unknown or cut off")]
    Code {
        /// Where the unwind data is.
        rva: u32,
        /// `UWOP_*`.
        operation: u8,
    },
    /// The chain of unwind data is too long, or a ring.
    #[error("the unwind data at {rva:#x} is chained over more than {MAX_CHAIN} links")]
    Chain {
        /// The first link.
        rva: u32,
    },
    /// The stack cannot be read.
    #[error("the stack at {address:#x} cannot be read")]
    Stack {
        /// Address of the word.
        address: u64,
    },
    /// The caller's frame would not lie above.
    #[error("the frame at {rsp:#x} does not lead up the stack")]
    NoProgress {
        /// Stack pointer of the frame.
        rsp: u64,
    },
}
