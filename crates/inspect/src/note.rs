//! What a reader noticed that is no reason to refuse the image.

use core::fmt;

/// A remark on an image. Displays as one lowercase sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The file ends before memory that its map names.
    CutOff {
        /// Bytes of memory that are missing.
        bytes: u64,
        /// The lowest physical address among them.
        from: u64,
    },
    /// Two runs claim the same physical memory.
    Overlap {
        /// Bytes claimed twice.
        bytes: u64,
        /// The lowest physical address among them.
        at: u64,
    },
    /// Runs share bytes of the file, so that they name more memory than the file has bytes.
    Aliased {
        /// Bytes that were left out, those at the highest addresses.
        bytes: u64,
    },
    /// A run reaches beyond what 52 bits of physical address can name.
    Impossible {
        /// Bytes that were left out.
        bytes: u64,
    },
    /// The map has more entries than the limit.
    MapLimit {
        /// How many entries were read.
        read: u64,
    },
    /// Two fields of the headers contradict each other; what was believed is said.
    Contradiction {
        /// What is contradictory.
        what: &'static str,
        /// What the header says.
        header: u64,
        /// What was found, and is believed.
        found: u64,
    },
    /// A raw image or `.vmem` larger than 3 GiB, and how memory above that was placed.
    PciHole {
        /// Whether the hole from 3 to 4 GiB was left out of the file.
        hole: bool,
        /// Why it was decided so.
        because: &'static str,
    },
    /// A VMware image whose state file was used.
    StateFile {
        /// Its file name.
        name: String,
    },
    /// A VMware state file that lies next to the image but cannot be used.
    StateFileBroken {
        /// Its file name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A triage dump.
    Triage {
        /// Ranges of virtual memory in it.
        ranges: usize,
        /// Bytes in them.
        bytes: u64,
    },
    /// The dump's kind was not proven against a real one; it is read as the kind it resembles.
    ReadAs {
        /// The dump type in the header.
        dump_type: u32,
        /// What it is read as.
        like: &'static str,
    },
}

impl Note {
    /// Returns whether a result drawn from the image may lack something because of this.
    pub fn is_partial(&self) -> bool {
        !matches!(
            self,
            Self::PciHole { .. } | Self::StateFile { .. } | Self::ReadAs { .. } | Self::Contradiction { .. }
        )
    }

    /// Returns the next step, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::CutOff { .. } => {
                Some("copy the file again and compare the sizes; what is left of it was read")
            }
            Self::Triage { .. } => Some(
                "a small memory dump holds no pool memory: set `Write debugging information` to `Active memory dump` \
                 or `Complete memory dump` (`CrashDumpEnabled` = 1 under \
                 `HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl`), or write one with `.dump /f`",
            ),
            Self::PciHole { hole: true, .. } | Self::StateFileBroken { .. } => {
                Some("keep the `.vmss` or `.vmsn` next to the `.vmem`, under the same name")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff { bytes, from } => write!(
                f,
                "the file ends early: {bytes:#x} bytes of captured memory are missing, the first at physical \
                 address {from:#x}"
            ),
            Self::Overlap { bytes, at } => write!(
                f,
                "{bytes:#x} bytes of physical memory, the first at {at:#x}, are claimed by two runs; the run that \
                 begins lower was believed"
            ),
            Self::Aliased { bytes } => write!(
                f,
                "several runs share bytes of the file; {bytes:#x} bytes beyond the file's length, at the highest \
                 addresses, were left out"
            ),
            Self::Impossible { bytes } => {
                write!(f, "{bytes:#x} bytes of runs lie beyond any physical memory and were left out")
            }
            Self::MapLimit { read } => {
                write!(f, "the memory map has more than {read} entries; the rest was left out")
            }
            Self::Contradiction { what, header, found } => {
                write!(f, "{what}: the header says {header:#x}, found {found:#x}")
            }
            Self::PciHole { hole: true, because } => write!(
                f,
                "memory above 3 GiB was placed at 4 GiB, as VMware does for the PCI hole, because {because}"
            ),
            Self::PciHole { hole: false, because } => {
                write!(f, "the file was taken as one piece without a PCI hole, because {because}")
            }
            Self::StateFile { name } => write!(f, "the memory map comes from `{name}`"),
            Self::StateFileBroken { name, why } => {
                write!(f, "`{name}` was not used: {why}")
            }
            Self::Triage { ranges, bytes } => write!(
                f,
                "a triage dump (type 4): {ranges} ranges with {bytes:#x} bytes of virtual memory, no pool; only \
                 what they prove is reported"
            ),
            Self::ReadAs { dump_type, like } => {
                write!(f, "dump type {dump_type:#x} was read as {like}")
            }
        }
    }
}
