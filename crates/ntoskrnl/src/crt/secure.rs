//! The `_s` string routines: they know the size of the destination.
//!
//! On Windows a violated precondition calls the invalid parameter handler, which in the kernel does nothing; the routine
//! then empties the destination and returns an error. That is what happens here.

use crate::export::Address;
use crate::guest::{Guest, GuestSlice, Unit, terminated_within};
use crate::kernel::Kernel;

const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
/// `STRUNCATE`
const TRUNCATED: i32 = 80;
/// `_TRUNCATE`
const TRUNCATE: usize = usize::MAX;

fn write<U: Unit>(k: &Kernel, at: Address, offset: usize, text: &[U]) {
    let room = GuestSlice::<U>::new(k, at.0 + (offset * size_of::<U>()) as u64, text.len() + 1);
    room.fill_from(text);
    room.at(text.len()).write(U::NUL);
}

/// Writes at most `count` units of `source` behind the first `offset` units of a destination of `size` units.
fn bounded<U: Unit>(
    k: &Kernel,
    at: Address,
    size: usize,
    offset: usize,
    source: Address,
    count: usize,
) -> i32 {
    if source == Address::NULL {
        Guest::<U>::new(k, at.0).write(U::NUL);
        return EINVAL;
    }
    let room = size - offset - 1;
    let limit = if count == TRUNCATE { room + 1 } else { count };
    let mut text = terminated_within::<U>(k, source.0, limit.min(size + 1));
    if text.len() <= room {
        write(k, at, offset, &text);
        return 0;
    }
    if count == TRUNCATE {
        text.truncate(room);
        write(k, at, offset, &text);
        return TRUNCATED;
    }
    Guest::<U>::new(k, at.0).write(U::NUL);
    ERANGE
}

fn copy<U: Unit>(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    if destination == Address::NULL || size == 0 {
        return EINVAL;
    }
    bounded::<U>(k, destination, size, 0, source, count)
}

fn append<U: Unit>(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    if destination == Address::NULL || size == 0 {
        return EINVAL;
    }
    let length = terminated_within::<U>(k, destination.0, size).len();
    if length == size {
        Guest::<U>::new(k, destination.0).write(U::NUL);
        return EINVAL;
    }
    bounded::<U>(k, destination, size, length, source, count)
}

/// Longest count that is no `_TRUNCATE`.
const ALL: usize = usize::MAX - 1;

/// Copies a string.
pub(crate) fn strcpy_s(k: &Kernel, destination: Address, size: usize, source: Address) -> i32 {
    copy::<u8>(k, destination, size, source, ALL)
}

/// Copies a wide string.
pub(crate) fn wcscpy_s(k: &Kernel, destination: Address, size: usize, source: Address) -> i32 {
    copy::<u16>(k, destination, size, source, ALL)
}

/// Copies at most `count` units.
pub(crate) fn strncpy_s(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    copy::<u8>(k, destination, size, source, count)
}

/// Copies at most `count` wide units.
pub(crate) fn wcsncpy_s(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    copy::<u16>(k, destination, size, source, count)
}

/// Appends a string.
pub(crate) fn strcat_s(k: &Kernel, destination: Address, size: usize, source: Address) -> i32 {
    append::<u8>(k, destination, size, source, ALL)
}

/// Appends a wide string.
pub(crate) fn wcscat_s(k: &Kernel, destination: Address, size: usize, source: Address) -> i32 {
    append::<u16>(k, destination, size, source, ALL)
}

/// Appends at most `count` units.
pub(crate) fn strncat_s(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    append::<u8>(k, destination, size, source, count)
}

/// Appends at most `count` wide units.
pub(crate) fn wcsncat_s(k: &Kernel, destination: Address, size: usize, source: Address, count: usize) -> i32 {
    append::<u16>(k, destination, size, source, count)
}
