//! `sprintf` and its relatives, over the engine in [`format`](crate::format).

use crate::export::{Address, Variable};
use crate::format::{OutputUnit, Sink, format};
use crate::guest::{GuestSlice, terminated};
use crate::kernel::Kernel;

/// Most units that the routines without a size write: more than any guest buffer holds.
const UNBOUNDED: usize = 1 << 20;

fn produce<U: OutputUnit>(k: &Kernel, limit: usize, pattern: Address, arguments: u64) -> (Vec<U>, usize) {
    let mut sink = Sink::new(limit);
    format(k, &terminated::<U>(k, pattern.0), arguments, &mut sink);
    sink.finish()
}

/// Writes the text and a terminator, and returns the length.
fn unbounded<U: OutputUnit>(k: &Kernel, buffer: Address, pattern: Address, arguments: u64) -> i32 {
    let (text, length) = produce::<U>(k, UNBOUNDED, pattern, arguments);
    let room = GuestSlice::new(k, buffer.0, length + 1);
    room.fill_from(&text);
    room.at(text.len()).write(U::NUL);
    length as i32
}

/// Writes at most `count` units. The terminator is written only where it fits; a longer text returns -1.
fn bounded<U: OutputUnit>(
    k: &Kernel,
    buffer: Address,
    count: usize,
    pattern: Address,
    arguments: u64,
) -> i32 {
    let (text, length) = produce::<U>(k, count.min(UNBOUNDED), pattern, arguments);
    let room = GuestSlice::new(k, buffer.0, text.len() + usize::from(length < count));
    room.fill_from(&text);
    if length < count {
        room.at(text.len()).write(U::NUL);
    }
    if length > count { -1 } else { length as i32 }
}

/// `_TRUNCATE`
const TRUNCATE: usize = usize::MAX;

/// Writes at most `count` units and always a terminator, within a buffer of `size` units. A text that is longer empties
/// the buffer, or is cut with `_TRUNCATE`, and returns -1.
fn secure<U: OutputUnit>(
    k: &Kernel,
    buffer: Address,
    size: usize,
    count: usize,
    pattern: Address,
    arguments: u64,
) -> i32 {
    if buffer == Address::NULL || size == 0 || pattern == Address::NULL {
        return -1;
    }
    let limit = (size - 1).min(count);
    let (text, length) = produce::<U>(k, limit.min(UNBOUNDED), pattern, arguments);
    let cut_is_wanted = count == TRUNCATE || count < size;
    let kept = if length <= limit || cut_is_wanted { text.as_slice() } else { &[] };
    let room = GuestSlice::new(k, buffer.0, kept.len() + 1);
    room.fill_from(kept);
    room.at(kept.len()).write(U::NUL);
    if length > limit { -1 } else { length as i32 }
}

/// Formats without a limit.
pub(crate) fn sprintf(k: &Kernel, buffer: Address, pattern: Address, arguments: Variable) -> i32 {
    unbounded::<u8>(k, buffer, pattern, arguments.0)
}

/// Formats without a limit, from a `va_list`.
pub(crate) fn vsprintf(k: &Kernel, buffer: Address, pattern: Address, arguments: Address) -> i32 {
    unbounded::<u8>(k, buffer, pattern, arguments.0)
}

/// Formats wide text without a limit.
pub(crate) fn swprintf(k: &Kernel, buffer: Address, pattern: Address, arguments: Variable) -> i32 {
    unbounded::<u16>(k, buffer, pattern, arguments.0)
}

/// Formats at most `count` bytes.
pub(crate) fn _snprintf(
    k: &Kernel,
    buffer: Address,
    count: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    bounded::<u8>(k, buffer, count, pattern, arguments.0)
}

/// Formats at most `count` bytes, from a `va_list`.
pub(crate) fn _vsnprintf(
    k: &Kernel,
    buffer: Address,
    count: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    bounded::<u8>(k, buffer, count, pattern, arguments.0)
}

/// Formats at most `count` wide units.
pub(crate) fn _snwprintf(
    k: &Kernel,
    buffer: Address,
    count: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    bounded::<u16>(k, buffer, count, pattern, arguments.0)
}

/// Formats at most `count` wide units, from a `va_list`.
pub(crate) fn _vsnwprintf(
    k: &Kernel,
    buffer: Address,
    count: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    bounded::<u16>(k, buffer, count, pattern, arguments.0)
}

/// Formats into a buffer of a known size.
pub(crate) fn sprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    secure::<u8>(k, buffer, size, size, pattern, arguments.0)
}

/// Formats into a buffer of a known size, from a `va_list`.
pub(crate) fn vsprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    secure::<u8>(k, buffer, size, size, pattern, arguments.0)
}

/// Formats wide text into a buffer of a known size.
pub(crate) fn swprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    secure::<u16>(k, buffer, size, size, pattern, arguments.0)
}

/// Formats wide text into a buffer of a known size, from a `va_list`.
pub(crate) fn vswprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    secure::<u16>(k, buffer, size, size, pattern, arguments.0)
}

/// Formats at most `count` bytes into a buffer of a known size.
pub(crate) fn _snprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    count: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    secure::<u8>(k, buffer, size, count, pattern, arguments.0)
}

/// The same from a `va_list`.
pub(crate) fn _vsnprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    count: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    secure::<u8>(k, buffer, size, count, pattern, arguments.0)
}

/// Formats at most `count` wide units into a buffer of a known size.
pub(crate) fn _snwprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    count: usize,
    pattern: Address,
    arguments: Variable,
) -> i32 {
    secure::<u16>(k, buffer, size, count, pattern, arguments.0)
}

/// The same from a `va_list`.
pub(crate) fn _vsnwprintf_s(
    k: &Kernel,
    buffer: Address,
    size: usize,
    count: usize,
    pattern: Address,
    arguments: Address,
) -> i32 {
    secure::<u16>(k, buffer, size, count, pattern, arguments.0)
}
