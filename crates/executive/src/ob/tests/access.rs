//! Access to objects as it is decided once they are found, and what a type costs. Like `guards`, written for changes that no other test saw.

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr;

use nt::{
    BugCheck, KernelMode, MAXIMUM_ALLOWED, NTSTATUS, OBJ_PERMANENT, OBJECT_HEADER,
    OBJECT_HEADER_CREATOR_INFO, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER, STATUS_ACCESS_DENIED, STATUS_SUCCESS,
    UserMode,
};

use super::super::header::Header;
use super::super::{ParseRequest, Procedures, ProcessKind};
use super::{Attributes, World, ending};
use crate::Executive;
use crate::se::Token;
use crate::solo::{Outcome, Solo};

fn check(world: &World, object: *mut c_void, desired: u32, mode: u8) -> Result<u32, NTSTATUS> {
    // SAFETY: the test has a reference.
    world.executive.check_access(unsafe { Header::of(object) }, desired, mode)
}

#[test]
fn what_has_no_descriptor_grants_whatever_is_asked_for() {
    let world = World::new();
    let object = world.create(&Attributes::unnamed(0)).expect("created");
    assert_eq!(check(&world, object, 0, UserMode), Err(STATUS_ACCESS_DENIED), "nothing was asked for");
    assert_eq!(check(&world, object, nt::GENERIC_READ, UserMode), Ok(0x2_0001), "mapped");
    assert_eq!(check(&world, object, MAXIMUM_ALLOWED | 2, UserMode), Ok(2), "without the question itself");
    assert_eq!(check(&world, object, MAXIMUM_ALLOWED | 1, KernelMode), Ok(0x1F_0003), "everything valid");
}

#[test]
fn a_named_object_without_descriptor_is_a_bad_header_in_user_mode() {
    let world = World::new();
    let object = world.make_object("\\Named", OBJ_PERMANENT);
    let header = object.wrapping_byte_sub(size_of::<OBJECT_HEADER>());
    let descriptor =
        header.wrapping_byte_add(offset_of!(OBJECT_HEADER, SecurityDescriptor)).cast::<*mut c_void>();
    // SAFETY: the header of a live object; what a stray write does to it.
    unsafe { descriptor.write(ptr::null_mut()) };
    assert_eq!(check(&world, object, 1, KernelMode), Ok(1), "the kernel does not look");
    let Outcome::Bugcheck(ended) = ending(|| _ = check(&world, object, 1, UserMode)) else {
        panic!("a deadlock")
    };
    assert_eq!((ended.code, ended.parameters[0]), (BugCheck::BAD_OBJECT_HEADER, header.addr() as u64));
}

/// The settings of a type.
fn information(object_type: *const OBJECT_TYPE) -> OBJECT_TYPE_INITIALIZER {
    let at = object_type.wrapping_byte_add(offset_of!(OBJECT_TYPE, TypeInfo));
    // SAFETY: types live as long as the executive, and the tests' executives are there.
    unsafe { at.cast::<OBJECT_TYPE_INITIALIZER>().read() }
}

#[test]
fn handle_counts_are_charged_and_the_type_of_types_is_what_windows_has() {
    let world = World::new();
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    initializer.ObjectTypeFlags = nt::type_flags::MAINTAIN_HANDLE_COUNT;
    let counted = world.executive.ObCreateObjectType("Counted", &initializer, Procedures::NONE);
    let charge = information(counted.expect("a type").as_ptr()).DefaultNonPagedPoolCharge;
    let plain = information(world.bell).DefaultNonPagedPoolCharge;
    assert_eq!(charge, plain + size_of::<nt::OBJECT_HEADER_HANDLE_INFO>() as u32);
    let types = world.executive.object_type("Type").expect("there").as_ptr();
    let own = information(types);
    assert_eq!(own.PoolType, world.executive.nonpaged_pool_type());
    assert_eq!((own.ValidAccessMask, own.GenericMapping.GenericAll), (0x1F_0001, 0xF_0001));
    let root = world.executive.facts_at("\\").expect("the root");
    assert_ne!(root.flags & nt::flags::PERMANENT, 0);
}

#[test]
fn creator_information_names_the_process() {
    let world = World::new();
    let user = world.executive.platform().user_process();
    world.executive.register_process(user, ProcessKind::Ordinary, 0x1234, Token::system());
    world.executive.platform().attach(user);
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    initializer.ObjectTypeFlags = nt::type_flags::MAINTAIN_TYPE_LIST;
    let listed = world.executive.ObCreateObjectType("Listed", &initializer, Procedures::NONE);
    let listed = listed.expect("a type").as_ptr();
    let attributes = Attributes::unnamed(0);
    let mut object = ptr::null_mut();
    // SAFETY: a type, attributes that own what they point to, a local.
    let status = unsafe {
        let none = ptr::null_mut();
        world.executive.ObCreateObject(
            0,
            listed,
            &raw const attributes.all,
            0,
            none,
            8,
            0,
            0,
            &raw mut object,
        )
    };
    assert_eq!(status, STATUS_SUCCESS);
    // The list is in the type's first field, and the node in the information's.
    // SAFETY: a live type with one object on its list.
    let info = unsafe { (*listed).TypeList.Flink }.cast::<OBJECT_HEADER_CREATOR_INFO>();
    // SAFETY: as above.
    assert_eq!(unsafe { (*info).CreatorUniqueProcess }.addr(), 0x1234);
}

#[test]
fn handles_that_no_driver_opened_are_in_no_account() {
    let world = World::new();
    world.make(&Attributes::named("\\Open", 0)).expect("created");
    assert!(world.executive.handles_of_drivers().is_empty());
}

/// Hands out the object whose address the context is.
unsafe fn hand_out(executive: &Executive<Solo>, request: &ParseRequest<'_>) -> Result<*mut c_void, NTSTATUS> {
    // SAFETY: the test passes an object on which it has a reference.
    unsafe { executive.ObfReferenceObject(request.context) };
    Ok(request.context)
}

#[test]
fn a_parse_procedure_may_hand_out_what_has_lost_its_name() {
    let world = World::new();
    let nameless = world.make_object("\\Nameless", 0);
    assert!(world.executive.facts_at("\\Nameless").is_none(), "its last handle was closed");
    let mut initializer = world.executive.type_initializer();
    initializer.PoolType = world.executive.nonpaged_pool_type();
    let procedures = Procedures { parse: Some(hand_out), ..Procedures::NONE };
    let door = world.executive.ObCreateObjectType("Door", &initializer, procedures).expect("a type").as_ptr();
    let attributes = Attributes::named("\\Door", OBJ_PERMANENT);
    let (mut object, mut handle) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a type, attributes that own what they point to, a local.
    let status = unsafe {
        let none = ptr::null_mut();
        world.executive.ObCreateObject(0, door, &raw const attributes.all, 0, none, 8, 0, 0, &raw mut object)
    };
    assert_eq!(status, STATUS_SUCCESS);
    assert!(world.insert(object).0.is_success());

    let attributes = Attributes::named("\\Door\\In", 0);
    // SAFETY: attributes that own what they point to, an object with a reference as context, a local.
    let status = unsafe {
        let opened = &raw const attributes.all;
        world.executive.ObOpenObjectByName(opened, world.bell, KernelMode, 1, nameless, &raw mut handle)
    };
    assert_eq!(status, STATUS_SUCCESS);
    assert_eq!(world.by_handle(handle), Ok(nameless));
}
