//! Memory images of a machine that never ran: kernel memory with callback objects in it, written offset by offset.
//!
//! The reader under test takes its offsets from the tables of `ringbell-nt`. An image made with the same tables could not
//! show that one of them is wrong, so nothing here depends on them: every offset is a literal, taken by hand from the public
//! symbols and from decompilations of shipped x64 kernels.
//!
//! [`World`] is such a machine: page tables (4 KiB, 2 MiB and 1 GiB pages, pages in transition), a kernel image and drivers
//! with headers, module lists, pools, object directories, callback objects and registrations. [`World::raw`] and
//! [`World::dump`] write it as an image. [`fixtures`] has the damaged ones, by name.
#![forbid(unsafe_code)]

mod era;
pub mod fixtures;
mod memory;
mod module;
mod object;
mod output;
mod pool;
mod vmware;
mod world;

pub use era::Era;
pub use memory::{Memory, Page};
pub use module::{Module, Unloaded};
pub use object::{CallbackSpec, Made, Optional, type_index};
pub use output::Dump;
pub use pool::{Block, Pool};
pub use vmware::StateFile;
pub use world::{KERNEL_ROUTINES, World, plan};
