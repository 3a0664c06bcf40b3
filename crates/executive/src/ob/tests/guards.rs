//! What the object manager looks at once more, and what it refuses on sight of damage. Each of these tests was written for a change of the code
//! that no other test saw.

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr;
use std::collections::BTreeSet;
use std::vec::Vec;

use nt::profile::TypeIndexEncoding;
use nt::{
    BugCheck, FastFail, LIST_ENTRY, NTSTATUS, OBJ_PERMANENT, OBJECT_TYPE, Profile,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH,
};

use super::super::header::Header;
use super::super::{ParseRequest, Procedures};
use super::{Attributes, World, all_profiles, ending};
use crate::Executive;
use crate::solo::{Outcome, Solo};

/// Makes a type whose objects say who created them, on a list.
fn listed(world: &World) -> *mut OBJECT_TYPE {
    let mut initializer = world.executive.type_initializer();
    initializer.ObjectTypeFlags = nt::type_flags::MAINTAIN_TYPE_LIST;
    initializer.PoolType = world.executive.nonpaged_pool_type();
    world.executive.ObCreateObjectType("Listed", &initializer, Procedures::NONE).expect("a type").as_ptr()
}

fn create(world: &World, object_type: *mut OBJECT_TYPE, attributes: &Attributes) -> *mut c_void {
    let mut object = ptr::null_mut();
    // SAFETY: a type, attributes that own what they point to, a local.
    let status = unsafe {
        let none = ptr::null_mut();
        world.executive.ObCreateObject(
            0,
            object_type,
            &raw const attributes.all,
            0,
            none,
            8,
            0,
            0,
            &raw mut object,
        )
    };
    assert!(status.is_success(), "{status}");
    object
}

#[test]
fn only_versions_with_cookies_choose_one() {
    let mut chosen = BTreeSet::new();
    for profile in all_profiles() {
        let world = World::on(profile);
        let mut of_this_version = BTreeSet::new();
        for _ in 0..16 {
            world.executive.platform().advance(10_000_019);
            of_this_version.insert(world.executive.header_cookie());
        }
        if profile.typeindex_encoding.value == TypeIndexEncoding::Cookie {
            assert!(of_this_version.len() > 8, "{}: one boot is like the other", profile.name);
            chosen.insert(of_this_version.into_iter().collect::<Vec<_>>());
        } else {
            assert_eq!(of_this_version.into_iter().collect::<Vec<_>>(), [0], "{}", profile.name);
        }
    }
    assert!(chosen.len() > 1, "each version has its own");
}

fn corrupt_list(outcome: &Outcome) -> bool {
    let Outcome::Bugcheck(check) = outcome else { return false };
    check.code == BugCheck::KERNEL_SECURITY_CHECK_FAILURE
        && check.parameters[0] == u64::from(FastFail::CORRUPT_LIST_ENTRY.0)
}

#[test]
fn a_damaged_list_of_a_types_objects_ends_in_a_fastfail() {
    let head_of = |object_type: *mut OBJECT_TYPE| {
        object_type.wrapping_byte_add(offset_of!(OBJECT_TYPE, TypeList)).cast::<LIST_ENTRY>()
    };

    // The last entry does not lead back to the head, so nothing can be put between them.
    let world = World::new();
    let object_type = listed(&world);
    create(&world, object_type, &Attributes::unnamed(0));
    // SAFETY: the list of a live type with one object; nobody else is here.
    let last = unsafe { (*head_of(object_type)).Blink };
    // SAFETY: as above.
    unsafe { (*last).Flink = ptr::null_mut() };
    let outcome = ending(|| _ = create(&world, object_type, &Attributes::unnamed(0)));
    assert!(corrupt_list(&outcome), "{outcome}");

    // The head does not lead to the object that is about to leave.
    let world = World::new();
    let object_type = listed(&world);
    let object = create(&world, object_type, &Attributes::unnamed(0));
    // SAFETY: as above.
    unsafe { (*head_of(object_type)).Flink = head_of(object_type) };
    let outcome = ending(|| _ = world.dereference(object));
    assert!(corrupt_list(&outcome), "{outcome}");
}

/// Answers with the object itself where nothing is left of the name.
unsafe fn only_itself(
    executive: &Executive<Solo>,
    request: &ParseRequest<'_>,
) -> Result<*mut c_void, NTSTATUS> {
    if !request.remaining_name.is_empty() {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    }
    // SAFETY: the lookup holds a reference.
    unsafe { executive.ObfReferenceObject(request.object) };
    Ok(request.object)
}

#[test]
fn nothing_is_created_below_a_handle_of_a_parsable_object() {
    let world = World::new();
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    let procedures = Procedures { parse: Some(only_itself), ..Procedures::NONE };
    let door = world.executive.ObCreateObjectType("Door", &initializer, procedures).expect("a type").as_ptr();
    let object = create(&world, door, &Attributes::named("\\Door", OBJ_PERMANENT));
    let (status, root) = world.insert(object);
    assert!(status.is_success(), "{status}");

    let open = |name: &str| world.open_type(&Attributes::below(root, name, 0), door, 0, 0);
    assert!(open("").is_ok(), "its parse procedure is asked");
    assert_eq!(open("No"), Err(STATUS_OBJECT_NAME_NOT_FOUND), "and heard");
    let made = world.make(&Attributes::below(root, "No", 0));
    assert_eq!(made, Err(STATUS_OBJECT_TYPE_MISMATCH), "it is not even asked");
}

#[test]
fn a_name_goes_only_if_nothing_keeps_it_once_its_directory_is_locked() {
    let world = World::on(Profile::DEFAULT);
    world.executive.create_directory("\\Here").expect("created");
    world.executive.create_directory("\\There").expect("created");
    let directory = |path| {
        let at = world.executive.facts_at(path).expect("there").body;
        // SAFETY: a permanent directory.
        unsafe { Header::of(ptr::with_exposed_provenance_mut(at)) }
    };
    let (here, there) = (directory("\\Here"), directory("\\There"));
    // What `delete_name_check` does with a directory that it found without its lock.
    let settled = |object: *mut c_void, parent: Header| {
        // SAFETY: the test has a reference.
        let header = unsafe { Header::of(object) };
        world.executive.delete_name_in(header, header.name_info().expect("a name"), parent)
    };
    let there_is = |path: &str| world.executive.facts_at(path).is_some();

    // Somebody made it permanent, or opened it, since it was looked at.
    let kept = world.make_object("\\Here\\Kept", OBJ_PERMANENT);
    assert!(settled(kept, here) && there_is("\\Here\\Kept"));
    let handle = world.make(&Attributes::named("\\Here\\Open", 0)).expect("created");
    let open = world.by_handle(handle).expect("referenced");
    assert!(settled(open, here) && there_is("\\Here\\Open"));
    // It is not, or no longer, in that directory: look for the right one.
    assert!(!settled(open, there) && there_is("\\Here\\Open"));
    // And where nothing keeps it, it goes.
    assert_eq!(world.executive.ZwClose(handle), nt::STATUS_SUCCESS);
    assert!(!there_is("\\Here\\Open"));
    world.dereference(open);
    world.dereference(kept);
}
