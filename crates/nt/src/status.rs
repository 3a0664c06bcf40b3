//! Status codes.
//!
//! The names and values are those of `ntstatus.h`. The table in `status/table.rs` is the only place that has them;
//! constants, names and lookups come from it.

use core::fmt;

macro_rules! statuses {
    ($($name:ident = $value:literal)*) => {
        $(
            #[doc = concat!("Status `", stringify!($value), "`.")]
            pub const $name: $crate::status::NTSTATUS = $crate::status::NTSTATUS($value);
        )*

        /// Every name with its value.
        pub(super) const TABLE: &[(&str, u32)] = &[$((stringify!($name), $value)),*];
    };
}

mod table;
use table::TABLE;
pub use table::*;

/// A status code of the kernel.
///
/// ```
/// # use ringbell_nt as nt;
/// use nt::{NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND};
/// assert_eq!(STATUS_OBJECT_NAME_NOT_FOUND.to_string(), "STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034)");
/// assert_eq!(NTSTATUS(0xC0DE_0001).to_string(), "0xC0DE0001");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NTSTATUS(pub u32);

/// The two top bits of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It worked.
    Success,
    /// It worked, and there is something to know.
    Informational,
    /// It did not quite work.
    Warning,
    /// It failed.
    Error,
}

impl NTSTATUS {
    /// Tells whether the operation worked, as `NT_SUCCESS` does: the top bit is clear.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >> 31 == 0
    }

    /// Tells whether the operation failed, as `NT_ERROR` does: both top bits are set.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 >> 30 == 3
    }

    /// Gives the severity.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self.0 >> 30 {
            0 => Severity::Success,
            1 => Severity::Informational,
            2 => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// Gives the facility, 0 for the general codes.
    #[must_use]
    pub const fn facility(self) -> u16 {
        ((self.0 >> 16) & 0xFFF) as u16
    }

    /// Reads a status from the signed number C uses.
    #[must_use]
    pub const fn from_i32(value: i32) -> Self {
        Self(value.cast_unsigned())
    }

    /// Gives the signed number C uses.
    #[must_use]
    pub const fn to_i32(self) -> i32 {
        self.0.cast_signed()
    }

    /// Finds the name, if this crate knows the code. Of two names for one value the first of the table wins.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let first = TABLE.partition_point(|(_, value)| *value < self.0);
        TABLE.get(first).filter(|(_, value)| *value == self.0).map(|(name, _)| *name)
    }

    /// Lists every name with its code, ordered by value; one value may have several names.
    pub fn names() -> impl Iterator<Item = (&'static str, Self)> {
        TABLE.iter().map(|(name, value)| (*name, Self(*value)))
    }

    /// Finds a code by its exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|(known, _)| *known == name).map(|(_, value)| Self(*value))
    }
}

/// Prints name and value, or the value alone when it has no name here.
impl fmt::Display for NTSTATUS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:08X})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for NTSTATUS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// SAFETY: a transparent wrapper of an integer.
unsafe impl crate::layout::Pod for NTSTATUS {}
