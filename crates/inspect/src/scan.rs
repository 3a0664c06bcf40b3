//! Looking at every byte of physical memory: the primitive below signature and pool carving.
//!
//! Several threads take stretches of memory in ascending order and read each in pieces that fit a processor's cache.
//! What is found comes back in order of physical address whatever the threads did, and is bounded: an image made of
//! nothing but matches ends the scan early, and that is said.

use core::num::NonZero;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::limits::limit;
use crate::memory::{PAGE_SIZE, Physical, Piece};

/// Bytes read at once: one system call's worth that still fits the second-level cache.
const CHUNK: usize = limit(256 << 10, 32 << 10) as usize;
/// Bytes of physical address space that a thread takes at once.
const STRETCH: u64 = 64 << 20;
/// The most threads: reading a file does not get faster with more.
const MAX_THREADS: usize = 8;
/// Bytes between two calls of the progress function by one thread.
const REPORT_EVERY: u64 = 4 << 20;

/// How to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// Threads; `None` takes as many as the host has processors, eight at most.
    pub threads: Option<NonZero<usize>>,
    /// The physical addresses to look at.
    pub range: Range<u64>,
    /// The most matches kept, those at the lowest addresses.
    pub limit: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { threads: None, range: 0..u64::MAX, limit: 1 << 20 }
    }
}

impl ScanOptions {
    fn threads(&self) -> usize {
        // A fuzzer takes what differs from run to run for something new.
        let most = limit(MAX_THREADS as u64, 1) as usize;
        let host = || thread::available_parallelism().map_or(1, NonZero::get).min(most);
        self.threads.map_or_else(host, |threads| threads.get().min(64))
    }
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// Bytes looked at.
    pub scanned: u64,
    /// Bytes the image holds.
    pub total: u64,
}

/// Physical memory that lies together.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Physical address of the first byte.
    pub physical: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned<T> {
    /// The matches by physical address.
    pub found: Vec<T>,
    /// Bytes looked at.
    pub scanned: u64,
    /// Whether the limit ended the scan early.
    pub limited: bool,
    /// Bytes in the range that the host could not read.
    pub unreadable: u64,
}

/// Shows every present byte of a range to `look`, which appends what it finds.
///
/// A chunk never joins memory that is not adjacent; one stretch of memory may come in several chunks, cut at multiples
/// of 256 KiB or at the ends of runs, so a pattern longer than its alignment may be cut. `progress` is called now and
/// then, from any thread.
pub fn scan<T: Send>(
    physical: &dyn Physical,
    options: &ScanOptions,
    progress: &(dyn Fn(ScanProgress) + Sync),
    look: &(dyn Fn(Chunk<'_>, &mut Vec<T>) + Sync),
) -> Scanned<T> {
    let shared = Shared {
        cursor: Mutex::new(options.range.start),
        found: AtomicUsize::new(0),
        scanned: AtomicU64::new(0),
        results: Mutex::new(BTreeMap::new()),
    };
    let total = physical.present_bytes();
    let work = || {
        let mut buffer = vec![0; CHUNK];
        let mut pieces = Vec::new();
        while let Some(stretch) = shared.take(physical, options) {
            let start = stretch.start;
            let mut found = Vec::new();
            let mut unreported = 0;
            let report = |bytes: u64| {
                let scanned = shared.scanned.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress(ScanProgress { scanned, total });
            };
            let mut next = Some(start);
            while let Some(from) = next {
                pieces.clear();
                next = physical.gather(from..stretch.end, &mut buffer, &mut pieces);
                join(&mut pieces);
                for piece in &pieces {
                    let bytes = &buffer[piece.offset..piece.offset + piece.length];
                    look(Chunk { physical: piece.physical, bytes }, &mut found);
                    unreported += piece.length as u64;
                }
                if unreported >= REPORT_EVERY {
                    report(core::mem::take(&mut unreported));
                }
                if found.len() > options.limit {
                    break;
                }
            }
            report(unreported);
            shared.put(start, found, options.limit);
        }
    };
    let threads = options.threads();
    if threads == 1 {
        work();
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    let scanned = shared.scanned.into_inner();
    let results = shared.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<T> = results.into_values().flatten().collect();
    let limited = found.len() > options.limit;
    found.truncate(options.limit);
    let unreadable = if limited { 0 } else { present(physical, &options.range).saturating_sub(scanned) };
    Scanned { found, scanned, limited, unreadable }
}

/// What the threads of a scan share.
struct Shared<T> {
    cursor: Mutex<u64>,
    found: AtomicUsize,
    scanned: AtomicU64,
    results: Mutex<BTreeMap<u64, Vec<T>>>,
}

impl<T> Shared<T> {
    /// Takes the next stretch that holds memory. Stretches are taken in ascending order and finished once taken, so that
    /// what was looked at when the limit ends the scan is all of memory below some address.
    fn take(&self, physical: &dyn Physical, options: &ScanOptions) -> Option<Range<u64>> {
        if self.found.load(Ordering::Relaxed) > options.limit {
            return None;
        }
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let start = physical.next_run(*cursor)?.start;
        if start >= options.range.end {
            return None;
        }
        let end = (start / STRETCH + 1).saturating_mul(STRETCH).min(options.range.end);
        *cursor = end;
        Some(start..end)
    }

    /// Keeps what was found in the stretch that begins at `start`.
    fn put(&self, start: u64, mut found: Vec<T>, limit: usize) {
        found.truncate(limit.saturating_add(1));
        self.found.fetch_add(found.len(), Ordering::Relaxed);
        if !found.is_empty() {
            found.shrink_to_fit();
            self.results.lock().unwrap_or_else(PoisonError::into_inner).insert(start, found);
        }
    }
}

/// Joins pieces that are adjacent in memory and in the buffer.
fn join(pieces: &mut Vec<Piece>) {
    pieces.dedup_by(|next, last| {
        let adjacent =
            last.physical + last.length as u64 == next.physical && last.offset + last.length == next.offset;
        if adjacent {
            last.length += next.length;
        }
        adjacent
    });
}

/// Returns how many bytes of a range are present.
fn present(physical: &dyn Physical, range: &Range<u64>) -> u64 {
    let mut bytes = 0;
    let mut from = range.start;
    while let Some(run) = physical.next_run(from).filter(|run| run.start < range.end) {
        bytes += run.end.min(range.end) - run.start;
        from = run.end;
    }
    bytes
}

/// A 32-bit value at a fixed place in each 16-byte granule of memory, which is how pool blocks and what begins them are
/// aligned on x64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needle {
    /// The value.
    pub value: u32,
    /// Where in the granule: 0, 4, 8 or 12.
    pub at: u8,
}

/// A place where a needle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Physical address of the value.
    pub physical: u64,
    /// Which needle, by its index.
    pub needle: usize,
}

/// Looks for 32-bit values at fixed places of 16-byte granules.
///
/// # Examples
///
/// ```
/// use ringbell_inspect::{MemoryImage, Needle, ScanOptions, scan_needles};
///
/// let mut bytes = vec![0; 0x3000];
/// bytes[0x2010..0x2014].copy_from_slice(b"Call"); // a signature
/// bytes[0x1234..0x1238].copy_from_slice(b"CBRe"); // a pool tag
/// bytes[0x0018..0x001C].copy_from_slice(b"Call"); // neither
/// let image = MemoryImage::from_bytes(bytes).unwrap();
/// let needles = [
///     Needle { value: u32::from_le_bytes(*b"Call"), at: 0 },
///     Needle { value: u32::from_le_bytes(*b"CBRe"), at: 4 },
/// ];
/// let scanned = scan_needles(image.physical().unwrap(), &ScanOptions::default(), &|_| (), &needles);
/// let places: Vec<_> = scanned.found.iter().map(|hit| (hit.physical, hit.needle)).collect();
/// assert_eq!(places, [(0x1234, 1), (0x2010, 0)]);
/// ```
pub fn scan_needles(
    physical: &dyn Physical,
    options: &ScanOptions,
    progress: &(dyn Fn(ScanProgress) + Sync),
    needles: &[Needle],
) -> Scanned<Hit> {
    let filters = Filter::of(needles);
    scan(physical, options, progress, &|chunk, found| {
        for (index, page) in chunk.bytes.chunks(PAGE_SIZE as usize).enumerate() {
            if may_hold(page, &filters) {
                let first = chunk.physical + index as u64 * PAGE_SIZE;
                granules(Chunk { physical: first, bytes: page }, needles, found);
            }
        }
    })
}

/// Fewest bits that a filter tests: one word of random memory in 65536 passes it.
const FILTER_BITS: u32 = 16;

/// The bits that several values have in common. One test of these instead of one per value halves the cost of looking,
/// and rarely lets anything else pass: pool tags are letters.
#[derive(Debug, Clone, Copy)]
struct Filter {
    mask: u32,
    value: u32,
}

impl Filter {
    /// Returns as few filters as pass every needle.
    fn of(needles: &[Needle]) -> Vec<Self> {
        let mut filters: Vec<Self> = Vec::new();
        for &Needle { value, .. } in needles {
            let joined = filters.iter_mut().find_map(|filter| {
                let mask = filter.mask & !(filter.value ^ value);
                (mask.count_ones() >= FILTER_BITS).then_some((filter, mask))
            });
            match joined {
                Some((filter, mask)) => *filter = Self { mask, value: value & mask },
                None => filters.push(Self { mask: u32::MAX, value }),
            }
        }
        filters
    }
}

/// Returns whether any aligned 32-bit word passes a filter. Written so that the compiler uses vectors for it.
fn may_hold(page: &[u8], filters: &[Filter]) -> bool {
    match *filters {
        [] => false,
        [a] => any_passes(page, [a]),
        [a, b] => any_passes(page, [a, b]),
        [a, b, c] => any_passes(page, [a, b, c]),
        _ => filters.chunks(3).any(|some| may_hold(page, some)),
    }
}

fn any_passes<const N: usize>(page: &[u8], filters: [Filter; N]) -> bool {
    let (words, _) = page.as_chunks::<4>();
    let mut any = 0_u32;
    for word in words {
        let word = u32::from_le_bytes(*word);
        for Filter { mask, value } in filters {
            any |= u32::from(word & mask == value);
        }
    }
    any != 0
}

/// Finds the needles in the granules of a page that holds some of their values.
fn granules(chunk: Chunk<'_>, needles: &[Needle], found: &mut Vec<Hit>) {
    let (words, _) = chunk.bytes.as_chunks::<4>();
    for (index, word) in words.iter().enumerate() {
        let physical = chunk.physical + index as u64 * 4;
        let value = u32::from_le_bytes(*word);
        let hits = needles
            .iter()
            .enumerate()
            .filter(|(_, needle)| needle.value == value && u64::from(needle.at) == physical % 16);
        found.extend(hits.map(|(needle, _)| Hit { physical, needle }));
    }
}
