//! Characters in the C locale.

use crate::kernel::Kernel;

macro_rules! classes {
    ($($(#[doc = $doc:literal])* $name:ident = $pattern:pat,)*) => { $(
        $(#[doc = $doc])*
        pub(crate) fn $name(_: &Kernel, character: i32) -> i32 {
            i32::from(u8::try_from(character).is_ok_and(|byte| matches!(byte, $pattern)))
        }
    )* };
}

classes! {
    /// Tells whether it is a decimal digit.
    isdigit = b'0'..=b'9',
    /// Tells whether it is a hexadecimal digit.
    isxdigit = b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F',
    /// Tells whether it is a blank.
    isspace = b' ' | 9..=13,
    /// Tells whether it is an upper-case letter.
    isupper = b'A'..=b'Z',
    /// Tells whether it is a lower-case letter.
    islower = b'a'..=b'z',
    /// Tells whether it prints.
    isprint = 0x20..=0x7E,
}

/// Makes a letter lower case.
pub(crate) fn tolower(_: &Kernel, character: i32) -> i32 {
    if (0x41..=0x5A).contains(&character) { character + 0x20 } else { character }
}

/// Makes a letter upper case.
pub(crate) fn toupper(_: &Kernel, character: i32) -> i32 {
    if (0x61..=0x7A).contains(&character) { character - 0x20 } else { character }
}

/// Makes a wide letter lower case.
pub(crate) fn towlower(_: &Kernel, character: u16) -> u16 {
    if (0x41..=0x5A).contains(&character) { character + 0x20 } else { character }
}

/// Makes a wide letter upper case, by the kernel's table and not only for ASCII.
pub(crate) fn towupper(_: &Kernel, character: u16) -> u16 {
    nt::hash::upcase(character)
}
