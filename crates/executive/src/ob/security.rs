//! The descriptors of objects.
//!
//! Windows keeps equal descriptors once, in a cache with counts (`ObLogSecurityDescriptor`). Here objects share one if their creators brought
//! none and the same token gave them the same default for the same type, which is nearly all objects; a descriptor that a creator brought is
//! the object's own. The counts are host memory, so there is no `SECURITY_DESCRIPTOR_HEADER` before a shared one.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

use nt::{
    BugCheck, KernelMode, MAXIMUM_ALLOWED, NTSTATUS, OBJECT_HEADER, STATUS_ACCESS_DENIED,
    STATUS_INSUFFICIENT_RESOURCES, tag, type_flags,
};

use super::globals::Globals;
use super::header::Header;
use crate::executive::Executive;
use crate::mm::HostCell;
use crate::platform::{Bugcheck, Platform};
use crate::raw::field;
use crate::se::{Descriptor, Token, read_descriptor};

/// `SecurityDescriptor` of a header counts references in its low four bits on x64.
const FAST_REFERENCE: usize = 0xF;

/// Most descriptors that are shared; others are their objects' own.
const MOST_SHARED: usize = 16;

/// What a default descriptor follows from.
struct Origin {
    token: Arc<Token>,
    type_index: u8,
}

/// A descriptor in pool, and how many objects have it.
struct SharedDescriptor {
    origin: Origin,
    address: usize,
    objects: usize,
}

/// Descriptors that several objects have, or may come to have.
#[derive(Default)]
pub(crate) struct SharedDescriptors {
    all: Vec<SharedDescriptor>,
}

impl SharedDescriptors {
    /// Returns the descriptor of an origin for one more object.
    fn share(&mut self, origin: &Origin) -> Option<usize> {
        let shared = self.all.iter_mut().find(|shared| {
            shared.origin.type_index == origin.type_index && Arc::ptr_eq(&shared.origin.token, &origin.token)
        })?;
        shared.objects += 1;
        Some(shared.address)
    }

    /// Lets others share a new descriptor, which one object has.
    fn add(&mut self, origin: Origin, address: usize) {
        if self.all.len() < MOST_SHARED {
            self.all.push(SharedDescriptor { origin, address, objects: 1 });
        }
    }

    /// Takes a descriptor from one object. Tells whether no other has it.
    fn is_last(&mut self, address: usize) -> bool {
        let Some(at) = self.all.iter().position(|shared| shared.address == address) else { return true };
        let shared = &mut self.all[at];
        shared.objects -= 1;
        let last = shared.objects == 0;
        if last {
            self.all.swap_remove(at);
        }
        last
    }
}

impl<P: Platform> Executive<P> {
    fn descriptor_pointer(&self, header: Header) -> *mut c_void {
        let value = field!(header.live(), OBJECT_HEADER, SecurityDescriptor).get();
        ptr::with_exposed_provenance_mut(value & !FAST_REFERENCE)
    }

    /// Gives a new object its descriptor, where it needs one: it has a name, its type insists, or the creator brought one.
    pub(super) fn assign_descriptor(
        &self,
        header: Header,
        explicit: Option<&Descriptor>,
    ) -> Result<(), NTSTATUS> {
        let object_type = self.type_of(header);
        let required = object_type.has_flag(type_flags::SECURITY_REQUIRED);
        if header.name_info().is_none() && !required && explicit.is_none() {
            return Ok(());
        }
        let token = self.current_token();
        let pointer = field!(header.live(), OBJECT_HEADER, SecurityDescriptor);
        let origin =
            explicit.is_none().then(|| Origin { token: Arc::clone(&token), type_index: object_type.index() });
        if let Some(origin) = &origin
            && let Some(address) = self.shared_descriptors().with(|shared| shared.share(origin))
        {
            pointer.set(address);
            return Ok(());
        }
        let descriptor = Descriptor::assign(explicit, &token, &object_type.mapping());
        let block = self.descriptor_to_pool(&descriptor, tag::SECURITY_DESCRIPTOR);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let address = block.expose_provenance();
        if let Some(origin) = origin {
            self.shared_descriptors().with(|shared| shared.add(origin, address));
        }
        pointer.set(address);
        Ok(())
    }

    /// Returns the descriptors that objects share.
    fn shared_descriptors(&self) -> &HostCell<SharedDescriptors> {
        let cell = field!(self.ob(), Globals, descriptors);
        // SAFETY: the globals live as long as the executive, and everything in the cell is behind `UnsafeCell` or atomic.
        unsafe { &*cell.ptr() }
    }

    /// Gives the host memory of the table back.
    pub(super) fn dispose_shared_descriptors(&self) {
        self.shared_descriptors().dispose();
    }

    pub(super) fn free_descriptor(&self, header: Header) {
        let block = self.descriptor_pointer(header);
        if !block.is_null() {
            field!(header.live(), OBJECT_HEADER, SecurityDescriptor).set(0);
            if self.shared_descriptors().with(|shared| shared.is_last(block.addr())) {
                // SAFETY: the object was the last that had it, and has forgotten it.
                unsafe { self.ExFreePoolWithTag(block, tag::SECURITY_DESCRIPTOR) };
            }
        }
    }

    pub(super) fn descriptor_of(&self, header: Header) -> Option<Descriptor> {
        let block = self.descriptor_pointer(header);
        // SAFETY: an object's descriptor is a self-relative one in pool that lives as long as the object.
        (!block.is_null()).then(|| unsafe { read_descriptor(block) }).and_then(Result::ok)
    }

    /// Decides what access to grant to an object.
    ///
    /// Kernel mode gets what it asks for. In user mode a named object without descriptor is bugcheck 0x189
    /// `BAD_OBJECT_HEADER`: every named object has one, so this one was forged or overwritten.
    pub(super) fn check_access(&self, header: Header, desired: u32, mode: u8) -> Result<u32, NTSTATUS> {
        let object_type = self.type_of(header);
        let mapping = object_type.mapping();
        if mode == KernelMode {
            let everything = if desired & MAXIMUM_ALLOWED != 0 { object_type.valid_access() } else { 0 };
            return Ok(mapping.map(desired & !MAXIMUM_ALLOWED) | everything);
        }
        match self.descriptor_of(header) {
            Some(descriptor) => self.current_token().access_check(&descriptor, desired, &mapping),
            None if header.name_info().is_some() => self.bugcheck(Bugcheck {
                code: BugCheck::BAD_OBJECT_HEADER,
                parameters: [header.live().addr() as u64, object_type.ptr().addr() as u64, 0, 0],
                reason: "a named object has no security descriptor".into(),
            }),
            None if desired == 0 => Err(STATUS_ACCESS_DENIED),
            None => Ok(mapping.map(desired & !MAXIMUM_ALLOWED)),
        }
    }

    /// Returns the security descriptor of an object as a value; `None` where it has none.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which the caller has a reference.
    pub unsafe fn object_descriptor(&self, object: *mut c_void) -> Option<Descriptor> {
        // SAFETY: the caller's promise.
        self.descriptor_of(unsafe { Header::of(object) })
    }

    /// Returns the address of an object's security descriptor, null where it has none. It lives as long as the object, so there is
    /// nothing for `ObReleaseObjectSecurity` to do.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which the caller has a reference.
    pub unsafe fn ObGetObjectSecurity(&self, object: *mut c_void) -> *mut c_void {
        // SAFETY: the caller's promise.
        self.descriptor_pointer(unsafe { Header::of(object) })
    }
}
