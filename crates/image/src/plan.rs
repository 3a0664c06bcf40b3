//! What to map where, with which protection, and how to fill it.
//!
//! A driver's sections get the rights they ask for, with one rule of our own: no page stays both writable and
//! executable. Where a section asks for both (typically `INIT`, which MSVC and GNU linkers mark so), write is dropped,
//! because everything the loader writes (relocations, import slots, the cookie) is written before rights are set.
//! Low-alignment images are the exception: their sections share pages, a page gets the union of what its sections
//! ask for, and [`Plan::notes`] says where that leaves write and execute together.

use core::fmt;

use crate::PAGE_SIZE;
use crate::error::ImageError;
use crate::image::Image;
use crate::section::Section;

/// The rights of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

impl Protection {
    /// Readable only: the headers.
    pub const READ: Protection = Protection { read: true, write: false, execute: false };
    /// No access at all.
    pub const NONE: Protection = Protection { read: false, write: false, execute: false };

    fn union(self, other: Protection) -> Protection {
        Protection {
            read: self.read || other.read,
            write: self.write || other.write,
            execute: self.execute || other.execute,
        }
    }

    /// What a section asks for. Kernel pages cannot be hidden from reads, so any right brings read with it.
    fn asked_by(section: &Section) -> Protection {
        let flags = section.flags;
        let (write, execute) = (flags.writable(), flags.executable());
        Protection { read: flags.readable() || write || execute, write, execute }
    }

    /// Whether it is both writable and executable.
    pub fn write_execute(self) -> bool {
        self.write && self.execute
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |right, letter| if right { letter } else { '-' };
        write!(f, "{}{}{}", letter(self.read, 'r'), letter(self.write, 'w'), letter(self.execute, 'x'))
    }
}

/// A run of whole pages with one protection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedRange {
    /// Where it begins, relative to the image; a multiple of the page size.
    pub rva: u32,
    /// Its size in bytes, a multiple of the page size.
    pub size: u32,
    /// Its rights once the image is loaded.
    pub protection: Protection,
    /// The sections in it, as indices into [`Image::sections`]; none for the headers alone and for holes.
    pub sections: Vec<usize>,
    /// Whether every section in it is an `INIT` section that the kernel frees after `DriverEntry`.
    pub init: bool,
    /// Whether every section in it is marked discardable: `INIT`, and also relocations and debug data.
    pub discardable: bool,
}

/// Something about the plan that the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A section asks for write and execute; it is loaded without write.
    WriteDropped {
        /// The section.
        section: String,
    },
    /// Sections share pages, because the section alignment is below the page size.
    SharedPages {
        /// Where the shared pages begin.
        rva: u32,
        /// Their size in bytes.
        size: u32,
        /// The sections that share them; the headers may be in there too.
        sections: Vec<String>,
        /// The union of what they ask for. Less would fault in code or on data that is legitimately there.
        protection: Protection,
    },
    /// A low-alignment section whose file offset is not its RVA. Windows maps such images flat and would place it
    /// elsewhere; here it is put where the section table says.
    NotFlat {
        /// The section.
        section: String,
        /// Its RVA.
        rva: u32,
        /// Its file offset.
        file_offset: u32,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::WriteDropped { section } => {
                write!(f, "section `{section}` asks for write and execute; it is loaded without write")
            }
            Note::SharedPages { rva, size, sections, protection } => {
                write!(
                    f,
                    "low alignment: {} share the pages at RVA {rva:#x} ({size:#x} bytes), ",
                    Names(sections)
                )?;
                write!(f, "which get all their rights together: `{protection}`")
            }
            Note::NotFlat { section, rva, file_offset } => write!(
                f,
                "low alignment: section `{section}` has its data at offset {file_offset:#x}, not at its RVA {rva:#x}"
            ),
        }
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}`")?;
        }
        Ok(())
    }
}

/// How to load an image at one address.
///
/// Everything that can be refused is refused by [`Image::plan`], so that applying a plan only fails when the memory
/// is too small.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    image: Image<'a>,
    base: u64,
    relocations: Vec<u32>,
    ranges: Vec<PlannedRange>,
    notes: Vec<Note>,
}

impl<'a> Image<'a> {
    /// Plans to load the image at an address.
    ///
    /// # Errors
    ///
    /// [`ImageError::LoadBase`], [`ImageError::RelocationsStripped`], and everything [`Image::relocations`] refuses.
    pub fn plan(&self, base: u64) -> Result<Plan<'a>, ImageError> {
        let size = self.size();
        if !base.is_multiple_of(u64::from(PAGE_SIZE)) || base.checked_add(u64::from(size)).is_none() {
            return Err(ImageError::LoadBase { base, size });
        }
        let preferred = self.headers().preferred_base;
        let relocations = if base == preferred {
            Vec::new()
        } else if self.relocations_stripped() {
            return Err(ImageError::RelocationsStripped { preferred, asked: base });
        } else {
            self.relocations()?
        };
        let (ranges, notes) = lay_out(self);
        Ok(Plan { image: self.clone(), base, relocations, ranges, notes })
    }
}

impl<'a> Plan<'a> {
    /// Returns the image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Returns the address the image is loaded at.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Returns the bytes to map: `SizeOfImage` rounded up to a page.
    pub fn size(&self) -> u32 {
        self.image.size()
    }

    /// Returns the virtual address of the entry point.
    pub fn entry(&self) -> u64 {
        self.base + u64::from(self.image.entry())
    }

    /// Returns the ranges that cover the image without hole or overlap, in ascending order.
    pub fn ranges(&self) -> &[PlannedRange] {
        &self.ranges
    }

    /// Returns the ranges that the kernel frees once `DriverEntry` has returned.
    pub fn init_ranges(&self) -> impl Iterator<Item = &PlannedRange> {
        self.ranges.iter().filter(|range| range.init)
    }

    /// Returns what the user should know about the plan.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Returns how many addresses are relocated.
    pub fn relocation_count(&self) -> usize {
        self.relocations.len()
    }

    /// Copies headers and sections into memory and relocates them.
    ///
    /// `memory` begins at the image's base and must be zeroed: what the file does not fill stays as it is. Import
    /// slots, cookie and guard pointers come after this, and page rights last.
    ///
    /// # Errors
    ///
    /// [`ImageError::Memory`] when `memory` is smaller than [`Plan::size`]; nothing is written then.
    pub fn apply(&self, memory: &mut [u8]) -> Result<(), ImageError> {
        let too_small = ImageError::Memory { needed: u64::from(self.size()), given: memory.len() as u64 };
        let memory = memory.get_mut(..self.size() as usize).ok_or_else(|| too_small.clone())?;
        let bytes = self.image.bytes();
        let headers = self.image.headers().size_of_headers as usize;
        memory[..headers].copy_from_slice(&bytes[..headers]);
        for section in self.image.sections() {
            let (at, from, size) =
                (section.rva as usize, section.file_offset as usize, section.file_size as usize);
            if size != 0 {
                memory[at..at + size].copy_from_slice(&bytes[from..from + size]);
            }
        }
        let delta = self.base.wrapping_sub(self.image.headers().preferred_base);
        for &rva in &self.relocations {
            let slot = memory[rva as usize..].first_chunk_mut::<8>().ok_or_else(|| too_small.clone())?;
            *slot = u64::from_le_bytes(*slot).wrapping_add(delta).to_le_bytes();
        }
        Ok(())
    }
}

/// Cuts the image into runs of pages that the same sections occupy.
fn lay_out(image: &Image<'_>) -> (Vec<PlannedRange>, Vec<Note>) {
    let sections = image.sections();
    let page_down = |rva: u32| rva & !(PAGE_SIZE - 1);
    // Cannot overflow: every end is at most `MAX_IMAGE_SIZE`.
    let page_up = |rva: u32| (rva + (PAGE_SIZE - 1)) & !(PAGE_SIZE - 1);
    let headers_end = page_up(image.headers().size_of_headers);

    let mut cuts = vec![0, headers_end, image.size()];
    for section in sections.iter().filter(|section| section.span != 0) {
        cuts.extend([page_down(section.rva), page_up(section.end())]);
    }
    cuts.sort_unstable();
    cuts.dedup();

    let (mut ranges, mut notes) = (Vec::new(), Vec::new());
    for pair in cuts.windows(2) {
        let (rva, end) = (pair[0], pair[1]);
        let inside: Vec<usize> = (0..sections.len())
            .filter(|&index| sections[index].span != 0)
            .filter(|&index| page_down(sections[index].rva) < end && page_up(sections[index].end()) > rva)
            .collect();
        let headers = rva < headers_end;
        let start = if headers { Protection::READ } else { Protection::NONE };
        let asked = inside.iter().map(|&index| Protection::asked_by(&sections[index]));
        let mut protection = asked.fold(start, Protection::union);
        if let ([index], false) = (&inside[..], headers)
            && protection.write_execute()
        {
            protection.write = false;
            notes.push(Note::WriteDropped { section: sections[*index].name.clone() });
        } else if inside.len() + usize::from(headers) > 1 {
            let sections = inside.iter().map(|&index| sections[index].name.clone()).collect();
            notes.push(Note::SharedPages { rva, size: end - rva, sections, protection });
        }
        let all = |is: fn(&Section) -> bool| {
            !headers && !inside.is_empty() && inside.iter().all(|&index| is(&sections[index]))
        };
        let (init, discardable) = (all(Section::is_init), all(|section| section.flags.discardable()));
        ranges.push(PlannedRange { rva, size: end - rva, protection, sections: inside, init, discardable });
    }
    if image.headers().is_low_alignment() {
        let moved =
            sections.iter().filter(|section| section.file_size != 0 && section.file_offset != section.rva);
        notes.extend(moved.map(|section| Note::NotFlat {
            section: section.name.clone(),
            rva: section.rva,
            file_offset: section.file_offset,
        }));
    }
    (ranges, notes)
}
