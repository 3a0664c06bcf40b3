//! Registrations that the carve shows and no object lists.
//!
//! A pool block of the tag `CBRe` holds one registration (0x40 bytes with its header), which names its object. One that is in use and stands
//! on no list was taken off it, or was caught between two steps; one that is free is history.

use std::collections::BTreeSet;

use nt::POOL_HEADER;
use record::{Inspection, Severity};

use super::kind::Kind;
use super::object::{IN_USE, Object, Registration};
use super::place::Places;
use super::shape::{REGISTRATION, offset};
use super::words::anomaly;
use crate::memory::{Memory, MemoryExt as _};

/// The most registrations that are told one by one.
const MAX_TOLD: usize = 64;

/// Tells of registrations that no list holds. `carved` are the addresses of pool headers.
pub(crate) fn tell(
    out: &mut Inspection,
    memory: &dyn Memory,
    carved: &[u64],
    objects: &[Object],
    places: &Places<'_, '_>,
) {
    let listed: BTreeSet<u64> = objects.iter().flat_map(|object| object.walk.nodes.iter().copied()).collect();
    let header_size = size_of::<POOL_HEADER>() as u64;
    let field = |block: u64, name| memory.u8(block.wrapping_add(offset(&POOL_HEADER::LAYOUT, name)));
    let (mut told, mut freed, mut more) = (0, 0_usize, 0_usize);
    for &block in carved {
        let at = block.wrapping_add(header_size);
        let Ok(registration) = Registration::read(memory, at) else { continue };
        let fits = field(block, "BlockSize").is_ok_and(|size| {
            usize::from(size) * nt::mm::POOL_BLOCK >= REGISTRATION + size_of::<POOL_HEADER>()
        });
        let range = memory.kernel_range();
        if listed.contains(&at) || !fits || !range.contains(registration.routine) {
            continue;
        }
        if field(block, "PoolType").is_ok_and(|kind| kind & IN_USE == 0) {
            freed += usize::from(range.contains(registration.object));
            continue;
        }
        // Bytes that look like a registration are one when they name an object.
        let Some(owner) = objects.iter().find(|object| object.body == registration.object) else { continue };
        if told >= MAX_TOLD {
            more += 1;
            continue;
        }
        told += 1;
        let place = places.locate(registration.routine);
        let routine = place.known().cloned().unwrap_or_else(|| format!("{:#x}", registration.routine));
        let name = owner
            .leaf()
            .map_or_else(|| format!("{:#x}", owner.body), |leaf| format!("{:#x} (`{leaf}`)", owner.body));
        if owner.walk.end.why(usize::MAX).is_none() && owner.missing.is_empty() {
            out.findings.push(anomaly(
                Kind::RegistrationNotListed,
                Severity::Warning,
                format!("the registration of {routine} at {at:#x} is in use and names the object {name}, whose list does not hold it"),
                Some(at),
            ));
        } else {
            out.notes.push(format!(
                "the registration of {routine} at {at:#x} names the object {name}, whose list could not be followed to it"
            ));
        }
    }
    if more > 0 {
        out.notes.push(format!("{more} more registrations are on no list"));
    }
    if freed > 0 {
        out.notes.push(format!("the pool holds what remains of {freed} freed registrations"));
    }
}
