//! Numbers and text, absolute values, `rand`.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::export::Address;
use crate::guest::{Guest, GuestSlice, Unit, terminated};
use crate::kernel::Kernel;

/// Reads blanks, a sign and decimal digits, wrapping on overflow.
fn decimal<U: Unit>(k: &Kernel, text: Address) -> i64 {
    let units: Vec<u16> = terminated::<U>(k, text.0).into_iter().map(Into::into).collect();
    let rest = units.iter().skip_while(|unit| matches!(unit, 9..=13 | 0x20)).copied().collect::<Vec<_>>();
    let (negative, digits) = match rest.as_slice() {
        [0x2D, digits @ ..] => (true, digits),
        [0x2B, digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let value = digits
        .iter()
        .map_while(|unit| char::from_u32(u32::from(*unit))?.to_digit(10))
        .fold(0i64, |value, digit| value.wrapping_mul(10).wrapping_add(i64::from(digit)));
    if negative { value.wrapping_neg() } else { value }
}

/// Reads an `int`, or a `long`: both have 32 bits.
pub(crate) fn atoi(k: &Kernel, text: Address) -> i32 {
    decimal::<u8>(k, text) as i32
}

/// Reads a 64-bit number.
pub(crate) fn _atoi64(k: &Kernel, text: Address) -> i64 {
    decimal::<u8>(k, text)
}

/// Reads an `int` from a wide string.
pub(crate) fn _wtoi(k: &Kernel, text: Address) -> i32 {
    decimal::<u16>(k, text) as i32
}

fn text_of(value: u64, negative: bool, radix: u32) -> String {
    let mut digits = Vec::new();
    let mut rest = value;
    loop {
        digits.push(char::from_digit((rest % u64::from(radix)) as u32, radix).unwrap_or('?'));
        rest /= u64::from(radix);
        if rest == 0 {
            break;
        }
    }
    if negative {
        digits.push('-');
    }
    digits.iter().rev().collect()
}

fn put<U: Unit + From<u8>>(k: &Kernel, buffer: Address, text: &str) -> Address {
    let units: Vec<U> = text.bytes().chain([0]).map(U::from).collect();
    GuestSlice::new(k, buffer.0, units.len()).fill_from(&units);
    buffer
}

/// Only base 10 has negative numbers.
fn signed(value: i32, radix: i32) -> Option<String> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix))?;
    let negative = radix == 10 && value < 0;
    let magnitude = if negative { value.unsigned_abs() } else { value as u32 };
    Some(text_of(u64::from(magnitude), negative, radix))
}

/// Writes an `int`. A base that does not exist gives an empty string.
pub(crate) fn _itoa(k: &Kernel, value: i32, buffer: Address, radix: i32) -> Address {
    put::<u8>(k, buffer, &signed(value, radix).unwrap_or_default())
}

/// Writes an `int` as wide text.
pub(crate) fn _itow(k: &Kernel, value: i32, buffer: Address, radix: i32) -> Address {
    put::<u16>(k, buffer, &signed(value, radix).unwrap_or_default())
}

/// Reads a number the way `strtol` and `strtoul` share: value, whether it is negative, units used, whether it fits 32 bits.
fn scan<U: Unit>(k: &Kernel, text: Address, base: i32) -> (u64, bool, usize, bool) {
    let units: Vec<u16> = terminated::<U>(k, text.0).into_iter().map(Into::into).collect();
    let digit = |at: usize, base: u32| {
        units.get(at).and_then(|unit| char::from_u32(u32::from(*unit))?.to_digit(base))
    };
    let mut at = units.iter().take_while(|unit| matches!(unit, 9..=13 | 0x20)).count();
    let negative = units.get(at) == Some(&0x2D);
    at += usize::from(matches!(units.get(at), Some(0x2B | 0x2D)));
    let hexadecimal = units.get(at) == Some(&0x30)
        && matches!(units.get(at + 1), Some(0x58 | 0x78))
        && digit(at + 2, 16).is_some();
    let base = match base {
        0 if hexadecimal => 16,
        0 if units.get(at) == Some(&0x30) => 8,
        0 => 10,
        2..=36 => base as u32,
        _ => return (0, false, 0, true),
    };
    if base == 16 && hexadecimal {
        at += 2;
    }
    let (mut value, mut fits, start) = (0u64, true, at);
    while let Some(digit) = digit(at, base) {
        value = (value * u64::from(base) + u64::from(digit)).min(1 << 40);
        fits &= value <= u64::from(u32::MAX);
        at += 1;
    }
    if at == start { (0, false, 0, true) } else { (value, negative, at, fits) }
}

fn finish(text: Address, end: Option<Guest<u64>>, used: usize, unit: usize) {
    if let Some(end) = end {
        end.write(text.0 + (used * unit) as u64);
    }
}

fn long(value: u64, negative: bool) -> i32 {
    let signed = if negative { -(value as i64) } else { value as i64 };
    signed.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn unsigned_long(value: u64, negative: bool, fits: bool) -> u32 {
    match (fits, negative) {
        (false, _) => u32::MAX,
        (true, true) => (value as u32).wrapping_neg(),
        (true, false) => value as u32,
    }
}

/// Reads a `long`, clamped to its range.
pub(crate) fn strtol(k: &Kernel, text: Address, end: Option<Guest<u64>>, base: i32) -> i32 {
    let (value, negative, used, _) = scan::<u8>(k, text, base);
    finish(text, end, used, 1);
    long(value, negative)
}

/// Reads an `unsigned long`.
pub(crate) fn strtoul(k: &Kernel, text: Address, end: Option<Guest<u64>>, base: i32) -> u32 {
    let (value, negative, used, fits) = scan::<u8>(k, text, base);
    finish(text, end, used, 1);
    unsigned_long(value, negative, fits)
}

/// Reads an `unsigned long` from a wide string.
pub(crate) fn wcstoul(k: &Kernel, text: Address, end: Option<Guest<u64>>, base: i32) -> u32 {
    let (value, negative, used, fits) = scan::<u16>(k, text, base);
    finish(text, end, used, 2);
    unsigned_long(value, negative, fits)
}

/// State of `rand`. NT keeps one for the whole kernel, as here.
static SEED: AtomicU32 = AtomicU32::new(1);

/// Sets the state of `rand`.
pub(crate) fn srand(_: &Kernel, seed: u32) {
    SEED.store(seed, Ordering::Relaxed);
}

/// Returns the next of 32768 numbers.
pub(crate) fn rand(_: &Kernel) -> i32 {
    let next = SEED.load(Ordering::Relaxed).wrapping_mul(214_013).wrapping_add(2_531_011);
    SEED.store(next, Ordering::Relaxed);
    (next >> 16 & 0x7FFF) as i32
}
