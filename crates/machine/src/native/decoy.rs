//! The kernel's own image, as drivers see it: `ntoskrnl.exe` with headers, an export directory, code and data.
//!
//! On Windows a driver can find the kernel in memory (through the interrupt table, `PsLoadedModuleList`, a return address) and
//! parse its export directory; many do. So the image is a real one: names sorted as the loader wants them, code exports
//! in `.text`, variables in `.data`. An export's code is `mov eax, number; jmp [entry]`; the executive's own routines have
//! addresses in `.text` where nothing is executed. `hal.dll` is the same image: since Windows 10 2004 it only forwards.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::sys::Access;
use super::{context, memory};
use crate::plan::{KERNEL_IMAGE, PAGE, SLOT};

/// Bytes of `.text` for the executive's own routines.
const ROUTINES: u64 = 0x1_0000;

/// Bytes of `.data` for variables and the executive's globals.
const DATA: u64 = 0x10_0000;

/// `int3`: what lies between pieces of code.
const INT3: u8 = 0xCC;

/// What the image consists of.
#[derive(Clone, Debug)]
pub(crate) struct Contents<'a> {
    /// Code exports; the position is the number.
    pub(crate) code: Vec<&'a str>,
    /// Variables and their sizes.
    pub(crate) data: Vec<(&'a str, u64)>,
    /// Windows version for the headers.
    pub(crate) version: (u16, u16),
}

/// The image as bytes, and where its parts are (as offsets from the base).
#[derive(Debug)]
pub(crate) struct Built {
    bytes: Vec<u8>,
    sections: Vec<Section>,
    exports: BTreeMap<String, u64>,
    entry_slot: u64,
    guard: [u64; 2],
    routines: u64,
    free_data: u64,
    pub(crate) size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Section {
    name: &'static str,
    offset: u64,
    size: u64,
    characteristics: u32,
    access: Access,
}

fn put<const N: usize>(bytes: &mut [u8], at: u64, value: [u8; N]) {
    bytes[at as usize..at as usize + N].copy_from_slice(&value);
}

/// Lays the image out.
pub(crate) fn build(contents: &Contents<'_>) -> Built {
    let stubs = contents.code.len() as u64 * SLOT;
    // Two guard routines follow the stubs.
    let text_size = (stubs + 2 * SLOT).next_multiple_of(PAGE) + ROUTINES;
    let text = PAGE;
    let routines = text + text_size - ROUTINES;
    let rdata = text + text_size;

    let mut exports = BTreeMap::new();
    for (number, name) in (0..).zip(&contents.code) {
        exports.insert((*name).to_owned(), text + number * SLOT);
    }
    let names: u64 = contents.code.iter().map(|name| name.len() as u64 + 1).sum::<u64>()
        + contents.data.iter().map(|(name, _)| name.len() as u64 + 1).sum::<u64>();
    let count = (contents.code.len() + contents.data.len()) as u64;
    let entry_slot = rdata;
    let directory = rdata + 16;
    let rdata_size = (16 + 40 + count * 10 + names + 32).next_multiple_of(PAGE);
    let data = rdata + rdata_size;
    let mut free_data = data;
    for (name, size) in &contents.data {
        exports.insert((*name).to_owned(), free_data);
        free_data += size.next_multiple_of(16);
    }

    let sections = vec![
        Section {
            name: ".text",
            offset: text,
            size: text_size,
            characteristics: 0x6800_0020,
            access: Access::ReadExecute,
        },
        Section {
            name: ".rdata",
            offset: rdata,
            size: rdata_size,
            characteristics: 0x4800_0040,
            access: Access::Read,
        },
        Section {
            name: ".data",
            offset: data,
            size: DATA,
            characteristics: 0xC800_0040,
            access: Access::ReadWrite,
        },
    ];
    let size = data + DATA;
    let mut bytes = vec![0; size as usize];
    bytes[text as usize..rdata as usize].fill(INT3);
    for number in 0..contents.code.len() as u64 {
        let at = text + number * SLOT;
        put(&mut bytes, at, [0xB8]); // mov eax, imm32
        put(&mut bytes, at + 1, (number as u32).to_le_bytes());
        put(&mut bytes, at + 5, [0xFF, 0x25]); // jmp [rip + disp32]
        put(&mut bytes, at + 7, ((entry_slot - (at + 11)) as u32).to_le_bytes());
    }
    let guard = [text + stubs, text + stubs + SLOT];
    put(&mut bytes, guard[0], [0xC3]); // ret: the target in rcx is not judged
    put(&mut bytes, guard[1], [0xFF, 0xE0]); // jmp rax
    write_directory(&mut bytes, directory, &exports);
    write_headers(&mut bytes, &sections, size, (directory, rdata_size - 16), contents.version);
    Built { bytes, sections, exports, entry_slot, guard, routines, free_data, size }
}

/// Writes the export directory: header, addresses, names, ordinals, strings. The map is sorted by bytes, as it must be.
fn write_directory(bytes: &mut [u8], at: u64, exports: &BTreeMap<String, u64>) {
    let count = exports.len() as u64;
    let (functions, names) = (at + 40, at + 40 + count * 4);
    let ordinals = names + count * 4;
    let mut strings = ordinals + count * 2;
    let fields = [
        (12, strings),   // Name
        (16, 1),         // Base
        (20, count),     // NumberOfFunctions
        (24, count),     // NumberOfNames
        (28, functions), // AddressOfFunctions
        (32, names),     // AddressOfNames
        (36, ordinals),  // AddressOfNameOrdinals
    ];
    for (offset, value) in fields {
        put(bytes, at + offset, (value as u32).to_le_bytes());
    }
    let mut string = |bytes: &mut [u8], text: &str| {
        let start = strings;
        bytes[start as usize..start as usize + text.len()].copy_from_slice(text.as_bytes());
        strings += text.len() as u64 + 1;
        start
    };
    string(bytes, "ntoskrnl.exe");
    for (index, (name, address)) in (0..).zip(exports) {
        put(bytes, functions + index * 4, (*address as u32).to_le_bytes());
        let start = string(bytes, name);
        put(bytes, names + index * 4, (start as u32).to_le_bytes());
        put(bytes, ordinals + index * 2, (index as u16).to_le_bytes());
    }
}

fn write_headers(
    bytes: &mut [u8],
    sections: &[Section],
    size: u64,
    exports: (u64, u64),
    version: (u16, u16),
) {
    const NEW: u64 = 0x80;
    const OPTIONAL: u64 = NEW + 24;
    const TABLE: u64 = OPTIONAL + 240;
    put(bytes, 0, *b"MZ");
    put(bytes, 0x3C, (NEW as u32).to_le_bytes());
    put(bytes, NEW, *b"PE\0\0");
    put(bytes, NEW + 4, 0x8664_u16.to_le_bytes()); // Machine
    put(bytes, NEW + 6, (sections.len() as u16).to_le_bytes());
    put(bytes, NEW + 20, 240_u16.to_le_bytes()); // SizeOfOptionalHeader
    put(bytes, NEW + 22, 0x0022_u16.to_le_bytes()); // EXECUTABLE_IMAGE, LARGE_ADDRESS_AWARE
    put(bytes, OPTIONAL, 0x020B_u16.to_le_bytes()); // PE32+
    put(bytes, OPTIONAL + 16, (sections[0].offset as u32).to_le_bytes()); // AddressOfEntryPoint
    put(bytes, OPTIONAL + 20, (sections[0].offset as u32).to_le_bytes()); // BaseOfCode
    put(bytes, OPTIONAL + 24, KERNEL_IMAGE.base.to_le_bytes()); // ImageBase
    put(bytes, OPTIONAL + 32, (PAGE as u32).to_le_bytes()); // SectionAlignment
    put(bytes, OPTIONAL + 36, (PAGE as u32).to_le_bytes()); // FileAlignment: the file would be the image
    for offset in [40, 44, 48] {
        // Operating system, image and subsystem version.
        put(bytes, OPTIONAL + offset, version.0.to_le_bytes());
        put(bytes, OPTIONAL + offset + 2, version.1.to_le_bytes());
    }
    put(bytes, OPTIONAL + 56, (size as u32).to_le_bytes()); // SizeOfImage
    put(bytes, OPTIONAL + 60, (PAGE as u32).to_le_bytes()); // SizeOfHeaders
    put(bytes, OPTIONAL + 68, 1_u16.to_le_bytes()); // Subsystem: native
    put(bytes, OPTIONAL + 108, 16_u32.to_le_bytes()); // NumberOfRvaAndSizes
    put(bytes, OPTIONAL + 112, (exports.0 as u32).to_le_bytes());
    put(bytes, OPTIONAL + 116, (exports.1 as u32).to_le_bytes());
    for (index, section) in (0..).zip(sections) {
        let at = TABLE + index * 40;
        bytes[at as usize..at as usize + section.name.len()].copy_from_slice(section.name.as_bytes());
        for (offset, value) in
            [(8, section.size), (12, section.offset), (16, section.size), (20, section.offset)]
        {
            put(bytes, at + offset, (value as u32).to_le_bytes());
        }
        put(bytes, at + 36, section.characteristics.to_le_bytes());
    }
}

impl Built {
    /// Returns the exports and their offsets.
    #[cfg(test)]
    pub(crate) fn exports(&self) -> &BTreeMap<String, u64> {
        &self.exports
    }

    /// Returns the image as bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Maps the image at its place.
    pub(crate) fn map(self) -> Option<Decoy> {
        let base = KERNEL_IMAGE.base;
        memory::commit(base, self.size)?;
        // SAFETY: just committed; no driver runs yet and nothing else refers to the range.
        let memory = unsafe { memory::slice(base, self.size as usize) };
        memory.copy_from_slice(&self.bytes);
        put(memory, self.entry_slot, (context::export_entry as *const () as u64).to_le_bytes());
        // SAFETY: the slice is not used any more.
        unsafe { memory::set_access(base, PAGE, Access::Read) }.then_some(())?;
        for section in &self.sections {
            // SAFETY: as above.
            unsafe { memory::set_access(base + section.offset, section.size, section.access) }
                .then_some(())?;
        }
        Some(Decoy {
            size: self.size,
            exports: self.exports,
            guard: self.guard.map(|offset| base + offset),
            routines: (base + self.routines)..(base + self.routines + ROUTINES),
            data: (base + self.free_data)..(base + self.size),
        })
    }
}

/// The mapped image.
#[derive(Debug)]
pub(crate) struct Decoy {
    pub(crate) size: u64,
    exports: BTreeMap<String, u64>,
    /// Addresses of the guard's check and dispatch routines.
    pub(crate) guard: [u64; 2],
    routines: std::ops::Range<u64>,
    data: std::ops::Range<u64>,
}

fn take(range: &mut std::ops::Range<u64>, bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let start = range.start.next_multiple_of(align as u64);
    let end = start.checked_add(bytes as u64).filter(|end| *end <= range.end)?;
    range.start = end;
    NonNull::new(std::ptr::with_exposed_provenance_mut(start as usize))
}

impl Decoy {
    /// Returns the address of an export.
    pub(crate) fn export(&self, name: &str) -> Option<u64> {
        self.exports.get(name).map(|offset| KERNEL_IMAGE.base + offset)
    }

    /// Returns names and offsets, in the order of the offsets.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut symbols: Vec<_> =
            self.exports.iter().map(|(name, offset)| (name.as_str(), *offset)).collect();
        symbols.sort_by_key(|(_, offset)| *offset);
        symbols.into_iter()
    }

    /// Takes addresses for routines of the executive.
    pub(crate) fn take_text(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        take(&mut self.routines, bytes, SLOT as usize)
    }

    /// Takes zeroed memory for variables of the executive.
    pub(crate) fn take_data(&mut self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        take(&mut self.data, bytes, align)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> Built {
        build(&Contents {
            code: vec!["ExNotifyCallback", "DbgPrint", "ZwClose"],
            data: vec![("ExCallbackObjectType", 8), ("KeTickCount", 4)],
            version: (10, 0),
        })
    }

    #[test]
    fn the_image_is_one_that_our_own_parser_accepts() {
        let built = built();
        let image = image::Image::parse(built.bytes()).expect("a valid image");
        let exports = image.exports().expect("a valid directory");
        let names: Vec<_> =
            exports.iter().flat_map(|export| export.names.iter().map(ToString::to_string)).collect();
        assert_eq!(names, ["DbgPrint", "ExCallbackObjectType", "ExNotifyCallback", "KeTickCount", "ZwClose"]);
        for export in &exports {
            let image::ExportTarget::Rva(rva) = &export.target else { panic!("{export:?}") };
            assert_eq!(built.exports()[&export.names[0].to_string()], u64::from(*rva));
        }
    }

    #[test]
    fn a_stub_loads_its_number_and_jumps_through_the_entry_slot() {
        let built = built();
        let at = built.exports()["DbgPrint"];
        let code = &built.bytes()[at as usize..at as usize + 11];
        let instructions: Vec<_> = iced_x86::Decoder::with_ip(64, code, at, 0).into_iter().collect();
        assert_eq!(instructions.len(), 2);
        assert_eq!(instructions[0].immediate32(), 1);
        assert_eq!(instructions[1].ip_rel_memory_address(), built.entry_slot);
    }
}
