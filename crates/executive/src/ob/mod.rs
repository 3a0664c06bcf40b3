//! Object manager: types, headers, directories, names, symbolic links, handles, references.
//!
//! Models `Ob*` of x64 kernels from Windows 7 to 11 with their own structures in memory. Sources: the public symbols for the layouts,
//! Microsoft's reference pages for the documented routines, decompilations of several kernel generations for the rules of name
//! resolution, insertion and deletion.
//!
//! Deliberately different, each at its place: handle tables are ordinary host memory (nobody walks them from outside), and so is a table of all directory
//! entries beside the chains; a handle holds
//! exactly one reference (Windows 8 and later cache up to 0x7FFF more in it); `OBJ_EXCLUSIVE` adds its header and nothing else;
//! cache-aligned types, audit and extended headers, server silos and per-session device maps do not exist; `OBJ_KERNEL_EXCLUSIVE` is accepted
//! and does nothing. On the profile `ros` headers have the layout of Windows 7 with a plain type index, because
//! NT 5's own header is not modeled.
//!
//! Lock order, outermost first: the lock of one directory, the lock of one object header, the lock of one type. None of
//! them is held across a call of a type's procedure or of the platform other than [`Platform::allocate`](crate::Platform::allocate)
//! and the waits for the locks themselves.

mod audit;
mod capture;
mod create;
mod create_info;
mod directory;
mod facts;
mod globals;
mod handle;
mod header;
mod index;
mod insert;
mod lifetime;
mod link;
mod lookup;
mod name;
mod object_type;
mod open;
mod process;
mod security;
mod services;
#[cfg(test)]
mod tests;
mod types;
mod units;

pub use audit::MadeObject;
pub use facts::ObjectFacts;
pub use lookup::ParseRequest;
pub use process::ProcessKind;
pub use types::{CloseProcedure, DeleteProcedure, ParseProcedure, Procedures};

pub(crate) use globals::Globals;
pub(crate) use types::INDIRECT;
