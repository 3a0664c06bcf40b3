//! Damaged machines, by name.
//!
//! Each takes a machine after an ordinary boot and spoils one thing. What a reader should say to it is the reader's business.

use crate::memory::PAGE;
use crate::object::CallbackSpec;
use crate::world::World;

/// One damage.
#[derive(Clone, Copy)]
pub struct Fixture {
    /// Its name.
    pub name: &'static str,
    /// Does it, and gives the address of the object it is about; 0 where it is about none.
    pub spoil: fn(&mut World) -> u64,
}

/// An address where nothing was ever loaded.
pub const NOWHERE: u64 = 0xFFFF_F802_7000_1000;

macro_rules! fixtures {
    ($( $name:ident ),* $(,)?) => {
        /// All of them.
        pub const ALL: &[Fixture] = &[$( Fixture { name: stringify!($name), spoil: $name } ),*];
    };
}

fixtures! {
    routine_outside_modules,
    routine_of_an_unloaded_driver,
    routine_in_data,
    routine_in_discarded_code,
    routine_jumps_away,
    listener_of_another,
    listeners_linked_one_way,
    listeners_in_a_circle,
    listeners_lead_astray,
    objects_in_a_circle,
    objects_linked_one_way,
    objects_lead_astray,
    object_unlinked,
    name_removed_though_permanent,
    entry_missing,
    entry_in_wrong_bucket,
    entry_to_no_object,
    directory_in_a_circle,
    name_hijacked,
    signature_overwritten,
    type_index_forged,
    security_removed,
    single_with_two,
    references_too_few,
    registration_unlinked,
    routine_busy,
    unregister_waits,
    lock_held,
    listeners_reordered,
    stranger_listens,
    freed_but_linked,
}

fn vendor(world: &mut World, routine: u64) -> u64 {
    let body = world.named("VendorEvents").body;
    world.register(body, routine, 0);
    body
}

fn routine_outside_modules(world: &mut World) -> u64 {
    vendor(world, NOWHERE)
}

fn routine_of_an_unloaded_driver(world: &mut World) -> u64 {
    let start = world.unloaded[0].start;
    vendor(world, start + 0x1234)
}

fn routine_in_data(world: &mut World) -> u64 {
    let routine = world.module("vendor.sys").at(0x3100);
    vendor(world, routine)
}

fn routine_in_discarded_code(world: &mut World) -> u64 {
    let routine = world.module("vendor.sys").at(0x5100);
    vendor(world, routine)
}

fn routine_jumps_away(world: &mut World) -> u64 {
    let routine = world.module("vendor.sys").at(0x1400);
    // mov rax, NOWHERE; jmp rax
    world.memory.write(routine, &[0x48, 0xB8]);
    world.memory.put64(routine + 2, NOWHERE);
    world.memory.write(routine + 10, &[0xFF, 0xE0]);
    vendor(world, routine)
}

fn listener_of_another(world: &mut World) -> u64 {
    let (body, other) = (world.named("PowerState").body, world.named("SetSystemTime").body);
    let registration = world.registrations(body)[1];
    world.memory.put64(registration + 0x10, other);
    body
}

fn listeners_linked_one_way(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    world.memory.put64(all[2] + 8, all[0]);
    body
}

fn listeners_in_a_circle(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    world.memory.put64(all[3], all[1]);
    body
}

fn listeners_lead_astray(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    world.memory.put64(all[1], 0x4141_4141_4141_4141);
    body
}

fn objects_in_a_circle(world: &mut World) -> u64 {
    let (second, last) = (world.objects[1].1.body, world.objects.last().map_or(0, |it| it.1.body));
    world.memory.put64(last + 0x28, second + 0x28);
    0
}

fn objects_linked_one_way(world: &mut World) -> u64 {
    let (first, third) = (world.objects[0].1.body, world.objects[2].1.body);
    world.memory.put64(third + 0x30, first + 0x28);
    third
}

fn objects_lead_astray(world: &mut World) -> u64 {
    let third = world.objects[2].1.body;
    world.memory.put64(third + 0x28, 0x1000);
    0
}

fn object_unlinked(world: &mut World) -> u64 {
    let body = world.named("VendorEvents").body;
    world.unlink(body);
    body
}

/// Gives the place that points to a directory entry, and the entry.
fn entry_of(world: &World, leaf: &str) -> (u64, u64) {
    let object = world.named(leaf).body;
    for bucket in 0..37 {
        let mut place = world.callback_directory.body + 8 * bucket;
        loop {
            let entry = world.memory.get64(place);
            if entry == 0 {
                break;
            }
            if world.memory.get64(entry + 8) == object {
                return (place, entry);
            }
            place = entry;
        }
    }
    panic!("{leaf} is in no directory")
}

fn entry_missing(world: &mut World) -> u64 {
    let (place, entry) = entry_of(world, "VendorEvents");
    let next = world.memory.get64(entry);
    world.memory.put64(place, next);
    world.named("VendorEvents").body
}

fn name_removed_though_permanent(world: &mut World) -> u64 {
    let body = entry_missing(world);
    let object = world.named("VendorEvents");
    world.memory.put64(object.name_info, 0);
    body
}

fn entry_in_wrong_bucket(world: &mut World) -> u64 {
    let (place, entry) = entry_of(world, "VendorEvents");
    let next = world.memory.get64(entry);
    world.memory.put64(place, next);
    let directory = world.callback_directory.body;
    let bucket = directory + 8 * ((u64::from(world.era.hash("VendorEvents")) + 1) % 37);
    let first = world.memory.get64(bucket);
    world.memory.put64(entry, first);
    world.memory.put64(bucket, entry);
    0
}

fn entry_to_no_object(world: &mut World) -> u64 {
    let (_, entry) = entry_of(world, "VendorEvents");
    let block = world.take(false, 0x100, *b"Vndr").start;
    world.memory.put64(entry + 8, block + 0x80);
    0
}

fn directory_in_a_circle(world: &mut World) -> u64 {
    let (_, entry) = entry_of(world, "VendorEvents");
    world.memory.put64(entry, entry);
    0
}

fn name_hijacked(world: &mut World) -> u64 {
    let object = world.named("VendorEvents");
    world.write_name(object.name_info, "VendorEvil");
    0
}

fn signature_overwritten(world: &mut World) -> u64 {
    let body = world.named("VendorEvents").body;
    world.memory.put32(body, 0);
    0
}

fn type_index_forged(world: &mut World) -> u64 {
    let object = world.named("VendorEvents");
    let old = world.memory.read(object.header + 0x18, 1)[0];
    world.memory.put8(object.header + 0x18, old ^ 0x11);
    // A namespace walk takes it for another type; the list and the carve still show it.
    object.body
}

fn security_removed(world: &mut World) -> u64 {
    let object = world.named("VendorEvents");
    world.memory.put64(object.header + 0x28, 0);
    object.body
}

fn single_with_two(world: &mut World) -> u64 {
    let body = world.named("AfdTdxCallback").body;
    let routine = world.module("vendor.sys").at(0x1500);
    world.register(body, routine, 0);
    body
}

fn references_too_few(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    world.add_references(body, -3);
    body
}

fn routine_busy(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let registration = world.registrations(body)[1];
    world.memory.put32(registration + 0x28, 2);
    body
}

fn registration_unlinked(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    world.memory.put64(all[0], all[2]);
    world.memory.put64(all[2] + 8, all[0]);
    0
}

fn unregister_waits(world: &mut World) -> u64 {
    let body = routine_busy(world);
    let registration = world.registrations(body)[1];
    world.memory.put8(registration + 0x2C, 1);
    body
}

fn lock_held(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    world.memory.put64(body + 8, 1);
    body
}

fn listeners_reordered(world: &mut World) -> u64 {
    let body = world.named("PowerState").body;
    let all = world.registrations(body);
    let head = body + 0x10;
    let order = [all[3], all[0], all[1], all[2]];
    let mut previous = head;
    for node in order.into_iter().chain([head]) {
        world.memory.put64(previous, node);
        world.memory.put64(node + 8, previous);
        previous = node;
    }
    body
}

fn stranger_listens(world: &mut World) -> u64 {
    let body = world.named("WdProcessNotificationCallback").body;
    let routine = world.module("vendor.sys").at(0x1600);
    world.register(body, routine, 0);
    body
}

fn freed_but_linked(world: &mut World) -> u64 {
    let object = world.named("VendorEvents");
    object.block.free(&mut world.memory);
    object.body
}

/// Leaves what remains of an object that was freed: reference count zero, neighbors closed up, and the block free, unless the
/// pool leaves headers alone as the newer one often does. Returns its body.
pub fn freed_remnant(world: &mut World, block_is_free: bool) -> u64 {
    let object = world.callback(CallbackSpec { permanent: false, ..CallbackSpec::named("Yesterday") });
    world.unlink(object.body);
    world.objects.pop();
    world.count_object(-1);
    world.memory.put64(object.header, 0);
    if block_is_free {
        object.block.free(&mut world.memory);
    }
    object.body
}

/// Registers a routine and frees the registration again, unlinked, as unregistering does. Returns where it lay.
pub fn freed_registration(world: &mut World) -> u64 {
    let body = world.named("VendorEvents").body;
    let block = world.take(false, 0x30, *b"CBRe");
    let routine = world.module("vendor.sys").at(0x1500);
    world.write_registration(block.start, body, routine, 0);
    block.free(&mut world.memory);
    block.start
}

/// Puts a thread on the wait list of an event in the kernel's data. `new` tells where a wait block has its thread: since Windows 8 at
/// 0x18. Returns the event.
pub fn waiting_thread(world: &mut World, new: bool, thread: u64) -> u64 {
    let event = world.at(0x20_2180);
    let block = world.take(false, 0x30, *b"Wait").start;
    world.memory.put8(event + 2, 6);
    for (at, value) in [(event + 8, block), (event + 0x10, block), (block, event + 8), (block + 8, event + 8)]
    {
        world.memory.put64(at, value);
    }
    let at = if new { 0x18 } else { 0x10 };
    world.memory.put64(block + at, thread);
    world.memory.put64(block + at + 8, event);
    event
}

/// Puts bytes that look like objects into pages that have nothing to do with them, some of them not mapped at all.
pub fn look_alikes(world: &mut World) {
    // Text and code with the word at multiples of 16, mapped.
    let page = world.take(false, 0xF00, *b"Text").start;
    for index in 0..0xE0 {
        world.memory.write(page + index * 16, b"Callback Call me");
    }
    // A whole copy of an object's page, as a file cache or another machine's memory holds it, not mapped.
    let body = world.named("PowerState").body;
    let copy = world.memory.read(body & !(PAGE - 1), PAGE as usize);
    let frame = world.memory.take(1);
    world.memory.write_physical(frame, &copy);
    // A body without a header, with links to kernel addresses.
    let lonely = world.take(false, 0x200, *b"Look").start + 0x80;
    world.memory.write(lonely, b"Call");
    for offset in [0x10, 0x18, 0x28, 0x30] {
        world.memory.put64(lonely + offset, lonely + 0x10);
    }
}

/// Registers a routine in a page of its own, which is then left out of the image. Returns the object's body.
pub fn torn_registration(world: &mut World) -> u64 {
    let body = world.named("VendorEvents").body;
    world.leave_room(0);
    let routine = world.module("vendor.sys").at(0x1700);
    let registration = world.register(body, routine, 0);
    world.leave_room(0);
    let last = world.module("vendor.sys").at(0x1800);
    world.register(body, last, 0);
    let physical = world.memory.translate(registration).expect("mapped");
    world.memory.forget(physical);
    body
}

/// Puts a registration's pool header at the very end of a page, and its body into the next one, which is left out of the
/// image. Returns the header's address.
pub fn headless_registration(world: &mut World) -> u64 {
    world.leave_room(0);
    let page = world.take(false, PAGE - 0x20, *b"Fill").header;
    let header = page + PAGE - 0x10;
    world.memory.put8(header + 2, 4);
    world.memory.put8(header + 3, 2);
    world.memory.write(header + 4, b"CBRe");
    let next = world.take(false, 0x100, *b"Next").header;
    assert_eq!(next, page + PAGE);
    let physical = world.memory.translate(next).expect("mapped");
    world.memory.forget(physical);
    header
}

/// Gives an object a ring of `count` registrations that overlap each other. Returns its body.
pub fn endless_ring(world: &mut World, count: u64) -> u64 {
    let body = world.named("VendorEvents").body;
    let head = body + 0x10;
    let start = world.take(false, count * 0x10 + 0x40, *b"Ring").start;
    let node = |index: u64| if index == 0 || index > count { head } else { start + (index - 1) * 0x10 };
    let mut bytes = Vec::with_capacity(count as usize * 16);
    for index in 1..=count {
        bytes.extend(node(index + 1).to_le_bytes());
        bytes.extend(node(index - 1).to_le_bytes());
    }
    world.memory.write(start, &bytes);
    world.memory.put64(head, node(1));
    world.memory.put64(head + 8, node(count));
    body
}

/// Puts a chain of `depth` directories into the root, each in the one before.
pub fn deep_directories(world: &mut World, depth: u64) {
    let mut above = world.root;
    for level in 0..depth {
        let name = format!("Level{level}");
        let directory = world.directory(&name);
        world.insert(&above, &directory, &name);
        above = directory;
    }
}
