//! The machine's memory as an image: raw, or as the crash dumps of Windows.
//!
//! Offsets of the dump header are those of `DUMP_HEADER64`; the bitmap header that of `BMP_HEADER64`. Frames are present
//! from 1 on, so frame 0 is a hole; what was forgotten is another.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use crate::memory::PAGE;
use crate::world::{World, plan};

/// A kind of crash dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Complete memory with a table of runs, type 1.
    Full,
    /// Complete memory with a bitmap, type 5.
    Bitmap,
}

impl World {
    /// Gives the raw physical memory.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        let mut image = io::Cursor::new(vec![0; (self.memory.end() * PAGE) as usize]);
        self.write_pages(&mut image, |frame| Some(frame * PAGE)).expect("a cursor takes everything");
        image.into_inner()
    }

    /// Writes the raw physical memory as a sparse file of at least `bytes` bytes.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write_raw(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.set_len(bytes.max(self.memory.end() * PAGE))?;
        self.write_pages(&mut file, |frame| Some(frame * PAGE))
    }

    /// Gives the machine as a crash dump.
    #[must_use]
    pub fn dump(&self, kind: Dump) -> Vec<u8> {
        let mut image = io::Cursor::new(Vec::new());
        self.dump_to(&mut image, kind, self.memory.end()).expect("a cursor takes everything");
        let mut bytes = image.into_inner();
        bytes.resize(self.dump_size(kind, self.memory.end()) as usize, 0);
        bytes
    }

    /// Writes the machine as a crash dump, a sparse file for a machine with at least `memory` bytes.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write_dump(&self, path: &Path, kind: Dump, memory: u64) -> io::Result<()> {
        let end = self.memory.end().max(memory / PAGE);
        let mut file = File::create(path)?;
        file.set_len(self.dump_size(kind, end))?;
        self.dump_to(&mut file, kind, end)
    }

    /// Gives the machine as a triage dump that holds some ranges of virtual memory (address and length) and the list of
    /// modules. Offsets of the part behind the header are those of `TRIAGE_DUMP64`.
    #[must_use]
    pub fn triage(&self, ranges: &[(u64, usize)]) -> Vec<u8> {
        let mut dump = self.header(Dump::Full, &[]);
        dump[0xF98..0xF9C].copy_from_slice(&4_u32.to_le_bytes()); // DumpType
        put(&mut dump, 0x10, 0);
        dump.resize(0x2000 + 0x80, 0);
        let put32 = |dump: &mut Vec<u8>, at: usize, value: usize| {
            dump[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        };
        let drivers = dump.len();
        put32(&mut dump, 0x2030, drivers); // DriverListOffset
        put32(&mut dump, 0x2034, self.modules.len()); // DriverCount
        dump.resize(drivers + self.modules.len() * 0xA8, 0);
        for (index, module) in self.modules.iter().enumerate() {
            let (entry, name) = (drivers + index * 0xA8, dump.len());
            put32(&mut dump, entry, name);
            put(&mut dump, entry + 0x38, module.base);
            put32(&mut dump, entry + 0x48, module.size as usize);
            dump.extend((module.name.len() as u32).to_le_bytes());
            dump.extend(module.name.encode_utf16().flat_map(u16::to_le_bytes));
            dump.extend([0, 0]);
        }
        let blocks = dump.len();
        put32(&mut dump, 0x2078, blocks); // DataBlocksOffset
        put32(&mut dump, 0x207C, ranges.len()); // DataBlocksCount
        dump.resize(blocks + ranges.len() * 0x10, 0);
        for (index, (address, length)) in ranges.iter().enumerate() {
            // An odd place in the file: what counts is the address.
            dump.push(0);
            let (block, place) = (blocks + index * 0x10, dump.len());
            put(&mut dump, block, *address);
            put32(&mut dump, block + 8, place);
            put32(&mut dump, block + 12, *length);
            dump.extend(self.memory.read(*address, *length));
        }
        dump
    }

    /// Lists the present frames as runs: first frame and count.
    fn runs(&self, end: u64) -> Vec<(u64, u64)> {
        let mut runs = Vec::new();
        let mut from = 1;
        for hole in self.memory.forgotten().chain([end]) {
            if hole > from {
                runs.push((from, hole - from));
            }
            from = from.max(hole + 1);
        }
        runs
    }

    fn data_start(kind: Dump, end: u64) -> u64 {
        match kind {
            Dump::Full => 0x2000,
            Dump::Bitmap => (0x2038 + end.div_ceil(8) + PAGE - 1) & !(PAGE - 1),
        }
    }

    fn dump_size(&self, kind: Dump, end: u64) -> u64 {
        Self::data_start(kind, end) + self.runs(end).iter().map(|run| run.1).sum::<u64>() * PAGE
    }

    fn dump_to(&self, image: &mut (impl Write + Seek), kind: Dump, end: u64) -> io::Result<()> {
        let runs = self.runs(end);
        let start = Self::data_start(kind, end);
        image.write_all(&self.header(kind, &runs))?;
        if kind == Dump::Bitmap {
            let pages: u64 = runs.iter().map(|run| run.1).sum();
            let mut bitmap = vec![0_u8; 0x38];
            bitmap[0..8].copy_from_slice(b"SDMPDUMP");
            put(&mut bitmap, 0x20, start); // FirstPage
            put(&mut bitmap, 0x28, pages); // TotalPresentPages
            put(&mut bitmap, 0x30, end); // Pages
            bitmap.resize(0x38 + end.div_ceil(8) as usize, 0);
            for frame in runs.iter().flat_map(|run| run.0..run.0 + run.1) {
                bitmap[0x38 + frame as usize / 8] |= 1 << (frame % 8);
            }
            image.write_all(&bitmap)?;
        }
        self.write_pages(image, |frame| {
            let mut before = 0;
            for (first, count) in &runs {
                if (*first..first + count).contains(&frame) {
                    return Some(start + (before + frame - first) * PAGE);
                }
                before += count;
            }
            None
        })
    }

    fn header(&self, kind: Dump, runs: &[(u64, u64)]) -> Vec<u8> {
        let mut header: Vec<u8> = b"PAGE".iter().copied().cycle().take(0x2000).collect();
        header[0..8].copy_from_slice(b"PAGEDU64");
        header[0x8..0xC].copy_from_slice(&0xF_u32.to_le_bytes()); // MajorVersion: a free build
        header[0xC..0x10].copy_from_slice(&self.era.build().to_le_bytes()); // MinorVersion
        put(&mut header, 0x10, self.memory.root() | 2); // DirectoryTableBase, with bits that a reader must mask
        put(&mut header, 0x18, 0xFFFF_FA80_0000_0000); // PfnDataBase
        put(&mut header, 0x20, plan::KERNEL + plan::rva::MODULES); // PsLoadedModuleList
        put(&mut header, 0x28, 0); // PsActiveProcessHead
        header[0x30..0x34].copy_from_slice(&0x8664_u32.to_le_bytes()); // MachineImageType
        header[0x34..0x38].copy_from_slice(&1_u32.to_le_bytes()); // NumberProcessors
        header[0x38..0x3C].copy_from_slice(&0xE2_u32.to_le_bytes()); // BugCheckCode
        header[0x40..0x60].fill(0); // its parameters
        let block = if self.debugger_block { plan::KERNEL + plan::rva::DEBUGGER } else { 0 };
        put(&mut header, 0x80, block); // KdDebuggerDataBlock
        if kind == Dump::Full {
            header[0x88..0x8C].copy_from_slice(&(runs.len() as u32).to_le_bytes()); // NumberOfRuns
            put(&mut header, 0x90, runs.iter().map(|run| run.1).sum()); // NumberOfPages
            for (index, (first, count)) in runs.iter().enumerate() {
                put(&mut header, 0x98 + index * 0x10, *first);
                put(&mut header, 0xA0 + index * 0x10, *count);
            }
        }
        let code = if kind == Dump::Full { 1_u32 } else { 5 };
        header[0xF98..0xF9C].copy_from_slice(&code.to_le_bytes()); // DumpType
        header
    }

    fn write_pages(
        &self,
        image: &mut (impl Write + Seek),
        place: impl Fn(u64) -> Option<u64>,
    ) -> io::Result<()> {
        for (frame, page) in self.memory.frames() {
            if let Some(at) = place(frame) {
                image.seek(SeekFrom::Start(at))?;
                image.write_all(page)?;
            }
        }
        Ok(())
    }
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Era;

    #[test]
    fn memory_lies_in_the_images_where_their_headers_say() {
        let mut world = World::booted(Era::Ten);
        world.memory.forget(0x40_5000);
        let body = world.named("PowerState").body;
        let physical = world.memory.translate(body).unwrap();
        let raw = world.raw();
        assert_eq!(&raw[physical as usize..][..4], b"Call");
        let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let full = world.dump(Dump::Full);
        let (mut skipped, mut place) = (0, None);
        for index in 0..full[0x88] as usize {
            let (first, count) = (u64_at(&full, 0x98 + index * 16), u64_at(&full, 0xA0 + index * 16));
            if (first..first + count).contains(&(physical / PAGE)) {
                place = Some(0x2000 + (skipped + physical / PAGE - first) * PAGE + physical % PAGE);
            }
            skipped += count;
        }
        assert_eq!(full.len() as u64, 0x2000 + skipped * PAGE);
        assert_eq!(&full[place.unwrap() as usize..][..4], b"Call");
        let bitmap = world.dump(Dump::Bitmap);
        let before = (0..physical / PAGE)
            .filter(|frame| bitmap[0x2038 + *frame as usize / 8] & (1 << (frame % 8)) != 0)
            .count() as u64;
        let place = u64_at(&bitmap, 0x2020) + before * PAGE + physical % PAGE;
        assert_eq!(&bitmap[place as usize..][..4], b"Call");
    }

    #[test]
    fn a_large_image_is_sparse() {
        let world = World::bare(Era::TwentyFourH2);
        let path = std::env::temp_dir().join(format!("ringbell-synth-{}", std::process::id()));
        world.write_raw(&path, 16 << 30).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 16 << 30);
        std::fs::remove_file(path).unwrap();
    }
}
