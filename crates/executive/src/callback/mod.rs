//! The safe layer: callback objects for those who embed the executive.
//!
//! ```
//! # use ringbell_executive as executive;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::sync::Arc;
//! use executive::{CallbackOptions, Executive, solo::Solo};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nt = Executive::boot(Solo::new(), nt::Profile::DEFAULT)?;
//! let bell = nt.create_callback(&CallbackOptions::named(r"\Callback\Bell").permanent())?;
//! let rung = Arc::new(AtomicUsize::new(0));
//! let listener = bell.register_fn({
//!     let rung = Arc::clone(&rung);
//!     move |argument1, _| {
//!         rung.fetch_add(argument1, Ordering::Relaxed);
//!     }
//! })?;
//! nt.open_callback(r"\Callback\bell", true)?.notify(7, 0);
//! assert_eq!(rung.load(Ordering::Relaxed), 7);
//! drop(listener); // unregisters
//! bell.notify(7, 0);
//! assert_eq!(rung.load(Ordering::Relaxed), 7);
//! # Ok(()) }
//! ```

mod object;
mod options;
mod registration;

use nt::{OBJ_CASE_INSENSITIVE, STATUS_OBJECT_NAME_INVALID};

pub use self::object::CallbackObject;
pub use self::options::{CallbackOptions, RegisterError, StatusError};
pub use self::registration::Registration;

use crate::ex::Attempt;
use crate::executive::Executive;
use crate::platform::Platform;

impl<P: Platform> Executive<P> {
    /// Creates a callback object, or opens the one that has the name already; its own settings stay then.
    ///
    /// # Errors
    ///
    /// Returns the status of `ExCreateCallback`.
    pub fn create_callback(&self, options: &CallbackOptions) -> Result<CallbackObject<'_, P>, StatusError> {
        self.create_or_open(&Attempt {
            name: options.name.as_deref(),
            attributes: options.attributes,
            create: true,
            multiple: options.multiple,
            keep_reference: true,
        })
    }

    /// Opens a callback object by its full path.
    ///
    /// # Errors
    ///
    /// Returns the status of `ExCreateCallback`, `STATUS_OBJECT_NAME_NOT_FOUND` where there is none.
    pub fn open_callback(
        &self,
        path: &str,
        case_insensitive: bool,
    ) -> Result<CallbackObject<'_, P>, StatusError> {
        self.create_or_open(&Attempt {
            name: Some(path),
            attributes: if case_insensitive { OBJ_CASE_INSENSITIVE } else { 0 },
            create: false,
            multiple: true,
            keep_reference: true,
        })
    }

    fn create_or_open(&self, attempt: &Attempt<'_>) -> Result<CallbackObject<'_, P>, StatusError> {
        if attempt.name.is_some_and(|name| name.encode_utf16().count() > 0x7FFE) {
            return Err(StatusError(STATUS_OBJECT_NAME_INVALID));
        }
        let made = self.attempt(attempt);
        if made.status.is_success() {
            // SAFETY: a callback object, and the reference that came with it.
            Ok(unsafe { CallbackObject::from_raw(self, made.object) })
        } else {
            Err(StatusError(made.status))
        }
    }
}
