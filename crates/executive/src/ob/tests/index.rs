//! The table beside the chains: what is found, and what whoever walks the 37 buckets sees.

use core::ffi::c_void;
use core::ptr;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use nt::{
    OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, OBJECT_DIRECTORY, OBJECT_DIRECTORY_ENTRY,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};

use super::{Attributes, World};

type Bucket = *mut *mut OBJECT_DIRECTORY_ENTRY;

fn buckets(world: &World, path: &str) -> Bucket {
    let directory = world.executive.facts_at(path).expect("named").body;
    let at = ptr::with_exposed_provenance_mut::<OBJECT_DIRECTORY>(directory);
    // SAFETY: the directory is permanent; its buckets are at the same place in all generations.
    unsafe { &raw mut (*at).HashBuckets }.cast()
}

/// Returns the objects of a bucket as whoever knows NT's structures sees them.
fn walk(bucket: Bucket) -> Vec<*mut c_void> {
    let mut all = Vec::new();
    // SAFETY: a bucket of a directory.
    let mut at = unsafe { bucket.read() };
    while !at.is_null() {
        // SAFETY: chains hold entries.
        let entry = unsafe { at.read() };
        all.push(entry.Object);
        at = entry.ChainLink;
    }
    all
}

/// Names in a few spellings, so that some differ in case only.
fn name(number: u64) -> String {
    let plain = std::format!("Bell{}", number / 3);
    match number % 3 {
        0 => plain,
        1 => plain.to_uppercase(),
        _ => plain.to_lowercase(),
    }
}

#[test]
fn chains_and_lookups_agree_through_a_random_history() {
    let world = World::new();
    world.executive.create_directory("\\Dir").expect("created");
    let first = buckets(&world, "\\Dir");
    let hash = world.executive.profile().hash.value;
    // What every bucket must hold, newest first.
    let mut model: Vec<Vec<(String, *mut c_void)>> = (0..37).map(|_| Vec::new()).collect();
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    for _ in 0..6000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let name = name(random >> 33 & 0x3FF);
        let path = std::format!("\\Dir\\{name}");
        let bucket = hash.bucket(&name.encode_utf16().collect::<Vec<_>>());
        let known = model[bucket].iter().position(|(known, _)| *known == name);
        match known {
            Some(at) if random & 1 == 0 => {
                let (_, object) = model[bucket].remove(at);
                // SAFETY: referenced since it was made.
                unsafe { world.executive.ObMakeTemporaryObject(object) };
                world.dereference(object);
            }
            Some(at) => {
                let (_, object) = model[bucket][at];
                let handle = world.open(&Attributes::named(&path, 0)).expect("found as it is written");
                assert_eq!(world.by_handle(handle), Ok(object));
                world.dereference(object);
                assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
            }
            None => {
                assert_eq!(world.try_open(&path, 0), STATUS_OBJECT_NAME_NOT_FOUND);
                let object = world.make_object(&path, OBJ_PERMANENT);
                model[bucket].insert(0, (name.clone(), object));
            }
        }
        let expected: Vec<_> = model[bucket].iter().map(|(_, object)| *object).collect();
        assert_eq!(walk(first.wrapping_add(bucket)), expected);
        // Whatever the case: the newest spelling.
        let newest = model[bucket].iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        let found = world.open(&Attributes::named(&path, OBJ_CASE_INSENSITIVE)).ok();
        assert_eq!(found.is_some(), newest.is_some());
        if let (Some(handle), Some((_, object))) = (found, newest) {
            assert_eq!(world.by_handle(handle), Ok(*object));
            world.dereference(*object);
            assert_eq!(world.executive.ZwClose(handle), STATUS_SUCCESS);
        }
    }
    let shared: BTreeMap<usize, usize> = model.iter().map(|bucket| (bucket.len(), 1)).collect();
    assert!(shared.keys().any(|&length| length > 5), "the chains had some length");
}

#[test]
fn equal_names_in_two_directories_are_two() {
    let world = World::new();
    for path in ["\\A", "\\B"] {
        world.executive.create_directory(path).expect("created");
    }
    let first = world.make_object("\\A\\Bell", OBJ_PERMANENT);
    assert_eq!(world.try_open("\\B\\Bell", OBJ_CASE_INSENSITIVE), STATUS_OBJECT_NAME_NOT_FOUND);
    let second = world.make_object("\\B\\Bell", OBJ_PERMANENT);
    for (path, expected) in [("\\A\\Bell", first), ("\\B\\bell", second)] {
        let handle = world.open(&Attributes::named(path, OBJ_CASE_INSENSITIVE)).expect("found");
        assert_eq!(world.by_handle(handle), Ok(expected));
    }
}

#[test]
fn an_entry_that_was_unlinked_by_hand_is_forgotten_when_its_name_goes() {
    let world = World::new();
    world.executive.create_directory("\\Dir").expect("created");
    let hash = world.executive.profile().hash.value;
    let name: Vec<u16> = "Bell".encode_utf16().collect();
    let bucket = buckets(&world, "\\Dir").wrapping_add(hash.bucket(&name));
    let older = world.make_object("\\Dir\\BELL", OBJ_PERMANENT);
    let younger = world.make_object("\\Dir\\Bell", OBJ_PERMANENT);
    // SAFETY: the bucket holds the entry of the younger one.
    let entry = unsafe { bucket.read() };
    // SAFETY: an entry.
    let next = unsafe { entry.read() }.ChainLink;
    // SAFETY: what a driver does that hides an object.
    unsafe { bucket.write(next) };
    let blocks = world.executive.pool_blocks().len();
    // SAFETY: referenced since it was made.
    unsafe { world.executive.ObMakeTemporaryObject(younger) };
    world.dereference(younger);
    assert!(world.executive.pool_blocks().len() < blocks, "the entry and the object are freed");
    assert_eq!(walk(bucket), [older]);
    assert_eq!(world.try_open("\\Dir\\Bell", 0), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(world.try_open("\\Dir\\bell", OBJ_CASE_INSENSITIVE), STATUS_SUCCESS);
    // The older one's way back led to the entry that is gone; now it has none, and is found by walking.
    // SAFETY: referenced since it was made.
    unsafe { world.executive.ObMakeTemporaryObject(older) };
    world.dereference(older);
    assert!(walk(bucket).is_empty());
}

/// An entry as it lies in its block: NT's fields, and the way back behind them.
const BACK: usize = size_of::<OBJECT_DIRECTORY_ENTRY>();

fn back_of(entry: *mut OBJECT_DIRECTORY_ENTRY) -> Bucket {
    entry.wrapping_byte_add(BACK).cast()
}

/// Makes two objects whose entries are in one bucket, and returns it with their entries, the newer one first.
fn two_in_a_bucket(world: &World) -> (Bucket, [*mut c_void; 2], [*mut OBJECT_DIRECTORY_ENTRY; 2]) {
    world.executive.create_directory("\\Dir").expect("created");
    let hash = world.executive.profile().hash.value;
    let name: Vec<u16> = "Bell".encode_utf16().collect();
    let bucket = buckets(world, "\\Dir").wrapping_add(hash.bucket(&name));
    let older = world.make_object("\\Dir\\BELL", OBJ_PERMANENT);
    let newer = world.make_object("\\Dir\\Bell", OBJ_PERMANENT);
    // SAFETY: the bucket holds the entry of the newer one.
    let first = unsafe { bucket.read() };
    // SAFETY: an entry.
    let second = unsafe { first.read() }.ChainLink;
    (bucket, [newer, older], [first, second])
}

fn remove(world: &World, object: *mut c_void) {
    // SAFETY: referenced since it was made.
    unsafe { world.executive.ObMakeTemporaryObject(object) };
    world.dereference(object);
}

#[test]
fn a_way_back_that_a_driver_chose_is_not_written_to() {
    let world = World::new();
    let (bucket, [newer, older], [_, second]) = two_in_a_bucket(&world);
    // It even holds the address that a link to the entry would hold.
    let mut victim = [second; 4];
    let chosen = victim.as_mut_ptr();
    // SAFETY: what a stray write of a driver does.
    unsafe { back_of(second).write(chosen.cast()) };
    remove(&world, older);
    assert_eq!(walk(bucket), [newer], "the entry was found by walking");
    // SAFETY: a local, and nobody is in the middle of writing it.
    assert_eq!(unsafe { chosen.cast::<[*mut OBJECT_DIRECTORY_ENTRY; 4]>().read() }, [second; 4]);
    remove(&world, newer);
    assert!(walk(bucket).is_empty());
}

#[test]
fn a_neighbor_that_a_driver_chose_is_not_written_to() {
    let world = World::new();
    let (bucket, [newer, older], [first, second]) = two_in_a_bucket(&world);
    let mut forged = [ptr::without_provenance_mut::<c_void>(0x1000); 4];
    let chosen = forged.as_mut_ptr();
    // SAFETY: what a stray write of a driver does.
    unsafe { first.cast::<*mut c_void>().write(chosen.cast()) };
    remove(&world, newer);
    // SAFETY: a local.
    assert_eq!(unsafe { chosen.wrapping_add(3).read() }.addr(), 0x1000, "left as it was");
    // SAFETY: the bucket is the directory's.
    let head = unsafe { bucket.read() };
    assert_eq!(head.cast(), chosen.cast::<c_void>(), "whoever walks goes where the driver led");
    // SAFETY: as above: the driver puts things right again.
    unsafe { bucket.write(second) };
    remove(&world, older);
    assert!(walk(bucket).is_empty());
}

#[test]
fn a_neighbor_that_leads_elsewhere_is_left_as_it_is() {
    let world = World::new();
    let (bucket, [newer, older], [_, second]) = two_in_a_bucket(&world);
    // SAFETY: what a stray write of a driver does; only the value counts.
    unsafe { back_of(second).write(ptr::without_provenance_mut(0x1000)) };
    remove(&world, newer);
    // SAFETY: the entry is in the chain.
    assert_eq!(unsafe { back_of(second).read() }.addr(), 0x1000);
    assert_eq!(walk(bucket), [older]);
    remove(&world, older);
    assert!(walk(bucket).is_empty());
}
