//! Why an image is refused, in words for people: what, where, and the next step.

use std::io;

use thiserror::Error;

/// A kind of file that is recognized and not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A crash dump of 32-bit Windows (`PAGEDUMP`), or a core of a 32-bit machine.
    #[error("a memory image of a 32-bit machine; only x64 is read")]
    Bits32,
    /// A dump or core of an ARM64 machine.
    #[error("a memory image of an ARM64 machine; only x64 is read")]
    Arm64,
    /// A dump or core of another processor.
    #[error("a memory image of a machine of type `{0:#x}`; only x64 (`0x8664`) is read")]
    Machine(u32),
    /// A user-mode minidump (`MDMP`).
    #[error("a minidump of a user-mode process; callback objects live in the kernel")]
    UserMinidump,
    /// A hibernation file.
    #[error("a hibernation file (`hiberfil.sys`), whose memory is compressed")]
    Hibernation,
    /// A core compressed by `makedumpfile` or QEMU (`KDUMP`, `DISKDUMP`).
    #[error("a kdump-compressed core")]
    Kdump,
    /// A LiME image, which is how Linux memory is taken.
    #[error("a LiME image, as taken of Linux machines")]
    Lime,
    /// An EnCase or AFF container.
    #[error("an evidence container ({0})")]
    Container(&'static str),
    /// An archive or compressed file.
    #[error("a compressed file ({0})")]
    Compressed(&'static str),
    /// The state file of a VMware machine without its memory.
    #[error("the state file of a VMware machine; its memory lies in the `.vmem` next to it")]
    VmwareState,
    /// The state file of a VMware machine, whose memory is in it, compressed.
    #[error("the state file of a VMware machine, whose memory is in it but compressed")]
    VmwareCompressed,
    /// A PE image.
    #[error("a PE image, not a memory image")]
    Pe,
    /// Text, such as the log of a debugger.
    #[error("a text file, not a memory image")]
    Text,
    /// An ELF file that is no core.
    #[error("an ELF file that is no core dump")]
    ElfNotCore,
    /// A virtual disk.
    #[error("a virtual disk ({0}), not memory")]
    Disk(&'static str),
}

/// Why a memory image cannot be opened.
///
/// The text is one lowercase sentence; [`OpenError::hint`] gives the next step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host refused.
    #[error("cannot read the image: {0}")]
    Io(String),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is shorter than a page.
    #[error("{length} bytes are no memory image: a page has 4096")]
    TooShort {
        /// Bytes in the file.
        length: u64,
    },
    /// The file is something else.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// A crash dump of a type that holds no memory in a known form.
    #[error("a crash dump of the unknown type {0:#x}")]
    DumpType(u32),
    /// The file ends inside a structure.
    #[error(
        "truncated: {what} at offset {offset:#x} needs {needed:#x} bytes and {missing:#x} of them are missing"
    )]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// Its size in bytes.
        needed: u64,
        /// How many of these the file lacks.
        missing: u64,
    },
    /// A header says something that cannot be.
    #[error("{what} is {value:#x}; {expected}")]
    Header {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// A VMware state file that cannot be read.
    #[error("the state file of a VMware machine is damaged: {0}")]
    VmwareBroken(String),
    /// The image holds no physical memory at all.
    #[error("the image's memory map names no page that the file holds")]
    NoMemory,
}

impl OpenError {
    /// Returns the next step.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Io(_) => return None,
            Self::Empty | Self::TooShort { .. } | Self::Truncated { .. } => {
                "copy the file again and compare the sizes"
            }
            Self::Unsupported(kind) => match kind {
                Unsupported::Bits32 | Unsupported::Arm64 | Unsupported::Machine(_) => {
                    "take the image on an x64 machine"
                }
                Unsupported::UserMinidump => {
                    "take a kernel dump: `Active memory dump` in the system settings, or `.dump /f` in a kernel debugger"
                }
                Unsupported::Hibernation => {
                    "convert it to a raw image first, for instance with Volatility or MemProcFS"
                }
                Unsupported::Kdump => {
                    "dump again without compression: `dump-guest-memory FILE`, or `virsh dump --memory-only --format elf`"
                }
                Unsupported::Lime => "for a Windows guest use `dump-guest-memory` of the hypervisor",
                Unsupported::Container(_) => {
                    "mount or export it as a raw image, for instance with `ewfmount`"
                }
                Unsupported::Compressed(_) => "decompress it first",
                Unsupported::VmwareState => {
                    "give the `.vmem`; the state file next to it is found by its name"
                }
                Unsupported::VmwareCompressed => {
                    "suspend the machine again without checkpoint compression, or let `vmss2core` of VMware write a crash dump"
                }
                Unsupported::Pe => "`ringbell run` runs drivers, `ringbell imports` lists what they need",
                Unsupported::Text => {
                    "`ringbell trace` reads the log of a debugger, `ringbell run` a scenario"
                }
                Unsupported::ElfNotCore => {
                    "give the core that `dump-guest-memory` or `virsh dump --memory-only` wrote"
                }
                Unsupported::Disk(_) => "give the memory of the machine: the `.vmem`, or a core dump",
            },
            Self::VmwareBroken(_) => "copy the file again and compare the sizes",
            Self::DumpType(_) => "types 1, 4, 5, 6, 8, 9 and 0xa are known",
            Self::Header { .. } | Self::NoMemory => {
                "the dump may be damaged; `dumpchk` of the Windows SDK checks it"
            }
        })
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<Unsupported> for OpenError {
    fn from(kind: Unsupported) -> Self {
        Self::Unsupported(kind)
    }
}
