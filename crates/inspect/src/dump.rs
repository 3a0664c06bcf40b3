//! Windows crash dumps of 64-bit machines: `DUMP_HEADER64` and the memory maps behind it.
//!
//! The header's layout is public (`DUMP_HEADER64` of the Windows SDK metadata, `WDBGEXTS.H`); the bitmap and range headers
//! that follow it are as the public parsers (kdmp-parser, rekall, radare2) describe them.

use crate::bitmap::{Bitmap, MAX_BITMAP_BYTES};
use crate::error::OpenError;
use crate::fields::{text, u32_at, u64_at};
use crate::format::{DumpType, check_machine};
use crate::memory::PAGE_SIZE;
use crate::note::Note;
use crate::physical::Map;
use crate::runs::{MAX_RUNS, Run, Runs};
use crate::source::Source;

/// Bytes of `DUMP_HEADER64`.
pub(crate) const HEADER_SIZE: usize = 0x2000;

/// Bytes of `PhysicalMemoryBlockBuffer`.
const MEMORY_BLOCK_SIZE: usize = 700;
/// Where `PhysicalMemoryBlockBuffer` begins.
const MEMORY_BLOCK: usize = 0x88;
/// Runs that fit into it behind its two counts.
const MAX_HEADER_RUNS: u32 = ((MEMORY_BLOCK_SIZE - 0x10) / 0x10) as u32;

/// `SDMP`, `FDMP`: the signatures of a bitmap header.
const BITMAP_SIGNATURES: [&[u8]; 2] = [b"SDMP", b"FDMP"];
/// `DUMP`: the second signature of the headers behind the first.
const VALID_DUMP: &[u8] = b"DUMP";
/// `RDMP`: the signature of a range header, four bytes into it.
const RANGE_SIGNATURE: &[u8] = b"RDMP";

/// What the header of a crash dump says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpHeader {
    /// `DumpType` as it stands there.
    pub dump_type: u32,
    /// `MinorVersion`: the build number.
    pub build: u32,
    /// `DirectoryTableBase`: CR3 when the dump was written.
    pub directory_table_base: u64,
    /// `PsLoadedModuleList`: the head of the list of modules.
    pub ps_loaded_module_list: u64,
    /// `PsActiveProcessHead`.
    pub ps_active_process_head: u64,
    /// `KdDebuggerDataBlock`.
    pub kd_debugger_data_block: u64,
    /// `NumberProcessors`.
    pub processors: u32,
    /// `BugCheckCode`.
    pub bugcheck: u32,
    /// `BugCheckParameters`.
    pub bugcheck_parameters: [u64; 4],
    /// `SystemTime`: 100 ns since 1601, UTC.
    pub system_time: u64,
    /// `SystemUpTime` in units of 100 ns.
    pub up_time: u64,
    /// `Comment`, where one was written.
    pub comment: String,
}

impl DumpHeader {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// When the file is shorter than the header or comes from another kind of machine.
    pub(crate) fn read(source: &Source) -> Result<(Self, Vec<u8>), OpenError> {
        let bytes = source.read_up_to(0, HEADER_SIZE)?;
        // A short file still tells its machine.
        if bytes.len() >= 0x34 {
            check_machine(u32_at(&bytes, 0x30))?;
        }
        if bytes.len() < HEADER_SIZE {
            return Err(truncated("the dump header", 0, HEADER_SIZE as u64, source));
        }
        let comment = &bytes[0xFB0..0x1030];
        let header = Self {
            dump_type: u32_at(&bytes, 0xF98),
            build: u32_at(&bytes, 0x0C),
            directory_table_base: u64_at(&bytes, 0x10),
            ps_loaded_module_list: u64_at(&bytes, 0x20),
            ps_active_process_head: u64_at(&bytes, 0x28),
            processors: u32_at(&bytes, 0x34),
            bugcheck: u32_at(&bytes, 0x38),
            bugcheck_parameters: [0x40, 0x48, 0x50, 0x58].map(|at| u64_at(&bytes, at)),
            kd_debugger_data_block: u64_at(&bytes, 0x80),
            system_time: u64_at(&bytes, 0xFA8),
            up_time: u64_at(&bytes, 0x1030),
            // What nobody wrote to is filled with `PAGE`.
            comment: if comment.starts_with(b"PAGE") { String::new() } else { text(comment) },
        };
        Ok((header, bytes))
    }

    /// Returns the kind of map behind the header.
    pub(crate) fn kind(&self, source: &Source) -> Result<DumpType, OpenError> {
        Ok(match self.dump_type {
            1 => DumpType::Full,
            2 | 7 if is_bitmap(&source.read_up_to(HEADER_SIZE as u64, 8)?) => DumpType::Bitmap,
            4 => DumpType::Triage,
            5 => DumpType::Bitmap,
            6 => DumpType::LiveKernel,
            8 => DumpType::Kernel,
            9 => DumpType::KernelAndUser,
            0xA => DumpType::Complete,
            other => return Err(OpenError::DumpType(other)),
        })
    }
}

fn is_bitmap(head: &[u8]) -> bool {
    head.len() >= 8
        && BITMAP_SIGNATURES.iter().any(|signature| head.starts_with(signature))
        && &head[4..8] == VALID_DUMP
}

pub(crate) fn truncated(what: &'static str, offset: u64, needed: u64, source: &Source) -> OpenError {
    let there = source.len().saturating_sub(offset).min(needed);
    OpenError::Truncated { what, offset, needed, missing: needed - there }
}

/// Reads the map of a dump that holds physical memory.
pub(crate) fn map(
    kind: DumpType,
    header: &[u8],
    source: &Source,
    notes: &mut Vec<Note>,
) -> Result<Map, OpenError> {
    match kind {
        DumpType::Full | DumpType::Triage => full(header, source, notes),
        DumpType::Bitmap | DumpType::LiveKernel => bitmap(source, notes),
        DumpType::Kernel | DumpType::KernelAndUser => ranges(source, None, notes),
        DumpType::Complete => {
            let total = u64_at(&source.read_up_to(0x2028, 8)?, 0);
            ranges(source, Some(total), notes)
        }
    }
}

/// Reads the runs of `PHYSICAL_MEMORY_DESCRIPTOR64` in the header; pages follow the header in their order.
fn full(header: &[u8], source: &Source, notes: &mut Vec<Note>) -> Result<Map, OpenError> {
    let count = u32_at(header, MEMORY_BLOCK);
    if count == 0 || count > MAX_HEADER_RUNS {
        return Err(OpenError::Header {
            what: "the number of runs (`NumberOfRuns`)",
            value: u64::from(count),
            expected: "the header has room for 1 to 42",
        });
    }
    let mut offset = HEADER_SIZE as u64;
    let mut pages = 0_u64;
    let mut runs = Vec::new();
    for index in 0..count as usize {
        let at = MEMORY_BLOCK + 0x10 + index * 0x10;
        push(&mut runs, u64_at(header, at), u64_at(header, at + 8), &mut offset, &mut pages);
    }
    let header_pages = u64_at(header, MEMORY_BLOCK + 8);
    if header_pages != pages {
        notes.push(Note::Contradiction {
            what: "pages in the runs (`NumberOfPages`)",
            header: header_pages,
            found: pages,
        });
    }
    Ok(Map::Runs(Runs::build(runs, source.len(), notes)))
}

/// Adds a run of packed pages and moves on behind it.
fn push(runs: &mut Vec<Run>, page: u64, count: u64, offset: &mut u64, pages: &mut u64) {
    let length = count.saturating_mul(PAGE_SIZE);
    runs.push(Run { first: page.saturating_mul(PAGE_SIZE), length, offset: *offset });
    *offset = offset.saturating_add(length);
    *pages = pages.saturating_add(count);
}

/// Reads a bitmap header, its bitmap, and where the packed pages begin.
fn bitmap(source: &Source, notes: &mut Vec<Note>) -> Result<Map, OpenError> {
    const AT: u64 = HEADER_SIZE as u64;
    const BITS_AT: u64 = AT + 0x38;
    let head = source.read_up_to(AT, 0x38)?;
    if head.len() < 0x38 {
        return Err(truncated("the bitmap header", AT, 0x38, source));
    }
    if !is_bitmap(&head) {
        return Err(OpenError::Header {
            what: "the signature of the bitmap header at offset 0x2000",
            value: u64_at(&head, 0),
            expected: "it should read `SDMPDUMP` or `FDMPDUMP`",
        });
    }
    let (first_page, present, bits) = (u64_at(&head, 0x20), u64_at(&head, 0x28), u64_at(&head, 0x30));
    let bytes = bits.div_ceil(8);
    if first_page < BITS_AT || bytes > first_page - BITS_AT {
        return Err(OpenError::Header {
            what: "the number of bits in the bitmap (`Pages`)",
            value: bits,
            expected: "the bitmap does not fit between its header and the first page",
        });
    }
    if BITS_AT + bytes > source.len() {
        return Err(truncated("the bitmap", BITS_AT, bytes, source));
    }
    let kept = bytes.min(MAX_BITMAP_BYTES);
    if kept < bytes {
        notes.push(Note::MapLimit { read: MAX_BITMAP_BYTES * 8 });
    }
    let mut words = Vec::with_capacity(kept.div_ceil(8) as usize);
    let mut read = 0;
    while read < kept {
        let piece = source.read_up_to(BITS_AT + read, (kept - read).min(1 << 16) as usize)?;
        read += piece.len() as u64;
        words.extend(piece.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }));
    }
    let in_file = source.len().saturating_sub(first_page) / PAGE_SIZE;
    let bitmap = Bitmap::new(words, bits, first_page, in_file);
    if bitmap.total() != present {
        notes.push(Note::Contradiction {
            what: "pages in the bitmap (`TotalPresentPages`)",
            header: present,
            found: bitmap.total(),
        });
    }
    if let Some(page) =
        bitmap.page_of_rank(bitmap.available()).filter(|_| bitmap.available() < bitmap.total())
    {
        let bytes = (bitmap.total() - bitmap.available()) * PAGE_SIZE;
        notes.push(Note::CutOff { bytes, from: page * PAGE_SIZE });
    }
    Ok(Map::Bitmap(bitmap))
}

/// Reads the ranges of pages of a dump as `.dump /k`, `/ka` and `/f` write it, up to `total` pages.
fn ranges(source: &Source, total: Option<u64>, notes: &mut Vec<Note>) -> Result<Map, OpenError> {
    const AT: u64 = HEADER_SIZE as u64;
    const RANGES_AT: u64 = AT + 0x30;
    let head = source.read_up_to(AT, 0x30)?;
    if head.len() < 0x30 {
        return Err(truncated("the range header", AT, 0x30, source));
    }
    if u32_at(&head, 0) != 0x40 || &head[4..8] != RANGE_SIGNATURE || &head[8..12] != VALID_DUMP {
        return Err(OpenError::Header {
            what: "the signature of the range header at offset 0x2004",
            value: u64_at(&head, 4),
            expected: "it should read `RDMPDUMP`, behind 0x40",
        });
    }
    let (metadata, first_page) = (u64_at(&head, 0x10), u64_at(&head, 0x18));
    if first_page < RANGES_AT || first_page > source.len() {
        if first_page > source.len() && first_page - 0x2020 == metadata {
            return Err(truncated("the list of page ranges", RANGES_AT, first_page - RANGES_AT, source));
        }
        return Err(OpenError::Header {
            what: "the offset of the first page (`FirstPageOffset`)",
            value: first_page,
            expected: "it should lie behind the ranges and inside the file",
        });
    }
    if metadata != first_page - 0x2020 {
        notes.push(Note::Contradiction {
            what: "bytes of metadata in front of the first page",
            header: metadata,
            found: first_page - 0x2020,
        });
    }
    let mut runs = Vec::new();
    let (mut offset, mut pages) = (first_page, 0_u64);
    let mut at = RANGES_AT;
    'entries: while at + 0x10 <= first_page {
        let piece = source.read_up_to(at, (first_page - at).min(1 << 16) as usize & !0xF)?;
        for entry in piece.chunks_exact(0x10) {
            let (page, count) = (u64_at(entry, 0), u64_at(entry, 8));
            // The end mark. Page 0 is never dumped: it belongs to no run of memory.
            if page == 0 || total.is_some_and(|total| pages >= total) {
                break 'entries;
            }
            if runs.len() >= MAX_RUNS {
                notes.push(Note::MapLimit { read: MAX_RUNS as u64 });
                break 'entries;
            }
            push(&mut runs, page, count, &mut offset, &mut pages);
        }
        at += piece.len() as u64;
    }
    if let Some(total) = total.filter(|&total| total != pages) {
        notes.push(Note::Contradiction {
            what: "pages in the ranges (`TotalNumberOfPages`)",
            header: total,
            found: pages,
        });
    }
    Ok(Map::Runs(Runs::build(runs, source.len(), notes)))
}
