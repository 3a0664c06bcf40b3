use nt::{
    OBJECT_TYPE, Profile, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_INVALID,
};

use super::super::Procedures;
use super::{World, all_profiles};

#[test]
fn a_type_is_an_object_in_object_types() {
    for profile in all_profiles() {
        let world = World::on(profile);
        let facts = world.executive.facts_at("\\ObjectTypes\\Bell").expect("named");
        assert_eq!(facts.body, world.bell.addr());
        assert_eq!(facts.type_name, "Type");
        assert_eq!(facts.info_mask & 0x03, 0x03, "name and creator information");
        assert_eq!(facts.flags & 0x12, 0x12, "permanent, the kernel's");
        assert_ne!(facts.security_descriptor, 0);
        // SAFETY: types live as long as the executive.
        let index = unsafe { (*world.bell).Index };
        assert_eq!(index, 5, "after Type, Directory and SymbolicLink at 2, 3 and 4");
    }
}

#[test]
fn keys_are_the_first_four_characters() {
    for (profile, bell, own) in
        [(Profile::DEFAULT, *b"Bell", *b"ObjT"), (Profile::NT6, *b"Bel\xEC", *b"Obj\xD4")]
    {
        let world = World::on(profile);
        // SAFETY: a type.
        assert_eq!(unsafe { world.executive.object_type_key(world.bell) }, u32::from_le_bytes(bell));
        let own_type = world.executive.object_type("Type").expect("there").as_ptr();
        // SAFETY: a type.
        assert_eq!(unsafe { world.executive.object_type_key(own_type) }, u32::from_le_bytes(own));
    }
}

#[test]
fn creation_has_its_side_effects() {
    let world = World::new();
    let mut initializer = world.executive.type_initializer();
    initializer.ObjectTypeFlags = nt::type_flags::USE_DEFAULT_OBJECT;
    initializer.PoolType = nt::NonPagedPoolNx;
    let made = world.executive.ObCreateObjectType("Gong", &initializer, Procedures::NONE).expect("a type");
    // SAFETY: types live as long as the executive.
    let OBJECT_TYPE { TypeInfo, DefaultObject, .. } = unsafe { made.read() };
    assert_eq!(TypeInfo.ValidAccessMask, nt::SYNCHRONIZE);
    assert_eq!(TypeInfo.DefaultNonPagedPoolCharge, 0x58);
    assert!(!DefaultObject.is_null() && !TypeInfo.SecurityProcedure.is_null());
    let create =
        |name: &str, initializer| world.executive.ObCreateObjectType(name, initializer, Procedures::NONE);
    assert_eq!(create("Gong", &initializer), Err(STATUS_OBJECT_NAME_COLLISION));
    assert_eq!(create("", &initializer), Err(STATUS_OBJECT_NAME_INVALID));
    assert_eq!(create("A\\B", &initializer), Err(STATUS_OBJECT_NAME_INVALID));
    let short = nt::OBJECT_TYPE_INITIALIZER { Length: 0x70, ..initializer };
    assert_eq!(create("Chime", &short), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn objects_and_handles_are_counted() {
    let world = World::new();
    let object = world.make_object("\\A", nt::OBJ_PERMANENT);
    // SAFETY: types live as long as the executive.
    let all = unsafe { world.bell.read() };
    assert_eq!((all.TotalNumberOfObjects, all.TotalNumberOfHandles), (1, 0));
    assert_eq!((all.HighWaterNumberOfObjects, all.HighWaterNumberOfHandles), (1, 1));
    world.dereference(object);
}

#[test]
fn waits_go_to_the_default_object_or_the_body() {
    let world = World::new();
    let directory = world.executive.facts_at("\\ObjectTypes").expect("there").body;
    // SAFETY: permanent.
    let event =
        unsafe { world.executive.dispatcher_object(core::ptr::with_exposed_provenance_mut(directory)) };
    assert_ne!(event.addr(), directory);
    // SAFETY: the default object lives as long as the executive.
    let event = unsafe { event.read() };
    assert_eq!((event.Type, event.Size, event.SignalState), (0, 6, 1), "an event that is always signaled");
    let object = world.make_object("\\A", nt::OBJ_PERMANENT);
    // SAFETY: referenced.
    assert_eq!(unsafe { world.executive.dispatcher_object(object) }.addr(), object.addr());
}

#[test]
fn the_namespace_starts_like_that_of_windows() {
    let world = World::new();
    let known: std::vec::Vec<_> = world
        .executive
        .namespace()
        .into_iter()
        .map(|entry| std::format!("{} {}", entry.type_name, entry.path))
        .collect();
    assert_eq!(
        known,
        [
            "Directory \\",
            "SymbolicLink \\DosDevices",
            "Directory \\GLOBAL??",
            "Directory \\KernelObjects",
            "Directory \\ObjectTypes",
            "Type \\ObjectTypes\\Bell",
            "Type \\ObjectTypes\\Directory",
            "Type \\ObjectTypes\\SymbolicLink",
            "Type \\ObjectTypes\\Type"
        ]
    );
    let facts = world.executive.facts_at("\\KernelObjects").expect("there");
    assert_eq!((facts.pointer_count, facts.handle_count, facts.flags), (1, 0, 0x12), "its entry alone");
}
