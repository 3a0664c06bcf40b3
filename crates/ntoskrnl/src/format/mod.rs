//! The format language of the kernel's `printf` family, one engine for narrow and wide output.
//!
//! Models `_vsnprintf` and `_vsnwprintf` of `ntoskrnl.exe`, which `DbgPrint` is made of: the C conversions with
//! Microsoft's sizes (`w`, `I`, `I32`, `I64`), Microsoft's `%S`, `%C`, and the kernel's `%Z` (`ANSI_STRING`) and `%wZ`
//! (`UNICODE_STRING`). Source: the public format specification of Microsoft's C library and the documentation of `DbgPrint`.
//!
//! As on Windows: `long` has 32 bits; `%p` is sixteen upper-case digits; a null string prints `(null)`; a `0` flag pads strings
//! too; an unknown conversion prints its letter; an exponent has three digits. Different on purpose: `%n` takes its
//! argument and writes nothing, and a string outside guest memory is a bugcheck in the caller's name instead of whatever
//! lies there.

mod conversion;
mod float;
mod sink;

#[cfg(test)]
mod tests;

pub(crate) use conversion::format;
pub(crate) use sink::{OutputUnit, Sink};

/// Returns the character that a byte of narrow text stands for in the system's code page, 1252.
pub(crate) fn decode(byte: u8) -> u16 {
    match byte {
        0x80..=0x9F => CP1252[usize::from(byte - 0x80)],
        _ => u16::from(byte),
    }
}

/// Returns the byte for a UTF-16 unit in the system's code page, `?` where it has none.
pub(crate) fn encode(unit: u16) -> u8 {
    match unit {
        0..=0x7F | 0xA0..=0xFF => unit as u8,
        _ => CP1252.iter().position(|known| *known == unit).map_or(b'?', |at| 0x80 + at as u8),
    }
}

/// Returns narrow text as a string for people.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from_u32(u32::from(decode(*byte))).unwrap_or('\u{FFFD}')).collect()
}

/// The upper half of code page 1252 where it differs from Latin-1; the five bytes without a character map to the
/// control characters with the same number.
const CP1252: [u16; 32] = [
    0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152,
    0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161,
    0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
];
