//! Conversions between UTF-16, the system's code page (1252) and UTF-8.

use nt::{
    NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER_2, STATUS_NO_MEMORY,
    STATUS_SUCCESS, STRING, UNICODE_STRING,
};

use super::counted::Counted;
use crate::export::Address;
use crate::format::{decode, encode};
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `STATUS_SOME_NOT_MAPPED`: characters were replaced.
const SOME_NOT_MAPPED: NTSTATUS = nt::STATUS_SOME_NOT_MAPPED;

/// Converts a narrow string, into a new buffer when asked to.
pub(crate) fn RtlAnsiStringToUnicodeString(
    k: &Kernel,
    destination: Guest<UNICODE_STRING>,
    source: Guest<STRING>,
    allocate: u8,
) -> NTSTATUS {
    let text: Vec<u16> = Counted::narrow(k, source).text(k).into_iter().map(decode).collect();
    let destination = Counted::wide(destination);
    let bytes = (text.len() + 1) * 2;
    if bytes > 0xFFFF {
        return STATUS_INVALID_PARAMETER_2;
    }
    if allocate != 0 {
        let Some(buffer) = k.allocate_string(bytes) else { return STATUS_NO_MEMORY };
        destination.set(0, bytes, buffer);
    } else if bytes > destination.maximum() {
        return STATUS_BUFFER_OVERFLOW;
    }
    destination.put(k, 0, &text);
    STATUS_SUCCESS
}

/// Converts a wide string, into a new buffer when asked to. What does not fit is cut and reported.
pub(crate) fn RtlUnicodeStringToAnsiString(
    k: &Kernel,
    destination: Guest<STRING>,
    source: Guest<UNICODE_STRING>,
    allocate: u8,
) -> NTSTATUS {
    let mut text: Vec<u8> = Counted::wide(source).text(k).into_iter().map(encode).collect();
    let destination = Counted::narrow(k, destination);
    let bytes = text.len() + 1;
    let mut status = STATUS_SUCCESS;
    if allocate != 0 {
        let Some(buffer) = k.allocate_string(bytes) else { return STATUS_NO_MEMORY };
        destination.set(0, bytes, buffer);
    } else if bytes > destination.maximum() {
        if destination.maximum() == 0 {
            return STATUS_BUFFER_OVERFLOW;
        }
        text.truncate(destination.maximum() - 1);
        status = STATUS_BUFFER_OVERFLOW;
    }
    destination.put(k, 0, &text);
    status
}

/// Returns the bytes a wide string needs in the code page, terminator included.
pub(crate) fn RtlxUnicodeStringToAnsiSize(_: &Kernel, source: Guest<UNICODE_STRING>) -> u32 {
    (Counted::wide(source).length() / 2 + 1) as u32
}

/// Returns the bytes a narrow string needs as UTF-16, terminator included.
pub(crate) fn RtlxAnsiStringToUnicodeSize(k: &Kernel, source: Guest<STRING>) -> u32 {
    ((Counted::narrow(k, source).length() + 1) * 2) as u32
}

/// Converts bytes of the code page to UTF-16, as much as fits.
pub(crate) fn RtlMultiByteToUnicodeN(
    k: &Kernel,
    destination: Address,
    maximum: u32,
    written: Option<Guest<u32>>,
    source: Address,
    bytes: u32,
) -> NTSTATUS {
    let count = (maximum as usize / 2).min(bytes as usize);
    let text: Vec<u16> = GuestSlice::<u8>::new(k, source.0, count).to_vec().into_iter().map(decode).collect();
    GuestSlice::new(k, destination.0, count).fill_from(&text);
    if let Some(written) = written {
        written.write(count as u32 * 2);
    }
    STATUS_SUCCESS
}

/// Converts UTF-16 to bytes of the code page, as much as fits.
pub(crate) fn RtlUnicodeToMultiByteN(
    k: &Kernel,
    destination: Address,
    maximum: u32,
    written: Option<Guest<u32>>,
    source: Address,
    bytes: u32,
) -> NTSTATUS {
    let count = (maximum as usize).min(bytes as usize / 2);
    let text: Vec<u8> = GuestSlice::<u16>::new(k, source.0, count).to_vec().into_iter().map(encode).collect();
    GuestSlice::new(k, destination.0, count).fill_from(&text);
    if let Some(written) = written {
        written.write(count as u32);
    }
    STATUS_SUCCESS
}

/// Returns the bytes that UTF-16 text needs in the code page.
pub(crate) fn RtlUnicodeToMultiByteSize(
    _: &Kernel,
    size: Guest<u32>,
    _source: Address,
    bytes: u32,
) -> NTSTATUS {
    size.write(bytes / 2);
    STATUS_SUCCESS
}

/// Returns the bytes that text of the code page needs as UTF-16.
pub(crate) fn RtlMultiByteToUnicodeSize(
    _: &Kernel,
    size: Guest<u32>,
    _source: Address,
    bytes: u32,
) -> NTSTATUS {
    size.write(bytes * 2);
    STATUS_SUCCESS
}

/// Writes whole characters while they fit, and reports the bytes; without a destination, reports what is needed.
fn deliver<U: crate::guest::Unit>(
    k: &Kernel,
    destination: Address,
    maximum: u32,
    written: Option<Guest<u32>>,
    characters: impl Iterator<Item = Vec<U>>,
    replaced: bool,
) -> NTSTATUS {
    let size = size_of::<U>();
    let room = if destination == Address::NULL { usize::MAX } else { maximum as usize / size };
    let mut text = Vec::new();
    let mut cut = false;
    for character in characters {
        if text.len() + character.len() > room {
            cut = true;
            break;
        }
        text.extend(character);
    }
    if destination != Address::NULL {
        GuestSlice::new(k, destination.0, text.len()).fill_from(&text);
    }
    if let Some(written) = written {
        written.write((text.len() * size) as u32);
    }
    match (cut, replaced) {
        (true, _) => STATUS_BUFFER_TOO_SMALL,
        (false, true) => SOME_NOT_MAPPED,
        (false, false) => STATUS_SUCCESS,
    }
}

/// Converts UTF-8 to UTF-16. Malformed sequences become U+FFFD and the status says so.
pub(crate) fn RtlUTF8ToUnicodeN(
    k: &Kernel,
    destination: Address,
    maximum: u32,
    written: Option<Guest<u32>>,
    source: Address,
    bytes: u32,
) -> NTSTATUS {
    let bytes = GuestSlice::<u8>::new(k, source.0, bytes as usize).to_vec();
    let replaced = core::str::from_utf8(&bytes).is_err();
    let text = String::from_utf8_lossy(&bytes);
    let characters = text.chars().map(|character| character.encode_utf16(&mut [0; 2]).to_vec());
    deliver(k, destination, maximum, written, characters, replaced)
}

/// Converts UTF-16 to UTF-8. Lone surrogates become U+FFFD and the status says so.
pub(crate) fn RtlUnicodeToUTF8N(
    k: &Kernel,
    destination: Address,
    maximum: u32,
    written: Option<Guest<u32>>,
    source: Address,
    bytes: u32,
) -> NTSTATUS {
    let units = GuestSlice::<u16>::new(k, source.0, bytes as usize / 2).to_vec();
    let characters: Vec<_> = char::decode_utf16(units).collect();
    let replaced = characters.iter().any(Result::is_err);
    let encoded = characters.into_iter().map(|character| {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        character.encode_utf8(&mut [0; 4]).as_bytes().to_vec()
    });
    deliver(k, destination, maximum, written, encoded, replaced)
}
