//! Numbers and GUIDs as text.

use nt::{
    GUID, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER, STATUS_NO_MEMORY, STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::counted::Counted;
use crate::export::Address;
use crate::guest::{self, Guest, GuestSlice, Unit};
use crate::kernel::Kernel;

fn digits(mut value: u64, base: u32) -> Option<Vec<u8>> {
    let base = match base {
        0 => 10,
        2 | 8 | 10 | 16 => u64::from(base),
        _ => return None,
    };
    let mut text = Vec::new();
    loop {
        text.push(b"0123456789ABCDEF"[(value % base) as usize]);
        value /= base;
        if value == 0 {
            break;
        }
    }
    text.reverse();
    Some(text)
}

/// Writes a number into a string.
pub(crate) fn RtlIntegerToUnicodeString(
    k: &Kernel,
    value: u32,
    base: u32,
    string: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    RtlInt64ToUnicodeString(k, u64::from(value), base, string)
}

/// Writes a 64-bit number into a string.
pub(crate) fn RtlInt64ToUnicodeString(
    k: &Kernel,
    value: u64,
    base: u32,
    string: Guest<UNICODE_STRING>,
) -> NTSTATUS {
    let Some(text) = digits(value, base) else { return STATUS_INVALID_PARAMETER };
    let string = Counted::wide(string);
    if text.len() * 2 > string.maximum() {
        return STATUS_BUFFER_OVERFLOW;
    }
    let text: Vec<u16> = text.into_iter().map(u16::from).collect();
    string.put(k, 0, &text);
    STATUS_SUCCESS
}

/// Reads a number: blanks, a sign, with base 0 a prefix `0x`, `0o` or `0b`, digits up to the first that is none.
fn parse<U: Unit>(text: &[U], base: u32) -> Option<u32> {
    let mut units =
        text.iter().map(|unit| (*unit).into()).skip_while(|unit: &u16| (1..=32).contains(unit)).peekable();
    let negative = match units.peek() {
        Some(0x2D) => units.next().is_some(),
        Some(0x2B) => units.next().is_none(),
        _ => false,
    };
    let units: Vec<u16> = units.collect();
    let (base, units) = match (base, units.as_slice()) {
        (0, [0x30, 0x78, rest @ ..]) => (16, rest),
        (0, [0x30, 0x6F, rest @ ..]) => (8, rest),
        (0, [0x30, 0x62, rest @ ..]) => (2, rest),
        (0, all) => (10, all),
        (2 | 8 | 10 | 16, all) => (base, all),
        _ => return None,
    };
    let value = units
        .iter()
        .map_while(|unit| char::from_u32(u32::from(*unit))?.to_digit(base))
        .fold(0u32, |value, digit| value.wrapping_mul(base).wrapping_add(digit));
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads a number from a string.
pub(crate) fn RtlUnicodeStringToInteger(
    k: &Kernel,
    string: Guest<UNICODE_STRING>,
    base: u32,
    value: Guest<u32>,
) -> NTSTATUS {
    match parse(&Counted::wide(string).text(k), base) {
        Some(number) => {
            value.write(number);
            STATUS_SUCCESS
        }
        None => STATUS_INVALID_PARAMETER,
    }
}

/// Reads a number from a terminated narrow text.
pub(crate) fn RtlCharToInteger(k: &Kernel, text: Address, base: u32, value: Guest<u32>) -> NTSTATUS {
    match parse(&guest::terminated::<u8>(k, text.0), base) {
        Some(number) => {
            value.write(number);
            STATUS_SUCCESS
        }
        None => STATUS_INVALID_PARAMETER,
    }
}

/// Writes `{6B29FC40-CA47-1067-B31D-00DD010662DA}` into a new buffer.
pub(crate) fn RtlStringFromGUID(k: &Kernel, guid: Guest<GUID>, string: Guest<UNICODE_STRING>) -> NTSTATUS {
    let GUID { Data1, Data2, Data3, Data4: [a, b, c, d, e, f, g, h] } = guid.read();
    let text: Vec<u16> = format!(
        "{{{Data1:08X}-{Data2:04X}-{Data3:04X}-{a:02X}{b:02X}-{c:02X}{d:02X}{e:02X}{f:02X}{g:02X}{h:02X}}}"
    )
    .encode_utf16()
    .collect();
    let bytes = (text.len() + 1) * 2;
    let Some(buffer) = k.allocate_string(bytes) else { return STATUS_NO_MEMORY };
    let string = Counted::wide(string);
    string.set(0, bytes, buffer);
    string.put(k, 0, &text);
    STATUS_SUCCESS
}

/// Reads a GUID in that form.
pub(crate) fn RtlGUIDFromString(k: &Kernel, string: Guest<UNICODE_STRING>, guid: Guest<GUID>) -> NTSTATUS {
    let text = String::from_utf16_lossy(&Counted::wide(string).text(k));
    match parse_guid(&text) {
        Some(bytes) => {
            // All fields of a GUID lie without gaps; the first three are little-endian numbers.
            GuestSlice::<u8>::new(k, guid.address(), 16).fill_from(&bytes);
            STATUS_SUCCESS
        }
        None => STATUS_INVALID_PARAMETER,
    }
}

fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let inner = text.strip_prefix('{')?.get(..37)?.strip_suffix('}')?;
    let groups: Vec<&str> = inner.split('-').collect();
    if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12])
        || !inner.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
    {
        return None;
    }
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&u32::from_str_radix(groups[0], 16).ok()?.to_le_bytes());
    bytes[4..6].copy_from_slice(&u16::from_str_radix(groups[1], 16).ok()?.to_le_bytes());
    bytes[6..8].copy_from_slice(&u16::from_str_radix(groups[2], 16).ok()?.to_le_bytes());
    bytes[8..10].copy_from_slice(&u16::from_str_radix(groups[3], 16).ok()?.to_be_bytes());
    bytes[10..].copy_from_slice(&u64::from_str_radix(groups[4], 16).ok()?.to_be_bytes()[2..]);
    Some(bytes)
}
