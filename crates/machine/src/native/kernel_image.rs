//! The kernel's own image, as drivers see it: `ntoskrnl.exe` with headers, an export directory, code and data.
//!
//! On Windows a driver can find the kernel in memory (through the interrupt table, `PsLoadedModuleList`, a return address) and
//! parse its export directory; many do. So the image is a real one: names sorted as the loader wants them, code exports
//! in `.text`, variables in `.data`. An export's code is `mov eax, number; jmp [entry]`; the executive's own routines have
//! addresses in `.text` where nothing is executed. `hal.dll` is the same image: since Windows 10 2004 it only forwards.

use std::collections::BTreeMap;

use super::sys::Access;
use crate::plan::{KERNEL_IMAGE, PAGE, SLOT};

/// Bytes of `.text` for the executive's own routines.
pub(super) const ROUTINES: u64 = 0x1_0000;

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
    pub(super) bytes: Vec<u8>,
    pub(super) sections: Vec<Section>,
    /// Exports and their offsets.
    pub(super) exports: BTreeMap<String, u64>,
    pub(super) entry_slot: u64,
    pub(super) guard: [u64; 2],
    pub(super) routines: u64,
    pub(super) free_data: u64,
    pub(crate) size: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    name: &'static str,
    pub(super) offset: u64,
    pub(super) size: u64,
    characteristics: u32,
    pub(super) access: Access,
}

/// Stores `value` at offset `at`.
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: u64, value: [u8; N]) {
    bytes[at as usize..at as usize + N].copy_from_slice(&value);
}

/// Offset of the first export's stub; the others follow in the order of their numbers.
const STUBS: u64 = PAGE;

/// Returns the address of export `number`.
pub(crate) fn stub(number: u64) -> u64 {
    KERNEL_IMAGE.base + STUBS + number * SLOT
}

/// Returns the number of the export whose stub is at `address`; numbers beyond the last export are possible.
pub(crate) fn stub_at(address: u64) -> Option<usize> {
    let offset = address.checked_sub(stub(0))?;
    if offset.is_multiple_of(SLOT) { usize::try_from(offset / SLOT).ok() } else { None }
}

/// Lays the image out.
pub(crate) fn build(contents: &Contents<'_>) -> Built {
    let stubs = contents.code.len() as u64 * SLOT;
    // Two guard routines follow the stubs.
    let text_size = (stubs + 2 * SLOT).next_multiple_of(PAGE) + ROUTINES;
    let text = STUBS;
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
        let image = image::Image::parse(&built.bytes).expect("a valid image");
        let exports = image.exports().expect("a valid directory");
        let names: Vec<_> =
            exports.iter().flat_map(|export| export.names.iter().map(ToString::to_string)).collect();
        assert_eq!(names, ["DbgPrint", "ExCallbackObjectType", "ExNotifyCallback", "KeTickCount", "ZwClose"]);
        for export in &exports {
            let image::ExportTarget::Rva(rva) = &export.target else { panic!("{export:?}") };
            assert_eq!(built.exports[&export.names[0].to_string()], u64::from(*rva));
        }
    }

    #[test]
    fn a_stub_loads_its_number_and_jumps_through_the_entry_slot() {
        let built = built();
        let at = built.exports["DbgPrint"];
        let code = &built.bytes[at as usize..at as usize + 11];
        let instructions: Vec<_> = iced_x86::Decoder::with_ip(64, code, at, 0).into_iter().collect();
        assert_eq!(instructions.len(), 2);
        assert_eq!(instructions[0].immediate32(), 1);
        assert_eq!(instructions[1].ip_rel_memory_address(), built.entry_slot);
    }
}
