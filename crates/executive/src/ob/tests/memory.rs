//! What happens when memory runs out: the right status, and nothing left behind.

use nt::{
    KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, Profile, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_SUCCESS,
};

use super::{Attributes, World, all_profiles};
use crate::BootError;
use crate::Executive;
use crate::solo::Solo;

/// Runs `f` with every one of its allocations failing in turn, until it runs through.
fn sweep(profile: &'static Profile, setup: fn(&World), f: impl Fn(&World) -> NTSTATUS) -> u32 {
    for after in 0.. {
        let world = World::on(profile);
        setup(&world);
        let blocks = world.executive.pool_blocks().len();
        let (outstanding, handles) =
            (world.executive.platform().outstanding(), world.executive.handle_total());
        let namespace = world.executive.namespace();
        let asked = world.executive.platform().allocations();
        world.executive.platform().refuse_allocation(after);
        let status = f(&world);
        let refused = world.executive.platform().allocations() > asked + after;
        if !refused {
            assert_eq!(status, STATUS_SUCCESS);
            return after as u32;
        }
        assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES, "allocation {after}");
        assert_eq!(world.executive.pool_blocks().len(), blocks, "allocation {after} leaks");
        assert_eq!(world.executive.platform().outstanding(), outstanding, "allocation {after} leaks");
        assert_eq!(world.executive.handle_total(), handles);
        assert_eq!(world.executive.namespace(), namespace, "allocation {after} leaves a name");
    }
    unreachable!("a sweep ends")
}

#[test]
fn creating_and_inserting_survives_every_failure() {
    for profile in all_profiles() {
        let steps = sweep(
            profile,
            |_| {},
            |world| {
                let mut attributes = Attributes::named("\\P", OBJ_PERMANENT | OBJ_CASE_INSENSITIVE);
                attributes.all.SecurityDescriptor = world.executive.SePublicDefaultSd().cast();
                match world.make(&attributes) {
                    Ok(handle) => world.executive.ZwClose(handle),
                    Err(status) => status,
                }
            },
        );
        assert_eq!(steps, 7, "path, object, information, its descriptor, descriptor, entry, leaf");
    }
}

#[test]
fn opening_through_a_link_survives_every_failure() {
    let steps = sweep(
        Profile::DEFAULT,
        |world| {
            world.make_object("\\P", OBJ_PERMANENT);
            world.executive.create_symbolic_link("\\L", "\\P").expect("created");
        },
        |world| world.try_open("\\L", 0),
    );
    assert_eq!(steps, 2, "the captured name and the one behind the link");
}

#[test]
fn creating_links_and_directories_survives_every_failure() {
    let status = |result: Result<(), NTSTATUS>| result.err().unwrap_or(STATUS_SUCCESS);
    let link =
        sweep(Profile::DEFAULT, |_| {}, |world| status(world.executive.create_symbolic_link("\\L", "\\P")));
    assert!(link >= 6);
    let directory = sweep(Profile::DEFAULT, |_| {}, |world| status(world.executive.create_directory("\\D")));
    assert!(directory >= 6);
}

#[test]
fn creating_a_type_survives_every_failure() {
    sweep(
        Profile::DEFAULT,
        |_| {},
        |world| {
            let initializer = world.executive.type_initializer();
            match world.executive.ObCreateObjectType("Gong", &initializer, super::Procedures::NONE) {
                Ok(_) => STATUS_SUCCESS,
                Err(status) => {
                    assert!(world.executive.object_type("Gong").is_none());
                    status
                }
            }
        },
    );
}

#[test]
fn starting_survives_every_failure() {
    let mut after = 0;
    loop {
        let solo = Solo::new();
        solo.refuse_allocation(after);
        match Executive::phase0(solo, Profile::DEFAULT) {
            Ok(_) => break,
            Err(error) => assert_eq!(error, BootError::ObjectManager),
        }
        after += 1;
    }
    assert!(after > 20, "{after} allocations");
    let _ = KernelMode;
}
