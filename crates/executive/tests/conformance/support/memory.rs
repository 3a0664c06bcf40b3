//! Raw views: what a debugger would read.

use std::ffi::c_void;
use std::ptr::without_provenance_mut;

use nt::{LIST_ENTRY, OBJECT_HEADER, OBJECT_HEADER_NAME_INFO, OBJECT_TYPE, UNICODE_STRING};

use super::{Nt, Object, Registered};

/// Reads NT's memory.
pub(crate) fn read<T: Copy>(at: *const T) -> T {
    // SAFETY: tests pass addresses inside structures of their own live executive, or inside freed blocks that
    // `Solo` keeps.
    unsafe { at.read_volatile() }
}

/// Writes NT's memory, as a debugger would.
pub(crate) fn write<T: Copy>(at: *mut T, value: T) {
    // SAFETY: as for `read`.
    unsafe { at.write_volatile(value) }
}

/// Reads a value at a byte offset.
pub(crate) fn at<T: Copy>(base: *const c_void, offset: usize) -> T {
    read(base.wrapping_byte_add(offset).cast())
}

pub(crate) fn pointer(address: usize) -> *mut c_void {
    without_provenance_mut(address)
}

/// Open handles in all tables, as the types count them.
pub(crate) fn handles(nt: &Nt) -> u32 {
    ["Type", "Directory", "SymbolicLink", "Callback", "Event"]
        .iter()
        .filter_map(|name| nt.object_type(name))
        .map(|object_type| {
            at::<u32>(object_type.as_ptr().cast(), core::mem::offset_of!(OBJECT_TYPE, TotalNumberOfHandles))
        })
        .sum()
}

pub(crate) fn header(object: *const c_void) -> OBJECT_HEADER {
    read(object.wrapping_byte_sub(0x30).cast())
}

/// References and handles.
pub(crate) fn counts(object: Object) -> (i64, i64) {
    let header = header(object.cast());
    (header.PointerCount, header.HandleCount)
}

/// The name header, found by the mask and sizes of the optional headers.
pub(crate) fn name_info(object: *const c_void) -> Option<OBJECT_HEADER_NAME_INFO> {
    let mask = header(object).InfoMask;
    if mask & 2 == 0 {
        return None;
    }
    let distance = if mask & 1 == 0 { 0x20 } else { 0x40 };
    Some(read(object.wrapping_byte_sub(0x30 + distance).cast()))
}

/// The stored name.
pub(crate) fn stored_name(object: *const c_void) -> Option<String> {
    let name = name_info(object)?.Name;
    let units: Vec<u16> =
        (0..usize::from(name.Length / 2)).map(|index| read(name.Buffer.wrapping_add(index))).collect();
    Some(String::from_utf16(&units).expect("UTF-16"))
}

/// Walks a list in both directions and returns its nodes.
pub(crate) fn nodes(head: *mut LIST_ENTRY) -> Vec<*mut LIST_ENTRY> {
    let mut nodes = Vec::new();
    let mut node = head;
    loop {
        let next = read(node).Flink;
        assert_eq!(read(next).Blink, node, "the links agree");
        if next == head {
            return nodes;
        }
        nodes.push(next);
        node = next;
        assert!(nodes.len() < 10_000, "a list without end");
    }
}

/// Objects on `ExpCallbackListHead`.
pub(crate) fn listed(nt: &Nt) -> Vec<Object> {
    let head = nt.ExpCallbackListHead().expect("this version has the list");
    nodes(head).into_iter().map(|node| node.wrapping_byte_sub(0x28).cast()).collect()
}

/// Registrations of an object, by its list.
pub(crate) fn registrations(object: Object) -> Vec<Registered> {
    nodes(object.wrapping_byte_add(0x10).cast()).into_iter().map(<*mut LIST_ENTRY>::cast).collect()
}

pub(crate) fn lock_of(object: Object) -> usize {
    at(object.cast(), 8)
}

/// Calls of a registration's routine under way: `Busy` itself under NT's protocol, the accessor under *Swift*.
pub(crate) fn calls(nt: &Nt, registration: Registered) -> u32 {
    // SAFETY: tests pass live registrations.
    let calls = unsafe { nt.in_flight(registration) };
    if crate::PROTOCOL == ringbell_executive::Protocol::Reference {
        assert_eq!(busy(registration), calls);
    }
    calls
}

pub(crate) fn busy(registration: Registered) -> u32 {
    at(registration.cast(), 0x28)
}

/// One name in a directory.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) object: *mut c_void,
    pub(crate) bucket: usize,
    pub(crate) hash: u32,
    /// Position in its chain.
    pub(crate) depth: usize,
}

/// Reads a directory from its 37 buckets.
pub(crate) fn entries(directory: *const c_void) -> Vec<Entry> {
    let mut entries = Vec::new();
    for bucket in 0..37 {
        let mut link: *const c_void = at(directory, bucket * 8);
        let mut depth = 0;
        while !link.is_null() {
            let object: *mut c_void = at(link, 8);
            let name = stored_name(object).expect("a name");
            assert_eq!(name_info(object).expect("a name").Directory.cast(), directory.cast_mut(), "{name}");
            entries.push(Entry { name, object, bucket, hash: at(link, 0x10), depth });
            link = at(link, 0);
            depth += 1;
        }
    }
    entries
}

/// The root directory.
pub(crate) fn root(nt: &Nt) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(nt.facts_at("\\").expect("the root").body)
}

/// Finds an object by its path in memory, with regard to case.
pub(crate) fn find(nt: &Nt, path: &str) -> Option<*mut c_void> {
    let mut here = root(nt);
    for part in path.split('\\').filter(|part| !part.is_empty()) {
        here = entries(here).into_iter().find(|entry| entry.name == part)?.object;
    }
    Some(here)
}

/// Names in `\Callback`, sorted.
pub(crate) fn callback_names(nt: &Nt) -> Vec<String> {
    let directory = find(nt, "\\Callback").expect("the directory");
    let mut names: Vec<String> = entries(directory).into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

/// Name of an object's type.
pub(crate) fn type_name(nt: &Nt, object: *mut c_void) -> String {
    // SAFETY: tests pass live objects.
    let object_type = unsafe { nt.ObGetObjectType(object) };
    let name: UNICODE_STRING = at(object_type.cast(), 0x10);
    let units: Vec<u16> =
        (0..usize::from(name.Length / 2)).map(|index| read(name.Buffer.wrapping_add(index))).collect();
    String::from_utf16(&units).expect("UTF-16")
}
