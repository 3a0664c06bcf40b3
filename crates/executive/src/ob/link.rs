//! Symbolic links.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

use nt::{
    KernelMode, NTSTATUS, OBJECT_ATTRIBUTES, OBJECT_SYMBOLIC_LINK, PagedPool, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_OBJECT_NAME_INVALID, UNICODE_STRING, pool_tag,
};

use super::header::Header;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Tag of a link's target.
const LINK_TARGET: u32 = pool_tag(b"Symt");
const BACKSLASH: u16 = b'\\' as u16;

fn link(header: Header) -> Live<OBJECT_SYMBOLIC_LINK> {
    // SAFETY: callers have seen that the object is a link, and keep it alive.
    unsafe { Live::new(header.body().cast()) }
}

impl<P: Platform> Executive<P> {
    /// Creates a link that is not inserted yet, for the kernel.
    pub(super) fn new_symbolic_link(
        &self,
        attributes: &OBJECT_ATTRIBUTES,
        target: &[u16],
    ) -> Result<Header, NTSTATUS> {
        // SAFETY: a reference is readable, and the executive fills in what it points to.
        unsafe { self.create_link_body(attributes, target, KernelMode) }
    }

    /// Creates a link that is not inserted yet.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to.
    pub(super) unsafe fn create_link_body(
        &self,
        attributes: *const OBJECT_ATTRIBUTES,
        target: &[u16],
        mode: u8,
    ) -> Result<Header, NTSTATUS> {
        let size = size_of::<OBJECT_SYMBOLIC_LINK>();
        // SAFETY: the caller's promise.
        let header = unsafe {
            self.create_object(mode, self.ObpSymbolicLinkObjectType(), attributes, mode, size, [0, 0])
        }?;
        let bytes = size_of_val(target);
        link(header).set(OBJECT_SYMBOLIC_LINK {
            CreationTime: self.platform().now(),
            LinkTarget: UNICODE_STRING::EMPTY,
            DosDeviceDriveIndex: 0,
            Flags: 0,
            AccessMask: 0,
        });
        let Ok(length) = u16::try_from(bytes) else {
            self.dereference(header);
            return Err(STATUS_OBJECT_NAME_INVALID);
        };
        let buffer: *mut u16 = self.ExAllocatePoolWithTag(PagedPool, bytes, LINK_TARGET).cast();
        if buffer.is_null() {
            self.dereference(header);
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the block is new, ours alone and as long as the target.
        unsafe { ptr::copy_nonoverlapping(target.as_ptr(), buffer, target.len()) };
        let text = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: buffer };
        field!(link(header), OBJECT_SYMBOLIC_LINK, LinkTarget).set(text);
        Ok(header)
    }

    /// Returns what a link leads to.
    pub(super) fn symbolic_link_target(&self, header: Header) -> Vec<u16> {
        let target = field!(link(header), OBJECT_SYMBOLIC_LINK, LinkTarget).get();
        // SAFETY: the buffer is the link's own and never changes.
        unsafe { super::capture::copy_units(target.Buffer, target.Length) }
    }

    /// Returns the name with which a lookup goes on at a link: its target, then what was left of the name.
    pub(super) fn link_target(&self, header: Header, remaining: &[u16]) -> Result<Vec<u16>, NTSTATUS> {
        let mut name = self.symbolic_link_target(header);
        if name.last() == Some(&BACKSLASH) && remaining.first() == Some(&BACKSLASH) {
            name.pop();
        }
        name.extend_from_slice(remaining);
        if size_of_val(&*name) >= usize::from(u16::MAX) {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        // The new name lives in pool while it is in use, as on Windows; what matters here is that there is none left.
        let held = self.name_to_pool(&name)?;
        if let Some(held) = &held {
            self.free_name(held);
        }
        Ok(name)
    }

    /// Delete procedure of links.
    ///
    /// # Safety
    ///
    /// `body` is that of a link without references.
    pub(super) unsafe fn delete_symbolic_link(&self, body: *mut c_void) {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(body) };
        let slot = field!(link(header), OBJECT_SYMBOLIC_LINK, LinkTarget);
        let buffer = slot.get().Buffer;
        if !buffer.is_null() {
            slot.set(UNICODE_STRING::EMPTY);
            // SAFETY: the link owned it and has forgotten it.
            unsafe { self.ExFreePoolWithTag(buffer.cast(), LINK_TARGET) };
        }
    }
}
