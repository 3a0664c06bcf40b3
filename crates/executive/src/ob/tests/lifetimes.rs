use core::cell::Cell;
use core::ffi::c_void;

use nt::{
    BugCheck, Irql, KernelMode, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS,
};
use record::What;
use std::thread_local;

use super::super::Procedures;
use super::{Attributes, World, all_profiles, ending};
use crate::Executive;
use crate::solo::{Outcome, Solo};

#[test]
fn temporary_names_go_with_the_last_handle() {
    for profile in all_profiles() {
        let world = World::on(profile);
        let object = world.make_object("\\T", 0);
        let facts = world.facts(object);
        assert_eq!((facts.pointer_count, facts.handle_count, facts.flags), (1, 0, 0x02));
        assert_eq!((facts.directory, facts.stored_name.as_deref()), (0, Some("T")), "the text stays");
        assert_eq!(world.try_open("\\T", 0), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(world.executive.pool_blocks_tagged(u32::from_le_bytes(*b"Bell")).len(), 1);
        assert_eq!(world.dereference(object), 0);
        assert_eq!(world.executive.pool_blocks_tagged(u32::from_le_bytes(*b"Bell")), []);
    }
}

#[test]
fn permanent_names_stay() {
    let world = World::new();
    let object = world.make_object("\\P", OBJ_PERMANENT | OBJ_CASE_INSENSITIVE);
    let facts = world.facts(object);
    assert_eq!((facts.pointer_count, facts.handle_count, facts.flags), (2, 0, 0x12));
    assert_eq!(world.dereference(object), 1);
    assert_eq!(world.try_open("\\P", 0), STATUS_SUCCESS);
}

#[test]
fn making_temporary_takes_the_name_at_once() {
    let world = World::new();
    let object = world.make_object("\\P", OBJ_PERMANENT);
    for _ in 0..2 {
        // SAFETY: referenced.
        unsafe { world.executive.ObMakeTemporaryObject(object) };
        let facts = world.facts(object);
        assert_eq!((facts.pointer_count, facts.flags, facts.name), (1, 0x02, None));
        assert_eq!(world.try_open("\\P", 0), STATUS_OBJECT_NAME_NOT_FOUND);
    }
}

#[test]
fn a_handle_keeps_the_name_of_one_made_temporary() {
    let world = World::new();
    let object = world.make_object("\\P", OBJ_PERMANENT);
    let handle = world.open(&Attributes::named("\\P", 0)).expect("opened");
    assert_eq!(world.executive.ZwMakeTemporaryObject(handle), STATUS_SUCCESS);
    assert_eq!(world.facts(object).name.as_deref(), Some("\\P"));
    assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
    assert_eq!((world.facts(object).name, world.facts(object).pointer_count), (None, 1));
}

#[test]
fn the_documented_way_deletes_a_permanent_object() {
    let world = World::new();
    let object = world.make_object("\\P", OBJ_PERMANENT);
    let mut handle = core::ptr::null_mut();
    // SAFETY: referenced, and a local.
    let status = unsafe {
        world.executive.ObOpenObjectByPointer(
            object,
            nt::OBJ_KERNEL_HANDLE,
            nt::DELETE,
            world.bell,
            KernelMode,
            &raw mut handle,
        )
    };
    assert_eq!(status, STATUS_SUCCESS);
    assert_eq!(world.executive.ZwMakeTemporaryObject(handle), STATUS_SUCCESS);
    assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
    assert_eq!(world.dereference(object), 0);
}

thread_local! {
    static DELETED: Cell<u32> = const { Cell::new(0) };
}

unsafe fn note_deletion(_: &Executive<Solo>, _: *mut c_void) {
    DELETED.set(DELETED.get() + 1);
}

#[test]
fn deletion_runs_once_and_waits_for_passive_level() {
    let world = World::new();
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    let procedures = Procedures { delete: Some(note_deletion), ..Procedures::NONE };
    let door = world.executive.ObCreateObjectType("Door", &initializer, procedures).expect("a type").as_ptr();
    let make = || {
        let mut object = core::ptr::null_mut();
        // SAFETY: a type, no attributes, a local.
        let status = unsafe {
            let none = core::ptr::null_mut();
            world.executive.ObCreateObject(0, door, core::ptr::null(), 0, none, 8, 0, 0, &raw mut object)
        };
        assert_eq!(status, STATUS_SUCCESS);
        object
    };
    DELETED.set(0);
    world.dereference(make());
    assert_eq!(DELETED.get(), 1);
    let (first, second) = (make(), make());
    let old = world.executive.KeRaiseIrql(Irql::DISPATCH);
    assert_eq!((world.dereference(first), world.dereference(second)), (0, 0));
    assert_eq!(DELETED.get(), 1, "not at DISPATCH_LEVEL");
    // SAFETY: the memory is still there.
    assert!(!unsafe { world.executive.ObReferenceObjectSafe(first) }, "what is dying cannot be referenced");
    world.executive.KeLowerIrql(old);
    assert_eq!(DELETED.get(), 3);
    assert_eq!(world.executive.pool_blocks_tagged(u32::from_le_bytes(*b"Door")), []);
}

#[test]
fn references_that_nobody_has_end_the_world() {
    let world = World::new();
    let object = world.create(&Attributes::unnamed(0)).expect("created");
    let handle = {
        let (status, handle) = world.insert(object);
        assert_eq!(status, STATUS_SUCCESS);
        handle
    };
    let outcome = ending(|| {
        world.dereference(object);
    });
    let Outcome::Bugcheck(check) = outcome else { panic!("{outcome}") };
    assert_eq!(check.code, BugCheck::REFERENCE_BY_POINTER);
    assert_eq!(check.parameters[1], object.addr() as u64);
    assert!(!handle.is_null());
}

#[test]
fn vanished_names_and_deaths_are_told() {
    let world = World::new();
    world.executive.platform().listen();
    let object = world.make_object("\\T", 0);
    world.dereference(object);
    let object = object.addr() as u64;
    assert_eq!(
        world.executive.platform().take_events(),
        [
            What::NameRemoved { object, name: "\\T".into() },
            What::ObjectDeleted { object, name: Some("T".into()) }
        ]
    );
}

#[test]
fn the_namespace_is_told_in_order() {
    let world = World::new();
    world.executive.create_directory("\\Dir").expect("created");
    world.make_object("\\Dir\\B", OBJ_PERMANENT);
    world.make_object("\\Dir\\A", OBJ_PERMANENT);
    let before = world.executive.facts_at("\\Dir\\A");
    let entries = world.executive.namespace();
    assert_eq!(world.executive.facts_at("\\Dir\\A"), before, "looking changes nothing");
    let told: std::vec::Vec<_> = entries
        .iter()
        .filter(|entry| entry.path.starts_with("\\D"))
        .map(|entry| (entry.path.as_str(), entry.type_name.as_str(), entry.link_target.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("\\Dir", "Directory", None),
            ("\\Dir\\A", "Bell", None),
            ("\\Dir\\B", "Bell", None),
            ("\\DosDevices", "SymbolicLink", Some("\\??"))
        ]
    );
    assert_eq!(entries[0].path, "\\");
}

#[test]
fn an_overwritten_header_ends_the_world() {
    let world = World::new();
    let object = world.create(&Attributes::unnamed(0)).expect("created");
    let header = object.cast::<nt::OBJECT_HEADER>().wrapping_sub(1);
    // SAFETY: what a driver's stray write does; the type index is one byte of the header.
    let index = unsafe { &raw mut (*header).TypeIndex };
    // SAFETY: as above.
    let right = unsafe { index.read() };
    // The other index names slot 5 ^ 0xF0, where no type is.
    // SAFETY: as above.
    unsafe { index.write(right ^ 0xF0) };
    let outcome = ending(|| {
        world.dereference(object);
    });
    let Outcome::Bugcheck(check) = outcome else { panic!("{outcome}") };
    assert_eq!((check.code, check.parameters[0]), (BugCheck::BAD_OBJECT_HEADER, header.addr() as u64));
}
