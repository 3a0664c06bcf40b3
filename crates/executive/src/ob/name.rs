//! Names of objects: the full path, and the rules by which a name goes away.
//!
//! A directory entry is one reference. Where an object is not permanent, its entry goes with its last handle, not with its last
//! reference: that is why a temporary callback object has lost its name when `ExCreateCallback` returns.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::Ordering;

use nt::{
    NTSTATUS, OBJECT_HEADER_NAME_INFO, OBJECT_NAME_INFORMATION, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_OBJECT_NAME_INVALID, STATUS_SUCCESS, UNICODE_STRING, flags,
};
use record::What;

use super::globals::Globals;
use super::header::Header;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// How far up a path is followed; nothing real is as deep, and a driver may have bent the pointers.
const DEEPEST: usize = 256;

impl<P: Platform> Executive<P> {
    /// Tells whether an object is the root directory, which has a name and is in no directory.
    pub(super) fn is_root(&self, header: Header) -> bool {
        header.body() == field!(self.ob(), Globals, root).get()
    }

    /// Returns the path of an object that has a name in the namespace.
    pub(super) fn full_name(&self, header: Header) -> Option<Vec<u16>> {
        let root = field!(self.ob(), Globals, root).get();
        if self.is_root(header) {
            return Some(alloc::vec![u16::from(b'\\')]);
        }
        let mut leaves = Vec::new();
        let mut at = header;
        for _ in 0..DEEPEST {
            let directory = at.directory();
            if directory.is_null() {
                return None;
            }
            leaves.push(at.stored_name());
            if directory == root {
                break;
            }
            // SAFETY: the entry of `at` holds a reference on its directory.
            at = unsafe { Header::of(directory) };
        }
        let mut path = Vec::new();
        for leaf in leaves.iter().rev() {
            path.push(u16::from(b'\\'));
            path.extend_from_slice(leaf);
        }
        Some(path)
    }

    /// Returns the path of an object, or the name that is still stored although its entry is gone.
    pub(super) fn name_for_people(&self, header: Header) -> Option<String> {
        let name = self.full_name(header).unwrap_or_else(|| header.stored_name().to_vec());
        (!name.is_empty()).then(|| String::from_utf16_lossy(&name))
    }

    /// Takes the name of an object out of the namespace if nothing keeps it there (`ObpDeleteNameCheck`). The caller has a reference.
    pub(super) fn delete_name_check(&self, header: Header) {
        let Some(info) = header.name_info() else { return };
        loop {
            self.lock_object(header);
            let body: *mut c_void = header.directory();
            if body.is_null() || header.is_permanent() || header.handle_count().load(Ordering::Acquire) != 0 {
                self.unlock_object(header);
                return;
            }
            // SAFETY: the entry holds a reference on the directory, and goes away only under the object's lock.
            let directory = unsafe { Header::of(body) };
            self.reference(directory);
            self.unlock_object(header);
            let settled = self.delete_name_in(header, info, directory);
            self.dereference(directory);
            if settled {
                return;
            }
        }
    }

    /// Does the work under the directory's lock. Tells whether it was the right directory.
    pub(super) fn delete_name_in(
        &self,
        header: Header,
        info: Live<OBJECT_HEADER_NAME_INFO>,
        parent: Header,
    ) -> bool {
        let Some(directory) = self.as_directory(parent) else { return true };
        let reported = self.procedures(self.type_of(header)).reported && self.platform().listening();
        let path = if reported { self.name_for_people(header) } else { None };

        self.lock_directory(directory, true);
        self.lock_object(header);
        let same = header.directory() == parent.body();
        let free = field!(info, OBJECT_HEADER_NAME_INFO, ReferenceCount).get() == 0
            && !header.is_permanent()
            && header.handle_count().load(Ordering::Acquire) == 0;
        let mut removed = false;
        if same && free {
            let key = self.name_key(directory, &header.stored_name());
            removed = self.remove_entry(directory, header.body(), key);
            self.permanent_names().with(|names| names.remove(&header.body().addr()));
            // The text stays until the object dies.
            field!(info, OBJECT_HEADER_NAME_INFO, Directory).set(core::ptr::null_mut());
        }
        self.unlock_object(header);
        self.unlock_directory(directory);

        if removed {
            self.dereference(parent);
            let left = self.dereference(header);
            if let Some(name) = path
                && left > 0
            {
                self.platform().emit(What::NameRemoved { object: header.body().addr() as u64, name });
            }
        }
        same
    }

    /// Clears the permanent flag and removes the name if no handle is open.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which the caller has a reference.
    ///
    /// # IRQL
    ///
    /// Up to `APC_LEVEL`.
    pub unsafe fn ObMakeTemporaryObject(&self, object: *mut c_void) {
        // SAFETY: the caller's promise.
        self.make_temporary(unsafe { Header::of(object) });
    }

    pub(super) fn make_temporary(&self, header: Header) {
        self.lock_object(header);
        header.set_flags(flags::PERMANENT, 0);
        self.unlock_object(header);
        self.delete_name_check(header);
    }

    /// Writes the path of an object, NUL-terminated, behind an `OBJECT_NAME_INFORMATION`. An object without a name in the namespace has an empty
    /// one.
    ///
    /// Returns `STATUS_INFO_LENGTH_MISMATCH` where `length` bytes are too few; `*return_length` says how many are needed.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which the caller has a reference; `information` is writable for `length` bytes and
    /// `return_length` for one number.
    pub unsafe fn ObQueryNameString(
        &self,
        object: *mut c_void,
        information: *mut OBJECT_NAME_INFORMATION,
        length: u32,
        return_length: *mut u32,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        let path = self.full_name(header).unwrap_or_default();
        let head = size_of::<OBJECT_NAME_INFORMATION>();
        let text = if path.is_empty() { 0 } else { size_of_val(&*path) + size_of::<u16>() };
        let Ok(maximum) = u16::try_from(text) else { return STATUS_OBJECT_NAME_INVALID };
        // SAFETY: the caller's promise.
        unsafe { return_length.write_unaligned((head + text) as u32) };
        if (length as usize) < head + text {
            return STATUS_INFO_LENGTH_MISMATCH;
        }
        if path.is_empty() {
            let name = OBJECT_NAME_INFORMATION { Name: UNICODE_STRING::EMPTY };
            // SAFETY: the caller's promise; the length was checked.
            unsafe { information.write_unaligned(name) };
            return STATUS_SUCCESS;
        }
        let buffer: *mut u16 = information.wrapping_byte_add(head).cast();
        let name = UNICODE_STRING { Length: maximum - 2, MaximumLength: maximum, Buffer: buffer };
        // SAFETY: the caller's promise; the length was checked.
        unsafe { information.write_unaligned(OBJECT_NAME_INFORMATION { Name: name }) };
        for (index, unit) in path.iter().copied().chain([0]).enumerate() {
            // SAFETY: path and terminator fit, as checked.
            unsafe { buffer.wrapping_add(index).write_unaligned(unit) };
        }
        STATUS_SUCCESS
    }
}
