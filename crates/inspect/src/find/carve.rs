//! The carve: signatures and pool tags in all of memory.
//!
//! Object bodies lie at multiples of 16 and begin with the bytes `Call`; the pool tag of the same spelling lies 4 bytes
//! behind a multiple of 16, so the two are never mistaken for each other. Bytes that look alike are common (the word occurs
//! in code, strings and files): a candidate counts when its fields and its header fit, and only where the kernel has the page mapped.

use std::collections::{BTreeMap, BTreeSet};

use nt::CALLBACK_SIGNATURE;
use nt::mm::tag;

use super::header::Header;
use super::shape::{BLINK, BODY, REGISTRATION, Shape};
use crate::kernel::Kernel;
use crate::memory::{Memory, MemoryExt as _, PAGE_SIZE, Physical, Piece};
use crate::memory_image::MemoryImage;

/// The most places that are kept of each kind.
const MAX_HITS: usize = 1 << 20;
/// Bytes that are looked at in one go.
const WINDOW: usize = 1 << 20;

/// Who wants to know how far the carve is.
pub trait Progress: Sync {
    /// Says that `done` of `total` bytes were looked at.
    fn at(&self, done: u64, total: u64);
}

impl Progress for () {
    fn at(&self, _: u64, _: u64) {}
}

/// What the carve brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carved {
    /// Bodies whose fields and headers fit, by address.
    pub(crate) bodies: Vec<u64>,
    /// Places with the signature that are no objects.
    pub(crate) look_alikes: usize,
    /// Places with the signature in pages that the kernel does not map.
    pub(crate) unmapped: usize,
    /// Registrations by their pool tag, by address.
    pub(crate) registrations: Vec<u64>,
    /// Pool headers of registrations whose body is not in the image, by address of the header.
    pub(crate) headless: Vec<u64>,
    pub(crate) cut: Option<String>,
}

/// Places found, physical or virtual.
#[derive(Debug, Default)]
struct Hits {
    bodies: Vec<u64>,
    registrations: Vec<u64>,
    full: bool,
}

impl Hits {
    fn look(&mut self, bytes: &[u8], at: u64) {
        // Everything of interest lies at multiples of 16.
        let skip = (at.next_multiple_of(16) - at) as usize;
        let at = at + skip as u64;
        let Some(bytes) = bytes.get(skip..) else { return };
        for (index, unit) in bytes.as_chunks::<16>().0.iter().enumerate() {
            let first = u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]);
            let second = u32::from_le_bytes([unit[4], unit[5], unit[6], unit[7]]);
            if first != CALLBACK_SIGNATURE && second != tag::CALLBACK_REGISTRATION {
                continue;
            }
            let at = at + index as u64 * 16;
            let list = if first == CALLBACK_SIGNATURE { &mut self.bodies } else { &mut self.registrations };
            if list.len() < MAX_HITS {
                list.push(at);
            } else {
                self.full = true;
            }
        }
    }

    fn absorb(&mut self, other: Self) {
        self.bodies.extend(other.bodies);
        self.registrations.extend(other.registrations);
        self.full |= other.full;
    }
}

/// Looks through the whole image.
pub(crate) fn carve(
    image: &MemoryImage,
    kernel: &Kernel<'_>,
    shape: &Shape,
    progress: &dyn Progress,
) -> Option<Carved> {
    let memory = kernel.memory();
    let mut carved = Carved::default();
    let (bodies, registrations) = match (image.physical(), kernel.space()) {
        (Some(physical), Some(space)) => {
            let hits = scan(physical, progress);
            if hits.full {
                carved.cut =
                    Some(format!("more than {MAX_HITS} places look like objects; the rest was left out"));
            }
            let page = |at: &u64| at & !(PAGE_SIZE - 1);
            let pages: BTreeSet<u64> = hits.bodies.iter().chain(&hits.registrations).map(page).collect();
            let places = space.virtual_of(&pages);
            carved.unmapped = hits.bodies.iter().filter(|at| !places.contains_key(&page(at))).count();
            (mapped(&hits.bodies, &places), mapped(&hits.registrations, &places))
        }
        (None, _) if image.captured().is_some() => {
            let mut hits = Hits::default();
            for range in image.captured_ranges() {
                let mut at = range.start;
                while at < range.end {
                    let (bytes, _) = memory.bytes(at, (range.end - at).min(PAGE_SIZE) as usize);
                    hits.look(&bytes, at);
                    at += PAGE_SIZE;
                }
            }
            (hits.bodies, hits.registrations)
        }
        _ => return None,
    };
    for body in bodies {
        if looks_right(memory, shape, body) {
            carved.bodies.push(body);
        } else {
            carved.look_alikes += 1;
        }
    }
    for header in registrations {
        match memory.array::<REGISTRATION>(header.wrapping_add(0x10)) {
            Ok(_) => carved.registrations.push(header.wrapping_add(0x10)),
            Err(_) => carved.headless.push(header),
        }
    }
    carved.bodies.sort_unstable();
    carved.registrations.sort_unstable();
    carved.headless.sort_unstable();
    Some(carved)
}

fn mapped(places: &[u64], pages: &BTreeMap<u64, u64>) -> Vec<u64> {
    places
        .iter()
        .filter_map(|at| pages.get(&(at & !(PAGE_SIZE - 1))).map(|page| page + (at & (PAGE_SIZE - 1))))
        .collect()
}

/// Looks through physical memory with two threads.
fn scan(physical: &dyn Physical, progress: &dyn Progress) -> Hits {
    use std::sync::atomic::{AtomicU64, Ordering};
    /// Bytes that a thread takes at a time.
    const STRIDE: u64 = 64 << 20;
    let (end, total) = (physical.end(), physical.present_bytes());
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut hits = Hits::default();
        let mut buffer = vec![0; WINDOW];
        let mut pieces: Vec<Piece> = Vec::new();
        loop {
            let start = next.fetch_add(STRIDE, Ordering::Relaxed);
            if start >= end {
                return hits;
            }
            let stop = start.saturating_add(STRIDE).min(end);
            let mut from = Some(start);
            while let Some(at) = from {
                pieces.clear();
                from = physical.gather(at..stop, &mut buffer, &mut pieces);
                for piece in &pieces {
                    hits.look(&buffer[piece.offset..piece.offset + piece.length], piece.physical);
                }
                let read: u64 = pieces.iter().map(|piece| piece.length as u64).sum();
                progress.at(done.fetch_add(read, Ordering::Relaxed) + read, total);
            }
        }
    };
    let mut hits = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut hits = work();
        // A thread that panicked has found nothing that may be left out in silence.
        match other.join() {
            Ok(found) => hits.absorb(found),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        hits
    });
    hits.bodies.sort_unstable();
    hits.registrations.sort_unstable();
    hits
}

/// Checks body and header: fields in their ranges, links to kernel addresses, a header such as objects have.
fn looks_right(memory: &dyn Memory, shape: &Shape, body: u64) -> bool {
    let range = memory.kernel_range();
    let link = |at: u64| {
        let pair = (memory.u64(at), memory.u64(at.wrapping_add(BLINK)));
        matches!(pair, (Ok(next), Ok(back)) if range.contains(next) && range.contains(back)
            && next.is_multiple_of(8) && back.is_multiple_of(8))
    };
    let lock = memory.u64(body.wrapping_add(shape.lock));
    range.contains(body.wrapping_sub(BODY))
        && memory.u32(body) == Ok(CALLBACK_SIGNATURE)
        && link(body.wrapping_add(shape.registered))
        && shape.list.is_none_or(|list| link(body.wrapping_add(list)))
        && lock.is_ok_and(|lock| lock == 0 || lock & 1 == 1 || lock < 0x1_0000)
        && memory.u8(body.wrapping_add(shape.multiple)).is_ok()
        && Header::read(memory, body).is_ok_and(|header| header.fits())
}
