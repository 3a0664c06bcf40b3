//! Images of the kernel and of drivers: headers, sections, exports, and their entries in the list of loaded modules.

use crate::memory::{Memory, Page};

/// A loaded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// File name.
    pub name: String,
    /// Address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Address of its `KLDR_DATA_TABLE_ENTRY`.
    pub entry: u64,
}

impl Module {
    /// Gives an address in the image.
    #[must_use]
    pub fn at(&self, rva: u64) -> u64 {
        self.base + rva
    }
}

/// A driver that was unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unloaded {
    /// File name.
    pub name: String,
    /// First address it had.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
}

/// A section of an image.
pub(crate) struct Section {
    pub(crate) name: &'static [u8],
    pub(crate) rva: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

/// Code, readable and executable.
pub(crate) const TEXT: u32 = 0x6000_0020;
/// Data, readable and writable.
pub(crate) const DATA: u32 = 0xC000_0040;
/// Data, readable.
pub(crate) const RDATA: u32 = 0x4000_0040;
/// Code that is discarded after the start.
pub(crate) const INIT: u32 = 0x6200_0020;

/// What the headers say.
pub(crate) struct Headers<'a> {
    pub(crate) size: u32,
    pub(crate) sections: &'a [Section],
    /// Export directory: address and size relative to the base.
    pub(crate) exports: Option<(u32, u32)>,
    /// Debug directory.
    pub(crate) debug: Option<(u32, u32)>,
}

/// Writes DOS and PE32+ headers at `base`.
pub(crate) fn write_headers(memory: &mut Memory, base: u64, headers: &Headers<'_>) {
    let pe = base + 0x80;
    memory.write(base, b"MZ");
    memory.put32(base + 0x3C, 0x80);
    memory.write(pe, b"PE\0\0");
    memory.put16(pe + 4, 0x8664); // Machine
    memory.put16(pe + 6, headers.sections.len() as u16);
    memory.put32(pe + 8, 0x5F00_0000); // TimeDateStamp
    memory.put16(pe + 0x14, 0xF0); // SizeOfOptionalHeader
    memory.put16(pe + 0x16, 0x22); // Characteristics: executable, large addresses
    let optional = pe + 0x18;
    memory.put16(optional, 0x20B);
    memory.put32(optional + 0x10, 0x1000); // AddressOfEntryPoint
    memory.put64(optional + 0x18, base); // ImageBase
    memory.put32(optional + 0x20, 0x1000); // SectionAlignment
    memory.put32(optional + 0x24, 0x200); // FileAlignment
    memory.put32(optional + 0x38, headers.size); // SizeOfImage
    memory.put32(optional + 0x3C, 0x400); // SizeOfHeaders
    memory.put16(optional + 0x44, 1); // Subsystem: native
    memory.put32(optional + 0x6C, 16); // NumberOfRvaAndSizes
    if let Some((rva, size)) = headers.exports {
        memory.put32(optional + 0x70, rva);
        memory.put32(optional + 0x74, size);
    }
    if let Some((rva, size)) = headers.debug {
        memory.put32(optional + 0x70 + 6 * 8, rva);
        memory.put32(optional + 0x74 + 6 * 8, size);
    }
    for (index, section) in headers.sections.iter().enumerate() {
        let at = optional + 0xF0 + 0x28 * index as u64;
        memory.write(at, section.name);
        memory.put32(at + 0x8, section.size); // VirtualSize
        memory.put32(at + 0xC, section.rva);
        memory.put32(at + 0x10, section.size);
        memory.put32(at + 0x14, section.rva);
        memory.put32(at + 0x24, section.flags);
    }
}

/// Writes an export directory at `rva` with the given names, sorted, and their addresses relative to the base.
/// Returns its size.
pub(crate) fn write_exports(
    memory: &mut Memory,
    base: u64,
    rva: u32,
    name: &str,
    exports: &[(&str, u32)],
) -> u32 {
    let directory = base + u64::from(rva);
    let count = exports.len() as u32;
    let (functions, names, ordinals) = (rva + 0x28, rva + 0x28 + 4 * count, rva + 0x28 + 8 * count);
    let mut text = ordinals + 2 * count;
    let mut put_text = |memory: &mut Memory, value: &str| {
        let at = text;
        memory.write(base + u64::from(at), value.as_bytes());
        memory.put8(base + u64::from(at) + value.len() as u64, 0);
        text += value.len() as u32 + 1;
        at
    };
    let name_at = put_text(memory, name);
    memory.put32(directory + 0xC, name_at);
    memory.put32(directory + 0x10, 1); // Base
    memory.put32(directory + 0x14, count);
    memory.put32(directory + 0x18, count);
    memory.put32(directory + 0x1C, functions);
    memory.put32(directory + 0x20, names);
    memory.put32(directory + 0x24, ordinals);
    for (index, (export, target)) in exports.iter().enumerate() {
        let index = index as u32;
        let at = put_text(memory, export);
        memory.put32(base + u64::from(functions + 4 * index), *target);
        memory.put32(base + u64::from(names + 4 * index), at);
        memory.put16(base + u64::from(ordinals + 2 * index), index as u16);
    }
    text - rva
}

/// Writes a debug directory with a CodeView record that names `pdb`. Returns its size.
pub(crate) fn write_debug(memory: &mut Memory, base: u64, rva: u32, pdb: &str) -> u32 {
    let directory = base + u64::from(rva);
    let record = rva + 0x1C;
    let size = 0x18 + pdb.len() as u32 + 1;
    memory.put32(directory + 0xC, 2); // IMAGE_DEBUG_TYPE_CODEVIEW
    memory.put32(directory + 0x10, size);
    memory.put32(directory + 0x14, record);
    memory.put32(directory + 0x18, record);
    let record = base + u64::from(record);
    memory.write(record, b"RSDS");
    memory.write(record + 4, &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 1, 2, 3, 4, 5, 6, 7, 8]);
    memory.put32(record + 0x14, 1); // Age
    memory.write(record + 0x18, pdb.as_bytes());
    0x1C
}

/// Maps the range of an image: large pages for the kernel, small ones for drivers.
pub(crate) fn map_image(memory: &mut Memory, base: u64, size: u64, large: bool) {
    if !large {
        memory.map_fresh(base, size / 0x1000);
        return;
    }
    let physical = (memory.end() * 0x1000 + 0x1F_FFFF) & !0x1F_FFFF;
    memory.skip_to(physical + size);
    for offset in (0..size).step_by(0x20_0000) {
        memory.map(base + offset, physical + offset, Page::Large);
    }
}

/// Writes an ordinary routine: it makes room on the stack and returns.
pub(crate) fn write_routine(memory: &mut Memory, at: u64) {
    memory.write(at, &[0x48, 0x83, 0xEC, 0x28, 0x33, 0xC0, 0x48, 0x83, 0xC4, 0x28, 0xC3, 0xCC]);
}
