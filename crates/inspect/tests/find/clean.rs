//! Machines on which nothing is wrong: everything is found, and nothing is said against it.

use record::Value;
use ringbell_inspect::Options;
use synth::{CallbackSpec, Era, Optional, World};

use crate::support::{Form, at, kinds, look, look_with};

#[test]
fn every_object_is_found_by_every_view_that_may_show_it() {
    for era in Era::ALL {
        let world = World::booted(era);
        for form in Form::ALL {
            let found = look(&world, form);
            assert_eq!(
                kinds(&found),
                [""; 0],
                "{era:?} {form:?}: {:#?}",
                found.anomalies().collect::<Vec<_>>()
            );
            assert_eq!(found.partial, [""; 0], "{era:?} {form:?}");
            assert_eq!(found.profile, era.profile(), "{era:?} {form:?}");
            assert_eq!(found.objects.len(), world.objects.len(), "{era:?} {form:?}");
            for (leaf, made) in &world.objects {
                let object = at(&found, made.body);
                let shown = object.display_name();
                match leaf.as_deref() {
                    Some("BootDriver") => assert_eq!(shown, "(was: BootDriver)"),
                    Some(leaf) => assert_eq!(shown, format!("\\Callback\\{leaf}")),
                    None => assert!(shown.starts_with("(unnamed: \\"), "{shown}"),
                }
                assert_eq!(object.header, made.header);
                assert!(object.evidence.carve);
                assert_eq!(object.evidence.list, era.has_list());
                assert_eq!(object.evidence.namespace, leaf.is_some() && object.name.known().is_some());
                let registrations: Vec<u64> = object.listeners.iter().map(|it| it.registration).collect();
                assert_eq!(registrations, world.registrations(made.body));
            }
        }
    }
}

#[test]
fn listeners_are_told_as_module_and_offset() {
    let world = World::booted(Era::TwentyFourH2);
    let found = look(&world, Form::Full);
    let power = at(&found, world.named("PowerState").body);
    let places: Vec<_> = power.listeners.iter().filter_map(|it| it.place.known().cloned()).collect();
    assert_eq!(places, ["nt+0x10000", "acpi.sys+0x1100", "ndis.sys+0x1100", "vendor.sys+0x1100"]);
    assert_eq!(power.known_as.as_deref(), Some("PowerState"));
    assert_eq!(power.permanent, Value::Known(true));
    assert_eq!(power.pointer_count, Value::Known(6));
    assert_eq!(power.linkage, Value::Known("number 4 of 20, linked both ways".to_owned()));
    let ports: Vec<_> = found.objects.iter().filter_map(|it| it.attribution.known().cloned()).collect();
    assert_eq!(ports, ["\\PowerMonitorPort", "\\PowerPort", "\\SleepstudyControlPort"]);
}

#[test]
fn headers_may_stand_in_any_combination() {
    let mut world = World::booted(Era::Ten);
    let mut made = Vec::new();
    for bits in 0..32_u8 {
        let optional = Optional {
            creator: bits & 1 != 0,
            quota: bits & 2 != 0,
            process: bits & 4 != 0,
            audit: bits & 8 != 0,
            extended: bits & 16 != 0,
        };
        let name = format!("Combination{bits}");
        let named = world.callback(CallbackSpec { optional, ..CallbackSpec::named(&name) });
        let unnamed = world.callback(CallbackSpec { optional, ..CallbackSpec::unnamed(true) });
        made.push((name, named, unnamed));
    }
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    for (name, named, unnamed) in made {
        assert_eq!(at(&found, named.body).display_name(), format!("\\Callback\\{name}"));
        assert_eq!(at(&found, unnamed.body).display_name(), "(unnamed)");
    }
}

#[test]
fn a_running_machine_tells_no_debugger_block_and_is_read_all_the_same() {
    for era in [Era::EightOne, Era::TwentyFourH2] {
        let mut world = World::booted(era);
        world.hide_debugger_block();
        let found = look(&world, Form::Raw);
        assert_eq!(kinds(&found), [""; 0]);
        assert_eq!(found.objects.len(), world.objects.len());
        let list = &found.views[0];
        assert!(list.how.ends_with(&format!("at {:#x}", world.list_head())), "{}", list.how);
        assert_eq!(found.views[1].how, "root directory found above a carved object");
    }
}

#[test]
fn names_in_transition_and_pages_of_every_size_are_read() {
    let mut world = World::booted(Era::TwentyFourH2);
    let object = world.named("VendorEvents");
    let buffer = world.memory.get64(object.name_info + 0x10);
    world.memory.put_in_transition(buffer);
    world.use_huge_page();
    let huge = world.callback(CallbackSpec::named("InHugePage"));
    // A raw image of it would be more than a gigabyte: written as a sparse file.
    let path = std::env::temp_dir().join(format!("ringbell-huge-{}", std::process::id()));
    world.write_raw(&path, 0).unwrap();
    let image = ringbell_inspect::MemoryImage::open(&path).unwrap();
    let kernel = ringbell_inspect::Kernel::find(&image, ringbell_inspect::FindOptions::default());
    let found = ringbell_inspect::inspect("huge", &image, &kernel, &Options::default());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(at(&found, object.body).display_name(), "\\Callback\\VendorEvents");
    assert_eq!(at(&found, huge.body).display_name(), "\\Callback\\InHugePage");
}

#[test]
fn without_the_carve_list_and_namespace_show_the_same() {
    let world = World::booted(Era::Ten);
    let found = look_with(&world, Form::Full, &Options { carve: false, ..Options::default() });
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(found.partial, [""; 0]);
    assert_eq!(found.objects.len(), world.objects.len());
    assert!(found.objects.iter().all(|object| !object.evidence.carve));
}

#[test]
fn names_of_other_objects_may_be_paged_out() {
    let mut world = World::booted(Era::TwentyFourH2);
    let link = world.symbolic_link("DosDevices");
    // A page of its own, in the paging file.
    let page = world.take(true, 0xF00, *b"ObNm").start;
    world.memory.put64(link.name_info + 0x10, page);
    world.memory.set_entry(page, 0x0000_1234_0000_0080);
    let found = look(&world, Form::Full);
    assert_eq!(kinds(&found), [""; 0]);
    assert_eq!(found.partial, [""; 0]);
    assert_eq!(found.objects.len(), world.objects.len());
}

#[test]
fn five_level_page_tables_are_told_by_where_they_lead() {
    for form in Form::ALL {
        let mut world = World::booted(Era::TwentyFourH2);
        world.memory.add_fifth_level();
        let found = look(&world, form);
        assert_eq!(kinds(&found), [""; 0], "{form:?}");
        assert_eq!(found.partial, [""; 0], "{form:?}");
        assert_eq!(found.objects.len(), world.objects.len(), "{form:?}");
        assert!(found.notes.iter().any(|note| note.contains("LA57")), "{form:?}: {:?}", found.notes);
    }
}

#[test]
fn a_name_behind_a_prototype_entry_is_read() {
    let mut world = World::booted(Era::TwentyFourH2);
    let object = world.named("VendorEvents");
    // Before the name, which takes a page of its own.
    let place = world.take(true, 0x20, *b"MmSt").start;
    let block = world.take(true, 0xF00, *b"ObNm").start;
    world.memory.write(block, &world.memory.read(world.memory.get64(object.name_info + 0x10), 24));
    world.memory.put64(object.name_info + 0x10, block);
    let frame = world.memory.translate(block).unwrap() & !0xFFF;
    // In transition, as a page of a section that nobody maps any more.
    world.memory.put64(place, frame | 0x890);
    world.memory.set_entry(block, place << 16 | 0x400);
    let found = look(&world, Form::Full);
    assert_eq!(at(&found, object.body).display_name(), "\\Callback\\VendorEvents");
    assert_eq!(found.partial, [""; 0]);
}
