//! What a mutation of the code showed that no other test looks at.

use core::ptr;

use nt::{OBJ_OPENLINK, OBJECT_TYPE_INITIALIZER, PagedPool, UserMode};

use super::super::Procedures;
use super::{Attributes, World};

/// The settings of a type of a world that is there.
fn information(_: &World, object_type: *const nt::OBJECT_TYPE) -> OBJECT_TYPE_INITIALIZER {
    let offset = core::mem::offset_of!(nt::OBJECT_TYPE, TypeInfo);
    // SAFETY: types live as long as the executive.
    unsafe { object_type.wrapping_byte_add(offset).cast::<OBJECT_TYPE_INITIALIZER>().read() }
}

#[test]
fn the_previous_mode_is_that_of_the_thread() {
    let world = World::new();
    assert_eq!(world.executive.KeGetPreviousMode(), nt::KernelMode);
    world.executive.platform().set_previous_mode(UserMode);
    assert_eq!(world.executive.KeGetPreviousMode(), UserMode);
}

#[test]
fn the_kernels_own_types_refuse_links() {
    let world = World::new();
    for name in ["Type", "Directory", "SymbolicLink"] {
        let object_type = world.executive.object_type(name).expect("there").as_ptr();
        assert_eq!(information(&world, object_type).InvalidAttributes, OBJ_OPENLINK, "{name}");
    }
}

#[test]
fn headers_are_charged_to_the_pool_of_the_type() {
    let world = World::new();
    let charges = |name, pool_type| {
        let mut initializer = world.executive.type_initializer();
        initializer.PoolType = pool_type;
        initializer.DefaultPagedPoolCharge = 0x10;
        initializer.DefaultNonPagedPoolCharge = 0x20;
        let made = world.executive.ObCreateObjectType(name, &initializer, Procedures::NONE).expect("a type");
        let made = information(&world, made.as_ptr());
        (made.DefaultPagedPoolCharge, made.DefaultNonPagedPoolCharge)
    };
    assert_eq!(charges("Paged", PagedPool), (0x68, 0x20));
    assert_eq!(charges("Resident", world.executive.nonpaged_pool_type()), (0x10, 0x78));
}

#[test]
fn the_kernel_is_granted_what_it_asks_for() {
    let world = World::new();
    let object = world.make_object("\\P", nt::OBJ_PERMANENT);
    let handle =
        world.open_type(&Attributes::named("\\P", 0), world.bell, nt::KernelMode, 1).expect("opened");
    let mut found = ptr::null_mut();
    let mut information = nt::OBJECT_HANDLE_INFORMATION { HandleAttributes: 0, GrantedAccess: 0 };
    // SAFETY: locals.
    let status = unsafe {
        world.executive.ObReferenceObjectByHandle(
            handle,
            1,
            world.bell,
            nt::KernelMode,
            &raw mut found,
            &raw mut information,
        )
    };
    assert!(status.is_success() && found == object);
    assert_eq!(information.GrantedAccess, 1);
}

#[test]
fn the_kernels_directories_and_links_stay_without_a_handle() {
    let world = World::new();
    world.executive.create_directory("\\Kept").expect("created");
    world.executive.create_symbolic_link("\\Link", "\\Kept").expect("created");
    for path in ["\\Kept", "\\Link"] {
        let flags = world.executive.facts_at(path).expect("there").flags;
        assert_ne!(flags & nt::flags::PERMANENT, 0, "{path}");
    }
    let handle = world.executive.open_path("\\KEPT", 0).expect("without regard to case");
    assert!(is_kernels(handle), "{handle:p}");
}

/// Whether a handle is of the kernel's table, as its upper bits say.
fn is_kernels(handle: nt::HANDLE) -> bool {
    handle.addr() >= 0xFFFF_FFFF_8000_0000
}
