//! The carve: signatures and pool tags in all of memory.
//!
//! Object bodies lie at multiples of 16 and begin with the bytes `Call`; the pool tag of the same spelling lies 4 bytes
//! behind a multiple of 16, so the two are never mistaken for each other. Bytes that look alike are common (the word occurs
//! in code, strings and files): a candidate counts when its fields and its header fit, and only where the kernel has the page mapped.

use std::collections::BTreeSet;

use nt::CALLBACK_SIGNATURE;
use nt::mm::tag;

use super::header::Header;
use super::shape::{BLINK, BODY, REGISTRATION, Shape};
use crate::kernel::Kernel;
use crate::memory::{Memory, MemoryExt as _, PAGE_SIZE};
use crate::memory_image::MemoryImage;
use crate::scan::{Needle, ScanOptions, ScanProgress, scan_needles};

/// The most places that are kept of each kind.
const MAX_HITS: usize = 1 << 18;
/// The most objects that are kept.
const MAX_BODIES: usize = 65_536;

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
    /// Pool headers of registrations, by address.
    pub(crate) registrations: Vec<u64>,
    /// Pool headers of registrations whose body is not in the image, by address of the header.
    pub(crate) headless: Vec<u64>,
    pub(crate) cut: Option<String>,
}

/// Something found, by its address.
#[derive(Clone, Copy, Debug)]
enum Hit {
    Body(u64),
    Registration(u64),
}

/// Looks at memory from `at` on. Everything of interest lies at multiples of 16.
fn look(bytes: &[u8], at: u64, hits: &mut Vec<Hit>) {
    let skip = (at.wrapping_neg() & 0xF) as usize;
    let at = at.wrapping_add(skip as u64);
    let Some(bytes) = bytes.get(skip..) else { return };
    for (index, unit) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let [a, b, c, d, e, f, g, h, ..] = *unit;
        if u32::from_le_bytes([a, b, c, d]) == CALLBACK_SIGNATURE {
            hits.push(Hit::Body(at + index as u64 * 16));
        } else if u32::from_le_bytes([e, f, g, h]) == tag::CALLBACK_REGISTRATION {
            hits.push(Hit::Registration(at + index as u64 * 16));
        }
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
    let hits = match (image.physical(), kernel.space()) {
        (Some(physical), Some(space)) => {
            let options = ScanOptions { limit: MAX_HITS, ..ScanOptions::default() };
            let tell = |scan: ScanProgress| progress.at(scan.scanned, scan.total);
            let needles = [(CALLBACK_SIGNATURE, 0), (tag::CALLBACK_REGISTRATION, 4)]
                .map(|(value, at)| Needle { value, at });
            let scanned = scan_needles(physical, &options, &tell, &needles);
            if scanned.limited {
                carved.cut =
                    Some(format!("more than {MAX_HITS} places look like objects; the rest was left out"));
            } else if scanned.unreadable > 0 {
                carved.cut = Some(format!("{:#x} bytes of the image could not be read", scanned.unreadable));
            }
            let page = |at: u64| at & !(PAGE_SIZE - 1);
            // The tag lies inside the granule that its block begins with.
            let place = |physical: u64| physical & !0xF;
            let pages: BTreeSet<u64> = scanned.found.iter().map(|hit| page(hit.physical)).collect();
            let places = space.virtual_of(&pages);
            let mut mapped = Vec::new();
            for hit in scanned.found {
                let base = places.get(&page(hit.physical));
                let at = base.map(|base| base + (place(hit.physical) & (PAGE_SIZE - 1)));
                match (hit.needle, at) {
                    (0, Some(at)) => mapped.push(Hit::Body(at)),
                    (_, Some(at)) => mapped.push(Hit::Registration(at)),
                    (0, None) => carved.unmapped += 1,
                    (_, None) => {}
                }
            }
            mapped
        }
        (None, _) if image.captured().is_some() => {
            let mut hits = Vec::new();
            for range in image.captured_ranges() {
                let mut at = range.start;
                while at < range.end && hits.len() < MAX_HITS {
                    // Cut at multiples of 16, so that nothing of interest is cut in two. A range may end where addresses do.
                    let next =
                        (at & !0xF).checked_add(PAGE_SIZE).map_or(range.end, |next| next.min(range.end));
                    let (bytes, _) = memory.bytes(at, (next - at) as usize);
                    look(&bytes, at, &mut hits);
                    at = next;
                }
            }
            hits
        }
        _ => return None,
    };
    for hit in hits {
        match hit {
            Hit::Body(_) if carved.bodies.len() >= MAX_BODIES => {
                carved
                    .cut
                    .get_or_insert_with(|| format!("more than {MAX_BODIES} objects; the rest was left out"));
            }
            Hit::Body(body) if looks_right(memory, shape, body) => carved.bodies.push(body),
            Hit::Body(_) => carved.look_alikes += 1,
            Hit::Registration(header) => {
                if memory.array::<REGISTRATION>(header.wrapping_add(0x10)).is_err() {
                    carved.headless.push(header);
                } else if carved.registrations.len() < MAX_BODIES {
                    carved.registrations.push(header);
                }
            }
        }
    }
    carved.bodies.sort_unstable();
    carved.headless.sort_unstable();
    carved.registrations.sort_unstable();
    Some(carved)
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
