use core::ptr;

use nt::{
    NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_DONT_REPARSE, OBJ_FORCE_ACCESS_CHECK, OBJ_OPENIF, OBJ_OPENLINK,
    OBJ_PERMANENT, Profile, STATUS_ACCESS_DENIED, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_PATH_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_REPARSE_POINT_ENCOUNTERED, STATUS_SUCCESS,
};

use super::super::{ParseRequest, Procedures, ProcessKind};
use super::{Attributes, World, all_profiles};
use crate::Executive;
use crate::se::{Sid, Token};
use crate::solo::Solo;

/// Open and create of the same name.
fn both(world: &World, path: &str, bits: u32) -> (NTSTATUS, NTSTATUS) {
    (world.try_open(path, bits), world.try_create(path, bits))
}

fn world_with_bell(profile: &'static Profile) -> World {
    let world = World::on(profile);
    world.executive.create_directory("\\Dir").expect("created");
    world.make_object("\\Dir\\Bell", OBJ_PERMANENT);
    world
}

#[test]
fn names_resolve_by_the_rules() {
    for profile in all_profiles() {
        let world = world_with_bell(profile);
        assert_eq!(world.try_open("\\Dir\\Bell", 0), STATUS_SUCCESS);
        assert_eq!(world.try_open("\\dir\\bell", OBJ_CASE_INSENSITIVE), STATUS_SUCCESS);
        assert_eq!(world.try_open("\\Dir\\bell", 0), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(world.try_open("\\dir\\Bell", 0), STATUS_OBJECT_PATH_NOT_FOUND);
        let same = |path, bits, status| assert_eq!(both(&world, path, bits), (status, status), "{path}");
        same("Dir\\Bell", 0, STATUS_OBJECT_PATH_SYNTAX_BAD);
        same("\\No\\Bell", 0, STATUS_OBJECT_PATH_NOT_FOUND);
        same("\\Dir\\Bell\\More", 0, STATUS_OBJECT_TYPE_MISMATCH);
        same("\\Dir\\", 0, STATUS_OBJECT_NAME_INVALID);
        same("\\Dir\\\\Bell", 0, STATUS_OBJECT_NAME_INVALID);
        same("\\Dir\\No\\", 0, STATUS_OBJECT_PATH_NOT_FOUND);
        same("\\", 0, STATUS_OBJECT_TYPE_MISMATCH);
        assert_eq!(world.try_open("", 0), STATUS_OBJECT_PATH_SYNTAX_BAD);
        assert_eq!(world.try_create("", 0), STATUS_SUCCESS, "an empty name is none");
    }
}

#[test]
fn a_taken_name_collides() {
    for profile in all_profiles() {
        let world = world_with_bell(profile);
        assert_eq!(world.try_create("\\Dir\\Bell", 0), STATUS_OBJECT_NAME_COLLISION);
        let handle = world.make(&Attributes::named("\\Dir\\Bell", OBJ_OPENIF)).expect("opened");
        let winner = world.executive.facts_at("\\Dir\\Bell").expect("named").body;
        assert_eq!(world.by_handle(handle).expect("referenced").addr(), winner);
    }
}

#[test]
fn the_wrong_type_is_told_by_version() {
    let mismatch = STATUS_OBJECT_TYPE_MISMATCH;
    for (profile, plain) in [(Profile::DEFAULT, mismatch), (Profile::ROS, STATUS_OBJECT_NAME_COLLISION)] {
        let world = world_with_bell(profile);
        assert_eq!(both(&world, "\\Dir", 0), (mismatch, plain), "{}", profile.name);
        assert_eq!(world.try_create("\\Dir", OBJ_OPENIF), mismatch, "{}", profile.name);
    }
}

#[test]
fn opens_refuse_the_types_invalid_attributes_only_once_found() {
    let world = world_with_bell(Profile::DEFAULT);
    assert_eq!(world.try_open("\\Dir\\Bell", OBJ_OPENLINK), STATUS_INVALID_PARAMETER);
    assert_eq!(world.try_open("\\Dir\\No", OBJ_OPENLINK), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(world.try_create("\\Dir\\No", OBJ_OPENLINK), STATUS_INVALID_PARAMETER);
}

#[test]
fn relative_names_start_at_a_handle() {
    let world = world_with_bell(Profile::DEFAULT);
    let root = world.executive.open_path("\\Dir", 0).expect("opened");
    assert!(world.open(&Attributes::below(root, "Bell", 0)).is_ok());
    assert_eq!(world.open(&Attributes::below(root, "\\Bell", 0)), Err(STATUS_OBJECT_PATH_SYNTAX_BAD));
    assert_eq!(world.open(&Attributes::below(root, "", 0)), Err(STATUS_OBJECT_TYPE_MISMATCH));
    let garbage = ptr::without_provenance_mut(0x7FF8);
    assert_eq!(world.open(&Attributes::below(garbage, "Bell", 0)), Err(STATUS_INVALID_HANDLE));
    let bell = world.executive.open_path("\\Dir\\Bell", 0).expect("opened");
    assert!(world.open(&Attributes::below(bell, "More", 0)).is_err());
    let made = world.make(&Attributes::below(root, "New", OBJ_PERMANENT)).expect("created");
    let object = world.by_handle(made).expect("referenced");
    assert_eq!(world.facts(object).name.as_deref(), Some("\\Dir\\New"));
}

#[test]
fn links_are_followed() {
    let world = world_with_bell(Profile::DEFAULT);
    let link = |path, target| world.executive.create_symbolic_link(path, target).expect("created");
    link("\\L", "\\Dir");
    link("\\Slash", "\\Dir\\");
    link("\\Leaf", "\\Dir\\Bell");
    link("\\Bad", "Dir");
    for path in ["\\L\\Bell", "\\Slash\\Bell", "\\Leaf"] {
        assert_eq!(world.try_open(path, 0), STATUS_SUCCESS, "{path}");
        assert_eq!(world.try_open(path, OBJ_DONT_REPARSE), STATUS_REPARSE_POINT_ENCOUNTERED, "{path}");
    }
    assert_eq!(world.try_open("\\Bad\\Bell", 0), STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_eq!(world.try_create("\\L\\New", OBJ_PERMANENT), STATUS_SUCCESS);
    assert!(world.executive.facts_at("\\Dir\\New").is_some());
    assert_eq!(world.try_create("\\Leaf", 0), STATUS_OBJECT_NAME_COLLISION, "followed on create too");
    let link_type = world.executive.ObpSymbolicLinkObjectType();
    let itself =
        world.open_type(&Attributes::named("\\L", 0), link_type, nt::KernelMode, 0).expect("the link");
    let mut units = [0_u16; 8];
    let mut target = nt::UNICODE_STRING { Length: 0, MaximumLength: 16, Buffer: units.as_mut_ptr() };
    let mut needed = 0;
    // SAFETY: locals.
    let status = unsafe {
        world.executive.query_symbolic_link_object(itself, &raw mut target, &raw mut needed, nt::KernelMode)
    };
    assert_eq!((status, target.Length, needed), (STATUS_SUCCESS, 8, 8));
    assert_eq!(std::string::String::from_utf16_lossy(&units[..4]), "\\Dir");
}

#[test]
fn sixty_three_links_are_followed_and_no_more() {
    let world = world_with_bell(Profile::DEFAULT);
    world.executive.create_symbolic_link("\\L1", "\\Dir").expect("created");
    for index in 2..=64 {
        let (path, target) = (std::format!("\\L{index}"), std::format!("\\L{}", index - 1));
        world.executive.create_symbolic_link(&path, &target).expect("created");
    }
    assert_eq!(world.try_open("\\L63\\Bell", 0), STATUS_SUCCESS);
    assert_eq!(world.try_open("\\L64\\Bell", 0), STATUS_OBJECT_NAME_NOT_FOUND);
    world.executive.create_symbolic_link("\\Loop", "\\Loop").expect("created");
    assert_eq!(world.try_open("\\Loop", 0), STATUS_OBJECT_NAME_NOT_FOUND);
}

#[test]
fn question_marks_mean_the_devices_of_the_system() {
    let world = World::new();
    world.make_object("\\??\\Thing", OBJ_PERMANENT);
    for path in ["\\??\\Thing", "\\GLOBAL??\\Thing", "\\DosDevices\\Thing"] {
        assert_eq!(world.try_open(path, 0), STATUS_SUCCESS, "{path}");
    }
    assert_eq!(world.try_open("\\??x", 0), STATUS_OBJECT_NAME_NOT_FOUND);
}

/// A parse procedure that answers with the object itself, and remembers nothing: the name must be empty or `\Yes`.
unsafe fn parse(
    executive: &Executive<Solo>,
    request: &ParseRequest<'_>,
) -> Result<*mut core::ffi::c_void, NTSTATUS> {
    let yes: std::vec::Vec<u16> = "\\Yes".encode_utf16().collect();
    if !request.remaining_name.is_empty() && request.remaining_name != yes {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    }
    // SAFETY: the lookup holds a reference.
    unsafe { executive.ObfReferenceObject(request.object) };
    Ok(request.object)
}

#[test]
fn parsable_objects_answer_for_what_is_below() {
    let world = World::new();
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    let procedures = Procedures { parse: Some(parse), ..Procedures::NONE };
    let door = world.executive.ObCreateObjectType("Door", &initializer, procedures).expect("a type").as_ptr();
    let create = || {
        let attributes = Attributes::named("\\Door", OBJ_PERMANENT);
        let (mut object, mut handle) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: locals, and attributes that own what they point to.
        let status = unsafe {
            world.executive.ObCreateObject(
                0,
                door,
                &raw const attributes.all,
                0,
                ptr::null_mut(),
                8,
                0,
                0,
                &raw mut object,
            )
        };
        assert_eq!(status, STATUS_SUCCESS);
        // SAFETY: created above.
        unsafe { world.executive.ObInsertObject(object, 0, 0, ptr::null_mut(), &raw mut handle) }
    };
    assert_eq!(create(), STATUS_SUCCESS);
    assert_eq!(create(), STATUS_OBJECT_NAME_COLLISION, "the name is taken, whatever lies below it");
    let open = |path: &str| world.open_type(&Attributes::named(path, 0), door, 0, 0);
    assert!(open("\\Door").is_ok() && open("\\Door\\Yes").is_ok());
    assert_eq!(open("\\Door\\No"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
    assert_eq!(world.try_open("\\Door", 0), STATUS_OBJECT_TYPE_MISMATCH);
    assert_eq!(
        world.try_create("\\Door\\Yes", 0),
        STATUS_OBJECT_TYPE_MISMATCH,
        "nothing is created below it"
    );
}

#[test]
fn forced_checks_treat_the_kernel_as_a_user() {
    let world = world_with_bell(Profile::DEFAULT);
    let mut nobody = Token::user(&Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 1, 1, 1000]));
    nobody.groups.clear();
    nobody.privileges.clear();
    let user = world.executive.platform().user_process();
    world.executive.register_process(user, ProcessKind::Ordinary, 0x1000, nobody);
    world.executive.platform().attach(user);
    assert_eq!(world.try_open("\\Dir\\Bell", 0), STATUS_SUCCESS);
    assert_eq!(world.try_open("\\Dir\\Bell", OBJ_FORCE_ACCESS_CHECK), STATUS_ACCESS_DENIED);

    // Who may pass a directory, as nearly everybody does, may not create in it for that.
    let mut passing = Token::user(&Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 1, 1, 1000]));
    passing.groups.clear();
    world.executive.register_process(user, ProcessKind::Ordinary, 0x1000, passing);
    assert_eq!(world.try_create("\\Dir\\New", OBJ_FORCE_ACCESS_CHECK), STATUS_ACCESS_DENIED);
}
