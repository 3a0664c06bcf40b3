//! Memory: copying, filling, comparing. The C routines of the same purpose are here too.

use crate::export::Address;
use crate::guest::GuestSlice;
use crate::kernel::Kernel;

fn slice(k: &Kernel, address: Address, bytes: usize) -> GuestSlice<u8> {
    GuestSlice::new(k, address.0, bytes)
}

/// Copies memory; the ranges may overlap, which `memcpy` does not promise and the kernel's has always done.
pub(crate) fn memmove(k: &Kernel, destination: Address, source: Address, bytes: usize) -> Address {
    slice(k, destination, bytes).copy_from(slice(k, source, bytes));
    destination
}

/// `RtlCopyMemory`, `RtlMoveMemory`: the same without a result.
pub(crate) fn RtlMoveMemory(k: &Kernel, destination: Address, source: Address, bytes: usize) {
    memmove(k, destination, source, bytes);
}

/// Fills memory. The value is an `int`, of which one byte counts.
pub(crate) fn memset(k: &Kernel, destination: Address, value: i32, bytes: usize) -> Address {
    slice(k, destination, bytes).fill(value as u8);
    destination
}

/// Fills memory.
pub(crate) fn RtlFillMemory(k: &Kernel, destination: Address, bytes: usize, value: u8) {
    slice(k, destination, bytes).fill(value);
}

/// Fills memory with zeros.
pub(crate) fn RtlZeroMemory(k: &Kernel, destination: Address, bytes: usize) {
    slice(k, destination, bytes).fill(0);
}

/// Fills memory with a 32-bit pattern; a rest of fewer than four bytes stays.
pub(crate) fn RtlFillMemoryUlong(k: &Kernel, destination: Address, bytes: usize, pattern: u32) {
    GuestSlice::<u32>::new(k, destination.0, bytes / 4).fill_from(&vec![pattern; bytes / 4]);
}

fn equal_prefix(k: &Kernel, left: Address, right: Address, bytes: usize) -> usize {
    let (left, right) = (slice(k, left, bytes), slice(k, right, bytes));
    (0..bytes).take_while(|index| left.at(*index).read() == right.at(*index).read()).count()
}

/// Returns how many bytes are equal before the first that differs.
pub(crate) fn RtlCompareMemory(k: &Kernel, left: Address, right: Address, bytes: usize) -> usize {
    equal_prefix(k, left, right, bytes)
}

/// Returns how many bytes hold the 32-bit pattern before the first word that does not.
pub(crate) fn RtlCompareMemoryUlong(k: &Kernel, source: Address, bytes: usize, pattern: u32) -> usize {
    let words = GuestSlice::<u32>::new(k, source.0, bytes / 4);
    4 * (0..words.len()).take_while(|index| words.at(*index).read() == pattern).count()
}

/// Orders two ranges: -1, 0 or 1.
pub(crate) fn memcmp(k: &Kernel, left: Address, right: Address, bytes: usize) -> i32 {
    let at = equal_prefix(k, left, right, bytes);
    if at == bytes {
        return 0;
    }
    let (left, right) = (slice(k, left, bytes).at(at).read(), slice(k, right, bytes).at(at).read());
    if left < right { -1 } else { 1 }
}

/// Finds a byte.
pub(crate) fn memchr(k: &Kernel, source: Address, value: i32, bytes: usize) -> Address {
    let found = crate::guest::units::<u8>(k, source.0).take(bytes).position(|byte| byte == value as u8);
    found.map_or(Address::NULL, |at| Address(source.0 + at as u64))
}

/// `EINVAL`
const EINVAL: i32 = 22;
/// `ERANGE`
const ERANGE: i32 = 34;

/// Copies memory into a buffer of a known size. A source that does not fit clears the buffer.
pub(crate) fn memcpy_s(k: &Kernel, destination: Address, size: usize, source: Address, bytes: usize) -> i32 {
    if bytes == 0 {
        return 0;
    }
    if destination == Address::NULL {
        return EINVAL;
    }
    if source == Address::NULL || size < bytes {
        slice(k, destination, size).fill(0);
        return if source == Address::NULL { EINVAL } else { ERANGE };
    }
    memmove(k, destination, source, bytes);
    0
}

/// Copies memory into a buffer of a known size; the ranges may overlap.
pub(crate) fn memmove_s(k: &Kernel, destination: Address, size: usize, source: Address, bytes: usize) -> i32 {
    if bytes == 0 {
        return 0;
    }
    if destination == Address::NULL || source == Address::NULL {
        return EINVAL;
    }
    if size < bytes {
        return ERANGE;
    }
    memmove(k, destination, source, bytes);
    0
}
