//! Images made to be slow: they end within bounds, with a partial result and a reason.

use std::time::{Duration, Instant};

use ringbell_inspect::MemoryImage;
use synth::{Dump, Era, World, fixtures};

use crate::support::{Form, at, kinds, look};

/// Generous: what is not bounded takes minutes or forever.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_ring_of_a_million_is_cut_short() {
    let mut world = World::booted(Era::TwentyFourH2);
    let body = fixtures::endless_ring(&mut world, 1_000_000);
    let start = Instant::now();
    let found = look(&world, Form::Full);
    assert!(start.elapsed() < SOON);
    let object = at(&found, body);
    assert_eq!(object.listeners.len(), 16_384);
    assert_eq!(
        object.listeners_cut.as_deref(),
        Some("the list has more than 16384 entries; the rest was not followed")
    );
    assert!(!found.partial.is_empty());
}

#[test]
fn many_objects_take_no_quadratic_time() {
    let mut world = World::booted(Era::TwentyFourH2);
    // All on chains that lead into each other, so that a walk from each would follow them all.
    let mut last = world.named("VendorEvents").body + 0x28;
    for _ in 0..8000 {
        let body = world.lonely_callback(synth::CallbackSpec::unnamed(true)).body;
        world.memory.put64(body + 0x28, last);
        world.memory.put64(body + 0x30, last);
        last = body + 0x28;
    }
    let start = Instant::now();
    let found = look(&world, Form::Full);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(found.objects.len(), world.objects.len() + 8000);
    assert_eq!(found.weighty(), 8000, "all of them are alive but not on the list");
}

#[test]
fn deep_directories_are_cut_short() {
    let mut world = World::booted(Era::TwentyFourH2);
    fixtures::deep_directories(&mut world, 500);
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(found.objects.len(), world.objects.len());
    assert!(found.partial.iter().any(|why| why.contains("more than 64 deep")), "{:?}", found.partial);
}

#[test]
fn a_directory_in_itself_ends_the_walk() {
    let mut world = World::booted(Era::TwentyFourH2);
    let directory = world.callback_directory;
    world.insert(&directory, &directory, "Callback");
    let found = look(&world, Form::Full);
    assert_eq!(found.objects.len(), world.objects.len());
}

#[test]
fn runs_that_overlap_are_refused_or_read() {
    let world = World::booted(Era::TwentyFourH2);
    let mut dump = world.dump(Dump::Full);
    dump[0x88..0x8C].copy_from_slice(&2_u32.to_le_bytes());
    for index in 0..2 {
        let at = 0x98 + index * 16;
        dump[at..at + 8].copy_from_slice(&1_u64.to_le_bytes());
        dump[at + 8..at + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    }
    let start = Instant::now();
    if let Ok(image) = MemoryImage::from_bytes(dump) {
        let kernel = ringbell_inspect::Kernel::find(&image, ringbell_inspect::FindOptions::default());
        let found =
            ringbell_inspect::inspect("overlap", &image, &kernel, &ringbell_inspect::Options::default());
        assert!(!found.partial.is_empty());
    }
    assert!(start.elapsed() < SOON);
}

#[test]
fn any_byte_may_be_wrong() {
    // Not a fuzzer, but the same idea: many small damages, none of which may panic or hang.
    let world = World::booted(Era::TwentyFourH2);
    let clean = world.dump(Dump::Full);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Only the pages that hold something: headers, tables, pools.
    let pages: Vec<usize> = (0..clean.len() / 0x1000)
        .filter(|page| clean[page * 0x1000..(page + 1) * 0x1000].iter().any(|byte| *byte != 0))
        .collect();
    for _ in 0..30 {
        let mut dump = clean.clone();
        for _ in 0..400 {
            let place = next();
            let page = pages[(place >> 32) as usize % pages.len()];
            dump[page * 0x1000 + (place as usize & 0xFFF)] = (place >> 16) as u8;
        }
        if let Ok(image) = MemoryImage::from_bytes(dump) {
            let kernel = ringbell_inspect::Kernel::find(&image, ringbell_inspect::FindOptions::default());
            let _ =
                ringbell_inspect::inspect("damaged", &image, &kernel, &ringbell_inspect::Options::default());
        }
    }
}

#[test]
fn a_truncated_dump_is_partial() {
    let world = World::booted(Era::TwentyFourH2);
    let dump = world.dump(Dump::Full);
    let half = dump[..dump.len() * 3 / 4].to_vec();
    let image = MemoryImage::from_bytes(half).unwrap();
    let kernel = ringbell_inspect::Kernel::find(&image, ringbell_inspect::FindOptions::default());
    let found = ringbell_inspect::inspect("cut", &image, &kernel, &ringbell_inspect::Options::default());
    assert!(!found.partial.is_empty());
}
