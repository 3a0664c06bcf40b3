//! Triage dumps: little is there, and only that is told.

use record::{Because, Value};
use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, inspect};
use synth::{Era, World};

use crate::support::{at, kinds};

fn look(dump: Vec<u8>) -> record::Inspection {
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    inspect("triage", &image, &kernel, &Options::default())
}

#[test]
fn what_a_captured_range_proves_is_told_and_nothing_more() {
    let world = World::booted(Era::TwentyFourH2);
    let object = world.named("PowerState");
    let first = world.registrations(object.body)[0];
    // Object with its headers, and one of its four registrations; neither its name nor the others.
    let found = look(world.triage(&[(object.block.header, 0xA0), (first - 0x10, 0x40)]));
    let power = at(&found, object.body);
    assert_eq!(kinds(&found), [""; 0], "{:#?}", found.anomalies().collect::<Vec<_>>());
    assert_eq!(power.pointer_count, Value::Known(6));
    assert!(matches!(&power.name, Value::Absent { absent: Because::NotInImage, .. }), "{:?}", power.name);
    assert_eq!(power.display_name(), "(name not in the image)");
    let places: Vec<_> = power.listeners.iter().filter_map(|it| it.place.known().cloned()).collect();
    assert_eq!(places, ["nt+0x10000"]);
    assert!(power.listeners_cut.as_ref().unwrap().contains("not in the image"));
    assert_eq!(found.objects.len(), 1);
    assert!(!found.partial.is_empty());
}

#[test]
fn a_dump_without_pool_memory_says_so() {
    let world = World::booted(Era::TwentyFourH2);
    let found = look(world.triage(&[(world.kernel_routine(0), 0x100)]));
    assert_eq!(found.objects, []);
    assert_eq!(kinds(&found), [""; 0]);
    assert!(
        found.partial.iter().any(|why| why.contains("triage") || why.contains("small")),
        "{:?}",
        found.partial
    );
}

#[test]
fn a_range_may_end_where_addresses_do() {
    let world = World::booted(Era::TwentyFourH2);
    let object = world.named("PowerState");
    let dump = world.triage(&[(object.block.header, 0xA0), (world.kernel_routine(0), 0x1800)]);
    let blocks = u32::from_le_bytes(dump[0x2078..0x207C].try_into().unwrap()) as usize;
    // The last byte of all addresses is in no range: a range ends before it at the latest.
    for from_the_end in [0x1801, 0x17FF, 0x1008, 0x1001, 0x1000, 0xFFF, 0x11, 0x10, 9, 1] {
        let mut moved = dump.clone();
        moved[blocks + 0x10..blocks + 0x18].copy_from_slice(&u64::wrapping_neg(from_the_end).to_le_bytes());
        let found = look(moved);
        assert_eq!(found.objects.len(), 1, "{from_the_end:#x}");
        assert_eq!(at(&found, object.body).evidence.count(), 1);
    }
}
