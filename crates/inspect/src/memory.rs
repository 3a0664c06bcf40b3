//! Memory of the machine that was captured, physical and virtual, and the reasons why a part of it is not there.
//!
//! A crash dump has holes: pages the writer left out, pages that were in the paging file, entries of the page tables
//! that were never valid. Readers here never fill a hole with zeros; they say how far a read came and why it ended.

use core::fmt;
use core::ops::Range;
use std::io;

use thiserror::Error;

/// Bytes of a page on x64.
pub const PAGE_SIZE: u64 = 0x1000;

/// A level of the x64 page tables, by the names the kernel debugger's `!pte` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Entry of the table above the PML4, 256 TiB, with five-level paging.
    Top5,
    /// Entry of the top table (PML4), 512 GiB.
    Pxe,
    /// Entry of the page directory pointer table, 1 GiB.
    Ppe,
    /// Entry of the page directory, 2 MiB.
    Pde,
    /// Entry of the page table, 4 KiB.
    Pte,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Top5 => "PML5 entry",
            Self::Pxe => "PXE",
            Self::Ppe => "PPE",
            Self::Pde => "PDE",
            Self::Pte => "PTE",
        })
    }
}

/// Why a byte of the captured machine cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// The image does not hold the physical page (or, in a triage dump, the virtual range).
    #[error("not in the image")]
    NotInImage,
    /// The image's map names the page, but the file ends before it.
    #[error("cut off: the file ends before this page")]
    CutOff,
    /// The entry of the page tables at this level is not valid and describes nothing else.
    #[error("not mapped (the {level} is not valid)")]
    NotPresent {
        /// Where the walk of the page tables ended.
        level: Level,
    },
    /// The page tables themselves are not in the image.
    #[error("unknown: the page holding its {level} is not in the image")]
    TableNotInImage {
        /// The entry that could not be read.
        level: Level,
    },
    /// The content was in a paging file when the image was taken.
    #[error("paged out")]
    PagedOut,
    /// Nobody had touched the page yet; its content would be zeros.
    #[error("demand-zero, never touched")]
    DemandZero,
    /// The entry refers to a prototype entry, as shared and mapped sections do.
    #[error("described by a prototype entry (a shared section)")]
    Prototype,
    /// The prototype entry that describes the page is not in the image.
    #[error("described by a prototype entry (a shared section) that is itself not in the image")]
    PrototypeMissing,
    /// The prototype entry says that the content is in a mapped file.
    #[error("paged out, to the file that is mapped there")]
    InFile,
    /// The bits above those that are translated do not equal the highest of these.
    #[error("not a canonical address")]
    NotCanonical,
    /// What describes the value, a count or a pointer, cannot be right.
    #[error("described by an impossible value")]
    Implausible,
    /// The host could not read the file there.
    #[error("unreadable: the host says `{0}`")]
    Unreadable(io::ErrorKind),
}

/// A byte that is not there: where, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{address:#x}: {why}")]
pub struct Missing {
    /// The first address that could not be read.
    pub address: u64,
    /// The reason.
    pub why: Why,
}

/// A read that ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("read {read:#x} bytes, then {missing}")]
pub struct PartialRead {
    /// How many bytes at the start of the buffer are valid.
    pub read: usize,
    /// The first byte that is not.
    pub missing: Missing,
}

impl From<PartialRead> for Missing {
    fn from(partial: PartialRead) -> Self {
        partial.missing
    }
}

/// A piece of a buffer filled by [`Physical::gather`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Guest physical address of the first byte.
    pub physical: u64,
    /// Where it lies in the buffer.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
}

/// Physical memory of the captured machine.
///
/// Reads are positional and take `&self`, so that several threads may scan one image.
pub trait Physical: Send + Sync {
    /// Reads at a guest physical address; the read may cross pages and runs that touch.
    ///
    /// # Errors
    ///
    /// [`PartialRead`] with the first address that is not there.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead>;

    /// Returns the first run of present memory at or after `from`, cut to begin there.
    ///
    /// A run may end where the next one begins, and need not end at a page.
    fn next_run(&self, from: u64) -> Option<Range<u64>>;

    /// Returns the first address behind the last present byte.
    fn end(&self) -> u64;

    /// Returns how many bytes are present.
    fn present_bytes(&self) -> u64;

    /// Returns whether the byte at a physical address is present.
    fn contains(&self, address: u64) -> bool {
        self.next_run(address).is_some_and(|run| run.start == address)
    }

    /// Fills `buffer` with present memory of `range`, skipping holes, and appends what lies where to `pieces`.
    ///
    /// Returns the address to go on from, or `None` when the range holds no more. Runs that lie next to each other in
    /// the file take one read. What the host cannot read is left out.
    fn gather(&self, range: Range<u64>, buffer: &mut [u8], pieces: &mut Vec<Piece>) -> Option<u64> {
        let mut from = range.start;
        let mut filled = 0;
        while filled < buffer.len() {
            let run = self.next_run(from).filter(|run| run.start < range.end)?;
            let length = (run.end.min(range.end) - run.start).min((buffer.len() - filled) as u64) as usize;
            let read = match self.read(run.start, &mut buffer[filled..filled + length]) {
                Ok(()) => length,
                Err(partial) => partial.read,
            };
            if read > 0 {
                pieces.push(Piece { physical: run.start, offset: filled, length: read });
                filled += read;
            }
            from = if read < length {
                // Go on behind the page that cannot be read.
                (run.start + read as u64 + 1).next_multiple_of(PAGE_SIZE)
            } else {
                run.start + read as u64
            };
        }
        (from < range.end).then_some(from)
    }
}

/// The addresses that belong to the kernel, both ends included.
///
/// The upper half on Windows. A machine whose kernel lies elsewhere says so in its own image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelRange {
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
}

impl KernelRange {
    /// The upper half of the canonical addresses, as on every Windows x64.
    pub const UPPER_HALF: Self = Self { first: 0xFFFF_8000_0000_0000, last: u64::MAX };

    /// Returns whether the address belongs to the kernel.
    pub const fn contains(&self, address: u64) -> bool {
        address >= self.first && address <= self.last
    }
}

impl Default for KernelRange {
    fn default() -> Self {
        Self::UPPER_HALF
    }
}

/// Virtual memory of the captured machine as its kernel saw it.
pub trait Memory: Send + Sync {
    /// Reads at a virtual address; the read may cross pages.
    ///
    /// # Errors
    ///
    /// [`PartialRead`] with the first address that is not there.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead>;

    /// Returns which addresses belong to the kernel.
    fn kernel_range(&self) -> KernelRange;

    /// Returns where a virtual address lies in physical memory, if this memory knows.
    fn physical_of(&self, address: u64) -> Option<u64>;
}

/// Reads of small values, for every [`Memory`].
pub trait MemoryExt: Memory {
    /// Reads `N` bytes.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first byte that is not there.
    fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], Missing> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the byte.
    fn u8(&self, address: u64) -> Result<u8, Missing> {
        Ok(u8::from_le_bytes(self.array(address)?))
    }

    /// Reads a little-endian 16-bit value.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first byte that is not there.
    fn u16(&self, address: u64) -> Result<u16, Missing> {
        Ok(u16::from_le_bytes(self.array(address)?))
    }

    /// Reads a little-endian 32-bit value.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first byte that is not there.
    fn u32(&self, address: u64) -> Result<u32, Missing> {
        Ok(u32::from_le_bytes(self.array(address)?))
    }

    /// Reads a little-endian 64-bit value or a pointer.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first byte that is not there.
    fn u64(&self, address: u64) -> Result<u64, Missing> {
        Ok(u64::from_le_bytes(self.array(address)?))
    }

    /// Reads what is there of `length` bytes, at most [`PAGE_SIZE`] times 16 of them, and the reason if it is less.
    fn bytes(&self, address: u64, length: usize) -> (Vec<u8>, Option<Missing>) {
        let mut bytes = vec![0; length.min(16 * PAGE_SIZE as usize)];
        match self.read(address, &mut bytes) {
            Ok(()) => (bytes, None),
            Err(partial) => {
                bytes.truncate(partial.read);
                (bytes, Some(partial.missing))
            }
        }
    }
}

impl<M: Memory + ?Sized> MemoryExt for M {}
