//! The headers: DOS, file, optional, data directories, and the section table.
//!
//! Models the checks of the kernel's image verification (Microsoft's "PE Format" documentation; the alignment and
//! adjacency rules are public knowledge from the PE literature). Order matters: what a user most likely did wrong
//! (another file type, another machine, a user-mode program) is found before what a damaged file has.

use object::LittleEndian as LE;
use object::pe;

use crate::PAGE_SIZE;
use crate::error::ImageError;
use crate::likeness::Likeness;
use crate::raw;
use crate::section::{Section, SectionFlags};

/// The most sections an image may have; Microsoft's "PE Format" gives 96 as the loader's limit.
pub const MAX_SECTIONS: u16 = 96;

/// The largest `SizeOfImage` accepted, in bytes. The largest known drivers (graphics) stay below a fifth of it.
pub const MAX_IMAGE_SIZE: u32 = 0x2000_0000;

/// Sections begin in the file at multiples of this, whatever `PointerToRawData` says (normal alignment only).
const SECTOR: u32 = 0x200;

/// One entry of the data directory: a table inside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directory {
    /// Where the table begins; zero when the image has none.
    pub rva: u32,
    /// Its size in bytes, as the header claims.
    pub size: u32,
}

/// The facts of the headers, checked against each other and against the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Headers {
    /// `Machine`; always `0x8664` (x64) in an accepted image.
    pub machine: u16,
    /// `Characteristics` of the file header (`IMAGE_FILE_*`).
    pub characteristics: u16,
    /// `TimeDateStamp`: seconds since 1970, or a hash in reproducible builds.
    pub timestamp: u32,
    /// `Subsystem`; always 1 (native) in an accepted image.
    pub subsystem: u16,
    /// `DllCharacteristics` (`IMAGE_DLLCHARACTERISTICS_*`).
    pub dll_characteristics: u16,
    /// The linker's major and minor version.
    pub linker_version: (u8, u8),
    /// The Windows version the image asks for, major and minor (`MajorOperatingSystemVersion`).
    pub os_version: (u16, u16),
    /// `ImageBase`, the address it was linked for.
    pub preferred_base: u64,
    /// `AddressOfEntryPoint`, the RVA of `DriverEntry` or of the compiler's stub before it.
    pub entry: u32,
    /// `SectionAlignment` in bytes.
    pub section_alignment: u32,
    /// `FileAlignment` in bytes.
    pub file_alignment: u32,
    /// Bytes the image takes in memory: `SizeOfImage` rounded up to a page.
    pub size_of_image: u32,
    /// `SizeOfHeaders` in bytes.
    pub size_of_headers: u32,
    /// `CheckSum`; zero when the linker wrote none.
    pub checksum: u32,
    /// File offset of `CheckSum`.
    pub(crate) checksum_offset: u64,
    /// `PointerToSymbolTable` and `NumberOfSymbols`.
    pub(crate) symbol_table: (u32, u32),
    /// The data directories that are present, by `IMAGE_DIRECTORY_ENTRY_*`.
    pub directories: [Directory; pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES],
}

impl Headers {
    /// Reads and checks the headers and the section table.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Headers, Vec<Section>), ImageError> {
        let nt = nt_offset(bytes)?;
        let file: &pe::ImageFileHeader = raw::at(bytes, nt + 4, "the file header")?;
        let machine = file.machine.get(LE).0;
        match file.machine.get(LE) {
            pe::IMAGE_FILE_MACHINE_AMD64 => {}
            pe::IMAGE_FILE_MACHINE_I386 => return Err(ImageError::X86),
            pe::IMAGE_FILE_MACHINE_ARM64 => return Err(ImageError::Arm64),
            _ => return Err(ImageError::OtherMachine(machine)),
        }
        let optional_at = nt + 4 + pe::IMAGE_SIZEOF_FILE_HEADER as u64;
        let magic = raw::slice(bytes, optional_at, 2, "the optional header")?;
        match u16::from_le_bytes([magic[0], magic[1]]) {
            pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => {}
            pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => return Err(ImageError::Pe32),
            other => return Err(ImageError::OptionalMagic(other)),
        }
        let optional: &pe::ImageOptionalHeader64 = raw::at(bytes, optional_at, "the optional header")?;
        let characteristics = file.characteristics.get(LE);
        if !characteristics.contains(pe::IMAGE_FILE_EXECUTABLE_IMAGE) {
            return Err(ImageError::NotExecutable(characteristics.0));
        }
        check_subsystem(optional.subsystem.get(LE))?;

        let directories_at = optional_at + size_of::<pe::ImageOptionalHeader64>() as u64;
        let count = optional.number_of_rva_and_sizes.get(LE).min(pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES as u32);
        let optional_size = file.size_of_optional_header.get(LE);
        let needed =
            directories_at + u64::from(count) * size_of::<pe::ImageDataDirectory>() as u64 - optional_at;
        if u64::from(optional_size) < needed {
            return Err(ImageError::OptionalSize { size: optional_size, needed });
        }
        let mut directories = [Directory::default(); pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES];
        for (index, directory) in (0_u64..u64::from(count)).zip(directories.iter_mut()) {
            let entry: &pe::ImageDataDirectory =
                raw::at(bytes, directories_at + index * 8, "the data directory")?;
            *directory = Directory { rva: entry.virtual_address.get(LE), size: entry.size.get(LE) };
        }

        let mut headers = Headers {
            machine,
            characteristics: characteristics.0,
            timestamp: file.time_date_stamp.get(LE),
            subsystem: optional.subsystem.get(LE).0,
            dll_characteristics: optional.dll_characteristics.get(LE).0,
            linker_version: (optional.major_linker_version, optional.minor_linker_version),
            os_version: (
                optional.major_operating_system_version.get(LE),
                optional.minor_operating_system_version.get(LE),
            ),
            preferred_base: optional.image_base.get(LE),
            entry: optional.address_of_entry_point.get(LE),
            section_alignment: optional.section_alignment.get(LE),
            file_alignment: optional.file_alignment.get(LE),
            size_of_image: optional.size_of_image.get(LE),
            size_of_headers: optional.size_of_headers.get(LE),
            checksum: optional.check_sum.get(LE),
            checksum_offset: optional_at + 64,
            symbol_table: (file.pointer_to_symbol_table.get(LE), file.number_of_symbols.get(LE)),
            directories,
        };
        headers.check_numbers()?;

        let table_at = optional_at + u64::from(optional_size);
        let section_count = file.number_of_sections.get(LE);
        if section_count == 0 || section_count > MAX_SECTIONS {
            return Err(ImageError::SectionCount(section_count));
        }
        let table_size = u64::from(section_count) * pe::IMAGE_SIZEOF_SECTION_HEADER as u64;
        raw::slice(bytes, table_at, table_size, "the section table")?;
        let table_end = table_at + table_size;
        if u64::from(headers.size_of_headers) < table_end || headers.size_of_headers > headers.size_of_image {
            return Err(ImageError::HeadersSize { size: headers.size_of_headers, needed: table_end });
        }
        raw::slice(bytes, 0, u64::from(headers.size_of_headers), "the header area")?;

        let mut sections = Vec::new();
        for index in 0..u64::from(section_count) {
            let raw: &pe::ImageSectionHeader = raw::at(
                bytes,
                table_at + index * pe::IMAGE_SIZEOF_SECTION_HEADER as u64,
                "the section table",
            )?;
            sections.push(headers.section(bytes, raw)?);
        }
        headers.size_of_image = headers.check_layout(&sections)?;
        headers.check_entry(&sections)?;
        Ok((headers, sections))
    }

    /// Whether sections are smaller than pages, so that they share pages in memory.
    pub fn is_low_alignment(&self) -> bool {
        self.section_alignment < PAGE_SIZE
    }

    fn check_numbers(&self) -> Result<(), ImageError> {
        let (section, file) = (self.section_alignment, self.file_alignment);
        let powers = section.is_power_of_two() && file.is_power_of_two() && file <= section;
        if !powers || section > MAX_IMAGE_SIZE || (file < SECTOR && file != section) {
            return Err(ImageError::Alignment { section, file });
        }
        if !self.preferred_base.is_multiple_of(0x1_0000) {
            return Err(ImageError::PreferredBase(self.preferred_base));
        }
        if self.size_of_image > MAX_IMAGE_SIZE {
            return Err(ImageError::TooLarge(self.size_of_image));
        }
        if self.size_of_image == 0 {
            return Err(ImageError::ImageSize { size: 0, end: 0 });
        }
        Ok(())
    }

    fn section(&self, bytes: &[u8], raw: &pe::ImageSectionHeader) -> Result<Section, ImageError> {
        let name_end = raw.name.iter().position(|&byte| byte == 0).unwrap_or(raw.name.len());
        let short = &raw.name[..name_end];
        let name = self.long_name(bytes, short).unwrap_or_else(|| short.escape_ascii().to_string());
        let (rva, virtual_size) = (raw.virtual_address.get(LE), raw.virtual_size.get(LE));
        let (raw_size, pointer) = (raw.size_of_raw_data.get(LE), raw.pointer_to_raw_data.get(LE));
        let flags = raw.characteristics.get(LE);
        let size = if virtual_size == 0 { raw_size } else { virtual_size };
        let span = raw::align_up(size, self.section_alignment)
            .filter(|span| rva.checked_add(*span).is_some())
            .ok_or_else(|| ImageError::SectionWraps { section: name.clone(), rva, size })?;
        // The loader takes whole sectors; low-alignment images are taken as they are.
        let file_offset = if self.is_low_alignment() { pointer } else { pointer & !(SECTOR - 1) };
        // A pointer of zero means no data, whatever the size says (uninitialized data of older linkers).
        let file_size = if pointer == 0 { 0 } else { raw_size };
        let end = u64::from(file_offset) + u64::from(file_size);
        if end > bytes.len() as u64 {
            let missing = (end - bytes.len() as u64).min(u64::from(file_size));
            return Err(ImageError::SectionOutsideFile {
                section: name,
                offset: file_offset,
                size: file_size,
                missing,
            });
        }
        Ok(Section {
            name,
            rva,
            virtual_size,
            span,
            file_offset,
            file_size: file_size.min(span),
            flags: SectionFlags(flags.0),
        })
    }

    /// Returns the name behind `/123`: GNU ld puts names longer than eight bytes into the string table.
    fn long_name(&self, bytes: &[u8], short: &[u8]) -> Option<String> {
        let digits = core::str::from_utf8(short.strip_prefix(b"/")?).ok()?;
        let offset: u32 = digits.parse().ok()?;
        let strings = crate::coff::strings(bytes, self.symbol_table)?;
        let text = raw::c_string(strings.get(offset as usize..)?, 64, false)?;
        raw::name(text).map(str::to_owned)
    }

    /// Checks that headers and sections are adjacent and fill the image, and returns its size rounded to pages.
    fn check_layout(&self, sections: &[Section]) -> Result<u32, ImageError> {
        let low = self.is_low_alignment();
        let image_size = |end| ImageError::ImageSize { size: self.size_of_image, end };
        let mut end =
            raw::align_up(self.size_of_headers, self.section_alignment).ok_or_else(|| image_size(0))?;
        for section in sections {
            let (name, rva) = (&section.name, section.rva);
            if rva < end || !rva.is_multiple_of(self.section_alignment) {
                return Err(ImageError::SectionOverlap { section: name.clone(), rva, end });
            }
            if rva > end && !low {
                return Err(ImageError::SectionGap { section: name.clone(), rva, end });
            }
            end = rva + section.span;
        }
        let size =
            raw::align_up(self.size_of_image, self.section_alignment).ok_or_else(|| image_size(end))?;
        if let Some(section) = sections.iter().find(|section| section.rva + section.span > size) {
            let (name, end) = (section.name.clone(), section.rva + section.span);
            return Err(ImageError::SectionOutsideImage { section: name, end, size: self.size_of_image });
        }
        if size > end && !low {
            return Err(image_size(end));
        }
        raw::align_up(size, PAGE_SIZE)
            .filter(|size| *size <= MAX_IMAGE_SIZE)
            .ok_or(ImageError::TooLarge(size))
    }

    fn check_entry(&self, sections: &[Section]) -> Result<(), ImageError> {
        if self.entry == 0 {
            return Err(ImageError::NoEntryPoint);
        }
        let inside = |section: &&Section| section.contains(self.entry) && section.flags.executable();
        match sections.iter().find(inside) {
            Some(_) => Ok(()),
            None => Err(ImageError::EntryOutsideCode(self.entry)),
        }
    }
}

/// Finds the NT headers, or says what the file is instead.
fn nt_offset(bytes: &[u8]) -> Result<u64, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if !bytes.starts_with(b"MZ") {
        return Err(ImageError::NotPe(Likeness::of(bytes)));
    }
    let dos: &pe::ImageDosHeader = raw::at(bytes, 0, "the DOS header")?;
    let offset = u64::from(dos.e_lfanew.get(LE));
    if offset == 0 {
        return Err(ImageError::NotPe(Likeness::Dos));
    }
    match raw::slice(bytes, offset, 4, "the PE signature") {
        Ok(b"PE\0\0") => Ok(offset),
        Ok(_) => Err(ImageError::NotPe(Likeness::Dos)),
        Err(error) => Err(error),
    }
}

fn check_subsystem(subsystem: pe::Subsystem) -> Result<(), ImageError> {
    match subsystem {
        pe::IMAGE_SUBSYSTEM_NATIVE => Ok(()),
        pe::IMAGE_SUBSYSTEM_WINDOWS_GUI => Err(ImageError::UserMode("windows gui")),
        pe::IMAGE_SUBSYSTEM_WINDOWS_CUI => Err(ImageError::UserMode("windows console")),
        other => Err(ImageError::OtherSubsystem(other.0)),
    }
}
