//! System services on directories, links and temporary objects.
//!
//! The `Nt` routines check in the mode the thread came from, as a direct call of them does on Windows; those that take a mode are what
//! the `Zw` routines of the export layer call with `KernelMode`.

use alloc::vec::Vec;

use nt::{
    DELETE, HANDLE, KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, OBJECT_ATTRIBUTES,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, SYMBOLIC_LINK_QUERY, UNICODE_STRING,
};

use super::globals::{nt_string, unicode};
use super::insert::Insertion;
use super::open::write_handle;
use crate::executive::Executive;
use crate::platform::Platform;

impl<P: Platform> Executive<P> {
    /// Creates a directory and opens it, or with `OBJ_OPENIF` opens the one that exists.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `handle` is writable.
    pub unsafe fn create_directory_object(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
        mode: u8,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        let header = match unsafe { self.create_directory_body(attributes, mode) } {
            Ok(header) => header,
            Err(status) => return status,
        };
        // SAFETY: created just now, and the caller promises a writable place.
        unsafe { self.ObInsertObject(header.body(), desired_access, 0, core::ptr::null_mut(), handle) }
    }

    /// Creates a directory and opens it.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `handle` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn NtCreateDirectoryObject(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.create_directory_object(handle, desired_access, attributes, self.KeGetPreviousMode()) }
    }

    /// Opens a directory.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `handle` is writable.
    pub unsafe fn open_directory_object(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
        mode: u8,
    ) -> NTSTATUS {
        let directory = self.ObpDirectoryObjectType();
        // SAFETY: the caller's promise.
        unsafe {
            self.ObOpenObjectByName(
                attributes,
                directory,
                mode,
                desired_access,
                core::ptr::null_mut(),
                handle,
            )
        }
    }

    /// Opens a directory in the mode the thread came from.
    ///
    /// # Safety
    ///
    /// As for [`Executive::open_directory_object`].
    pub unsafe fn NtOpenDirectoryObject(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.open_directory_object(handle, desired_access, attributes, self.KeGetPreviousMode()) }
    }

    /// Makes the object behind a handle temporary, which takes `DELETE` access. Doing it again changes nothing.
    pub fn make_temporary_object(&self, handle: HANDLE, mode: u8) -> NTSTATUS {
        match self.reference_handle(handle, DELETE, core::ptr::null_mut(), mode) {
            Ok(found) => {
                self.make_temporary(found.object);
                self.dereference(found.object);
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Makes the object behind a handle temporary, in the mode the thread came from.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn NtMakeTemporaryObject(&self, handle: HANDLE) -> NTSTATUS {
        self.make_temporary_object(handle, self.KeGetPreviousMode())
    }

    /// Makes the object behind a handle temporary, in kernel mode.
    pub fn ZwMakeTemporaryObject(&self, handle: HANDLE) -> NTSTATUS {
        self.make_temporary_object(handle, KernelMode)
    }

    /// Creates a symbolic link and opens it.
    ///
    /// `STATUS_INVALID_PARAMETER` for a target that is empty or of odd length.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `target` is readable likewise; `handle` is writable.
    pub unsafe fn create_symbolic_link_object(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
        target: *const UNICODE_STRING,
        mode: u8,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        let target = match unsafe { self.capture_name(target) } {
            Ok(target) if !target.is_empty() => target,
            _ => return STATUS_INVALID_PARAMETER,
        };
        // SAFETY: the caller's promise.
        let header = match unsafe { self.create_link_body(attributes, &target, mode) } {
            Ok(header) => header,
            Err(status) => return status,
        };
        // SAFETY: created just now, and the caller promises a writable place.
        unsafe { self.ObInsertObject(header.body(), desired_access, 0, core::ptr::null_mut(), handle) }
    }

    /// Creates a symbolic link in the mode the thread came from.
    ///
    /// # Safety
    ///
    /// As for [`Executive::create_symbolic_link_object`].
    pub unsafe fn NtCreateSymbolicLinkObject(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
        target: *const UNICODE_STRING,
    ) -> NTSTATUS {
        let mode = self.KeGetPreviousMode();
        // SAFETY: the caller's promise.
        unsafe { self.create_symbolic_link_object(handle, desired_access, attributes, target, mode) }
    }

    /// Opens a symbolic link itself, not what it leads to.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `handle` is writable.
    pub unsafe fn open_symbolic_link_object(
        &self,
        handle: *mut HANDLE,
        desired_access: u32,
        attributes: *const OBJECT_ATTRIBUTES,
        mode: u8,
    ) -> NTSTATUS {
        let link = self.ObpSymbolicLinkObjectType();
        // SAFETY: the caller's promise.
        unsafe {
            self.ObOpenObjectByName(attributes, link, mode, desired_access, core::ptr::null_mut(), handle)
        }
    }

    /// Writes what a symbolic link leads to into the caller's string, and how many bytes that takes.
    ///
    /// `STATUS_BUFFER_TOO_SMALL` where the string has no room; `*returned_length`, unless the pointer is null, says how much is needed.
    ///
    /// # Safety
    ///
    /// `target` is a readable and writable string over `MaximumLength` writable bytes; `returned_length` is null or writable.
    pub unsafe fn query_symbolic_link_object(
        &self,
        handle: HANDLE,
        target: *mut UNICODE_STRING,
        returned_length: *mut u32,
        mode: u8,
    ) -> NTSTATUS {
        let link = self.ObpSymbolicLinkObjectType();
        let found = match self.reference_handle(handle, SYMBOLIC_LINK_QUERY, link, mode) {
            Ok(found) => found.object,
            Err(status) => return status,
        };
        let units: Vec<u16> = self.symbolic_link_target(found);
        self.dereference(found);
        let bytes = size_of_val(&*units);
        if !returned_length.is_null() {
            // SAFETY: the caller promises a writable place.
            unsafe { returned_length.write_unaligned(bytes as u32) };
        }
        // SAFETY: the caller promises a readable string.
        let mut given = unsafe { target.read_unaligned() };
        if usize::from(given.MaximumLength) < bytes {
            return STATUS_BUFFER_TOO_SMALL;
        }
        for (index, &unit) in units.iter().enumerate() {
            // SAFETY: the caller promises `MaximumLength` writable bytes, and the target fits.
            unsafe { given.Buffer.wrapping_add(index).write_unaligned(unit) };
        }
        given.Length = bytes as u16;
        // SAFETY: the caller promises a writable string.
        unsafe { target.write_unaligned(given) };
        STATUS_SUCCESS
    }

    fn kernel_attributes(&self, name: &mut UNICODE_STRING) -> OBJECT_ATTRIBUTES {
        OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: core::ptr::null_mut(),
            ObjectName: name,
            Attributes: OBJ_CASE_INSENSITIVE | OBJ_PERMANENT | nt::OBJ_KERNEL_HANDLE,
            SecurityDescriptor: core::ptr::null_mut(),
            SecurityQualityOfService: core::ptr::null_mut(),
        }
    }

    /// Creates a permanent directory for the kernel.
    ///
    /// # Errors
    ///
    /// Those of name resolution and insertion.
    pub fn create_directory(&self, path: &str) -> Result<(), NTSTATUS> {
        let mut units = nt_string(path);
        let mut name = unicode(&mut units);
        let mut attributes = self.kernel_attributes(&mut name);
        attributes.SecurityDescriptor = self.SePublicDefaultSd().cast();
        let header = self.new_directory(&attributes)?;
        let inserted = self.insert_object(header, &Insertion::NAME_ONLY)?;
        self.dereference(inserted.object);
        Ok(())
    }

    /// Creates a permanent symbolic link for the kernel.
    ///
    /// # Errors
    ///
    /// Those of name resolution and insertion.
    pub fn create_symbolic_link(&self, path: &str, target: &str) -> Result<(), NTSTATUS> {
        let mut units = nt_string(path);
        let mut name = unicode(&mut units);
        let attributes = self.kernel_attributes(&mut name);
        let header = self.new_symbolic_link(&attributes, &nt_string(target))?;
        let inserted = self.insert_object(header, &Insertion::NAME_ONLY)?;
        self.dereference(inserted.object);
        Ok(())
    }

    /// Opens whatever lies under a path, for the kernel and without regard to case. The handle is the kernel's.
    ///
    /// # Errors
    ///
    /// Those of name resolution.
    pub fn open_path(&self, path: &str, desired_access: u32) -> Result<HANDLE, NTSTATUS> {
        let mut units = nt_string(path);
        let mut name = unicode(&mut units);
        let mut attributes = self.kernel_attributes(&mut name);
        attributes.Attributes &= !OBJ_PERMANENT;
        let mut handle = core::ptr::null_mut();
        let (any, no_context) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: attributes, name and handle are locals.
        let status = unsafe {
            self.ObOpenObjectByName(
                &raw const attributes,
                any,
                KernelMode,
                desired_access,
                no_context,
                &raw mut handle,
            )
        };
        // SAFETY: a local.
        unsafe {
            write_handle(&raw mut handle, if status == STATUS_SUCCESS { Ok(handle) } else { Err(status) })
        };
        if status == STATUS_SUCCESS { Ok(handle) } else { Err(status) }
    }
}
