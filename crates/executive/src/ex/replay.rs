//! Replaying recorded attempts: each row becomes a real `ExCreateCallback` on the live executive.

use alloc::vec::Vec;
use core::ptr::null_mut;

use nt::{CALLBACK_OBJECT, NTSTATUS, STATUS_OBJECT_NAME_INVALID};
use record::CreateOutcome;

use super::initialize::{Name, attributes};
use crate::executive::Executive;
use crate::platform::Platform;

/// One call of `ExCreateCallback` to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// Full path, or `None` for no name.
    pub name: Option<&'a str>,
    /// `OBJECT_ATTRIBUTES.Attributes`.
    pub attributes: u32,
    /// The `Create` argument.
    pub create: bool,
    /// The `AllowMultipleCallbacks` argument.
    pub multiple: bool,
    /// Whether the caller keeps its reference.
    pub keep_reference: bool,
}

impl From<&nt::catalog::Attempt> for Attempt<'static> {
    fn from(row: &nt::catalog::Attempt) -> Self {
        Self {
            name: row.name,
            attributes: row.attributes,
            create: row.create,
            multiple: row.multiple,
            keep_reference: row.keep_reference,
        }
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Created, opened, unnamed or failed.
    pub outcome: CreateOutcome,
    /// Status returned.
    pub status: NTSTATUS,
    /// The object, null for none. Without `keep_reference` it may be gone.
    pub object: *mut CALLBACK_OBJECT,
}

impl<P: Platform> Executive<P> {
    /// Makes one recorded call. A reference that is kept belongs to the world from then on.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn attempt(&self, attempt: &Attempt<'_>) -> Replayed {
        let failed = |status| Replayed { outcome: CreateOutcome::Failed, status, object: null_mut() };
        let mut name = Name::new(attempt.name.unwrap_or_default());
        if !name.fits() {
            return failed(STATUS_OBJECT_NAME_INVALID);
        }
        let mut view = name.view();
        let name = if attempt.name.is_some() { &raw mut view } else { null_mut() };
        let attributes = attributes(name, attempt.attributes);
        let mut object = null_mut();
        // SAFETY: output, attributes and name live across the call.
        let (status, outcome) = unsafe {
            self.ex_create(
                &raw mut object,
                &raw const attributes,
                attempt.create.into(),
                attempt.multiple.into(),
            )
        };
        if !status.is_success() {
            return failed(status);
        }
        if !attempt.keep_reference {
            // SAFETY: gives back the reference just taken.
            unsafe { self.ObfDereferenceObject(object.cast()) };
        }
        Replayed { outcome, status, object }
    }

    /// Makes recorded calls in order.
    pub fn replay<'a>(&self, attempts: impl IntoIterator<Item = Attempt<'a>>) -> Vec<Replayed> {
        attempts.into_iter().map(|attempt| self.attempt(&attempt)).collect()
    }
}
