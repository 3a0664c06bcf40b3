//! Two machines made by hand, compared.

use record::{Boots, Change, Difference, Inspection};
use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, diff, inspect};
use synth::{CallbackSpec, Dump, Era, World, plan};

fn look(world: &World) -> Inspection {
    let image = MemoryImage::from_bytes(world.dump(Dump::Full)).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    inspect("synthetic", &image, &kernel, &Options::default())
}

fn compare(before: &World, after: &World) -> Difference {
    diff(&look(before), &look(after))
}

/// What differs, in short: sign, name, and the listeners likewise.
fn short(difference: &Difference) -> Vec<String> {
    let mut out = Vec::new();
    for object in &difference.changes {
        out.push(format!("{} {}", object.change.word(), object.name));
        for it in &object.listeners {
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
            out.push(format!("  {} {} {}", it.change.word(), side(&it.before), side(&it.after)));
        }
    }
    out
}

#[test]
fn a_machine_does_not_differ_from_itself() {
    for era in Era::ALL {
        let world = World::booted(era);
        let difference = compare(&world, &world);
        assert_eq!(short(&difference), [""; 0], "{era:?}");
        assert!(difference.same_boot);
        assert_eq!(difference.unchanged, world.objects.len() as u64);
    }
}

#[test]
fn objects_and_listeners_come_and_go_within_a_boot() {
    let before = World::booted(Era::TwentyFourH2);
    let mut after = before.clone();
    let object = after.callback(CallbackSpec::named("NewOne"));
    let routine = after.module("vendor.sys").at(0x1800);
    after.register(object.body, routine, 0);
    after.register(after.named("PowerState").body, routine, 0);
    let difference = compare(&before, &after);
    assert_eq!(
        short(&difference),
        [
            "added \\Callback\\NewOne",
            "  added - vendor.sys+0x1800",
            "changed \\Callback\\PowerState",
            "  added - vendor.sys+0x1800"
        ]
    );
    let back = compare(&after, &before);
    assert_eq!(back.changes[0].change, Change::Removed);
    assert_eq!(back.changes[0].address_before, Some(object.body));
    assert_eq!(short(&back)[3], "  removed vendor.sys+0x1800 -");
}

/// A later boot: what was allocated before moves everything, and the drivers lie elsewhere.
fn another_boot(era: Era) -> World {
    let mut world = World::bare(era);
    for _ in 0..40 {
        world.callback(CallbackSpec::unnamed(true));
    }
    world
}

#[test]
fn other_load_addresses_are_no_difference() {
    let mut before = World::bare(Era::Ten);
    let mut after = another_boot(Era::Ten);
    // Another order of loading gives every driver another base.
    for (world, drivers) in [(&mut before, ["one.sys", "two.sys"]), (&mut after, ["two.sys", "one.sys"])] {
        for driver in drivers {
            world.driver(driver);
        }
        let object = world.callback(CallbackSpec::named("Shared"));
        for driver in ["one.sys", "two.sys"] {
            let routine = world.module(driver).at(0x1100);
            world.register(object.body, routine, object.body);
        }
        let single = world.callback(CallbackSpec::unnamed(false));
        let routine = world.module("two.sys").at(0x1500);
        world.register(single.body, routine, 0);
    }
    let difference = compare(&before, &after);
    assert!(!difference.same_boot);
    let added: Vec<_> = short(&difference);
    assert_eq!(added.len(), 40, "only the forty objects that the first has not: {added:#?}");
    assert!(added.iter().all(|line| line == "added (unnamed)"), "{added:#?}");
    assert_eq!(difference.unchanged, 2);
}

#[test]
fn an_exchanged_listener_is_told_as_one() {
    let before = World::booted(Era::Ten);
    let mut after = before.clone();
    let registration = after.registrations(after.named("PowerState").body)[2];
    let routine = after.module("vendor.sys").at(0x1900);
    after.memory.put64(registration + 0x18, routine);
    assert_eq!(
        short(&compare(&before, &after)),
        ["changed \\Callback\\PowerState", "  replaced ndis.sys+0x1100 vendor.sys+0x1900"]
    );
}

#[test]
fn an_updated_driver_is_told_by_its_module() {
    let before = World::booted(Era::Ten);
    let mut after = before.clone();
    let registration = after.registrations(after.named("PowerState").body)[2];
    let routine = after.module("ndis.sys").at(0x1180);
    after.memory.put64(registration + 0x18, routine);
    let difference = compare(&before, &after);
    assert_eq!(short(&difference)[1], "  replaced ndis.sys+0x1100 ndis.sys+0x1180");
    assert!(difference.changes[0].listeners[0].what.contains("same module"));
}

#[test]
fn a_new_object_under_an_old_name_is_a_replacement_within_a_boot() {
    let mut before = World::booted(Era::Ten);
    let mut after = before.clone();
    let spec = CallbackSpec::named("Meeting");
    before.callback(spec);
    after.callback(CallbackSpec::unnamed(true));
    after.callback(spec);
    let difference = compare(&before, &after);
    assert!(difference.same_boot);
    let meeting = difference.changes.iter().find(|it| it.name == "\\Callback\\Meeting").unwrap();
    assert_eq!(meeting.change, Change::Replaced);
}

#[test]
fn a_context_and_an_order_are_compared_within_a_boot() {
    let before = World::booted(Era::Ten);
    let mut after = before.clone();
    let power = after.named("PowerState").body;
    let registrations = after.registrations(power);
    after.memory.put64(registrations[0] + 0x20, 0x1234);
    // The last two exchange their routines: the same listeners in another order.
    let routines: Vec<u64> = registrations[2..].iter().map(|at| after.memory.get64(at + 0x18)).collect();
    for (at, routine) in registrations[2..].iter().zip(routines.iter().rev()) {
        after.memory.put64(at + 0x18, *routine);
    }
    let difference = compare(&before, &after);
    let what: Vec<_> = difference.changes[0].listeners.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "the context was 0x0, is 0x1234",
            "routines that both images have stand in another order; the kernel only ever appends"
        ]
    );
}

#[test]
fn another_build_is_matched_by_module_and_said() {
    let before = World::booted(Era::Ten);
    let after = World::booted(Era::TwentyFourH2);
    let difference = compare(&before, &after);
    assert!(difference.notes.iter().any(|note| note.contains("19045") && note.contains("26100")));
    assert_eq!(short(&difference), ["added \\Callback\\SeImageVerificationBlockInfo"]);
}

#[test]
fn a_partial_image_is_said() {
    let before = World::booted(Era::Ten);
    let mut after = before.clone();
    let page = after.memory.translate(after.registrations(after.named("PowerState").body)[1]).unwrap();
    after.memory.forget(page);
    let difference = compare(&before, &after);
    assert!(difference.partial.iter().all(|why| why.starts_with("the second image is partial")));
    assert!(!difference.partial.is_empty());
}

#[test]
fn an_object_that_left_the_global_list_is_told() {
    let before = World::booted(Era::TwentyFourH2);
    let mut after = before.clone();
    let object = after.named("VendorEvents");
    after.unlink(object.body);
    let difference = compare(&before, &after);
    assert_eq!(short(&difference), ["changed \\Callback\\VendorEvents"]);
    assert_eq!(difference.changes[0].what, ["on the global list was yes, is no"]);
}

/// Shows the clock and the number of the boot as `ntddk.h` places them: time since boot, system time, `BootId`.
fn with_boot(world: &World, id: u32, up: u64, now: u64) -> World {
    let mut world = world.clone();
    for (at, time) in [(0x08, up), (0x14, now)] {
        world.memory.put64(plan::SHARED + at, time);
        world.memory.put32(plan::SHARED + at + 8, (time >> 32) as u32);
    }
    world.memory.put32(plan::SHARED + 0x2C4, id);
    world
}

#[test]
fn the_number_and_the_time_of_the_boot_decide() {
    const SECOND: u64 = 10_000_000;
    const BOOTED: u64 = 133_800_000_000_000_000;
    let world = World::booted(Era::TwentyFourH2);
    let at = |id, booted: u64, up: u64| with_boot(&world, id, up * SECOND, booted + up * SECOND);
    let first = at(7, BOOTED, 60);
    for (second, boots, compared, because) in [
        (at(7, BOOTED, 90_000), Boots::Same, true, "boot id 7, booted at the same time"),
        // A clock that was corrected.
        (at(7, BOOTED + 5 * SECOND, 90_000), Boots::Same, true, "boot id 7, booted at the same time"),
        (at(8, BOOTED + 100_000 * SECOND, 60), Boots::Different, false, "their boot ids are 7 and 8"),
        // The same number of another machine, or after the clock was set by a day.
        (
            at(7, BOOTED + 86_400 * SECOND, 60),
            Boots::Unknown,
            true,
            "both have the boot id 7, but were booted at other times, or the clock was set",
        ),
        (
            at(0, BOOTED, 90),
            Boots::Unknown,
            true,
            "they were booted at the same time, and not both have a boot id",
        ),
        (
            at(0, BOOTED + 86_400 * SECOND, 90),
            Boots::Unknown,
            true,
            "they were booted at other times, or the clock was set, and not both have a boot id",
        ),
        (
            with_boot(&world, 7, 0, 0),
            Boots::Unknown,
            true,
            "both have the boot id 7, and one does not tell when it was booted",
        ),
        (world.clone(), Boots::Unknown, true, "not both have a boot id and a time"),
    ] {
        for (before, after) in [(&first, &second), (&second, &first)] {
            let difference = compare(before, after);
            assert_eq!((difference.boots, difference.same_boot), (boots, compared), "{because}");
            if std::ptr::eq(before, &first) {
                assert_eq!(difference.boots_because, because);
            }
            assert_eq!(short(&difference), [""; 0]);
        }
    }
    // Another build, and a kernel elsewhere, need no number.
    let other = World::booted(Era::Ten);
    let difference = compare(&first, &other);
    assert_eq!((difference.boots, difference.same_boot), (Boots::Different, false));
    assert!(difference.boots_because.starts_with("the builds are "), "{}", difference.boots_because);
}
