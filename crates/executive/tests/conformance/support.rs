//! A booted executive, calls that check what every call must keep, and raw views of NT's structures.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null_mut, without_provenance_mut};

use nt::{
    CALLBACK_OBJECT, CALLBACK_REGISTRATION, HANDLE, LIST_ENTRY, OBJECT_ATTRIBUTES, OBJECT_HEADER,
    OBJECT_HEADER_NAME_INFO, OBJECT_TYPE, Profile, UNICODE_STRING,
};
use ringbell_executive::ob::ProcessKind;
use ringbell_executive::se::{Sid, Token};
use ringbell_executive::solo::{Outcome, Solo};
use ringbell_executive::{Executive, Routine};

pub(crate) type Nt = Executive<Solo>;
pub(crate) type Object = *mut CALLBACK_OBJECT;
pub(crate) type Registered = *mut CALLBACK_REGISTRATION;

/// CASE_INSENSITIVE and PERMANENT.
pub(crate) const KEPT: u32 = 0x50;

/// Every version.
pub(crate) fn all() -> impl Iterator<Item = &'static Profile> {
    Profile::ALL.iter().copied()
}

/// Versions with the list of all objects: Windows 8.1 and later.
pub(crate) fn modern() -> impl Iterator<Item = &'static Profile> {
    all().filter(|profile| profile.has_global_list.value)
}

/// Versions that hold the lock across a notify at DISPATCH_LEVEL.
pub(crate) fn holding() -> impl Iterator<Item = &'static Profile> {
    all().filter(|profile| profile.name != "ros")
}

pub(crate) fn solo() -> Solo {
    Solo::with_end(|outcome| resume_unwind(Box::new(outcome)))
}

pub(crate) fn boot(profile: &'static Profile) -> Nt {
    boot_on(solo(), profile)
}

fn boot_on(solo: Solo, profile: &'static Profile) -> Nt {
    let nt = Executive::boot(solo, profile).unwrap_or_else(|error| panic!("{}: {error}", profile.name));
    let user = Token::user(&Sid::users());
    nt.register_process(nt.platform().user_process(), ProcessKind::Ordinary, 0x1000, user);
    nt
}

/// Boots while somebody listens.
pub(crate) fn boot_listening(profile: &'static Profile) -> Nt {
    let solo = solo();
    solo.listen();
    boot_on(solo, profile)
}

/// Runs to the end of the world and returns it.
pub(crate) fn end_of(action: impl FnOnce()) -> Outcome {
    match try_end(action) {
        Ok(()) => panic!("the world went on"),
        Err(outcome) => outcome,
    }
}

/// Runs, possibly to the end of the world.
pub(crate) fn try_end<R>(action: impl FnOnce() -> R) -> Result<R, Outcome> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|payload: Box<dyn Any + Send>| {
        match payload.downcast::<Outcome>() {
            Ok(outcome) => *outcome,
            Err(other) => resume_unwind(other),
        }
    })
}

/// Code and parameters of the bugcheck that `action` ends in.
pub(crate) fn bugcheck_of(action: impl FnOnce()) -> (u32, [u64; 4]) {
    match end_of(action) {
        Outcome::Bugcheck(check) => (check.code.0, check.parameters),
        other @ Outcome::Deadlock(_) => panic!("{other}"),
    }
}

pub(crate) fn assert_deadlock(action: impl FnOnce()) {
    let outcome = end_of(action);
    assert!(matches!(outcome, Outcome::Deadlock(_)), "{outcome}");
}

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

/// A call of `ExCreateCallback`.
#[derive(Clone)]
pub(crate) struct Ask {
    name: Option<Vec<u16>>,
    name_bytes: Option<u16>,
    attributes: u32,
    create: u8,
    multiple: u8,
    root: HANDLE,
    length: u32,
    quality: Option<[u8; 12]>,
}

/// Asks for a name, to create it where it is missing.
pub(crate) fn ask(name: &str, attributes: u32) -> Ask {
    Ask { name: Some(name.encode_utf16().collect()), ..ask_unnamed(attributes) }
}

/// Asks for an object without name.
pub(crate) fn ask_unnamed(attributes: u32) -> Ask {
    Ask {
        name: None,
        name_bytes: None,
        attributes,
        create: 1,
        multiple: 1,
        root: null_mut(),
        length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        quality: None,
    }
}

impl Ask {
    /// Opens only.
    pub(crate) fn open(mut self) -> Self {
        self.create = 0;
        self
    }

    pub(crate) fn multiple(mut self, multiple: u8) -> Self {
        self.multiple = multiple;
        self
    }

    pub(crate) fn root(mut self, root: HANDLE) -> Self {
        self.root = root;
        self
    }

    /// Lies about the length of the attributes.
    pub(crate) fn length(mut self, length: u32) -> Self {
        self.length = length;
        self
    }

    /// Lies about the length of the name.
    pub(crate) fn name_bytes(mut self, bytes: u16) -> Self {
        self.name_bytes = Some(bytes);
        self
    }

    /// Adds a quality of service: level and tracking byte.
    pub(crate) fn quality(mut self, level: u32, tracking: u8) -> Self {
        let mut bytes = [0; 12];
        bytes[0] = 12;
        bytes[4..8].copy_from_slice(&level.to_le_bytes());
        bytes[8] = tracking;
        self.quality = Some(bytes);
        self
    }

    /// Calls, and checks what holds for every call: attributes and number of handles as before, output
    /// written on success only.
    pub(crate) fn result(&self, nt: &Nt) -> Result<Object, u32> {
        const UNTOUCHED: usize = 0xDEAD_BEE8;
        // Room for the longest name, so that a lie about the length stays inside.
        let mut units = self.name.clone().unwrap_or_default();
        let bytes = self.name_bytes.unwrap_or((units.len() * 2) as u16);
        units.resize(0x8000, u16::from(b'x'));
        let mut view = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
        let mut quality = self.quality.map(|bytes| {
            let mut words = [0u32; 3];
            for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes(chunk.try_into().expect("four bytes"));
            }
            words
        });
        let attributes = OBJECT_ATTRIBUTES {
            Length: self.length,
            RootDirectory: self.root,
            ObjectName: if self.name.is_some() { &raw mut view } else { null_mut() },
            Attributes: self.attributes,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: quality.as_mut().map_or(null_mut(), |words| words.as_mut_ptr().cast()),
        };
        let image = |attributes: &OBJECT_ATTRIBUTES| {
            let value = read(attributes);
            (
                value.Length,
                value.RootDirectory,
                value.ObjectName,
                value.Attributes,
                value.SecurityDescriptor,
                value.SecurityQualityOfService,
            )
        };
        let before = (image(&attributes), handles(nt), nt.KeGetCurrentIrql());
        let mut output: Object = without_provenance_mut(UNTOUCHED);
        // SAFETY: all of it lives across the call, and the name's buffer is longer than any length that is
        // given.
        let status = unsafe {
            nt.ExCreateCallback(&raw mut output, &raw const attributes, self.create, self.multiple)
        };
        assert_eq!(before, (image(&attributes), handles(nt), nt.KeGetCurrentIrql()), "what a call must keep");
        if status.is_success() {
            assert_eq!(status.0, 0, "success is exactly 0");
            Ok(output)
        } else {
            assert_eq!(output.addr(), UNTOUCHED, "the output of a failed call");
            Err(status.0)
        }
    }

    /// Calls and expects an object.
    pub(crate) fn object(&self, nt: &Nt) -> Object {
        match self.result(nt) {
            Ok(object) => object,
            Err(status) => panic!("{}: {status:08X}", nt.profile().name),
        }
    }

    /// Calls and expects a failure.
    pub(crate) fn status(&self, nt: &Nt) -> u32 {
        match self.result(nt) {
            Ok(object) => panic!("{}: {object:p}", nt.profile().name),
            Err(status) => status,
        }
    }
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

pub(crate) fn busy(registration: Registered) -> u32 {
    at(registration.cast(), 0x28)
}

/// Gives a reference back.
pub(crate) fn dereference(nt: &Nt, object: Object) {
    // SAFETY: tests give back references that they own.
    unsafe { nt.ObfDereferenceObject(object.cast()) };
}

pub(crate) fn reference(nt: &Nt, object: Object) {
    // SAFETY: tests pass live objects.
    unsafe { nt.ObfReferenceObject(object.cast()) };
}

pub(crate) fn make_temporary(nt: &Nt, object: Object) {
    // SAFETY: tests pass live objects.
    unsafe { nt.ObMakeTemporaryObject(object.cast()) };
}

/// Code of every listener of these tests: the context is the closure.
pub(crate) extern "win64-unwind" fn call_closure(
    context: *mut c_void,
    argument1: *mut c_void,
    argument2: *mut c_void,
) {
    // SAFETY: `listen` passes a leaked closure.
    let closure = unsafe { &*context.cast::<Box<dyn Fn(usize, usize)>>() };
    closure(argument1.addr(), argument2.addr());
}

/// A context for [`call_closure`]. The closure is leaked, and `'a` is the test's own promise to unregister or
/// stop ringing in time.
pub(crate) fn closure<'a>(action: impl Fn(usize, usize) + 'a) -> *mut c_void {
    let boxed: Box<dyn Fn(usize, usize) + 'a> = Box::new(action);
    Box::into_raw(Box::new(boxed)).cast()
}

/// Registers a routine, which may be refused.
pub(crate) fn register(nt: &Nt, object: Object, routine: usize, context: *mut c_void) -> Registered {
    // SAFETY: tests pass live objects, and routines that take what the tests ring with.
    unsafe { nt.ExRegisterCallback(object, Routine(routine), context) }
}

/// Registers a closure.
pub(crate) fn listen<'a>(nt: &'a Nt, object: Object, action: impl Fn(usize, usize) + 'a) -> Registered {
    let registration = register(nt, object, call_closure as *const () as usize, closure(action));
    assert!(!registration.is_null(), "the registration is not refused");
    registration
}

pub(crate) fn unregister(nt: &Nt, registration: Registered) {
    // SAFETY: tests pass registrations, or what must end the world.
    unsafe { nt.ExUnregisterCallback(registration) };
}

pub(crate) fn ring(nt: &Nt, object: Object, argument1: usize, argument2: usize) {
    // SAFETY: tests ring live objects, or null.
    unsafe { nt.ExNotifyCallback(object, pointer(argument1), pointer(argument2)) };
}

/// A log that closures write.
#[derive(Default)]
pub(crate) struct Log<T>(RefCell<Vec<T>>);

impl<T> Log<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(crate) fn push(&self, value: T) {
        self.0.borrow_mut().push(value);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
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
