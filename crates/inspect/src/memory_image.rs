//! A memory image, opened: its kind, its map, and what was noticed on the way.

use core::ops::Range;
use std::path::Path;

use crate::dump::{self, DumpHeader};
use crate::elf;
use crate::error::{OpenError, Unsupported};
use crate::flat;
use crate::format::{Detected, DumpType, Format, HEAD, detect, is_text};
use crate::memory::{Memory, PAGE_SIZE, Physical};
use crate::note::Note;
use crate::physical::{FilePhysical, Map};
use crate::root::{Root, RootFoundBy};
use crate::runs::Runs;
use crate::source::Source;
use crate::triage::Triage;
use crate::vmware;

/// An opened memory image.
///
/// # Examples
///
/// ```
/// use ringbell_inspect::{MemoryImage, OpenError, Unsupported};
///
/// let error = MemoryImage::from_bytes(b"MDMP\x93\xa7".to_vec()).unwrap_err();
/// assert_eq!(error, OpenError::Unsupported(Unsupported::UserMinidump));
/// assert!(error.hint().unwrap().contains("Active memory dump"));
/// ```
#[derive(Debug)]
pub struct MemoryImage {
    format: Format,
    length: u64,
    header: Option<DumpHeader>,
    content: Content,
    roots: Vec<Root>,
    notes: Vec<Note>,
}

/// What an image holds.
#[derive(Debug)]
enum Content {
    Physical(FilePhysical),
    Triage(Triage),
}

/// The page-table roots in a VMware state.
fn registers(state: &vmware::State) -> impl Iterator<Item = Root> {
    state.cr3.iter().enumerate().map(|(processor, &cr3)| Root {
        cr3,
        found_by: RootFoundBy::Registers { processor },
        idt: None,
        kernel_hint: None,
    })
}

impl MemoryImage {
    /// Opens an image; its kind is told by its content.
    ///
    /// A `.vmem` is read with the `.vmss` or `.vmsn` of the same name, if there is one; a `.vmss` or `.vmsn` that holds the memory itself is
    /// an image, too.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file is no image that can be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let source = Source::open(path)?;
        let is_vmem = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("vmem"));
        if !is_vmem {
            return Self::from_source(source, Format::Raw, None, Vec::new());
        }
        let mut notes = Vec::new();
        for extension in ["vmss", "vmsn"] {
            let beside = path.with_extension(extension);
            let Ok(state) = Source::open(&beside) else { continue };
            let name = beside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match vmware::read(&state) {
                Ok(state) => {
                    notes.push(Note::StateFile { name });
                    return Self::from_source(source, Format::Vmware, Some(state), notes);
                }
                Err(why) => notes.push(Note::StateFileBroken { name, why }),
            }
        }
        Self::from_source(source, Format::Vmware, None, notes)
    }

    /// Reads an image from memory.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the bytes are no image that can be read.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OpenError> {
        Self::from_source(Source::from_bytes(bytes), Format::Raw, None, Vec::new())
    }

    /// Reads a VMware image from memory: the bytes of its `.vmem` and of its state file.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the bytes are no image that can be read. A broken state file is a note.
    pub fn from_vmware_bytes(memory: Vec<u8>, state: Vec<u8>) -> Result<Self, OpenError> {
        let mut notes = Vec::new();
        let state = match vmware::read(&Source::from_bytes(state)) {
            Ok(state) => Some(state),
            Err(why) => {
                notes.push(Note::StateFileBroken { name: "state file".to_owned(), why });
                None
            }
        };
        Self::from_source(Source::from_bytes(memory), Format::Vmware, state, notes)
    }

    fn from_source(
        source: Source,
        flat: Format,
        state: Option<vmware::State>,
        mut notes: Vec<Note>,
    ) -> Result<Self, OpenError> {
        let length = source.len();
        if length == 0 {
            return Err(OpenError::Empty);
        }
        let mut header = None;
        let mut roots = Vec::new();
        let (format, content) = match detect(&source.read_up_to(0, HEAD)?)? {
            Detected::Dump => {
                let (read, bytes) = DumpHeader::read(&source)?;
                let kind = read.kind(&source)?;
                if kind == DumpType::Bitmap && read.dump_type != 5 {
                    notes.push(Note::ReadAs { dump_type: read.dump_type, like: "a bitmap dump (type 5)" });
                }
                let cr3 = read.directory_table_base;
                header = Some(read);
                let content = if kind == DumpType::Triage {
                    Content::Triage(Triage::read(source, &mut notes)?)
                } else {
                    roots.push(Root { cr3, found_by: RootFoundBy::Header, idt: None, kernel_hint: None });
                    let map = dump::map(kind, &bytes, &source, &mut notes)?;
                    Content::Physical(FilePhysical::new(source, map))
                };
                (Format::Dump(kind), content)
            }
            Detected::Elf => {
                let (map, registers) = elf::read(&source, &mut notes)?;
                roots.extend(registers.iter().enumerate().map(|(processor, registers)| Root {
                    cr3: registers.cr3,
                    found_by: RootFoundBy::Registers { processor },
                    idt: Some(registers.idt),
                    kernel_hint: None,
                }));
                (Format::ElfCore, Content::Physical(FilePhysical::new(source, map)))
            }
            Detected::VmwareState => {
                let state = vmware::read(&source).map_err(OpenError::VmwareBroken)?;
                let block = state.memory.ok_or(Unsupported::VmwareState)?;
                if block.compressed {
                    return Err(Unsupported::VmwareCompressed.into());
                }
                roots.extend(registers(&state));
                let (runs, end) = state.inside(block, length);
                let runs = Runs::build(runs, end, &mut notes);
                (Format::Vmware, Content::Physical(FilePhysical::new(source, Map::Runs(runs))))
            }
            Detected::Raw => {
                if is_text(&source)? {
                    return Err(Unsupported::Text.into());
                }
                if length < PAGE_SIZE {
                    return Err(OpenError::TooShort { length });
                }
                let state = state.unwrap_or_default();
                roots.extend(registers(&state));
                let physical = if state.regions.is_empty() {
                    flat::place(source, flat, &mut notes)
                } else {
                    let runs = Runs::build(state.regions, length, &mut notes);
                    FilePhysical::new(source, Map::Runs(runs))
                };
                (flat, Content::Physical(physical))
            }
        };
        if matches!(&content, Content::Physical(physical) if physical.present_bytes() == 0) {
            return Err(OpenError::NoMemory);
        }
        Ok(Self { format, length, header, content, roots, notes })
    }

    /// Returns what kind of image it is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the length of the file in bytes.
    pub fn file_length(&self) -> u64 {
        self.length
    }

    /// Returns the header of a crash dump.
    pub fn header(&self) -> Option<&DumpHeader> {
        self.header.as_ref()
    }

    /// Returns the physical memory; a triage dump has none.
    pub fn physical(&self) -> Option<&dyn Physical> {
        match &self.content {
            Content::Physical(physical) => Some(physical),
            Content::Triage(_) => None,
        }
    }

    /// Returns the virtual memory of a triage dump, which holds no other.
    pub fn captured(&self) -> Option<&dyn Memory> {
        self.triage().map(|triage| -> &dyn Memory { triage })
    }

    /// Returns the ranges of virtual memory that a triage dump holds, sorted.
    pub fn captured_ranges(&self) -> Vec<Range<u64>> {
        self.triage().map(|triage| triage.ranges().collect()).unwrap_or_default()
    }

    /// Returns what was noticed while opening.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub(crate) fn triage(&self) -> Option<&Triage> {
        match &self.content {
            Content::Triage(triage) => Some(triage),
            Content::Physical(_) => None,
        }
    }

    /// Returns the possible page-table roots that the file names.
    pub(crate) fn roots(&self) -> &[Root] {
        &self.roots
    }
}
