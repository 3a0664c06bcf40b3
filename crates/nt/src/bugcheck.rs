//! How Windows ends: bugcheck codes and fast-fail codes, with one line on what each means.

use core::fmt;

macro_rules! bugchecks {
    ($( $(#[doc = $doc:literal])+ $name:ident = $value:literal, )*) => {
        impl $crate::bugcheck::BugCheck {
            $(
                $(#[doc = $doc])+
                pub const $name: Self = Self($value);
            )*

            /// Gives the code's name, if this crate knows it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some(stringify!($name)), )*
                    other => $crate::bugcheck::names::name(other),
                }
            }

            /// Says in one sentence what the code means.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some(concat!($($doc),+).trim_ascii()), )*
                    _ => None,
                }
            }

            /// Lists the codes this crate knows, in order.
            pub const ALL: &[Self] = &[$(Self($value)),*];
        }
    };
}

/// A bugcheck code.
///
/// ```
/// # use ringbell_nt as nt;
/// assert_eq!(nt::BugCheck(0xD1).to_string(), "DRIVER_IRQL_NOT_LESS_OR_EQUAL (0xD1)");
/// assert_eq!(nt::BugCheck(0xE000_0001).to_string(), "0xE0000001");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct BugCheck(pub u32);

/// Prints name and value, or the value alone when it has no name here.
impl fmt::Display for BugCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:X})", self.0),
            None => write!(f, "0x{:X}", self.0),
        }
    }
}

macro_rules! fast_fail_codes {
    ($( $(#[doc = $doc:literal])+ $name:ident = $value:literal, )*) => {
        impl $crate::bugcheck::FastFail {
            $(
                $(#[doc = $doc])+
                pub const $name: Self = Self($value);
            )*

            /// Gives the code's name, if this crate knows it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some(concat!("FAST_FAIL_", stringify!($name))), )*
                    _ => None,
                }
            }

            /// Says in one sentence what the code means.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some(concat!($($doc),+).trim_ascii()), )*
                    _ => None,
                }
            }

            /// Lists the codes this crate knows, in order.
            pub const ALL: &[Self] = &[$(Self($value)),*];
        }
    };
}

/// A fast-fail code: what `int 29h` finds in ECX, and the first parameter of bugcheck `0x139`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct FastFail(pub u32);

/// Prints name and value, or the value alone when it has no name here.
impl fmt::Display for FastFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

mod names;
mod table;
