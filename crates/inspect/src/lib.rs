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

mod bitmap;
mod debugger_data;
mod diff;
mod dump;
mod elf;
mod error;
mod fields;
mod find;
mod finder;
mod flat;
mod format;
mod kernel;
mod limits;
mod locate;
mod memory;
mod memory_image;
mod modules;
mod note;
mod pdb;
mod pe;
mod physical;
mod root;
mod runs;
mod scan;
mod source;
mod symbols;
pub mod trace;
mod translate;
mod triage;
mod vmware;

pub use debugger_data::DebuggerData;
pub use diff::diff;
pub use dump::DumpHeader;
pub use error::{OpenError, Unsupported};
pub use find::{Options, Progress, Symbols, inspect};
pub use format::{DumpType, Format};
pub use kernel::{BaseFoundBy, Build, BuildFoundBy, FindOptions, Kernel, KernelNote, ModulesFoundBy};
pub use memory::{
    KernelRange, Level, Memory, MemoryExt, Missing, PAGE_SIZE, PartialRead, Physical, Piece, Why,
};
pub use memory_image::MemoryImage;
pub use modules::{KernelModule, UnloadedModule};
pub use note::Note;
pub use pdb::{PdbFault, PdbSymbols};
pub use pe::{PdbId, Pe, PeFault, PeSection};
pub use root::RootFoundBy;
pub use scan::{Chunk, Hit, Needle, ScanOptions, ScanProgress, Scanned, scan, scan_needles};
pub use symbols::{SymbolFiles, SymbolPath, SymbolsMissing};
pub use translate::{AddressSpace, PageSize, Paging, Translation};
