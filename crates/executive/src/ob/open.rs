//! Opening objects that exist.

use core::ffi::c_void;
use core::ptr;

use nt::{
    HANDLE, KernelMode, NTSTATUS, OBJ_FORCE_ACCESS_CHECK, OBJECT_ATTRIBUTES, OBJECT_TYPE,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_SUCCESS, UNICODE_STRING, UserMode,
};

use super::capture::Captured;
use super::handle::HandleRequest;
use super::header::Header;
use super::lookup::{Found, Lookup};
use crate::executive::Executive;
use crate::platform::Platform;

/// How often an open looks again because the name went away under it.
const MOST_ATTEMPTS: u32 = 64;

impl<P: Platform> Executive<P> {
    /// Makes a handle for an object. Consumes the reference: it becomes the handle's, or is dropped.
    ///
    /// `None` where the object was found `by_name` and the name is gone by now: look again.
    fn open_handle(
        &self,
        object: Header,
        attributes: u32,
        desired_access: u32,
        mode: u8,
        by_name: bool,
    ) -> Result<Option<HANDLE>, NTSTATUS> {
        let check_mode = if attributes & OBJ_FORCE_ACCESS_CHECK != 0 { UserMode } else { mode };
        let access = if attributes & self.type_of(object).invalid_attributes() != 0 {
            Err(STATUS_INVALID_PARAMETER)
        } else if mode == KernelMode && desired_access == 0 {
            // The kernel asking for nothing is not checked.
            Ok(0)
        } else {
            self.check_access(object, desired_access, check_mode)
        };
        let access = match access {
            Ok(access) => access,
            Err(status) => {
                self.dereference(object);
                return Err(status);
            }
        };
        self.handle_count_up(object);
        if by_name && self.lost_its_name(object) {
            self.handle_count_down(object);
            self.dereference(object);
            return Ok(None);
        }
        let added = self.add_handle(object, HandleRequest { access, attributes });
        added.map(Some).inspect_err(|_| {
            self.handle_count_down(object);
            self.dereference(object);
        })
    }

    /// Tells whether an object that was found in a directory is in none any more.
    ///
    /// Windows keeps the directory locked from the lookup until the handle is counted. Here the handle is counted first and then the
    /// caller looks: from then on the handle keeps the name, and what happened before is seen.
    pub(super) fn lost_its_name(&self, object: Header) -> bool {
        if object.name_info().is_none() || self.is_root(object) {
            return false;
        }
        self.lock_object(object);
        let lost = object.directory().is_null();
        self.unlock_object(object);
        lost
    }

    /// Resolves a captured name to an object with a reference.
    fn reference_captured(
        &self,
        captured: &Captured,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        desired_access: u32,
        context: *mut c_void,
    ) -> Result<Header, NTSTATUS> {
        // The name is captured into pool for the time of the lookup, as on Windows, and fails with it.
        let held = self.name_to_pool(&captured.name)?;
        let found = self.lookup(&Lookup {
            root: captured.root,
            directory: ptr::null_mut(),
            name: &captured.name,
            attributes: captured.attributes,
            object_type,
            mode,
            desired_access,
            context,
            insert: None,
        });
        if let Some(name) = &held {
            self.free_name(name);
        }
        match found? {
            Found::Existing(object) => Ok(object),
            // Nothing was there to be inserted.
            Found::Inserted => Err(STATUS_OBJECT_PATH_SYNTAX_BAD),
        }
    }

    /// Opens an object by its captured name.
    fn open_captured(
        &self,
        captured: &Captured,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        desired_access: u32,
        context: *mut c_void,
    ) -> Result<HANDLE, NTSTATUS> {
        let mut attempts = 0;
        loop {
            let object = self.reference_captured(captured, object_type, mode, desired_access, context)?;
            // What a parse procedure hands out may have a name that is in no directory.
            let by_name = attempts < MOST_ATTEMPTS;
            attempts += 1;
            if let Some(handle) =
                self.open_handle(object, captured.attributes, desired_access, mode, by_name)?
            {
                return Ok(handle);
            }
        }
    }

    /// Opens an object by name. A null type is any.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to; `object_type` is null or a type; `handle` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn ObOpenObjectByName(
        &self,
        attributes: *const OBJECT_ATTRIBUTES,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        desired_access: u32,
        parse_context: *mut c_void,
        handle: *mut HANDLE,
    ) -> NTSTATUS {
        if attributes.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        // SAFETY: the caller's promise.
        let captured = unsafe { self.capture(attributes, mode) };
        let opened = captured.and_then(|captured| {
            self.open_captured(&captured, object_type, mode, desired_access, parse_context)
        });
        // SAFETY: the caller promises a writable place.
        unsafe { write_handle(handle, opened) }
    }

    /// Opens an object that the caller has a reference on. A null type is any.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which the caller has a reference; `object_type` is null or a type; `handle` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn ObOpenObjectByPointer(
        &self,
        object: *mut c_void,
        handle_attributes: u32,
        desired_access: u32,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        handle: *mut HANDLE,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        let status = unsafe { self.ObReferenceObjectByPointer(object, 0, object_type, mode) };
        if status != STATUS_SUCCESS {
            return status;
        }
        // SAFETY: referenced just now.
        let header = unsafe { Header::of(object) };
        let opened = self.open_handle(header, handle_attributes, desired_access, mode, false);
        let opened = opened.and_then(|handle| handle.ok_or(STATUS_INVALID_PARAMETER));
        // SAFETY: the caller promises a writable place.
        unsafe { write_handle(handle, opened) }
    }

    /// Takes a reference on the object under a name.
    ///
    /// # Safety
    ///
    /// `name` is readable, with what it points to; `object_type` is null or a type; `object` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    #[expect(clippy::too_many_arguments, reason = "NT's signature")]
    pub unsafe fn ObReferenceObjectByName(
        &self,
        name: *mut UNICODE_STRING,
        attributes: u32,
        desired_access: u32,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        parse_context: *mut c_void,
        object: *mut *mut c_void,
    ) -> NTSTATUS {
        let all = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: ptr::null_mut(),
            ObjectName: name,
            Attributes: attributes,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        // SAFETY: the caller's promise.
        let captured = unsafe { self.capture(&raw const all, mode) };
        let found = captured.and_then(|captured| {
            self.reference_captured(&captured, object_type, mode, desired_access, parse_context)
        });
        let header = match found {
            Ok(header) => header,
            Err(status) => return status,
        };
        if mode != KernelMode
            && let Err(status) = self.check_access(header, desired_access, mode)
        {
            self.dereference(header);
            return status;
        }
        // SAFETY: the caller promises a writable place.
        unsafe { object.write_unaligned(header.body()) };
        STATUS_SUCCESS
    }
}

/// Hands a handle out.
///
/// # Safety
///
/// `place` is writable.
pub(super) unsafe fn write_handle(place: *mut HANDLE, opened: Result<HANDLE, NTSTATUS>) -> NTSTATUS {
    match opened {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { place.write_unaligned(handle) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}
