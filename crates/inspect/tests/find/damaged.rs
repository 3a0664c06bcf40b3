//! Every damage by its name: it is found, in the right words, and nothing else is said.

use record::{Because, Severity, Value};
use synth::fixtures::{self, Fixture};
use synth::{Era, World};

use crate::support::{Form, at, kinds, look};

/// What is expected of each fixture: the kinds of the anomalies, and words that must occur in one of their messages.
const EXPECTED: &[(&str, &[&str], &str)] = &[
    (
        "routine_outside_modules",
        &["routine-outside-modules"],
        "the routine 0xfffff80270001000 lies in no loaded module; its page is not mapped",
    ),
    ("routine_of_an_unloaded_driver", &["routine-outside-modules"], "`WdBoot.sys` was loaded there once"),
    ("routine_in_data", &["routine-outside-code"], "vendor.sys+0x3100 lies in the section `.data`"),
    ("routine_in_discarded_code", &["routine-in-discarded-code"], "the section `INIT`"),
    (
        "routine_jumps_away",
        &["routine-jumps-away"],
        "vendor.sys+0x1400 begins with a jump to 0xfffff80270001000",
    ),
    ("listener_of_another", &["listener-of-another"], "belongs to the object"),
    ("listeners_linked_one_way", &["links-disagree"], "the list of registrations is not linked both ways"),
    ("listeners_in_a_circle", &["list-broken"], "runs in a circle that does not come back to its head"),
    ("listeners_lead_astray", &["list-broken"], "leads to 0x4141414141414141"),
    ("objects_in_a_circle", &["list-broken"], "the global list is broken: the list runs in a circle"),
    ("objects_linked_one_way", &["links-disagree"], "the global list is not linked both ways"),
    ("objects_lead_astray", &["list-broken"], "leads to 0x1000"),
    ("object_unlinked", &["not-on-list"], "alive but not on the global list"),
    ("name_removed_though_permanent", &["name-removed"], "is in no directory"),
    (
        "entry_missing",
        &["not-in-its-directory"],
        "\\Callback\\VendorEvents, but that directory does not list it",
    ),
    ("entry_in_wrong_bucket", &["entry-in-wrong-bucket"], "where its hash"),
    ("entry_to_no_object", &["entry-to-no-object", "not-in-its-directory"], "which has no name"),
    ("directory_in_a_circle", &["directory-broken"], "runs in a circle"),
    ("name_hijacked", &["name-does-not-fit-hash"], "\\Callback\\VendorEvil is stored under the hash"),
    ("signature_overwritten", &["entry-without-signature", "node-without-signature"], "has no signature"),
    ("type_index_forged", &["type-index-differs"], "is not that of callback objects"),
    ("security_removed", &["no-security"], "no security descriptor"),
    ("single_with_two", &["single-with-many"], "takes one routine but has 2"),
    (
        "references_too_few",
        &["too-few-references"],
        "the reference count is 3, but name and registrations hold 5",
    ),
    ("registration_unlinked", &["registration-not-listed"], "whose list does not hold it"),
    ("routine_busy", &["routine-busy"], "2 calls of the routine are in progress"),
    ("unregister_waits", &["routine-busy", "unregister-waits"], "somebody waits to unregister"),
    ("lock_held", &["lock-held"], "lock is held"),
    ("listeners_reordered", &["listeners-reordered"], "`vendor.sys` stands before the kernel's own routine"),
    ("stranger_listens", &["listener-not-in-catalog"], "`vendor.sys` listens"),
    ("freed_but_linked", &["freed-but-linked"], "pool block is free"),
];

fn expected(fixture: &Fixture) -> (&'static [&'static str], &'static str) {
    let row = EXPECTED.iter().find(|row| row.0 == fixture.name);
    let row = row.unwrap_or_else(|| panic!("nothing is expected of {}", fixture.name));
    (row.1, row.2)
}

#[test]
fn every_damage_is_found_and_nothing_else() {
    for era in [Era::EightOne, Era::TwentyFourH2] {
        for fixture in fixtures::ALL {
            let mut world = World::booted(era);
            let body = (fixture.spoil)(&mut world);
            let found = look(&world, Form::Full);
            let (wanted, words) = expected(fixture);
            let mut kinds = kinds(&found);
            kinds.sort_unstable();
            kinds.dedup();
            assert_eq!(
                kinds,
                wanted,
                "{era:?} {}: {:#?}",
                fixture.name,
                found.anomalies().collect::<Vec<_>>()
            );
            assert!(
                found.anomalies().any(|anomaly| anomaly.message.contains(words)),
                "{}: {:#?}",
                fixture.name,
                found.anomalies().collect::<Vec<_>>()
            );
            if body != 0 && fixture.name != "objects_linked_one_way" {
                let object = at(&found, body);
                assert!(object.all_anomalies().next().is_some(), "{}: not at its object", fixture.name);
            }
        }
    }
}

#[test]
fn versions_without_a_list_find_what_does_not_need_one() {
    for fixture in fixtures::ALL.iter().filter(|it| !it.name.starts_with("object")) {
        // The kernel of Windows 7 and 8 has neither the listeners nor the objects that some damages need.
        if matches!(fixture.name, "signature_overwritten") {
            continue;
        }
        let mut world = World::booted(Era::Eight);
        (fixture.spoil)(&mut world);
        let found = look(&world, Form::Full);
        let (wanted, _) = expected(fixture);
        let mut kinds = kinds(&found);
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, wanted, "{}: {:#?}", fixture.name, found.anomalies().collect::<Vec<_>>());
    }
}

#[test]
fn notes_do_not_weigh() {
    let mut world = World::booted(Era::Ten);
    for fixture in fixtures::ALL {
        if matches!(fixture.name, "routine_busy" | "listeners_reordered" | "stranger_listens") {
            (fixture.spoil)(&mut world);
        }
    }
    let found = look(&world, Form::Full);
    assert_eq!(found.anomalies().count(), 3);
    assert!(found.anomalies().all(|anomaly| anomaly.severity == Severity::Note));
    assert_eq!(found.weighty(), 0);
}

#[test]
fn what_was_freed_is_history() {
    for (era, block_is_free) in Era::ALL.into_iter().flat_map(|era| [(era, true), (era, false)]) {
        let mut world = World::booted(era);
        let body = fixtures::freed_remnant(&mut world, block_is_free);
        let found = look(&world, Form::Full);
        assert_eq!(kinds(&found), [""; 0], "{era:?}");
        assert!(found.objects.iter().all(|object| object.address != body));
        assert_eq!(found.views[2].objects, Value::Known(world.objects.len() as u64));
        let [remnant] = found.remnants.as_slice() else { panic!("{:?}", found.remnants) };
        assert_eq!(remnant.address, body);
        assert_eq!(remnant.former_name, Value::Known("Yesterday".to_owned()));
        let why = if block_is_free { "its pool block is free" } else { "its reference count is zero" };
        assert_eq!(remnant.why, why);
    }
}

#[test]
fn a_freed_registration_is_history() {
    for era in Era::ALL {
        let mut world = World::booted(era);
        fixtures::freed_registration(&mut world);
        let found = look(&world, Form::Full);
        assert_eq!(kinds(&found), [""; 0], "{era:?}");
        let note = "the pool holds what remains of 1 freed registrations".to_owned();
        assert!(found.notes.contains(&note), "{:?}", found.notes);
    }
}

#[test]
fn what_a_broken_list_hides_is_told_by_the_carve() {
    let mut world = World::booted(Era::TwentyFourH2);
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    // Both ways end before the third of four.
    world.memory.put64(all[1], 0x4141_4141_4141_4141);
    world.memory.put64(all[3] + 8, 0x4242_4242_4242_4242);
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), ["list-broken"]);
    let words = format!(
        "{:#x} names the object {body:#x} (`PowerState`), whose list could not be followed to it",
        all[2]
    );
    assert!(found.notes.iter().any(|note| note.contains(&words)), "{words}: {:?}", found.notes);
}

#[test]
fn bytes_that_look_alike_are_no_objects() {
    for era in Era::ALL {
        let mut world = World::booted(era);
        fixtures::look_alikes(&mut world);
        for form in [Form::Raw, Form::Full] {
            let found = look(&world, form);
            assert_eq!(kinds(&found), [""; 0], "{era:?}");
            assert_eq!(found.objects.len(), world.objects.len(), "{era:?}");
            assert_eq!(found.remnants, [], "{era:?}");
            assert!(found.notes.iter().any(|note| note.contains("more places that are no objects")));
        }
    }
}

#[test]
fn a_registration_that_is_not_in_the_image_is_told_and_those_behind_it_are_found() {
    let mut world = World::booted(Era::TwentyFourH2);
    let body = fixtures::torn_registration(&mut world);
    let found = look(&world, Form::Full);
    assert_eq!(found.weighty(), 0, "{:#?}", found.anomalies().collect::<Vec<_>>());
    let object = at(&found, body);
    let places: Vec<_> = object.listeners.iter().filter_map(|it| it.place.known().cloned()).collect();
    assert_eq!(places, ["vendor.sys+0x1300", "vendor.sys+0x1800"]);
    assert!(object.listeners_cut.as_ref().unwrap().contains("not in the image"), "{object:?}");
    assert!(found.partial.iter().any(|why| why.contains("VendorEvents")), "{:?}", found.partial);
}

#[test]
fn a_registrations_header_without_its_body_is_told() {
    let mut world = World::booted(Era::TwentyFourH2);
    let header = fixtures::headless_registration(&mut world);
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(
        found.partial,
        [format!("the pool header at {header:#x} is that of a registration, which is not in the image")]
    );
}

#[test]
fn a_name_that_is_paged_out_carries_its_reason() {
    let mut world = World::booted(Era::TwentyFourH2);
    // A page of its own for the name, so that no other name goes with it.
    let object = world.named("VendorEvents");
    let block = world.take(true, 0xF00, *b"ObNm").start;
    world.memory.write(block, &world.memory.read(world.memory.get64(object.name_info + 0x10), 24));
    world.memory.put64(object.name_info + 0x10, block);
    // Page file offset in the high half, nothing else.
    world.memory.set_entry(block, 0x0000_1234_0000_0080);
    let found = look(&world, Form::Full);
    let object = at(&found, object.body);
    assert!(object.evidence.namespace && object.evidence.list);
    assert_eq!(kinds(&found), [""; 0]);
    assert!(found.partial.iter().any(|why| why.contains("paged out")), "{:?}", found.partial);
    match &object.name {
        Value::Absent { absent, .. } => assert_eq!(*absent, Because::PagedOut),
        known @ Value::Known(_) => panic!("{known:?}"),
    }
}

#[test]
fn an_earlier_temporary_object_may_have_the_name_of_a_permanent_one() {
    let mut world = World::booted(Era::TwentyFourH2);
    let temporary = synth::CallbackSpec { permanent: false, ..synth::CallbackSpec::named("VendorEvents") };
    let body = world.callback(temporary).body;
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(at(&found, body).display_name(), "(was: VendorEvents)");
}

#[test]
fn the_kernels_own_count_is_compared() {
    let mut world = World::booted(Era::TwentyFourH2);
    world.count_object(1);
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    assert!(
        found.notes.contains(&"the kernel counts 21 objects of the type Callback, 20 were found".to_owned()),
        "{:?}",
        found.notes
    );
}
