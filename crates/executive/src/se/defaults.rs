//! The descriptors the kernel itself hands out.
//!
//! `SePublicDefaultSd` is in absolute form, its access list in paged pool under `SeAc`, as decompilations show it; the SIDs that its
//! entries copy are `SeWorldSid` and so on.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

use nt::{
    GENERIC_ALL, GENERIC_EXECUTE, PagedPool, SE_DACL_PRESENT, SECURITY_DESCRIPTOR,
    SECURITY_DESCRIPTOR_REVISION, tag,
};

use super::{Ace, Acl, Descriptor, Sid};
use crate::raw::{Live, field};
use crate::{Executive, Platform, executive};

/// What `se` keeps in the executive's globals.
#[repr(C)]
pub(crate) struct Globals {
    /// `SePublicDefaultSd`, and its revision is zero until it is built.
    public_default: SECURITY_DESCRIPTOR,
}

impl<P: Platform> Executive<P> {
    fn se(&self) -> Live<Globals> {
        field!(self.live_globals(), executive::Globals, se)
    }

    /// Builds the kernel's own descriptors. Tells whether the platform had memory for them.
    pub(crate) fn se_initialize(&self) -> bool {
        let list = Acl::new(alloc::vec![
            Ace::allow(Sid::world(), GENERIC_EXECUTE),
            Ace::allow(Sid::local_system(), GENERIC_ALL),
            Ace::allow(Sid::administrators(), GENERIC_ALL),
        ]);
        let dacl = self.copy_to_pool(&list.to_bytes(), PagedPool, tag::ACL);
        if dacl.is_null() {
            return false;
        }
        field!(self.se(), Globals, public_default).set(SECURITY_DESCRIPTOR {
            Revision: SECURITY_DESCRIPTOR_REVISION,
            Sbz1: 0,
            Control: SE_DACL_PRESENT,
            Owner: ptr::null_mut(),
            Group: ptr::null_mut(),
            Sacl: ptr::null_mut(),
            Dacl: dacl.cast(),
        });
        true
    }

    /// Returns `SePublicDefaultSd`: everyone execute, LocalSystem and Administrators all, in this order.
    pub fn SePublicDefaultSd(&self) -> *mut SECURITY_DESCRIPTOR {
        field!(self.se(), Globals, public_default).ptr()
    }

    /// Copies bytes into a new pool block. Null where there is no pool.
    pub(crate) fn copy_to_pool(&self, bytes: &[u8], pool_type: u32, tag: u32) -> *mut c_void {
        let block = self.ExAllocatePoolWithTag(pool_type, bytes.len(), tag);
        if !block.is_null() {
            // SAFETY: the block is new, ours alone and as long as the bytes.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.cast(), bytes.len()) };
        }
        block
    }

    /// Copies a descriptor in self-relative form into a new pool block. Null where there is no pool.
    pub(crate) fn descriptor_to_pool(&self, descriptor: &Descriptor, tag: u32) -> *mut c_void {
        let bytes: Vec<u8> = descriptor.to_self_relative();
        self.copy_to_pool(&bytes, PagedPool, tag)
    }
}
