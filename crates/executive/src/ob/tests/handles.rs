use core::ptr;

use nt::{
    DELETE, KernelMode, OBJ_KERNEL_HANDLE, OBJ_PERMANENT, OBJECT_NAME_INFORMATION, STATUS_ACCESS_DENIED,
    STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS,
    UserMode,
};

use super::super::ProcessKind;
use super::{Attributes, World};
use crate::se::{Sid, Token};

#[test]
fn kernel_handles_have_their_upper_bits_set() {
    let world = World::new();
    let handle = world.make(&Attributes::unnamed(OBJ_KERNEL_HANDLE)).expect("created");
    assert_eq!(handle.addr() & 0xFFFF_FFFF_8000_0003, 0xFFFF_FFFF_8000_0000);
    let mut object = ptr::null_mut();
    // SAFETY: locals.
    let status = unsafe {
        world.executive.ObReferenceObjectByHandle(
            handle,
            0,
            world.bell,
            UserMode,
            &raw mut object,
            ptr::null_mut(),
        )
    };
    assert_eq!(status, STATUS_INVALID_HANDLE, "not from user mode");
    assert_eq!(world.executive.ObCloseHandle(handle, UserMode), STATUS_INVALID_HANDLE);
    assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
    assert_eq!(world.executive.ZwClose(handle), STATUS_INVALID_HANDLE);
}

#[test]
fn a_process_has_a_table_of_its_own() {
    let world = World::new();
    let executive = &world.executive;
    let user = executive.platform().user_process();
    let sid = Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 1, 1, 1000]);
    executive.register_process(user, ProcessKind::Ordinary, 0x1000, Token::user(&sid));
    let shared = world.make(&Attributes::unnamed(OBJ_KERNEL_HANDLE)).expect("created");
    executive.platform().attach(user);
    let own = world.make(&Attributes::unnamed(0)).expect("created");
    assert_eq!(own.addr(), 4, "the first of its table");
    assert!(world.by_handle(shared).is_ok(), "the kernel's are good everywhere");
    executive.platform().attach(executive.platform().system_process());
    assert_eq!(executive.handle_total(), 2);
    executive.unregister_process(user);
    assert_eq!(executive.handle_total(), 1, "handles go with their process");
}

#[test]
fn granted_access_counts_for_user_mode_only() {
    let world = World::new();
    let handle = world.make(&Attributes::unnamed(0)).expect("created");
    let reference = |access, object_type, mode| {
        let mut object = ptr::null_mut();
        let mut information = nt::OBJECT_HANDLE_INFORMATION { HandleAttributes: 0, GrantedAccess: 0 };
        // SAFETY: locals.
        let status = unsafe {
            world.executive.ObReferenceObjectByHandle(
                handle,
                access,
                object_type,
                mode,
                &raw mut object,
                &raw mut information,
            )
        };
        (status, information.GrantedAccess)
    };
    let any = ptr::null_mut();
    assert_eq!(reference(1, any, UserMode), (STATUS_SUCCESS, 1));
    assert_eq!(reference(DELETE, any, UserMode).0, STATUS_ACCESS_DENIED);
    assert_eq!(reference(DELETE, any, KernelMode).0, STATUS_SUCCESS);
    let directory = world.executive.ObpDirectoryObjectType();
    assert_eq!(reference(0, directory, KernelMode).0, STATUS_OBJECT_TYPE_MISMATCH);
}

#[test]
fn user_mode_opens_are_checked_against_the_descriptor() {
    let world = World::new();
    let executive = &world.executive;
    let user = executive.platform().user_process();
    let sid = Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 1, 1, 1000]);
    executive.register_process(user, ProcessKind::Ordinary, 0x1000, Token::user(&sid));
    world.make_object("\\P", OBJ_PERMANENT);
    executive.platform().attach(user);
    let name = Attributes::named("\\P", 0);
    assert_eq!(world.open_type(&name, world.bell, UserMode, 1), Err(STATUS_ACCESS_DENIED));
    assert_eq!(world.open_type(&name, world.bell, UserMode, 0), Err(STATUS_ACCESS_DENIED));
    assert!(world.open_type(&name, world.bell, KernelMode, 1).is_ok());
}

#[test]
fn references_and_handles_add_up() {
    let world = World::new();
    let object = world.create(&Attributes::named("\\P", OBJ_PERMANENT)).expect("created");
    let (status, handle) = world.insert(object);
    assert_eq!(status, STATUS_SUCCESS);
    let counts = || (world.facts(object).pointer_count, world.facts(object).handle_count);
    assert_eq!(counts(), (2, 1), "name and handle");
    assert_eq!(world.by_handle(handle), Ok(object));
    assert_eq!(counts(), (3, 1));
    assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
    assert_eq!(counts(), (2, 0));
}

#[test]
fn a_bias_is_references_for_the_caller() {
    let world = World::new();
    let object = world.create(&Attributes::unnamed(0)).expect("created");
    let (mut same, mut handle) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: created above, and locals.
    let status = unsafe { world.executive.ObInsertObject(object, 1, 1, &raw mut same, &raw mut handle) };
    assert_eq!((status, same), (STATUS_SUCCESS, object));
    assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
    assert_eq!(world.facts(object).pointer_count, 1);
    assert_eq!(world.dereference(object), 0);
}

#[test]
fn names_can_be_queried() {
    let world = World::new();
    let object = world.make_object("\\P", OBJ_PERMANENT);
    let query = |length: u32| {
        let mut buffer = [0_u64; 8];
        let mut needed = 0;
        // SAFETY: the buffer is larger than the length given.
        let status = unsafe {
            world.executive.ObQueryNameString(object, buffer.as_mut_ptr().cast(), length, &raw mut needed)
        };
        // SAFETY: aligned, and any bytes are a value.
        let information = unsafe { buffer.as_ptr().cast::<OBJECT_NAME_INFORMATION>().read() };
        (status, needed, information.Name.Length)
    };
    assert_eq!(query(64), (STATUS_SUCCESS, 0x10 + 6, 4));
    assert_eq!(query(0x15), (STATUS_INFO_LENGTH_MISMATCH, 0x16, 0));
    // SAFETY: referenced.
    unsafe { world.executive.ObMakeTemporaryObject(object) };
    assert_eq!(query(64), (STATUS_SUCCESS, 0x10, 0));
}
