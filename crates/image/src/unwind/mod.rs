//! Unwinding: from the registers in a function to those of its caller.
//!
//! Models `RtlVirtualUnwind` of Windows x64 as a pure function over the bytes of an image: [`FunctionTable::unwind`](crate::FunctionTable::unwind)
//! takes the registers, a way to read the stack, and gives the registers of the caller as they will be when the call
//! returns. What to undo stands in the unwind data (`UNWIND_INFO`) of the function: one code per instruction of the
//! prologue. At an instruction inside the prologue only the codes of what already ran apply; inside an epilogue, which the
//! unwind data of version 1 does not describe, the rest of it is recognized by its bytes and carried out. A function
//! without an entry in the table is a leaf: its return address is on top of the stack.
//!
//! Source: Microsoft docs, "x64 exception handling" and "x64 prolog and epilog"; the epilogue codes of version 2 as
//! LLVM writes and reads them.
//!
//! # Limits
//!
//! Unwind data is hostile input: every read is checked, a chain has at most [`MAX_CHAIN`] links, a frame that does not move
//! the stack pointer up is an error (an interrupted context may lie anywhere; whoever walks bounds the number of
//! frames). Nothing is allocated, so that a trap handler can unwind.
//!
//! # Deliberately different from Windows
//!
//! - `RtlVirtualUnwind` trusts unwind data; here damage is an [`UnwindError`], and the registers stay as they were.
//! - An epilogue may address its frame by R12, whose encoding has one byte more.

mod context;
mod epilogue;
mod error;
mod info;
mod scope;
mod step;

pub use context::Context;
pub use error::UnwindError;
pub use info::{Handler, Operation, Operations, UnwindInfo};
pub use scope::{Clause, Filter, MAX_SCOPES, Scope, ScopeTable};
pub use step::Frame;

/// Longer chains of unwind data are refused: compilers write one or two links.
pub const MAX_CHAIN: usize = 32;
