//! References and the end of objects.
//!
//! `PointerCount` counts references; where it reaches zero the type's delete procedure runs once, then name, descriptor and
//! memory go. Above `PASSIVE_LEVEL` the object waits on a list instead (`ObpRemoveObjectList`, linked through `NextToFree`, the field that was
//! `HandleCount`): Windows has a worker thread for it, here `ke` calls when a thread is back at `PASSIVE_LEVEL`.
//! That `APC_LEVEL` defers as well is assumed.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use nt::profile::WrongTypeCreate;
use nt::{
    BugCheck, FastFail, Irql, KernelMode, NTSTATUS, OBJECT_HEADER, OBJECT_TYPE, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_SUCCESS,
};
use record::What;

use super::globals::Globals;
use super::header::Header;
use crate::executive::Executive;
use crate::ke::list::Corrupt;
use crate::platform::{Bugcheck, Platform};
use crate::raw::field;

impl<P: Platform> Executive<P> {
    /// Takes a reference on an object that has one already.
    pub(crate) fn reference(&self, header: Header) -> i64 {
        let count = header.pointer_count().fetch_add(1, Ordering::Relaxed) + 1;
        if count <= 1 {
            self.bad_reference(header, count, "a reference was taken on an object that is being deleted");
        }
        count
    }

    /// Takes a reference unless the object is being deleted (`ObReferenceObjectSafe`).
    pub(crate) fn reference_safe(&self, header: Header) -> bool {
        header
            .pointer_count()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count > 0).then_some(count + 1))
            .is_ok()
    }

    /// Drops a reference; with the last one, the object.
    pub(crate) fn dereference(&self, header: Header) -> i64 {
        let count = header.pointer_count().fetch_sub(1, Ordering::AcqRel) - 1;
        if count > 0 {
            return count;
        }
        if count < 0 {
            self.bad_reference(header, count, "a reference was dropped that nobody had");
        }
        if header.handle_count().load(Ordering::Acquire) != 0 {
            self.bad_reference(header, count, "the last reference was dropped while a handle is open");
        }
        if self.platform().irql() > Irql::PASSIVE {
            self.defer(header);
        } else {
            self.delete(header);
        }
        count
    }

    fn bad_reference(&self, header: Header, count: i64, reason: &'static str) -> ! {
        let object_type = self.type_of(header).ptr();
        self.bugcheck(Bugcheck {
            code: BugCheck::REFERENCE_BY_POINTER,
            parameters: [object_type.addr() as u64, header.body().addr() as u64, 0, count.cast_unsigned()],
            reason: reason.into(),
        })
    }

    fn defer(&self, header: Header) {
        let list = field!(self.ob(), Globals, remove_list).atomic_ptr();
        let node = header.live().ptr();
        let mut first = list.load(Ordering::Relaxed);
        loop {
            // Handles are gone, so the field is free to be `NextToFree`.
            header.handle_count().store(first.expose_provenance().cast_signed() as i64, Ordering::Relaxed);
            match list.compare_exchange_weak(first, node, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => first = seen,
            }
        }
    }

    /// Tells whether objects wait to be deleted at `PASSIVE_LEVEL`.
    pub(crate) fn ob_has_deferred(&self) -> bool {
        !field!(self.ob(), Globals, remove_list).atomic_ptr().load(Ordering::Relaxed).is_null()
    }

    /// Deletes the objects whose last reference went away at a raised IRQL. `ke` calls it when a thread is back at
    /// `PASSIVE_LEVEL` outside critical and guarded regions; NT has a worker thread for it.
    pub(crate) fn ob_drain_deferred(&self) {
        let list = field!(self.ob(), Globals, remove_list).atomic_ptr();
        let mut node = list.swap(ptr::null_mut(), Ordering::AcqRel);
        while !node.is_null() {
            // SAFETY: an object on the list has no reference and is deleted by whoever took the list: this call.
            let header = unsafe { Header::at(node) };
            let next = header.handle_count().swap(0, Ordering::Relaxed);
            node = ptr::with_exposed_provenance_mut::<OBJECT_HEADER>(next.cast_unsigned() as usize);
            self.delete(header);
        }
    }

    /// Ends an object that has no reference (`ObpRemoveObjectRoutine`).
    fn delete(&self, header: Header) {
        let procedures = self.procedures(self.type_of(header));
        let body = header.body();
        let told = procedures.reported && self.platform().listening();
        let name = if told { self.name_for_people(header) } else { None };
        if let Some(delete) = procedures.delete {
            // SAFETY: the object is still whole, and this is the one call.
            unsafe { delete(self, body) };
        }
        self.free_object(header);
        if told {
            self.platform().emit(What::ObjectDeleted { object: body.addr() as u64, name });
        }
    }

    /// Ends the world where a list contradicts itself.
    pub(super) fn expect_sound_list(&self, result: Result<(), Corrupt>) {
        if let Err(corrupt) = result {
            self.bugcheck(Bugcheck {
                code: BugCheck::KERNEL_SECURITY_CHECK_FAILURE,
                parameters: [u64::from(FastFail::CORRUPT_LIST_ENTRY.0), corrupt.at as u64, 0, 0],
                reason: "the list of a type's objects contradicts itself".into(),
            });
        }
    }

    /// Takes a reference and returns how many there are now.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which somebody has a reference.
    pub unsafe fn ObfReferenceObject(&self, object: *mut c_void) -> i64 {
        // SAFETY: the caller's promise.
        self.reference(unsafe { Header::of(object) })
    }

    /// Takes a reference unless the object is being deleted. Tells whether it did.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object whose memory cannot go away now: its delete procedure has not run to its end.
    pub unsafe fn ObReferenceObjectSafe(&self, object: *mut c_void) -> bool {
        // SAFETY: the caller's promise.
        self.reference_safe(unsafe { Header::of(object) })
    }

    /// Drops a reference and returns how many are left. The last one takes the object with it: at once at `PASSIVE_LEVEL`, later above.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object, and one reference on it is the caller's to give.
    ///
    /// # IRQL
    ///
    /// Up to `DISPATCH_LEVEL`.
    pub unsafe fn ObfDereferenceObject(&self, object: *mut c_void) -> i64 {
        // SAFETY: the caller's promise.
        self.dereference(unsafe { Header::of(object) })
    }

    /// Drops a reference and leaves the deletion to whoever is next at `PASSIVE_LEVEL`.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ObfDereferenceObject`].
    pub unsafe fn ObDereferenceObjectDeferDelete(&self, object: *mut c_void) -> i64 {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        let count = header.pointer_count().fetch_sub(1, Ordering::AcqRel) - 1;
        if count < 0 {
            self.bad_reference(header, count, "a reference was dropped that nobody had");
        }
        if count == 0 {
            self.defer(header);
        }
        count
    }

    /// Takes a reference if the object has the type; a null type is any. `desired_access` is not looked at, as on Windows.
    ///
    /// NT 5 skips the check for kernel mode.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which somebody has a reference.
    pub unsafe fn ObReferenceObjectByPointer(
        &self,
        object: *mut c_void,
        desired_access: u32,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
    ) -> NTSTATUS {
        let _ = desired_access;
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        let unchecked = mode == KernelMode
            && self.profile().wrong_type_create_status.value == WrongTypeCreate::CollisionUnlessOpenIf;
        if !unchecked && !object_type.is_null() && !self.is_type(header, object_type) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        self.reference(header);
        STATUS_SUCCESS
    }
}
