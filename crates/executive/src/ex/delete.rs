//! `ExpDeleteCallback`: the delete procedure of the type.
//!
//! It runs when the last reference is gone. Registrations cannot exist then, because each holds a reference,
//! and it does not look. It does not clear the signature either, so bodies with `Call` survive in freed pool.

use core::ffi::c_void;

use nt::CALLBACK_OBJECT;

use super::create::LIST;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};

impl<P: Platform> Executive<P> {
    /// Takes a callback object off the list of all callback objects. Before Windows 8.1 there is none, and
    /// nothing to do.
    ///
    /// # Safety
    ///
    /// `object` is the body of a callback object without references, whose memory is freed only afterwards.
    pub(crate) unsafe fn ExpDeleteCallback(&self, object: *mut c_void) {
        if !self.profile().has_global_list.value {
            return;
        }
        // SAFETY: the caller's promise.
        let object = unsafe { Live::<CALLBACK_OBJECT>::new(object.cast()) };
        let node = field!(object, CALLBACK_OBJECT, ExpCallbackList);
        self.ex_with_list_exclusive(|| self.ke_checked(list::remove(node), LIST));
    }
}
