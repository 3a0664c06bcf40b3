//! The machine as a Windows crash dump: header, page tables, debugger data block, and every page of guest memory.
//!
//! What comes out is a full dump (`DumpType` 1) of a 64-bit machine, as `DUMP_HEADER64` and `KDDEBUGGER_DATA64` of the public
//! debugger headers describe it. Deliberately different: physical memory is made up, because a process has none. Page tables
//! come first, then the pages in the order of their addresses; and the debugger data block, which on Windows lies in
//! the kernel's data, stands on a page of its own at the end of the kernel image's range.

use std::collections::BTreeMap;
use std::io::{self, Write};

use record::Registers;

use crate::plan::{KERNEL_IMAGE, PAGE};

/// Guest memory to be written: whole pages with one protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// First address, a multiple of the page size.
    pub base: u64,
    /// Whether it may be written.
    pub write: bool,
    /// Whether it may be executed.
    pub execute: bool,
    /// The bytes, a multiple of the page size.
    pub bytes: Vec<u8>,
}

/// The kind of crash dump, which says how physical memory is described. Both hold the same pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A full dump (type 1): runs of pages in the header.
    #[default]
    Full,
    /// A bitmap dump (type 5), as Windows 8 and later write a complete one: a bit for each page behind the header.
    Bitmap,
}

/// What the header and the debugger data block say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Windows build number.
    pub build: u32,
    /// Number of processors.
    pub processors: u32,
    /// Time since boot in units of 100 ns.
    pub up_time: u64,
    /// Time since 1601 in units of 100 ns.
    pub system_time: u64,
    /// Number of the boot.
    pub boot_id: u32,
    /// Base of the kernel image.
    pub kernel: u64,
    /// Head of the list of loaded modules, 0 where unknown.
    pub loaded_modules: u64,
    /// Address of the variable `ObpRootDirectoryObject`, 0 where unknown.
    pub root_directory: u64,
    /// Address of the variable `ObpTypeObjectType`, 0 where unknown.
    pub type_type: u64,
    /// Address of the variable `MmSystemRangeStart`, 0 where unknown.
    pub system_range_start: u64,
    /// Bugcheck code, 0 for a machine that lives.
    pub bugcheck: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// Registers of what trapped last, where the machine died of that.
    pub registers: Option<Registers>,
}

/// Bytes of `DUMP_HEADER64`.
const HEADER: usize = 0x2000;
/// First physical page used. Page 0 holds no memory on real machines either.
const FIRST_PAGE: u64 = 1;
/// Bits of a page-table entry: present, writable, accessed, dirty.
const PRESENT: u64 = 0x61;
const WRITABLE: u64 = 0x02;
const NO_EXECUTE: u64 = 1 << 63;
/// Where the debugger data block goes, and its size in Windows 10 and later.
const DEBUGGER_DATA: u64 = KERNEL_IMAGE.end() - PAGE;
const DEBUGGER_DATA_SIZE: u32 = 0x380;

/// Writes the dump.
///
/// # Errors
///
/// Those of `out`.
pub fn write(pages: &[Pages], facts: &Facts, form: Form, out: &mut impl Write) -> io::Result<()> {
    let block = debugger_data(facts);
    let block = Pages { base: DEBUGGER_DATA, write: true, execute: false, bytes: block };
    let mut tables = Tables::new();
    for range in pages.iter().chain([&block]) {
        for offset in (0..range.bytes.len() as u64).step_by(PAGE as usize) {
            tables.map(range.base + offset, range.write, range.execute);
        }
    }
    let tables = tables.finish();
    let count = (tables.len() / PAGE as usize) as u64
        + pages.iter().chain([&block]).map(|range| range.bytes.len() as u64 / PAGE).sum::<u64>();
    let (dump_type, map) = match form {
        Form::Full => (1, Vec::new()),
        Form::Bitmap => (5, bitmap(count)),
    };
    out.write_all(&header(facts, dump_type, map.len(), count))?;
    out.write_all(&map)?;
    out.write_all(&tables)?;
    for range in pages.iter().chain([&block]) {
        out.write_all(&range.bytes)?;
    }
    out.flush()
}

/// Page tables under construction. Tables are numbered in the order in which they are needed, the root first; pages get the
/// physical pages behind the last table.
struct Tables {
    /// Tables by level (4 is the root) and the part of the address above what they cover.
    known: BTreeMap<(u32, u64), usize>,
    /// Entries: table, index, and what it leads to.
    links: Vec<(usize, usize, Target)>,
    pages: u64,
}

enum Target {
    Table(usize),
    Page { number: u64, write: bool, execute: bool },
}

impl Tables {
    fn new() -> Self {
        Self { known: BTreeMap::from([((4, 0), 0)]), links: Vec::new(), pages: 0 }
    }

    fn map(&mut self, address: u64, write: bool, execute: bool) {
        let mut table = 0;
        for level in [3, 2, 1] {
            // A table of level n covers 9 bits for each level below it, and the page.
            let key = (level, address >> (12 + 9 * level));
            table = match self.known.get(&key) {
                Some(&number) => number,
                None => {
                    let number = self.known.len();
                    self.known.insert(key, number);
                    self.links.push((table, index(address, level + 1), Target::Table(number)));
                    number
                }
            };
        }
        self.links.push((table, index(address, 1), Target::Page { number: self.pages, write, execute }));
        self.pages += 1;
    }

    fn finish(self) -> Vec<u8> {
        let tables = self.known.len();
        let mut bytes = vec![0; tables * PAGE as usize];
        for (table, index, target) in self.links {
            let entry = match target {
                Target::Table(number) => (FIRST_PAGE + number as u64) << 12 | PRESENT | WRITABLE,
                Target::Page { number, write, execute } => {
                    (FIRST_PAGE + tables as u64 + number) << 12
                        | PRESENT
                        | if write { WRITABLE } else { 0 }
                        | if execute { 0 } else { NO_EXECUTE }
                }
            };
            let at = table * PAGE as usize + index * 8;
            bytes[at..at + 8].copy_from_slice(&entry.to_le_bytes());
        }
        bytes
    }
}

/// Index of `address` in a table of `level` (4 is the root).
fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) as usize & 0x1FF
}

/// `BITMAP_DUMP` behind the header, up to where the pages begin: a bit for each page from physical address 0 on.
fn bitmap(pages: u64) -> Vec<u8> {
    let end = FIRST_PAGE + pages;
    let bits_at = 0x38;
    let mut bytes = vec![0; (bits_at + end.div_ceil(64) as usize * 8).next_multiple_of(PAGE as usize)];
    let first = (HEADER + bytes.len()) as u64;
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0x00, b"SDMPDUMP");
    put(0x20, &first.to_le_bytes());
    put(0x28, &pages.to_le_bytes());
    put(0x30, &end.to_le_bytes());
    for page in FIRST_PAGE..end {
        bytes[bits_at + page as usize / 8] |= 1 << (page % 8);
    }
    bytes
}

/// `DUMP_HEADER64`. What is not known stays filled with `PAGE`, as on Windows.
/// `map` bytes lie between it and the pages.
fn header(facts: &Facts, dump_type: u32, map: usize, pages: u64) -> Vec<u8> {
    let mut bytes = b"PAGE".repeat(HEADER / 4);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0x004, b"DU64");
    put(0x008, &0xF_u32.to_le_bytes());
    put(0x00C, &facts.build.to_le_bytes());
    put(0x010, &(FIRST_PAGE * PAGE).to_le_bytes());
    put(0x018, &0_u64.to_le_bytes());
    put(0x020, &facts.loaded_modules.to_le_bytes());
    put(0x028, &0_u64.to_le_bytes());
    put(0x030, &0x8664_u32.to_le_bytes());
    put(0x034, &facts.processors.to_le_bytes());
    put(0x038, &facts.bugcheck.to_le_bytes());
    for (at, parameter) in [0x40, 0x48, 0x50, 0x58].into_iter().zip(facts.parameters) {
        put(at, &parameter.to_le_bytes());
    }
    put(0x080, &DEBUGGER_DATA.to_le_bytes());
    // PHYSICAL_MEMORY_DESCRIPTOR64: one run.
    put(0x088, &1_u32.to_le_bytes());
    put(0x08C, &0_u32.to_le_bytes());
    put(0x090, &pages.to_le_bytes());
    put(0x098, &FIRST_PAGE.to_le_bytes());
    put(0x0A0, &pages.to_le_bytes());
    // No exception, and a context only where the machine died of a trap: otherwise it was looked at from outside.
    put(0x348, &[0; 0xF98 - 0x348]);
    if let Some(registers) = &facts.registers {
        context(registers).into_iter().for_each(|(at, word)| put(0x348 + at, &word.to_le_bytes()));
        // ContextFlags: control and integer registers. The flags are 32 bits wide, behind the selectors.
        put(0x348 + 0x30, &0x0010_0003_u32.to_le_bytes());
        put(0x348 + 0x44, &(registers.rflags as u32).to_le_bytes());
    }
    put(0xF98, &dump_type.to_le_bytes());
    put(0xFA0, &((HEADER + map) as u64 + pages * PAGE).to_le_bytes());
    put(0xFA8, &facts.system_time.to_le_bytes());
    put(0xFB0, &[0; 0x80]);
    put(0xFB0, b"written by Ringbell; the kernel lies in the lower half");
    put(0x1030, &facts.up_time.to_le_bytes());
    put(0x1054, &facts.boot_id.to_le_bytes());
    bytes
}

/// Where the registers stand in the x64 `CONTEXT` of `winnt.h`.
fn context(registers: &Registers) -> [(usize, u64); 17] {
    let Registers {
        rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip, ..
    } = *registers;
    let order = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip];
    std::array::from_fn(|index| (0x78 + 8 * index, order[index]))
}

/// The page with `KDDEBUGGER_DATA64`.
fn debugger_data(facts: &Facts) -> Vec<u8> {
    let mut bytes = vec![0; PAGE as usize];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    // A list of one block that leads to itself.
    put(0x00, DEBUGGER_DATA);
    put(0x08, DEBUGGER_DATA);
    put(0x10, u64::from(u32::from_le_bytes(*b"KDBG")) | u64::from(DEBUGGER_DATA_SIZE) << 32);
    put(0x18, facts.kernel);
    put(0x48, facts.loaded_modules);
    put(0x98, facts.root_directory);
    put(0xA0, facts.type_type);
    put(0x1D0, facts.system_range_start);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(file[at..at + 8].try_into().unwrap())
    }

    /// Walks the tables of a dump by hand, and returns the entry and the offset in the file of what it leads to.
    fn walk(file: &[u8], address: u64) -> Option<(u64, usize)> {
        let mut table = read(file, 0x10);
        for level in [4, 3, 2, 1] {
            let offset = HEADER + (table - PAGE) as usize;
            let entry = read(file, offset + index(address, level) * 8);
            if entry & 1 == 0 {
                return None;
            }
            table = entry & 0x000F_FFFF_FFFF_F000;
            if level == 1 {
                return Some((entry, HEADER + (table - PAGE) as usize));
            }
        }
        None
    }

    #[test]
    fn every_page_is_found_through_the_tables_with_its_rights() {
        let pages = |base, write, execute, fill: u8, count: usize| Pages {
            base,
            write,
            execute,
            bytes: vec![fill; count * PAGE as usize],
        };
        let all = [
            pages(0x10_0000_0000, true, false, 1, 3),
            pages(0x10_2000_0000, false, true, 2, 1),
            pages(0x11_3FFF_F000, false, false, 3, 2),
        ];
        let mut file = Vec::new();
        write(&all, &Facts { build: 26100, ..Facts::default() }, Form::Full, &mut file).unwrap();
        assert_eq!(file.len() as u64, read(&file, 0xFA0));
        for range in &all {
            for page in 0..range.bytes.len() as u64 / PAGE {
                let (entry, at) = walk(&file, range.base + page * PAGE).unwrap();
                assert_eq!(file[at..at + PAGE as usize], range.bytes[..PAGE as usize]);
                assert_eq!(entry & WRITABLE != 0, range.write);
                assert_eq!(entry & NO_EXECUTE == 0, range.execute);
            }
        }
        assert_eq!(walk(&file, 0x10_0000_3000), None);
        let (_, block) = walk(&file, read(&file, 0x80)).unwrap();
        assert_eq!(&file[block + 0x10..block + 0x14], b"KDBG");
    }
}
