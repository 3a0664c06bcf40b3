//! The guest's memory as files of every format, with literal offsets.

use crate::guest::{Guest, IDT, KDBG, LIST, ROOT};

/// Bytes of a file that can be written anywhere.
#[derive(Clone, Default)]
pub(crate) struct File(pub(crate) Vec<u8>);

impl File {
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        if self.0.len() < at + bytes.len() {
            self.0.resize(at + bytes.len(), 0);
        }
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn u16(&mut self, at: usize, value: u16) -> &mut Self {
        self.write(at, &value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) -> &mut Self {
        self.write(at, &value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.write(at, &value.to_le_bytes())
    }
}

/// The 8 KiB header of a dump of a type.
pub(crate) fn header(dump_type: u32) -> File {
    let mut file = File::default();
    // Windows fills what it does not write with `PAGE`.
    for at in (0..0x2000).step_by(4) {
        file.write(at, b"PAGE");
    }
    file.write(0, b"PAGEDU64")
        .u32(0x08, 15)
        .u32(0x0C, 19045)
        .u64(0x10, ROOT)
        .u64(0x18, 0)
        .u64(0x20, LIST)
        .u64(0x28, 0)
        .u32(0x30, 0x8664)
        .u32(0x34, 1)
        .u32(0x38, 0xE2)
        .u64(0x40, 1)
        .u64(0x48, 2)
        .u64(0x50, 3)
        .u64(0x58, 4)
        .u64(0x80, KDBG)
        .u32(0x88, 0)
        .u32(0xF98, dump_type)
        .u64(0xFA0, 0)
        .u64(0xFA8, 0x01DA_1234_5678_9ABC)
        .u64(0x1030, 600_000_000);
    file
}

/// Type 1: runs in the header.
pub(crate) fn full(guest: &Guest) -> File {
    let mut file = header(1);
    let runs = guest.runs();
    let pages: usize = runs.iter().map(|(_, bytes)| bytes.len() / 0x1000).sum();
    file.u32(0x88, runs.len() as u32).u32(0x8C, 0).u64(0x90, pages as u64);
    for (index, (first, bytes)) in runs.iter().enumerate() {
        file.u64(0x98 + index * 16, first / 0x1000).u64(0xA0 + index * 16, bytes.len() as u64 / 0x1000);
        let end = file.0.len();
        file.write(end, bytes);
    }
    file
}

/// Types 5 and 6: a bitmap.
pub(crate) fn bitmap(guest: &Guest, dump_type: u32) -> File {
    let mut file = header(dump_type);
    let last = *guest.0.last_key_value().unwrap().0;
    let bits = last / 0x1000 + 3;
    let first_page = (0x2038 + bits.div_ceil(8)).next_multiple_of(0x1000);
    file.write(0x2000, b"SDMPDUMP")
        .u64(0x2020, first_page)
        .u64(0x2028, guest.0.len() as u64)
        .u64(0x2030, bits);
    file.write(0x2038, &vec![0; bits.div_ceil(8) as usize]);
    for address in guest.0.keys() {
        let page = (address / 0x1000) as usize;
        file.0[0x2038 + page / 8] |= 1 << (page % 8);
    }
    file.write(first_page as usize - 1, &[0]);
    pages(&mut file, guest);
    file
}

/// Types 8, 9 and 0xA: ranges of pages.
pub(crate) fn ranges(guest: &Guest, dump_type: u32) -> File {
    let mut file = header(dump_type);
    let first_page = 0x3000_u64;
    file.u32(0x2000, 0x40)
        .write(0x2004, b"RDMPDUMP")
        .u32(0x200C, 0)
        .u64(0x2010, first_page - 0x2020)
        .u64(0x2018, first_page)
        .u64(0x2020, 0)
        .u64(0x2028, 0);
    let runs = guest.runs();
    if dump_type == 0xA {
        file.u32(0x2020, runs.len() as u32).u64(0x2028, guest.0.len() as u64);
    }
    for (index, (first, bytes)) in runs.iter().enumerate() {
        file.u64(0x2030 + index * 16, first / 0x1000).u64(0x2038 + index * 16, bytes.len() as u64 / 0x1000);
    }
    file.write(0x2FFF, &[0]);
    pages(&mut file, guest);
    file
}

fn pages(file: &mut File, guest: &Guest) {
    for page in guest.0.values() {
        let end = file.0.len();
        file.write(end, page);
    }
}

/// An ELF core with a `QEMU` note.
pub(crate) fn elf(guest: &Guest) -> File {
    let runs = guest.runs();
    let mut file = File::default();
    file.write(0, b"\x7FELF\x02\x01\x01")
        .u16(16, 4)
        .u16(18, 62)
        .u32(20, 1)
        .u64(0x20, 0x40)
        .u16(0x34, 0x40)
        .u16(0x36, 0x38)
        .u16(0x38, runs.len() as u16 + 1);
    // The note: name size 5, 440 bytes of state, type 0, `QEMU`.
    file.u32(0x40, 4).u64(0x48, 0x800).u64(0x60, 12 + 8 + 440);
    file.u32(0x800, 5).u32(0x804, 440).u32(0x808, 0).write(0x80C, b"QEMU\0\0\0\0");
    file.u32(0x814, 1).u32(0x818, 440).write(0x814 + 439, &[0]);
    file.u64(0x814 + 384, IDT + 0x400).u64(0x814 + 416, ROOT | 2);
    let mut offset = 0x1000;
    for (index, (first, bytes)) in runs.iter().enumerate() {
        let at = 0x40 + (index + 1) * 0x38;
        file.u32(at, 1)
            .u64(at + 8, offset as u64)
            .u64(at + 0x18, *first)
            .u64(at + 0x20, bytes.len() as u64)
            .u64(at + 0x28, bytes.len() as u64);
        file.write(offset, bytes);
        offset += bytes.len();
    }
    file
}

/// Raw memory, holes as zeros.
pub(crate) fn raw(guest: &Guest) -> File {
    let mut file = File::default();
    for (&address, page) in &guest.0 {
        file.write(address as usize, page);
    }
    file
}

/// A VMware state file with regions of (physical page, page in the file, pages) and CR3.
pub(crate) fn vmss(regions: &[(u64, u64, u64)]) -> File {
    let mut file = File::default();
    file.write(0, b"\xD2\xBE\xD2\xBE").u32(4, 8).u32(8, 2);
    file.write(12, b"cpu").u64(12 + 64, 0x400).u64(12 + 72, 0);
    file.write(92, b"memory").u64(92 + 64, 0x800).u64(92 + 72, 0);
    // A tag: flags (indices in bits 6 and 7, size below), length of the name, name, indices, value.
    file.write(0x400, &[0x88, 4]).write(0x402, b"CR64").u32(0x406, 0).u32(0x40A, 3).u64(0x40E, ROOT);
    file.write(0x416, &[0, 0]);
    let mut at = 0x800;
    let mut tag = |name: &str, index: Option<u32>, value: u32| {
        let flags = 4 | if index.is_some() { 0x40 } else { 0 };
        file.write(at, &[flags, name.len() as u8]).write(at + 2, name.as_bytes());
        at += 2 + name.len();
        if let Some(index) = index {
            file.u32(at, index);
            at += 4;
        }
        file.u32(at, value);
        at += 4;
    };
    tag("regionsCount", None, regions.len() as u32);
    for (index, &(first, offset, size)) in regions.iter().enumerate() {
        let index = Some(index as u32);
        tag("regionPPN", index, first as u32);
        tag("regionPageNum", index, offset as u32);
        tag("regionSize", index, size as u32);
    }
    // A large value, as the memory itself would be: skipped by its length.
    file.write(at, &[0x3F, 6]).write(at + 2, b"Memory").u64(at + 8, 16).u64(at + 16, 16).u16(at + 24, 6);
    at += 26 + 6 + 16;
    file.write(at, &[0, 0]);
    file
}
