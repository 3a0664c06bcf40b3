use nt::{
    KernelMode, OBJ_CASE_INSENSITIVE, OBJ_EXCLUSIVE, OBJ_PERMANENT, OBJECT_DIRECTORY, OBJECT_DIRECTORY_ENTRY,
    OBJECT_HEADER, OBJECT_HEADER_NAME_INFO, POOL_HEADER, Profile, STATUS_BAD_IMPERSONATION_LEVEL,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_INVALID, STATUS_PRIVILEGE_NOT_HELD, STATUS_SUCCESS,
    STATUS_UNKNOWN_REVISION, UserMode,
};

use super::super::ProcessKind;
use super::{Attributes, World, all_profiles};
use crate::se::{Sid, Token};

fn user_token() -> Token {
    Token::user(&Sid::new(nt::SECURITY_NT_AUTHORITY, &[21, 1, 1, 1, 1000]))
}

fn header_of(object: *mut core::ffi::c_void) -> OBJECT_HEADER {
    // SAFETY: the tests look at objects they hold.
    unsafe { object.cast::<OBJECT_HEADER>().wrapping_sub(1).read() }
}

#[test]
fn blocks_have_the_sizes_of_windows() {
    let world = World::new();
    let block_of = |attributes: &Attributes| {
        let object = world.create(attributes).expect("created");
        let allocation = world.facts(object).allocation;
        // SAFETY: a pool block has its header right before it.
        let header =
            unsafe { core::ptr::with_exposed_provenance::<POOL_HEADER>(allocation).wrapping_sub(1).read() };
        (header.BlockSize as usize * 16, header.PoolTag, object)
    };
    let (named, tag, _) = block_of(&Attributes::named("\\A", 0));
    assert_eq!((named, tag), (0xA0, u32::from_le_bytes(*b"Bell")));
    assert_eq!(block_of(&Attributes::unnamed(0)).0, 0x80);
    let user = world.executive.platform().user_process();
    world.executive.register_process(user, ProcessKind::Ordinary, 0x1000, user_token());
    world.executive.platform().attach(user);
    let (charged, _, object) = block_of(&Attributes::named("\\B", 0));
    assert_eq!((charged, world.facts(object).info_mask), (0xC0, 0x0A), "name and quota");
}

#[test]
fn a_new_object_is_as_windows_makes_it() {
    for profile in all_profiles() {
        let world = World::on(profile);
        let object = world.create(&Attributes::named("\\A\\B", OBJ_PERMANENT)).expect("created");
        let facts = world.facts(object);
        assert_eq!((facts.pointer_count, facts.handle_count), (1, 0));
        assert_eq!((facts.flags, facts.info_mask), (0x13, 0x02));
        assert_eq!(facts.stored_name.as_deref(), Some("\\A\\B"), "the whole path until it is inserted");
        assert_eq!(facts.type_name, "Bell");
        let raw = header_of(object);
        assert!(!raw.ObjectCreateInfo.is_null());
        let information = world.executive.pool_block(raw.ObjectCreateInfo.addr()).expect("in pool");
        assert_eq!((information.tag, information.bytes), (nt::tag::OBJECT_CREATE_INFO, 0x40));
        assert_eq!(world.dereference(object), 0);
        assert_eq!(world.executive.pool_blocks_tagged(nt::tag::OBJECT_CREATE_INFO), []);
    }
}

#[test]
fn the_type_index_is_encoded_as_the_version_does() {
    for (profile, plain) in [(Profile::NT6, true), (Profile::WIN81, true), (Profile::DEFAULT, false)] {
        let world = World::on(profile);
        let encoded: std::vec::Vec<u8> = (0..64)
            .map(|_| {
                let object = world.create(&Attributes::unnamed(0)).expect("created");
                assert_eq!(world.facts(object).type_index, 5);
                header_of(object).TypeIndex
            })
            .collect();
        assert_eq!(encoded.iter().all(|&index| index == 5), plain, "{}: {encoded:?}", profile.name);
    }
}

#[test]
fn capture_checks_in_the_order_of_windows() {
    let world = World::new();
    let create = |change: fn(&mut Attributes)| {
        let mut attributes = Attributes::named("\\A", 0);
        change(&mut attributes);
        world.create(&attributes).expect_err("refused")
    };
    assert_eq!(create(|all| all.all.Length = 0x2F), STATUS_INVALID_PARAMETER);
    for bit in [0x1, 0x4, 0x8, 0x2000, 0x20000] {
        let refused = world.create(&Attributes::named("\\A", bit)).expect_err("refused");
        assert_eq!(refused, STATUS_INVALID_PARAMETER, "{bit:#x}");
    }
    assert_eq!(create(|all| all.all.Attributes = nt::OBJ_OPENLINK), STATUS_INVALID_PARAMETER);
    assert_eq!(create(|all| all._name.Length = 3), STATUS_OBJECT_NAME_INVALID);
    assert_eq!(create(|all| all._name.Length = 0xFFFE), STATUS_OBJECT_NAME_INVALID);
    let mut rooted = Attributes::unnamed(0);
    rooted.all.RootDirectory = core::ptr::without_provenance_mut(4);
    assert_eq!(world.create(&rooted), Err(STATUS_OBJECT_NAME_INVALID));

    let mut bad = nt::SECURITY_QUALITY_OF_SERVICE {
        Length: 12,
        ImpersonationLevel: 4,
        ContextTrackingMode: 2,
        EffectiveOnly: 0,
    };
    let mut attributes = Attributes::named("\\A", 0);
    attributes.all.SecurityQualityOfService = (&raw mut bad).cast();
    assert_eq!(world.create(&attributes), Err(STATUS_INVALID_PARAMETER), "the tracking mode comes first");
    bad.ContextTrackingMode = 1;
    attributes.all.SecurityQualityOfService = (&raw mut bad).cast();
    assert_eq!(world.create(&attributes), Err(STATUS_BAD_IMPERSONATION_LEVEL));
    let mut descriptor = [9_u8; 0x28];
    attributes.all.SecurityDescriptor = descriptor.as_mut_ptr().cast();
    assert_eq!(world.create(&attributes), Err(STATUS_UNKNOWN_REVISION), "the descriptor comes before that");
}

#[test]
fn c043_permanent_takes_a_privilege_from_user_mode() {
    let world = World::new();
    let user = world.executive.platform().user_process();
    world.executive.register_process(user, ProcessKind::Ordinary, 0x1000, user_token());
    world.executive.platform().attach(user);
    let permanent = Attributes::named("\\A", OBJ_PERMANENT);
    assert_eq!(world.create_as(&permanent, UserMode), Err(STATUS_PRIVILEGE_NOT_HELD));
    assert!(world.create_as(&Attributes::named("\\A", 0), UserMode).is_ok());
    assert!(world.create_as(&permanent, KernelMode).is_ok());
}

#[test]
fn exclusive_objects_carry_their_header() {
    let world = World::new();
    let object = world.create(&Attributes::named("\\A", OBJ_EXCLUSIVE)).expect("created");
    let facts = world.facts(object);
    assert_eq!((facts.info_mask, facts.flags & 0x08), (0x12, 0x08));
    assert_eq!(facts.header - facts.allocation, 0x30);
}

#[test]
fn the_stored_name_is_the_leaf() {
    for profile in all_profiles() {
        let world = World::on(profile);
        world.executive.create_directory("\\Dir").expect("created");
        let object = world.make_object("\\Dir\\Leaf", OBJ_PERMANENT);
        // SAFETY: referenced.
        let header = unsafe { OBJECT_HEADER::from_body(object) };
        // SAFETY: a named object without creator information has its name information right before the header.
        let info = unsafe { header.cast::<OBJECT_HEADER_NAME_INFO>().wrapping_sub(1).read() };
        assert_eq!((info.Name.Length, info.Name.MaximumLength), (8, 8));
        let block = world.executive.pool_block(info.Name.Buffer.addr()).expect("in pool");
        assert_eq!((block.tag, block.bytes, block.pool), (nt::tag::OBJECT_NAME, 8, crate::PoolKind::Paged));
        assert_eq!(world.facts(object).name.as_deref(), Some("\\Dir\\Leaf"));
    }
}

#[test]
fn entries_sit_at_the_head_of_the_bucket_of_their_hash() {
    for profile in all_profiles() {
        let world = World::on(profile);
        world.executive.create_directory("\\Dir").expect("created");
        let directory = world.executive.facts_at("\\Dir").expect("named").body;
        let older = world.make_object("\\Dir\\PowerState", OBJ_PERMANENT);
        let younger = world.make_object("\\Dir\\POWERSTATE", OBJ_PERMANENT);
        let name: std::vec::Vec<u16> = "PowerState".encode_utf16().collect();
        let hash = profile.hash.value.hash(&name);
        let at = core::ptr::with_exposed_provenance::<OBJECT_DIRECTORY>(directory);
        // SAFETY: the directory is permanent; its buckets are at the same place in all generations.
        let bucket = unsafe { &raw const (*at).HashBuckets }.cast::<*mut OBJECT_DIRECTORY_ENTRY>();
        // SAFETY: one of 37.
        let first = unsafe { bucket.wrapping_add(hash as usize % 37).read() };
        // SAFETY: the chain holds entries.
        let first = unsafe { first.read() };
        // SAFETY: as above.
        let second = unsafe { first.ChainLink.read() };
        assert_eq!((first.Object, second.Object), (younger, older));
        assert_eq!((first.HashValue, second.HashValue), (hash, hash));
        assert!(second.ChainLink.is_null());
        let found = world.open(&Attributes::named("\\Dir\\powerstate", OBJ_CASE_INSENSITIVE)).expect("found");
        assert_eq!(world.by_handle(found), Ok(younger), "the younger one comes first");
        world.dereference(younger);
        assert_eq!(world.executive.ZwClose(found), STATUS_SUCCESS);
    }
}

#[test]
fn named_objects_have_descriptors_and_unnamed_ones_do_not() {
    let world = World::new();
    let named = world.make_object("\\A", OBJ_PERMANENT);
    // SAFETY: referenced.
    let descriptor = unsafe { world.executive.object_descriptor(named) }.expect("a descriptor");
    assert_eq!(descriptor.owner, Some(Sid::administrators()));
    let handle = world.make(&Attributes::unnamed(0)).expect("created");
    let unnamed = world.by_handle(handle).expect("referenced");
    assert_eq!(world.facts(unnamed).security_descriptor, 0);
    assert_eq!(world.facts(unnamed).info_mask, 0);
}

#[test]
fn defaults_are_shared_and_go_with_their_last_object() {
    let world = World::new();
    let before = world.executive.pool_blocks_tagged(nt::tag::SECURITY_DESCRIPTOR).len();
    let first = world.make_object("\\A", OBJ_PERMANENT);
    let second = world.make_object("\\B", OBJ_PERMANENT);
    let shared = world.facts(first).security_descriptor;
    assert_eq!(world.facts(second).security_descriptor, shared);
    let mut brings = Attributes::named("\\C", OBJ_PERMANENT);
    brings.all.SecurityDescriptor = world.executive.SePublicDefaultSd().cast();
    let handle = world.make(&brings).expect("created");
    let third = world.by_handle(handle).expect("referenced");
    assert_ne!(world.facts(third).security_descriptor, shared, "what a creator brings is its own");
    let now = world.executive.pool_blocks_tagged(nt::tag::SECURITY_DESCRIPTOR).len();
    assert_eq!(now, before + 2);
    for (object, left) in [(first, before + 2), (second, before + 1)] {
        // SAFETY: referenced since it was made.
        unsafe { world.executive.ObMakeTemporaryObject(object) };
        world.dereference(object);
        assert_eq!(world.executive.pool_blocks_tagged(nt::tag::SECURITY_DESCRIPTOR).len(), left);
    }
}
