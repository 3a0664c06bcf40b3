//! Inserting objects: the name, the descriptor, the first handle.

use core::ffi::c_void;
use core::ptr;

use nt::{
    HANDLE, KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_OPENIF, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_NAME_EXISTS, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS,
};

use super::handle::HandleRequest;
use super::header::Header;
use super::lookup::{Found, Lookup};
use crate::executive::Executive;
use crate::platform::Platform;

/// How to insert an object.
#[derive(Clone, Copy)]
pub(super) struct Insertion {
    /// Access of the handle to make; `None` makes none and leaves the creation reference with the caller.
    pub(super) handle: Option<u32>,
    /// Further references for the caller of one that makes a handle.
    pub(super) bias: u32,
    /// Directory for the object manager's own insertions, instead of what the object's attributes say.
    pub(super) directory: *mut c_void,
}

impl Insertion {
    /// Name only, no handle.
    pub(super) const NAME_ONLY: Self = Self { handle: None, bias: 0, directory: ptr::null_mut() };
}

/// What an insertion came to.
pub(super) struct Inserted {
    /// The object under the name: the new one, or with `OBJ_OPENIF` the one that was there.
    pub(super) object: Header,
    pub(super) handle: HANDLE,
    /// `STATUS_SUCCESS` or `STATUS_OBJECT_NAME_EXISTS`.
    pub(super) status: NTSTATUS,
}

impl<P: Platform> Executive<P> {
    /// Finishes the root directory, whose name is in no directory.
    pub(super) fn adopt_root(&self, root: Header) -> bool {
        let info = self.take_create_info(root);
        self.assign_descriptor(root, info.and_then(|info| info.descriptor).as_ref()).is_ok()
    }

    /// Inserts an object. On failure the creation reference is gone, and usually the object with it.
    ///
    /// The handle is counted before the name is visible, so that nobody who opens and closes it meanwhile takes a
    /// temporary name away; the descriptor is there before the name, so that nobody finds a named object without one.
    pub(super) fn insert_object(&self, header: Header, insertion: &Insertion) -> Result<Inserted, NTSTATUS> {
        let info = self.take_create_info(header);
        let attributes = info.as_ref().map_or(OBJ_CASE_INSENSITIVE, |info| info.attributes);
        let mode = info.as_ref().map_or(KernelMode, |info| info.probe_mode);
        let root = info.as_ref().map_or(ptr::null_mut(), |info| info.root);
        let descriptor = info.and_then(|info| info.descriptor);
        if let Err(status) = self.assign_descriptor(header, descriptor.as_ref()) {
            self.dereference(header);
            return Err(status);
        }
        if insertion.handle.is_some() {
            self.handle_count_up(header);
        }
        let lookup = Lookup {
            root,
            directory: insertion.directory,
            name: &header.stored_name(),
            attributes,
            object_type: self.type_of(header).ptr(),
            mode,
            desired_access: insertion.handle.unwrap_or(0),
            context: ptr::null_mut(),
            insert: Some(header),
        };
        let settled = if header.name_info().is_some() {
            self.settle_name(&lookup, header, insertion)
        } else {
            Ok((header, STATUS_SUCCESS))
        };
        match settled {
            Ok((object, status)) => {
                if object != header {
                    self.discard(header, insertion);
                }
                self.finish(object, insertion, &lookup, status)
            }
            Err(status) => {
                self.discard(header, insertion);
                Err(status)
            }
        }
    }

    /// Puts the object under its name, or finds who is there. Where a handle is wanted, it is counted on whoever that is.
    fn settle_name(
        &self,
        lookup: &Lookup<'_>,
        header: Header,
        insertion: &Insertion,
    ) -> Result<(Header, NTSTATUS), NTSTATUS> {
        loop {
            let found = match self.lookup(lookup)? {
                Found::Inserted => {
                    self.note_name(header);
                    return Ok((header, STATUS_SUCCESS));
                }
                Found::Existing(found) => found,
            };
            let refused = if lookup.attributes & OBJ_OPENIF == 0 {
                Some(STATUS_OBJECT_NAME_COLLISION)
            } else if !self.is_type(found, lookup.object_type) {
                Some(STATUS_OBJECT_TYPE_MISMATCH)
            } else {
                insertion.handle.and_then(|desired| self.check_access(found, desired, lookup.mode).err())
            };
            if let Some(refused) = refused {
                self.dereference(found);
                return Err(refused);
            }
            if insertion.handle.is_none() {
                return Ok((found, STATUS_OBJECT_NAME_EXISTS));
            }
            self.handle_count_up(found);
            if !self.lost_its_name(found) {
                return Ok((found, STATUS_OBJECT_NAME_EXISTS));
            }
            // Its last handle was closed meanwhile: the name is free again.
            self.discard(found, insertion);
        }
    }

    /// Drops an object that did not come to be.
    fn discard(&self, header: Header, insertion: &Insertion) {
        if insertion.handle.is_some() {
            self.handle_count_down(header);
        }
        self.dereference(header);
    }

    /// Makes the handle. The reference on the object becomes the handle's: the creation reference, or that of the lookup.
    fn finish(
        &self,
        object: Header,
        insertion: &Insertion,
        lookup: &Lookup<'_>,
        status: NTSTATUS,
    ) -> Result<Inserted, NTSTATUS> {
        let Some(desired) = insertion.handle else {
            return Ok(Inserted { object, handle: ptr::null_mut(), status });
        };
        // The creator gets what it asks for, whatever the descriptor says.
        let mode = if status == STATUS_SUCCESS { KernelMode } else { lookup.mode };
        let access = self.check_access(object, desired, mode);
        self.bias(object, insertion.bias);
        let added = access.and_then(|access| {
            self.add_handle(object, HandleRequest { access, attributes: lookup.attributes })
        });
        added.map(|handle| Inserted { object, handle, status }).inspect_err(|_| {
            self.unbias(object, insertion.bias);
            self.discard(object, insertion);
        })
    }

    fn bias(&self, header: Header, count: u32) {
        for _ in 0..count {
            self.reference(header);
        }
    }

    fn unbias(&self, header: Header, count: u32) {
        for _ in 0..count {
            self.dereference(header);
        }
    }

    /// Inserts an object that [`Executive::ObCreateObject`] made (`ObInsertObject`).
    ///
    /// With a place for a handle one is made and the creation reference is dropped; `bias` further references are the caller's,
    /// and `new_object` receives whom they are on. Without one the creation reference stays the caller's. On failure it is gone in any case.
    /// A name that is taken by an object of the same type is `STATUS_OBJECT_NAME_COLLISION`, or with `OBJ_OPENIF` the success
    /// `STATUS_OBJECT_NAME_EXISTS` with that object.
    ///
    /// # Safety
    ///
    /// `object` was made by [`Executive::ObCreateObject`], is not inserted, and its reference is the caller's to give;
    /// `new_object` and `handle` are null or writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn ObInsertObject(
        &self,
        object: *mut c_void,
        desired_access: u32,
        bias: u32,
        new_object: *mut *mut c_void,
        handle: *mut HANDLE,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        let wanted = (!handle.is_null()).then_some(desired_access);
        let insertion = Insertion { handle: wanted, bias, directory: ptr::null_mut() };
        match self.insert_object(header, &insertion) {
            Ok(inserted) => {
                if !new_object.is_null() {
                    // SAFETY: the caller promises a writable place.
                    unsafe { new_object.write_unaligned(inserted.object.body()) };
                }
                if !handle.is_null() {
                    // SAFETY: the caller promises a writable place.
                    unsafe { handle.write_unaligned(inserted.handle) };
                }
                inserted.status
            }
            Err(status) => status,
        }
    }
}
