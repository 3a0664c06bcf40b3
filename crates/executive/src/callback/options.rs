//! What to create, and what can go wrong.

use alloc::string::String;
use core::fmt;

use nt::{NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT};

/// A status that a callback object operation failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusError(pub NTSTATUS);

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl core::error::Error for StatusError {}

/// Why a routine was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The object takes one routine only and has it, or there is no memory. `ExRegisterCallback` does not say
    /// which.
    Refused,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the registration was refused: the object takes one routine only, or there is no memory")
    }
}

impl core::error::Error for RegisterError {}

/// What to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackOptions {
    pub(super) name: Option<String>,
    pub(super) attributes: u32,
    pub(super) multiple: bool,
}

impl CallbackOptions {
    /// An object with a full path such as `\Callback\Bell`. Without [`CallbackOptions::permanent`] nobody
    /// will ever find it there.
    #[must_use]
    pub fn named(path: &str) -> Self {
        Self { name: Some(path.into()), attributes: OBJ_CASE_INSENSITIVE, multiple: true }
    }

    /// An object without a name.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { name: None, attributes: 0, multiple: true }
    }

    /// Keeps the name until [`CallbackObject::make_temporary`](super::CallbackObject::make_temporary).
    #[must_use]
    pub const fn permanent(mut self) -> Self {
        self.attributes |= OBJ_PERMANENT;
        self
    }

    /// Compares names with regard to case.
    #[must_use]
    pub const fn case_sensitive(mut self) -> Self {
        self.attributes &= !OBJ_CASE_INSENSITIVE;
        self
    }

    /// Takes one routine only.
    #[must_use]
    pub const fn single(mut self) -> Self {
        self.multiple = false;
        self
    }
}
