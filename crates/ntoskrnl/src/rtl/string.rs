//! Counted strings: initializing, copying, appending, comparing, case.
//!
//! Models `UNICODE_STRING`, `ANSI_STRING` and the routines on them as the driver kit documents them. The system's code
//! page is 1252. The text of a string is read once, before anything is written, so source and destination may overlap.

use nt::{
    NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER,
    STATUS_NAME_TOO_LONG, STATUS_NO_MEMORY, STATUS_SUCCESS, STRING, UNICODE_STRING,
};

use super::counted::{Cased, Counted, compare};
use crate::export::Address;
use crate::guest::{self, Guest, GuestSlice};
use crate::kernel::Kernel;

/// Tag of the strings that the kernel allocates for drivers.
pub(crate) const STRING_TAG: u32 = nt::pool_tag(b"Strg");
/// Longest text of a wide string in bytes: the terminator must fit `MaximumLength`.
const LONGEST: usize = 0xFFFC;

/// Makes `destination` describe a terminated text, cut to what a counted string can hold.
pub(crate) fn RtlInitUnicodeString(k: &Kernel, destination: Guest<UNICODE_STRING>, source: Address) {
    let destination = Counted::wide(destination);
    if source == Address::NULL {
        return destination.set(0, 0, 0);
    }
    let length = (guest::terminated::<u16>(k, source.0).len() * 2).min(LONGEST);
    destination.set(length, length + 2, source.0);
}

/// The same, but refuses a text that is too long.
pub(crate) fn RtlInitUnicodeStringEx(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Address,
) -> NTSTATUS {
    let destination = Counted::wide(destination);
    if source == Address::NULL {
        destination.set(0, 0, 0);
        return STATUS_SUCCESS;
    }
    let length = guest::terminated::<u16>(k, source.0).len() * 2;
    if length > LONGEST {
        return STATUS_NAME_TOO_LONG;
    }
    destination.set(length, length + 2, source.0);
    STATUS_SUCCESS
}

/// Makes `destination` describe a terminated narrow text.
pub(crate) fn RtlInitAnsiString(k: &Kernel, destination: Guest<STRING>, source: Address) {
    let destination = Counted::narrow(k, destination);
    if source == Address::NULL {
        return destination.set(0, 0, 0);
    }
    let length = guest::terminated::<u8>(k, source.0).len().min(0xFFFE);
    destination.set(length, length + 1, source.0);
}

/// Copies as much of `source` as fits.
pub(crate) fn RtlCopyUnicodeString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Option<Guest<UNICODE_STRING>>,
) {
    let destination = Counted::wide(destination);
    copy(k, destination, source.map(Counted::wide));
}

/// Copies as much of `source` as fits. Unlike the wide routine it writes no terminator.
pub(crate) fn RtlCopyString(k: &Kernel, destination: Guest<STRING>, source: Option<Guest<STRING>>) {
    let destination = Counted::narrow(k, destination);
    let Some(source) = source else { return destination.set_length(0) };
    let mut text = Counted::narrow(k, source).text(k);
    text.truncate(destination.maximum());
    GuestSlice::new(k, destination.buffer(), text.len()).fill_from(&text);
    destination.set_length(text.len());
}

fn copy(k: &Kernel, destination: Counted<u16>, source: Option<Counted<u16>>) {
    let Some(source) = source else { return destination.set_length(0) };
    let mut text = source.text(k);
    text.truncate(destination.maximum() / 2);
    if text.is_empty() {
        return destination.set_length(0);
    }
    destination.put(k, 0, &text);
}

/// Appends a counted string.
pub(crate) fn RtlAppendUnicodeStringToString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    append(k, Counted::wide(destination), &Counted::wide(source).text(k))
}

/// Appends a terminated text, or nothing for null.
pub(crate) fn RtlAppendUnicodeToString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Address,
) -> NTSTATUS {
    let text = if source == Address::NULL { Vec::new() } else { guest::terminated(k, source.0) };
    append(k, Counted::wide(destination), &text)
}

/// Appends a counted narrow string.
pub(crate) fn RtlAppendStringToString(
    k: &Kernel,
    destination: Guest<STRING>,
    source: Guest<STRING>,
) -> NTSTATUS {
    append_narrow(k, destination, &Counted::narrow(k, source).text(k))
}

/// Appends a terminated narrow text, or nothing for null.
pub(crate) fn RtlAppendAsciizToString(k: &Kernel, destination: Guest<STRING>, source: Address) -> NTSTATUS {
    let text = if source == Address::NULL { Vec::new() } else { guest::terminated(k, source.0) };
    append_narrow(k, destination, &text)
}

fn append(k: &Kernel, destination: Counted<u16>, text: &[u16]) -> NTSTATUS {
    let length = destination.length();
    if length + text.len() * 2 > destination.maximum() {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if !text.is_empty() {
        destination.put(k, length, text);
    }
    STATUS_SUCCESS
}

fn append_narrow(k: &Kernel, destination: Guest<STRING>, text: &[u8]) -> NTSTATUS {
    let destination = Counted::narrow(k, destination);
    let length = destination.length();
    if length + text.len() > destination.maximum() {
        return STATUS_BUFFER_TOO_SMALL;
    }
    GuestSlice::new(k, destination.buffer() + length as u64, text.len()).fill_from(text);
    destination.set_length(length + text.len());
    STATUS_SUCCESS
}

/// Orders two strings: negative, zero or positive.
pub(crate) fn RtlCompareUnicodeString(
    k: &Kernel,
    left: Guest<UNICODE_STRING>,
    right: Guest<UNICODE_STRING>,
    insensitive: u8,
) -> i32 {
    compare(&Counted::wide(left).text(k), &Counted::wide(right).text(k), insensitive != 0)
}

/// Orders two texts given by address and number of characters.
pub(crate) fn RtlCompareUnicodeStrings(
    k: &Kernel,
    left: Address,
    left_length: usize,
    right: Address,
    right_length: usize,
    insensitive: u8,
) -> i32 {
    let left = GuestSlice::<u16>::new(k, left.0, left_length).to_vec();
    let right = GuestSlice::<u16>::new(k, right.0, right_length).to_vec();
    compare(&left, &right, insensitive != 0)
}

/// Orders two narrow strings.
pub(crate) fn RtlCompareString(
    k: &Kernel,
    left: Guest<STRING>,
    right: Guest<STRING>,
    insensitive: u8,
) -> i32 {
    compare(&Counted::narrow(k, left).text(k), &Counted::narrow(k, right).text(k), insensitive != 0)
}

/// Tells whether two strings are equal.
pub(crate) fn RtlEqualUnicodeString(
    k: &Kernel,
    left: Guest<UNICODE_STRING>,
    right: Guest<UNICODE_STRING>,
    insensitive: u8,
) -> u8 {
    u8::from(RtlCompareUnicodeString(k, left, right, insensitive) == 0)
}

/// Tells whether two narrow strings are equal.
pub(crate) fn RtlEqualString(k: &Kernel, left: Guest<STRING>, right: Guest<STRING>, insensitive: u8) -> u8 {
    u8::from(RtlCompareString(k, left, right, insensitive) == 0)
}

/// Tells whether `string` begins with `prefix`.
pub(crate) fn RtlPrefixUnicodeString(
    k: &Kernel,
    prefix: Guest<UNICODE_STRING>,
    string: Guest<UNICODE_STRING>,
    insensitive: u8,
) -> u8 {
    is_prefix(&Counted::wide(prefix).text(k), &Counted::wide(string).text(k), insensitive)
}

/// Tells whether the narrow `string` begins with `prefix`.
pub(crate) fn RtlPrefixString(
    k: &Kernel,
    prefix: Guest<STRING>,
    string: Guest<STRING>,
    insensitive: u8,
) -> u8 {
    is_prefix(&Counted::narrow(k, prefix).text(k), &Counted::narrow(k, string).text(k), insensitive)
}

fn is_prefix<U: Cased>(prefix: &[U], text: &[U], insensitive: u8) -> u8 {
    let front = text.get(..prefix.len());
    u8::from(front.is_some_and(|front| compare(prefix, front, insensitive != 0) == 0))
}

/// Returns the upper-case form of a character.
pub(crate) fn RtlUpcaseUnicodeChar(_: &Kernel, character: u16) -> u16 {
    character.upper()
}

/// Returns the lower-case form of a character.
pub(crate) fn RtlDowncaseUnicodeChar(_: &Kernel, character: u16) -> u16 {
    character.lower()
}

/// Returns the upper-case form of a narrow character.
pub(crate) fn RtlUpperChar(_: &Kernel, character: u8) -> u8 {
    character.upper()
}

/// Writes the upper-case form of `source` over `destination`, as much as fits.
pub(crate) fn RtlUpperString(k: &Kernel, destination: Guest<STRING>, source: Guest<STRING>) {
    let destination = Counted::narrow(k, destination);
    let mut text = Counted::narrow(k, source).text(k);
    text.truncate(destination.maximum());
    let text: Vec<u8> = text.into_iter().map(Cased::upper).collect();
    GuestSlice::new(k, destination.buffer(), text.len()).fill_from(&text);
    destination.set_length(text.len());
}

/// Makes the upper-case form of `source`, in a new buffer when asked to.
pub(crate) fn RtlUpcaseUnicodeString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Guest<UNICODE_STRING>,
    allocate: u8,
) -> NTSTATUS {
    let text = Counted::wide(source).text(k).into_iter().map(Cased::upper).collect();
    recase(k, destination, text, allocate)
}

/// Makes the lower-case form of `source`, in a new buffer when asked to.
pub(crate) fn RtlDowncaseUnicodeString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Guest<UNICODE_STRING>,
    allocate: u8,
) -> NTSTATUS {
    let text = Counted::wide(source).text(k).into_iter().map(Cased::lower).collect();
    recase(k, destination, text, allocate)
}

#[expect(clippy::needless_pass_by_value, reason = "the text is made for this call")]
fn recase(k: &Kernel, destination: Guest<UNICODE_STRING>, text: Vec<u16>, allocate: u8) -> NTSTATUS {
    let destination = Counted::wide(destination);
    let bytes = text.len() * 2;
    if allocate != 0 {
        let Some(buffer) = k.allocate_string(bytes) else { return STATUS_NO_MEMORY };
        destination.set(0, bytes, buffer);
    } else if bytes > destination.maximum() {
        return STATUS_BUFFER_OVERFLOW;
    }
    GuestSlice::new(k, destination.buffer(), text.len()).fill_from(&text);
    destination.set_length(bytes);
    STATUS_SUCCESS
}

/// Makes `destination` a copy of a terminated text in a new buffer.
pub(crate) fn RtlCreateUnicodeString(k: &Kernel, destination: Guest<UNICODE_STRING>, source: Address) -> u8 {
    let text = guest::terminated::<u16>(k, source.0);
    let bytes = text.len() * 2;
    if bytes > LONGEST {
        return 0;
    }
    let Some(buffer) = k.allocate_string(bytes + 2) else { return 0 };
    let destination = Counted::wide(destination);
    destination.set(0, bytes + 2, buffer);
    destination.put(k, 0, &text);
    1
}

/// `RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE`
const NULL_TERMINATE: u32 = 1;
/// `RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING`
const ALLOCATE_NULL_STRING: u32 = 2;

/// Makes `destination` a copy of `source` in a new buffer.
pub(crate) fn RtlDuplicateUnicodeString(
    k: &Kernel,
    flags: u32,
    source: Option<Guest<UNICODE_STRING>>,
    destination: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    let known = NULL_TERMINATE | ALLOCATE_NULL_STRING;
    if flags & !known != 0 || flags == ALLOCATE_NULL_STRING {
        return STATUS_INVALID_PARAMETER;
    }
    let text = source.map(|source| Counted::wide(source).text(k)).unwrap_or_default();
    let destination = Counted::wide(destination);
    if text.is_empty() && flags & ALLOCATE_NULL_STRING == 0 {
        destination.set(0, 0, 0);
        return STATUS_SUCCESS;
    }
    let terminator = if flags & NULL_TERMINATE == 0 { 0 } else { 2 };
    let bytes = text.len() * 2 + terminator;
    if bytes > LONGEST + 2 {
        return STATUS_NAME_TOO_LONG;
    }
    let Some(buffer) = k.allocate_string(bytes) else { return STATUS_NO_MEMORY };
    destination.set(0, bytes, buffer);
    destination.put(k, 0, &text);
    STATUS_SUCCESS
}

/// Frees a buffer that the kernel allocated for a string, and empties the string.
pub(crate) fn RtlFreeUnicodeString(k: &Kernel, string: Guest<UNICODE_STRING>) {
    let string = Counted::wide(string);
    let buffer = string.buffer();
    if buffer != 0 {
        k.free_pool(buffer);
        string.set(0, 0, 0);
    }
}

/// Frees a buffer that the kernel allocated for a narrow string, and empties the string.
pub(crate) fn RtlFreeAnsiString(k: &Kernel, string: Guest<STRING>) {
    RtlFreeUnicodeString(k, Guest::new(k, string.address()));
}

/// Hashes a string with the one algorithm there is (`HASH_STRING_ALGORITHM_X65599`, also the default).
pub(crate) fn RtlHashUnicodeString(
    k: &Kernel,
    string: Guest<UNICODE_STRING>,
    insensitive: u8,
    algorithm: u32,
    hash: Guest<u32>,
) -> NTSTATUS {
    if algorithm > 1 {
        return STATUS_INVALID_PARAMETER;
    }
    let text = Counted::wide(string).text(k);
    let value = text.iter().fold(0u32, |value, unit| {
        let unit = if insensitive != 0 { unit.upper() } else { *unit };
        value.wrapping_mul(65599).wrapping_add(u32::from(unit))
    });
    hash.write(value);
    STATUS_SUCCESS
}
