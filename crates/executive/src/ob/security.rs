//! The descriptors of objects.

use core::ffi::c_void;
use core::ptr;

use nt::{
    BugCheck, KernelMode, MAXIMUM_ALLOWED, NTSTATUS, OBJECT_HEADER, STATUS_ACCESS_DENIED,
    STATUS_INSUFFICIENT_RESOURCES, tag, type_flags,
};

use super::header::Header;
use crate::executive::Executive;
use crate::platform::{Bugcheck, Platform};
use crate::raw::field;
use crate::se::{Descriptor, read_descriptor};

/// `SecurityDescriptor` of a header counts references in its low four bits on x64.
const FAST_REFERENCE: usize = 0xF;

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
        let descriptor = Descriptor::assign(explicit, &self.current_token(), &object_type.mapping());
        let block = self.descriptor_to_pool(&descriptor, tag::SECURITY_DESCRIPTOR);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        field!(header.live(), OBJECT_HEADER, SecurityDescriptor).set(block.expose_provenance());
        Ok(())
    }

    pub(super) fn free_descriptor(&self, header: Header) {
        let block = self.descriptor_pointer(header);
        if !block.is_null() {
            field!(header.live(), OBJECT_HEADER, SecurityDescriptor).set(0);
            // SAFETY: the object owned it and has forgotten it.
            unsafe { self.ExFreePoolWithTag(block, tag::SECURITY_DESCRIPTOR) };
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
