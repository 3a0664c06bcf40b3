//! Rules of the object manager, on [`Solo`].

mod access;
mod edges;
mod guards;
mod handles;
mod index;
mod lifetimes;
mod lookups;
mod memory;
mod objects;
mod threads;
mod types;

use core::ffi::c_void;
use core::ptr;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::vec::Vec;

use nt::{
    GENERIC_MAPPING, HANDLE, KernelMode, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, OBJECT_TYPE,
    Profile, STATUS_SUCCESS, UNICODE_STRING,
};

use super::{ObjectFacts, Procedures};
use crate::Executive;
use crate::solo::{Outcome, Solo};

/// A named type like any other: nonpaged, no special flags.
const MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x2_0001,
    GenericWrite: 0x2_0002,
    GenericExecute: 0x12_0000,
    GenericAll: 0x1F_0003,
};

struct World {
    executive: Executive<Solo>,
    bell: *mut OBJECT_TYPE,
}

/// Object attributes with the buffers behind them.
struct Attributes {
    _units: Vec<u16>,
    _name: Box<UNICODE_STRING>,
    all: OBJECT_ATTRIBUTES,
}

impl Attributes {
    fn named(path: &str, bits: u32) -> Self {
        let mut units: Vec<u16> = path.encode_utf16().collect();
        let length = (units.len() * 2) as u16;
        let mut name =
            Box::new(UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_mut_ptr() });
        let all = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: ptr::null_mut(),
            ObjectName: &raw mut *name,
            Attributes: bits,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        Self { _units: units, _name: name, all }
    }

    fn unnamed(bits: u32) -> Self {
        let mut new = Self::named("", bits);
        new.all.ObjectName = ptr::null_mut();
        new
    }

    fn below(root: HANDLE, path: &str, bits: u32) -> Self {
        let mut new = Self::named(path, bits);
        new.all.RootDirectory = root;
        new
    }
}

impl World {
    fn new() -> Self {
        Self::on(Profile::DEFAULT)
    }

    fn on(profile: &'static Profile) -> Self {
        let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
        let executive = Executive::phase0(solo, profile).expect("the object manager comes up");
        let mut initializer = executive.type_initializer();
        initializer.InvalidAttributes = nt::OBJ_OPENLINK;
        initializer.GenericMapping = MAPPING;
        initializer.ValidAccessMask = 0x1F_0003;
        initializer.PoolType = executive.nonpaged_pool_type();
        let procedures = Procedures { reported: true, ..Procedures::NONE };
        let bell = executive.ObCreateObjectType("Bell", &initializer, procedures).expect("a type").as_ptr();
        Self { executive, bell }
    }

    fn create(&self, attributes: &Attributes) -> Result<*mut c_void, NTSTATUS> {
        self.create_as(attributes, KernelMode)
    }

    fn create_as(&self, attributes: &Attributes, mode: u8) -> Result<*mut c_void, NTSTATUS> {
        let mut object = ptr::null_mut();
        // SAFETY: the attributes own what they point to, and the rest is local.
        let status = unsafe {
            self.executive.ObCreateObject(
                mode,
                self.bell,
                &raw const attributes.all,
                KernelMode,
                ptr::null_mut(),
                0x38,
                0,
                0,
                &raw mut object,
            )
        };
        if status == STATUS_SUCCESS { Ok(object) } else { Err(status) }
    }

    /// Inserts an object with a handle and returns the handle with the status.
    fn insert(&self, object: *mut c_void) -> (NTSTATUS, HANDLE) {
        let mut handle = ptr::null_mut();
        // SAFETY: the tests insert what they created.
        let status = unsafe { self.executive.ObInsertObject(object, 1, 0, ptr::null_mut(), &raw mut handle) };
        (status, handle)
    }

    /// Creates and inserts an object with a handle.
    fn make(&self, attributes: &Attributes) -> Result<HANDLE, NTSTATUS> {
        let object = self.create(attributes)?;
        let (status, handle) = self.insert(object);
        if status.is_success() { Ok(handle) } else { Err(status) }
    }

    /// Creates, references and closes, as `ExCreateCallback` does.
    fn make_object(&self, path: &str, bits: u32) -> *mut c_void {
        let handle = self.make(&Attributes::named(path, bits | OBJ_KERNEL_HANDLE)).expect("created");
        let object = self.by_handle(handle).expect("referenced");
        assert_eq!(self.executive.ZwClose(handle), STATUS_SUCCESS);
        object
    }

    fn by_handle(&self, handle: HANDLE) -> Result<*mut c_void, NTSTATUS> {
        let mut object = ptr::null_mut();
        // SAFETY: locals.
        let status = unsafe {
            self.executive.ObReferenceObjectByHandle(
                handle,
                0,
                self.bell,
                KernelMode,
                &raw mut object,
                ptr::null_mut(),
            )
        };
        if status == STATUS_SUCCESS { Ok(object) } else { Err(status) }
    }

    fn open(&self, attributes: &Attributes) -> Result<HANDLE, NTSTATUS> {
        self.open_type(attributes, self.bell, KernelMode, 0)
    }

    fn open_type(
        &self,
        attributes: &Attributes,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        access: u32,
    ) -> Result<HANDLE, NTSTATUS> {
        let mut handle = ptr::null_mut();
        // SAFETY: the attributes own what they point to, and the rest is local.
        let status = unsafe {
            self.executive.ObOpenObjectByName(
                &raw const attributes.all,
                object_type,
                mode,
                access,
                ptr::null_mut(),
                &raw mut handle,
            )
        };
        if status == STATUS_SUCCESS { Ok(handle) } else { Err(status) }
    }

    /// Opens without attributes and closes again.
    fn try_open(&self, path: &str, bits: u32) -> NTSTATUS {
        match self.open(&Attributes::named(path, bits)) {
            Ok(handle) => self.executive.ZwClose(handle),
            Err(status) => status,
        }
    }

    /// Creates and closes again.
    fn try_create(&self, path: &str, bits: u32) -> NTSTATUS {
        match self.make(&Attributes::named(path, bits)) {
            Ok(handle) => self.executive.ZwClose(handle),
            Err(status) => status,
        }
    }

    fn facts(&self, object: *mut c_void) -> ObjectFacts {
        // SAFETY: the tests hold a reference on what they look at.
        unsafe { self.executive.object_facts(object) }
    }

    fn dereference(&self, object: *mut c_void) -> i64 {
        // SAFETY: the tests give references they have.
        unsafe { self.executive.ObfDereferenceObject(object) }
    }
}

/// Runs what must end the world and returns how.
fn ending(f: impl FnOnce()) -> Outcome {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("the world must end");
    *payload.downcast::<Outcome>().expect("an outcome")
}

/// Returns every version there is.
fn all_profiles() -> impl Iterator<Item = &'static Profile> {
    Profile::ALL.iter().copied()
}
