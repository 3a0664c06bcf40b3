//! Which boot an image is of, what ended it, and builds without a profile of their own.

use record::{Because, FoundBugcheck, Inspection, Value};
use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, inspect};
use synth::{Dump, Era, World, plan};

use super::support::{Form, look};

const TIME: u64 = 0x01DC_5D3C_AABB_CCDD;
const UP: u64 = 0x0000_0012_3456_789A;

/// Shows a time and a number of the boot in the page that every kernel shares, at the offsets of `ntddk.h`.
fn with_clock(world: &mut World) {
    for (at, time) in [(0x08, UP), (0x14, TIME)] {
        world.memory.put64(plan::SHARED + at, time);
        world.memory.put32(plan::SHARED + at + 8, (time >> 32) as u32);
    }
    world.memory.put32(plan::SHARED + 0x2C4, 4711);
}

fn of(dump: Vec<u8>) -> Inspection {
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    inspect("synthetic", &image, &kernel, &Options { carve: false, ..Options::default() })
}

fn put(dump: &mut [u8], at: usize, value: u64) {
    dump[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn every_form_tells_the_boot() {
    for era in Era::ALL {
        let mut world = World::booted(era);
        with_clock(&mut world);
        for form in Form::ALL {
            let boot = look(&world, form).boot;
            assert_eq!(
                (boot.id, boot.times_from.as_str()),
                (Value::Known(4711), "KUSER_SHARED_DATA"),
                "{form:?}"
            );
            assert_eq!((boot.system_time.get(), boot.up_time.get()), (Some(TIME), Some(UP)));
        }
    }
}

#[test]
fn a_torn_clock_is_not_believed_and_the_header_is_asked() {
    let mut world = World::booted(Era::TwentyFourH2);
    with_clock(&mut world);
    world.memory.put32(plan::SHARED + 0x14 + 8, (TIME >> 32) as u32 + 1);
    let boot = look(&world, Form::Raw).boot;
    assert_eq!((boot.time(), boot.times_from.as_str()), (None, ""));
    assert!(matches!(boot.system_time, Value::Absent { absent: Because::NotFound, .. }));
    assert_eq!(boot.id, Value::Known(4711));

    let mut dump = world.dump(Dump::Full);
    put(&mut dump, 0xFA8, TIME);
    put(&mut dump, 0x1030, UP);
    let boot = of(dump.clone()).boot;
    assert_eq!((boot.time(), boot.times_from.as_str()), (Some(TIME - UP), "the dump header"));
    // A machine that was up before there was time.
    put(&mut dump, 0x1030, TIME + 1);
    assert_eq!(of(dump).boot.time(), None);
}

#[test]
fn a_boot_without_a_number_or_page_says_so() {
    let boot = look(&World::booted(Era::TwentyFourH2), Form::Raw).boot;
    assert!(matches!(boot.id, Value::Absent { absent: Because::NotApplicable, .. }), "{boot:?}");
    let world = World::booted(Era::TwentyFourH2);
    let boot = of(world.triage(&[])).boot;
    assert!(matches!(boot.id, Value::Absent { absent: Because::NotInImage, .. }), "{boot:?}");
}

#[test]
fn a_bugcheck_is_told_with_its_parameters() {
    let world = World::booted(Era::TwentyFourH2);
    for kind in [Dump::Full, Dump::Bitmap] {
        let mut dump = world.dump(kind);
        let parameters = [0x10, 2, 1, 0xFFFF_F802_6000_1000];
        for (at, word) in [0x40, 0x48, 0x50, 0x58].into_iter().zip(parameters) {
            put(&mut dump, at, word);
        }
        for (code, expected) in [
            (0xD1_u32, Ok(0xD1)),
            (0, Err(Because::NotApplicable)),
            (u32::from_le_bytes(*b"PAGE"), Err(Because::NotFound)),
        ] {
            dump[0x38..0x3C].copy_from_slice(&code.to_le_bytes());
            match (of(dump.clone()).bugcheck, expected) {
                (Value::Known(found), Ok(code)) => assert_eq!(found, FoundBugcheck { code, parameters }),
                (Value::Absent { absent, .. }, Err(because)) => assert_eq!(absent, because),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        }
    }
    assert!(matches!(look(&world, Form::Raw).bugcheck, Value::Absent { absent: Because::NotApplicable, .. }));
}

#[test]
fn vista_is_read_as_the_nearest_version_and_the_result_says_so() {
    let mut dump = World::booted(Era::Seven).dump(Dump::Full);
    for build in [6000_u32, 6002, 6003] {
        dump[0x0C..0x10].copy_from_slice(&build.to_le_bytes());
        let found = of(dump.clone());
        assert_eq!(found.profile, "nt6");
        assert!(
            found.notes.iter().any(|note| note.contains(&format!("build {build} has no profile"))),
            "{:?}",
            found.notes
        );
    }
    dump[0x0C..0x10].copy_from_slice(&7601_u32.to_le_bytes());
    assert!(of(dump).notes.iter().all(|note| !note.contains("no profile")));
}
