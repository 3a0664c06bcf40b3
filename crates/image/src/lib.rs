//! A Windows x64 kernel-driver image: parse, plan, relocate, bind, and name addresses.
//!
//! Models what the kernel's own loader (`MmLoadSystemImage`) decides about a `.sys` file, as pure functions over
//! bytes: no file is opened, no memory is mapped, no code runs. The raw structures are those of the `object` crate;
//! every field is read bounds-checked, because a driver file is hostile input.
//!
//! ```text
//! bytes ── Image::parse ──► Image ── plan(base) ──► Plan ── apply(memory) ──► bind ──► set_cookie ──► protect
//!                             ├─ imports, exports, load_config, functions, pdb
//!                             ├─ functions().unwind(registers, stack) ──► the caller's registers
//!                             └─ Symbols::of ──► `driver.sys+0x1a2c (DriverEntry+0x1c)`
//! ```
//!
//! # Limits
//!
//! Nothing is allocated by a size that was not first checked against the file; every table is capped (see the
//! `MAX_*` constants), so that a small file cannot ask for much memory or time.
//!
//! # Deliberately different from Windows
//!
//! - A page is never both writable and executable: of a section that asks for both, write is dropped and a
//!   [`Note`] says so. Only pages that several sections of a low-alignment image share may keep both.
//! - The headers in memory are those of the file: `ImageBase` is not rewritten after relocation.
//! - Dynamic relocations (retpoline and import-optimization tables of the load configuration) are not applied; the
//!   code runs without them.
//! - Signatures (`Security` directory, `FORCE_INTEGRITY`) are not verified.
#![forbid(unsafe_code)]

mod address;
mod bind;
mod checksum;
mod coff;
mod debug;
mod error;
mod export;
mod function;
mod headers;
mod image;
mod import;
mod likeness;
mod load_config;
mod modules;
mod plan;
mod raw;
mod relocation;
mod section;
mod symbols;
pub mod unwind;

pub use address::AddressName;
pub use bind::{ForeignModule, bind, foreign_modules, require_kernel_imports};
pub use checksum::Checksum;
pub use debug::PdbInfo;
pub use error::{ImageError, ImportFault, RelocationFault};
pub use export::{Export, ExportTarget, MAX_EXPORTS};
pub use function::{FunctionTable, RuntimeFunction};
pub use headers::{Directory, Headers, MAX_IMAGE_SIZE, MAX_SECTIONS};
pub use image::Image;
pub use import::{Import, ImportSymbol, MAX_IMPORT_DESCRIPTORS, MAX_IMPORTS, MAX_NAME};
pub use likeness::Likeness;
pub use load_config::{CookieOutcome, DEFAULT_COOKIE, GuardTable, LoadConfig};
pub use modules::{KNOWN_MODULES, KnownModule, ModuleClass, classify_module};
pub use plan::{Note, Plan, PlannedRange, Protection};
pub use section::{Section, SectionFlags};
pub use symbols::{Symbol, SymbolSource, Symbols};

/// Bytes in a page of x64.
pub const PAGE_SIZE: u32 = 0x1000;
