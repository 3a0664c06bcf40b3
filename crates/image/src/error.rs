//! Why an image is refused, in words for people: what, where, and the next step.

use thiserror::Error;

use crate::likeness::Likeness;

/// What is wrong with an import table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// The descriptor itself lies outside the image.
    #[error("the descriptor lies outside the image")]
    Descriptor,
    /// The module name is missing, too long, or not text.
    #[error("the module name is not a name")]
    ModuleName,
    /// The lookup table runs out of the image before its end mark.
    #[error("the lookup table leaves the image")]
    Lookup,
    /// The imported function's name is missing, too long, or not text.
    #[error("an imported name is not a name")]
    SymbolName,
    /// The address slot lies outside every section.
    #[error("an address slot lies outside the sections")]
    Slot,
    /// More descriptors or imports than any driver has.
    #[error("there are more imports than the limit")]
    TooMany,
}

/// What is wrong with a base relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RelocationFault {
    /// The block's size is smaller than its header, odd, or leaves the directory.
    #[error("the block has the impossible size {0:#x}")]
    BlockSize(u32),
    /// The place to patch lies outside every section.
    #[error("the place to patch lies outside the sections")]
    Target,
    /// A 16- or 32-bit relocation (`HIGH`, `LOW`, `HIGHLOW`, `HIGHADJ`): cannot hold a 64-bit address.
    #[error("a relocation of kind `{0}` cannot hold a 64-bit address")]
    Narrow(&'static str),
    /// A relocation type that x64 does not have.
    #[error("relocation type {0} does not exist on x64")]
    Unknown(u16),
}

/// Why an image cannot be parsed, planned or loaded.
///
/// The text is one lowercase sentence; [`ImageError::hint`] gives the next step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file does not begin with `MZ`, or holds no `PE` signature.
    #[error("not a PE image: it looks like {0}")]
    NotPe(Likeness),
    /// The file ends inside a structure.
    #[error(
        "truncated: {what} at offset {offset:#x} needs {needed:#x} bytes and {missing:#x} of them are missing"
    )]
    Truncated {
        /// The structure that does not fit.
        what: &'static str,
        /// Where it begins in the file.
        offset: u64,
        /// Its size in bytes.
        needed: u64,
        /// How many of these bytes the file lacks.
        missing: u64,
    },
    /// Built for 32-bit x86.
    #[error("a 32-bit x86 image (machine `0x14c`); only x64 drivers run here")]
    X86,
    /// Built for ARM64.
    #[error("an ARM64 image (machine `0xaa64`); only x64 drivers run here")]
    Arm64,
    /// Built for another processor.
    #[error("an image for machine `{0:#x}`; only x64 drivers (`0x8664`) run here")]
    OtherMachine(u16),
    /// The x64 machine with a PE32 (32-bit) optional header.
    #[error("the optional header is PE32 (`0x10b`), although the machine is x64")]
    Pe32,
    /// An optional header of an unknown kind.
    #[error("the optional header has the unknown magic `{0:#x}`")]
    OptionalMagic(u16),
    /// The optional header is too small.
    #[error("the optional header has {size:#x} bytes; PE32+ needs at least {needed:#x}")]
    OptionalSize {
        /// `SizeOfOptionalHeader`.
        size: u16,
        /// What PE32+ with the announced directories takes.
        needed: u64,
    },
    /// `IMAGE_FILE_EXECUTABLE_IMAGE` is clear: the linker failed, or this is no final image.
    #[error("the image is marked as not executable (characteristics `{0:#x}`)")]
    NotExecutable(u16),
    /// Built for the Windows GUI or console subsystem.
    #[error("a user-mode program (subsystem `{0}`), not a driver (subsystem `native`)")]
    UserMode(&'static str),
    /// Built for another subsystem that is not `native`.
    #[error("an image for subsystem {0}, not a driver (subsystem `native`, 1)")]
    OtherSubsystem(u16),
    /// `AddressOfEntryPoint` is zero.
    #[error("the image has no entry point, so there is no `DriverEntry` to call")]
    NoEntryPoint,
    /// The entry point is not in an executable section.
    #[error("the entry point at RVA {0:#x} is not inside an executable section")]
    EntryOutsideCode(u32),
    /// Alignments that the loader refuses.
    #[error("section alignment {section:#x} and file alignment {file:#x} do not go together")]
    Alignment {
        /// `SectionAlignment`.
        section: u32,
        /// `FileAlignment`.
        file: u32,
    },
    /// The preferred base is not a multiple of 64 KiB.
    #[error("the preferred base {0:#x} is not a multiple of 0x10000")]
    PreferredBase(u64),
    /// No section, or more than the Windows loader takes.
    #[error("the image has {0} sections; the loader takes 1 to 96")]
    SectionCount(u16),
    /// `SizeOfHeaders` does not cover the section table or leaves the image.
    #[error(
        "headers of {size:#x} bytes cannot hold the section table, which ends at {needed:#x}, within the image"
    )]
    HeadersSize {
        /// `SizeOfHeaders`.
        size: u32,
        /// Where the section table ends.
        needed: u64,
    },
    /// The raw data of a section is not in the file.
    #[error(
        "section `{section}` has its data at offset {offset:#x}, and {missing:#x} of {size:#x} bytes are beyond the end of the file"
    )]
    SectionOutsideFile {
        /// The section.
        section: String,
        /// Where its data begins in the file.
        offset: u32,
        /// `SizeOfRawData`.
        size: u32,
        /// How many of these bytes the file lacks.
        missing: u64,
    },
    /// A section's address range passes 4 GiB.
    #[error("section `{section}` at RVA {rva:#x} with {size:#x} bytes wraps around")]
    SectionWraps {
        /// The section.
        section: String,
        /// Its `VirtualAddress`.
        rva: u32,
        /// Its size in memory.
        size: u32,
    },
    /// A section begins before the previous one (or the headers) ends, or off its alignment.
    #[error("section `{section}` at RVA {rva:#x} overlaps what ends at {end:#x}, or is not aligned")]
    SectionOverlap {
        /// The section.
        section: String,
        /// Its `VirtualAddress`.
        rva: u32,
        /// Where the sections before it end.
        end: u32,
    },
    /// A hole between sections: the Windows loader wants them adjacent.
    #[error("section `{section}` at RVA {rva:#x} leaves a hole: the sections before it end at {end:#x}")]
    SectionGap {
        /// The section.
        section: String,
        /// Its `VirtualAddress`.
        rva: u32,
        /// Where the sections before it end.
        end: u32,
    },
    /// A section lies beyond `SizeOfImage`.
    #[error("section `{section}` ends at RVA {end:#x}, beyond the image of {size:#x} bytes")]
    SectionOutsideImage {
        /// The section.
        section: String,
        /// Where it ends.
        end: u32,
        /// `SizeOfImage`.
        size: u32,
    },
    /// `SizeOfImage` is zero, above the limit, or more than the sections fill.
    #[error("SizeOfImage {size:#x} does not agree with the sections, which end at {end:#x}")]
    ImageSize {
        /// `SizeOfImage`.
        size: u32,
        /// Where the last section ends.
        end: u32,
    },
    /// `SizeOfImage` is above [`crate::MAX_IMAGE_SIZE`].
    #[error("SizeOfImage {0:#x} is above the limit of 0x20000000 bytes")]
    TooLarge(u32),
    /// The address to load at is unaligned, or the image would wrap there.
    #[error(
        "an image of {size:#x} bytes cannot be loaded at {base:#x}: the address is not page-aligned or the image wraps"
    )]
    LoadBase {
        /// The address asked for.
        base: u64,
        /// `SizeOfImage`.
        size: u32,
    },
    /// The image must be loaded elsewhere but carries no relocations.
    #[error("relocations are stripped, so the image loads at {preferred:#x} only, not at {asked:#x}")]
    RelocationsStripped {
        /// The preferred base.
        preferred: u64,
        /// The base asked for.
        asked: u64,
    },
    /// A base relocation cannot be applied.
    #[error("bad base relocation for RVA {rva:#x}: {fault}")]
    Relocation {
        /// The place the block or the entry patches.
        rva: u32,
        /// What is wrong.
        fault: RelocationFault,
    },
    /// A data directory lies outside the image, or its content makes no sense.
    #[error("the {what} at RVA {rva:#x} with {size:#x} bytes is not inside the image")]
    Directory {
        /// The directory or table.
        what: &'static str,
        /// Its RVA.
        rva: u32,
        /// Its size in bytes.
        size: u32,
    },
    /// The import table is broken.
    #[error("bad import descriptor {index} at RVA {rva:#x}: {fault}")]
    Import {
        /// Which descriptor, from 0.
        index: usize,
        /// The RVA of the broken part.
        rva: u32,
        /// What is wrong.
        fault: ImportFault,
    },
    /// The image imports from modules that are not the kernel.
    #[error("imports {count} functions from `{module}`: {what}")]
    ForeignImports {
        /// The first such module, as the image spells it.
        module: String,
        /// How many functions come from it.
        count: usize,
        /// What the module is.
        what: &'static str,
        /// What the user can do.
        hint: &'static str,
    },
    /// A pointer in the load configuration lies outside the image.
    #[error("the load configuration's `{field}` points to {va:#x}, outside the image")]
    LoadConfig {
        /// The field, by its Windows name.
        field: &'static str,
        /// Its value.
        va: u64,
    },
    /// The memory handed over is smaller than the image.
    #[error("the image needs {needed:#x} bytes of memory and got {given:#x}")]
    Memory {
        /// `SizeOfImage`, or the end of what is to be written.
        needed: u64,
        /// The length of the memory.
        given: u64,
    },
}

impl ImageError {
    /// Returns the next step for the user, to print on a line of its own after `hint: `.
    pub fn hint(&self) -> &'static str {
        match self {
            ImageError::Empty => "check the path; the build or the copy may have failed",
            ImageError::NotPe(Likeness::Zip | Likeness::Compressed | Likeness::Cabinet) => {
                "unpack it and give the `.sys` file inside"
            }
            ImageError::NotPe(Likeness::CoffObject | Likeness::Archive) => {
                "link it first: subsystem native, entry `DriverEntry`"
            }
            ImageError::NotPe(Likeness::CrashDump) => {
                "a memory image holds no driver file; give the `.sys` file itself"
            }
            ImageError::NotPe(_) => "give a Windows x64 driver, a `.sys` file",
            ImageError::Truncated { .. } | ImageError::SectionOutsideFile { .. } => {
                "copy the file again; compare its size with the original"
            }
            ImageError::X86 | ImageError::Arm64 | ImageError::OtherMachine(_) | ImageError::Pe32 => {
                "build the driver for x64 (amd64)"
            }
            ImageError::UserMode(_) | ImageError::OtherSubsystem(_) => {
                "a driver is linked with `/SUBSYSTEM:NATIVE /DRIVER` (mingw: `-Wl,--subsystem,native`)"
            }
            ImageError::NoEntryPoint | ImageError::EntryOutsideCode(_) => {
                "link with `/ENTRY:DriverEntry` (mingw: `-Wl,--entry,DriverEntry`)"
            }
            ImageError::RelocationsStripped { .. } => {
                "link without `/FIXED`, or free the preferred address range"
            }
            ImageError::Relocation { fault: RelocationFault::Narrow(_), .. } => {
                "compile as position-independent x64 code, without 32-bit absolute addresses"
            }
            ImageError::ForeignImports { hint, .. } => hint,
            ImageError::LoadBase { .. } => "choose a multiple of 0x1000 with room for the image above it",
            ImageError::Memory { .. } => "map `Plan::size` bytes and pass them all",
            ImageError::TooLarge(_)
            | ImageError::NotExecutable(_)
            | ImageError::OptionalMagic(_)
            | ImageError::OptionalSize { .. }
            | ImageError::Alignment { .. }
            | ImageError::PreferredBase(_)
            | ImageError::SectionCount(_)
            | ImageError::HeadersSize { .. }
            | ImageError::SectionWraps { .. }
            | ImageError::SectionOverlap { .. }
            | ImageError::SectionGap { .. }
            | ImageError::SectionOutsideImage { .. }
            | ImageError::ImageSize { .. }
            | ImageError::Relocation { .. }
            | ImageError::Directory { .. }
            | ImageError::Import { .. }
            | ImageError::LoadConfig { .. } => {
                "the file is damaged or deliberately malformed; link it again or take a fresh copy"
            }
        }
    }
}
