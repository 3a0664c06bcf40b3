//! What the creator of an object asked for, kept until the object is inserted.

use core::ffi::c_void;
use core::ptr;

use nt::{
    HANDLE, NTSTATUS, NonPagedPool, OBJECT_HEADER, Pod, SECURITY_QUALITY_OF_SERVICE,
    STATUS_INSUFFICIENT_RESOURCES, flags, pool_tag, tag,
};

use super::capture::Captured;
use super::header::Header;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};
use crate::se::{Descriptor, read_descriptor};

/// Tag of a captured security descriptor.
const CAPTURED_DESCRIPTOR: u32 = pool_tag(b"SeSc");

/// `OBJECT_CREATE_INFORMATION` of the public symbols, x64.
#[repr(C)]
#[derive(Clone, Copy)]
struct OBJECT_CREATE_INFORMATION {
    attributes: u32,
    root_directory: HANDLE,
    probe_mode: u8,
    paged_pool_charge: u32,
    nonpaged_pool_charge: u32,
    security_descriptor_charge: u32,
    security_descriptor: *mut c_void,
    security_qos: *mut c_void,
    security_quality_of_service: SECURITY_QUALITY_OF_SERVICE,
}

const _: () = assert!(size_of::<OBJECT_CREATE_INFORMATION>() == 0x40);

// SAFETY: integers, raw pointers and another plain structure.
unsafe impl Pod for OBJECT_CREATE_INFORMATION {}

/// What the creator asked for, taken out of the object.
pub(super) struct CreateInfo {
    pub(super) attributes: u32,
    pub(super) root: HANDLE,
    pub(super) probe_mode: u8,
    pub(super) descriptor: Option<Descriptor>,
}

impl<P: Platform> Executive<P> {
    /// Gives an object the information its insertion will need.
    pub(super) fn set_create_info(
        &self,
        header: Header,
        captured: &Captured,
        probe_mode: u8,
        charges: [u32; 2],
    ) -> Result<(), NTSTATUS> {
        let size = size_of::<OBJECT_CREATE_INFORMATION>();
        let block = self.ExAllocatePoolWithTag(NonPagedPool, size, tag::OBJECT_CREATE_INFO);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut security_descriptor = ptr::null_mut();
        if let Some(descriptor) = &captured.descriptor {
            security_descriptor = self.descriptor_to_pool(descriptor, CAPTURED_DESCRIPTOR);
            if security_descriptor.is_null() {
                // SAFETY: allocated above, and nobody knows it.
                unsafe { self.ExFreePoolWithTag(block, tag::OBJECT_CREATE_INFO) };
                return Err(STATUS_INSUFFICIENT_RESOURCES);
            }
        }
        // SAFETY: the block is new and that large.
        let info: Live<OBJECT_CREATE_INFORMATION> = unsafe { Live::new(block.cast()) };
        let [paged_pool_charge, nonpaged_pool_charge] = charges;
        let none = SECURITY_QUALITY_OF_SERVICE {
            Length: 0,
            ImpersonationLevel: 0,
            ContextTrackingMode: 0,
            EffectiveOnly: 0,
        };
        info.set(OBJECT_CREATE_INFORMATION {
            attributes: captured.attributes,
            root_directory: captured.root,
            probe_mode,
            paged_pool_charge,
            nonpaged_pool_charge,
            security_descriptor_charge: 0,
            security_descriptor,
            security_qos: ptr::null_mut(),
            security_quality_of_service: captured.quality.unwrap_or(none),
        });
        if captured.quality.is_some() {
            let quality = field!(info, OBJECT_CREATE_INFORMATION, security_quality_of_service).ptr();
            field!(info, OBJECT_CREATE_INFORMATION, security_qos).set(quality.cast());
        }
        field!(header.live(), OBJECT_HEADER, ObjectCreateInfo).set(block);
        header.set_flags(0, flags::NEW_OBJECT);
        Ok(())
    }

    /// Takes the create information out of an object and frees its blocks.
    pub(super) fn take_create_info(&self, header: Header) -> Option<CreateInfo> {
        if header.flags() & flags::NEW_OBJECT == 0 {
            return None;
        }
        let pointer = field!(header.live(), OBJECT_HEADER, ObjectCreateInfo);
        let block = pointer.get();
        // SAFETY: while the flag is set, the pointer leads to the object's create information.
        let info: Live<OBJECT_CREATE_INFORMATION> = unsafe { Live::new(block.cast()) };
        let all = info.get();
        let descriptor = (!all.security_descriptor.is_null()).then(|| {
            // SAFETY: a self-relative descriptor that this module copied there.
            unsafe { read_descriptor(all.security_descriptor) }
        });
        if !all.security_descriptor.is_null() {
            // SAFETY: nobody else has it.
            unsafe { self.ExFreePoolWithTag(all.security_descriptor, CAPTURED_DESCRIPTOR) };
        }
        pointer.set(ptr::null_mut());
        header.set_flags(flags::NEW_OBJECT, 0);
        // SAFETY: the object has forgotten it.
        unsafe { self.ExFreePoolWithTag(block, tag::OBJECT_CREATE_INFO) };
        Some(CreateInfo {
            attributes: all.attributes,
            root: all.root_directory,
            probe_mode: all.probe_mode,
            descriptor: descriptor.and_then(Result::ok),
        })
    }
}
