//! Who made what: open handles and permanent names, with where driver code asked for them.
//!
//! Windows keeps no such account: a handle or a name that a driver leaves behind is nobody's.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use super::handle::Place;
use super::header::Header;
use crate::executive::Executive;
use crate::platform::{Origin, Platform};

/// An open handle, or a permanent name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeObject {
    /// Value of the handle, or address of the body.
    pub address: usize,
    /// Name of the object's type.
    pub type_name: String,
    /// Path of the object, where it has one.
    pub name: Option<String>,
    /// Who asked for it.
    pub origin: Origin,
}

impl<P: Platform> Executive<P> {
    /// Notes who made a name, where driver code did and the name is permanent.
    pub(super) fn note_name(&self, header: Header) {
        if !header.is_permanent() {
            return;
        }
        let origin = self.platform().origin();
        if origin.caller != 0 {
            let body = header.body().addr();
            self.permanent_names().with(|names| names.insert(body, origin));
            // Whoever took the name away in between has not found it in the account.
            if !header.is_permanent() {
                self.permanent_names().with(|names| names.remove(&body));
            }
        }
    }

    /// Returns the handles that driver code opened and that are open, by their values.
    pub fn handles_of_drivers(&self) -> Vec<MadeObject> {
        let open: Vec<(usize, Origin, Header)> = self.processes().with(|processes| {
            let handles = processes.of_drivers().map(|(kernel, index, object, origin)| {
                // SAFETY: the table has a reference on the object, and keeps it while this closure runs.
                let object = unsafe { referenced(object) };
                (Place { kernel, index }.handle().addr(), origin, object)
            });
            handles.collect()
        });
        open.into_iter()
            .map(|(address, origin, object)| {
                let made = self.made_object(address, origin, object);
                self.dereference(object);
                made
            })
            .collect()
    }

    /// Returns the names that driver code made permanent and that are there, by the addresses of their objects.
    pub fn names_of_drivers(&self) -> Vec<MadeObject> {
        let named: Vec<(usize, Origin, Header)> = self.permanent_names().with(|names| {
            let names = names.iter().map(|(body, origin)| {
                // SAFETY: a name is a reference on its object, given back only after the name has left the account, which it does not
                // while this closure runs.
                let object = unsafe { referenced(*body) };
                (*body, *origin, object)
            });
            names.collect()
        });
        named
            .into_iter()
            .filter_map(|(body, origin, object)| {
                let made = object.is_permanent().then(|| self.made_object(body, origin, object));
                self.dereference(object);
                made
            })
            .collect()
    }

    fn made_object(&self, address: usize, origin: Origin, object: Header) -> MadeObject {
        let name = self.full_name(object).map(|name| String::from_utf16_lossy(&name));
        MadeObject { address, type_name: self.type_of(object).name(), name, origin }
    }
}

/// Takes a reference on the object whose body lies at `body`, so that it stays when the account is let go.
///
/// # Safety
///
/// Somebody else has a reference on it during the call.
unsafe fn referenced(body: usize) -> Header {
    // SAFETY: the caller's promise.
    let object = unsafe { Header::of(ptr::with_exposed_provenance_mut::<c_void>(body)) };
    object.pointer_count().fetch_add(1, Ordering::Relaxed);
    object
}
