//! `ExpGetNextCallback` and `ExpEnumerateCallback`: how PatchGuard walks callback objects and their routines.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION};

use super::create::LIST;
use super::{Globals, registration};
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

impl<P: Platform> Executive<P> {
    /// Returns the callback object after `previous` in creation order, the first one for null, null at the
    /// end. The reference on `previous` is given back, the one returned is the caller's. Objects that are
    /// being deleted are skipped.
    ///
    /// Returns null at once where this version has no list.
    ///
    /// # Safety
    ///
    /// `previous` is null or came from this routine.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`.
    pub unsafe fn ExpGetNextCallback(&self, previous: *mut CALLBACK_OBJECT) -> *mut CALLBACK_OBJECT {
        if !self.profile().has_global_list.value {
            return null_mut();
        }
        let head = field!(self.ex(), Globals, list_head);
        let found = self.ex_with_list_shared(|| {
            let mut node = head;
            if !previous.is_null() {
                // SAFETY: the caller's reference keeps it, and it is on the list while it has one.
                node = field!(unsafe { Live::new(previous) }, CALLBACK_OBJECT, ExpCallbackList);
            }
            while let Some(next) = self.ke_checked(list::next(head, node), LIST) {
                node = next;
                let offset = core::mem::offset_of!(CALLBACK_OBJECT, ExpCallbackList);
                let candidate: *mut c_void = node.ptr().wrapping_byte_sub(offset).cast();
                // SAFETY: what is on the list is not freed before it is off, and the list lock is held.
                if unsafe { self.ObReferenceObjectSafe(candidate) } {
                    return candidate.cast();
                }
            }
            null_mut()
        });
        if !previous.is_null() {
            // SAFETY: gives back the reference that this routine returned it with.
            unsafe { self.ObfDereferenceObject(previous.cast()) };
        }
        found
    }

    /// Returns the routine after the one at the cursor, and moves the cursor, which pins its registration. At
    /// the end it returns `None` and leaves the cursor where it was, not pinned any more.
    ///
    /// # Safety
    ///
    /// `callback_object` is a callback object; `cursor` leads to null or to what this routine left there.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn ExpEnumerateCallback(
        &self,
        callback_object: *mut CALLBACK_OBJECT,
        cursor: *mut *mut CALLBACK_REGISTRATION,
    ) -> Option<Routine> {
        // SAFETY: the caller's promise.
        let object = unsafe { Live::new(callback_object) };
        // SAFETY: the caller's promise.
        let cursor = unsafe { Live::new(cursor) };
        let head = field!(object, CALLBACK_OBJECT, RegisteredCallbacks);
        let lock = field!(object, CALLBACK_OBJECT, Lock);
        let old = self.ke_acquire(lock);
        let previous = cursor.get();
        let mut node = head;
        if !previous.is_null() {
            // SAFETY: pinned by `Busy` since this routine left it there.
            node = field!(unsafe { Live::new(previous) }, CALLBACK_REGISTRATION, Link);
        }
        let mut found = None;
        while let Some(next) = self.ke_checked(list::next(head, node), registration::LIST) {
            node = next;
            // SAFETY: only registrations are on this list, and the lock is held.
            let registration = unsafe { Live::<CALLBACK_REGISTRATION>::new(node.ptr().cast()) };
            if field!(registration, CALLBACK_REGISTRATION, UnregisterWaiting).get() == 0 {
                let busy = field!(registration, CALLBACK_REGISTRATION, Busy);
                busy.set(busy.get().wrapping_add(1));
                cursor.set(registration.ptr());
                found =
                    Some(Routine(field!(registration, CALLBACK_REGISTRATION, CallbackFunction).get().addr()));
                break;
            }
        }
        if !previous.is_null() {
            // SAFETY: pinned until the next line but one.
            let previous = unsafe { Live::new(previous) };
            let busy = field!(previous, CALLBACK_REGISTRATION, Busy);
            busy.set(busy.get().wrapping_sub(1));
            if field!(previous, CALLBACK_REGISTRATION, UnregisterWaiting).get() != 0 && busy.get() == 0 {
                self.ex_wake_unregister();
            }
        }
        self.ke_release(lock, old);
        found
    }
}
