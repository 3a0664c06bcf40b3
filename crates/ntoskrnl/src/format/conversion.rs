//! Parses a format and converts the arguments.

use nt::{STRING, UNICODE_STRING};

use super::float;
use super::sink::{OutputUnit, Sink};
use crate::guest::{self, Arena, Guest, GuestSlice};

/// Widest field and largest precision taken seriously, as a limit for the work and not for the output.
const MOST: usize = i32::MAX as usize;

/// Argument slots of a variadic call or `va_list`.
struct Slots<'a, A: ?Sized> {
    arena: &'a A,
    next: u64,
}

impl<A: Arena + ?Sized> Slots<'_, A> {
    fn take(&mut self) -> u64 {
        let slot = Guest::<u64>::new(self.arena, self.next);
        self.next += 8;
        slot.read()
    }
}

#[derive(Clone, Copy, Default)]
struct Flags {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
}

/// Size prefix.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Size {
    #[default]
    None,
    /// `hh`
    Char,
    /// `h`
    Short,
    /// `l`: 32 bits, and wide text.
    Long,
    /// `w`: wide text.
    Wide,
    /// `I32`
    Bits32,
    /// `ll`, `I64`, `I`, `j`, `z`, `t`
    Bits64,
}

#[derive(Clone, Copy, Default)]
struct Specification {
    flags: Flags,
    width: usize,
    precision: Option<usize>,
    size: Size,
}

/// Formats `format` with the arguments from the slot address `arguments` on.
///
/// `format` ends at its end or at a NUL, whichever comes first.
pub(crate) fn format<U: OutputUnit, A: Arena + ?Sized>(
    arena: &A,
    format: &[U],
    arguments: u64,
    sink: &mut Sink<U>,
) {
    let mut slots = Slots { arena, next: arguments };
    let mut rest = format.iter().copied().take_while(|unit| *unit != U::NUL).peekable();
    while let Some(unit) = rest.next() {
        if unit.into() != u16::from(b'%') {
            sink.push(unit);
            continue;
        }
        let mut specification = Specification::default();
        // Reads one unit ahead: a prefix such as `I6` that turns out to be none is rare and short.
        let mut next = || rest.next().map(|unit| (unit, u8::try_from(unit.into()).unwrap_or(0)));
        let Some(mut current) = next() else { break };
        loop {
            match current.1 {
                b'-' => specification.flags.left = true,
                b'+' => specification.flags.plus = true,
                b' ' => specification.flags.space = true,
                b'#' => specification.flags.alternate = true,
                b'0' => specification.flags.zero = true,
                _ => break,
            }
            let Some(following) = next() else { return };
            current = following;
        }
        if current.1 == b'*' {
            let width = slots.take() as i32;
            specification.flags.left |= width < 0;
            specification.width = width.unsigned_abs() as usize;
            let Some(following) = next() else { return };
            current = following;
        } else {
            while current.1.is_ascii_digit() {
                specification.width = (specification.width * 10 + usize::from(current.1 - b'0')).min(MOST);
                let Some(following) = next() else { return };
                current = following;
            }
        }
        if current.1 == b'.' {
            let Some(following) = next() else { return };
            current = following;
            if current.1 == b'*' {
                specification.precision = usize::try_from(slots.take() as i32).ok();
                let Some(following) = next() else { return };
                current = following;
            } else {
                let mut precision = 0usize;
                while current.1.is_ascii_digit() {
                    precision = (precision * 10 + usize::from(current.1 - b'0')).min(MOST);
                    let Some(following) = next() else { return };
                    current = following;
                }
                specification.precision = Some(precision);
            }
        }
        loop {
            specification.size = match (current.1, specification.size) {
                (b'h', Size::Short) => Size::Char,
                (b'h', _) => Size::Short,
                (b'l', Size::Long) | (b'j' | b'z' | b't' | b'I', _) => Size::Bits64,
                (b'l', _) => Size::Long,
                (b'w', _) => Size::Wide,
                // `I32` and `I64`; a digit cannot stand here otherwise.
                (b'3', Size::Bits64) => Size::Bits32,
                (b'6' | b'4', Size::Bits64) | (b'2', Size::Bits32) => specification.size,
                _ => break,
            };
            let Some(following) = next() else { return };
            current = following;
        }
        convert(&mut slots, &specification, current, sink);
    }
}

fn convert<U: OutputUnit, A: Arena + ?Sized>(
    slots: &mut Slots<'_, A>,
    specification: &Specification,
    (unit, letter): (U, u8),
    sink: &mut Sink<U>,
) {
    match letter {
        b'd' | b'i' => {
            let value = match (slots.take(), specification.size) {
                (raw, Size::Char) => i64::from(raw as i8),
                (raw, Size::Short) => i64::from(raw as i16),
                (raw, Size::Bits64) => raw as i64,
                (raw, _) => i64::from(raw as i32),
            };
            let sign = sign(specification.flags, value < 0);
            let digits = value.unsigned_abs().to_string();
            integer(specification, sign, value == 0, digits, sink);
        }
        b'u' => {
            let value = unsigned(slots.take(), specification.size);
            integer(specification, "", value == 0, value.to_string(), sink);
        }
        b'o' => {
            let value = unsigned(slots.take(), specification.size);
            let mut digits = if value == 0 && specification.precision == Some(0) {
                String::new()
            } else {
                format!("{value:o}")
            };
            if specification.flags.alternate && !digits.starts_with('0') {
                digits.insert(0, '0');
            }
            integer(specification, "", false, digits, sink);
        }
        b'x' | b'X' => {
            hexadecimal(specification, unsigned(slots.take(), specification.size), letter == b'X', sink);
        }
        b'p' => {
            let specification = Specification { precision: Some(16), ..*specification };
            hexadecimal(&specification, slots.take(), true, sink);
        }
        b'c' | b'C' => {
            let raw = slots.take();
            let unit = if is_wide::<U>(specification.size, letter == b'C') {
                U::from_wide(raw as u16)
            } else {
                U::from_narrow(raw as u8)
            };
            field(specification, "", &[unit], sink);
        }
        b's' | b'S' => {
            let address = slots.take();
            let limit = specification.precision.unwrap_or(usize::MAX);
            let text: Vec<U> = if address == 0 {
                null(specification)
            } else if is_wide::<U>(specification.size, letter == b'S') {
                let units = guest::terminated_within::<u16>(slots.arena, address, limit);
                units.into_iter().map(U::from_wide).collect()
            } else {
                let bytes = guest::terminated_within::<u8>(slots.arena, address, limit);
                bytes.into_iter().map(U::from_narrow).collect()
            };
            field(specification, "", &text, sink);
        }
        b'Z' => {
            let address = slots.take();
            let text = counted(slots.arena, specification, address);
            field(specification, "", &text, sink);
        }
        b'e' | b'E' | b'f' | b'F' | b'g' | b'G' | b'a' | b'A' => {
            let value = f64::from_bits(slots.take());
            let sign = sign(specification.flags, value.is_sign_negative());
            let digits =
                float::digits(value.abs(), letter, specification.precision, specification.flags.alternate);
            let text: Vec<U> = digits.bytes().map(U::from_narrow).collect();
            field(specification, sign, &text, sink);
        }
        // Writing through an argument is what attackers of format strings want and drivers never need.
        b'n' => {
            slots.take();
        }
        _ => sink.push(unit),
    }
}

fn sign(flags: Flags, negative: bool) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn unsigned(raw: u64, size: Size) -> u64 {
    match size {
        Size::Char => u64::from(raw as u8),
        Size::Short => u64::from(raw as u16),
        Size::Bits64 => raw,
        _ => u64::from(raw as u32),
    }
}

/// Returns whether text is wide: said by the size, else by the letter and the function.
fn is_wide<U: OutputUnit>(size: Size, opposite: bool) -> bool {
    match size {
        Size::Short | Size::Char => false,
        Size::Long | Size::Wide => true,
        _ => U::WIDE != opposite,
    }
}

fn hexadecimal<U: OutputUnit>(specification: &Specification, value: u64, upper: bool, sink: &mut Sink<U>) {
    let digits = if upper { format!("{value:X}") } else { format!("{value:x}") };
    let prefix = match (specification.flags.alternate && value != 0, upper) {
        (false, _) => "",
        (true, true) => "0X",
        (true, false) => "0x",
    };
    integer(specification, prefix, value == 0, digits, sink);
}

/// Pads digits to the precision. A precision turns the `0` flag off.
fn integer<U: OutputUnit>(
    specification: &Specification,
    prefix: &str,
    zero: bool,
    digits: String,
    sink: &mut Sink<U>,
) {
    let mut specification = *specification;
    let mut digits = if zero && specification.precision == Some(0) { String::new() } else { digits };
    if let Some(precision) = specification.precision {
        specification.flags.zero = false;
        // The kernel's own buffer ends at 512 digits; a longer request is cut there.
        let missing = precision.min(512).saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
    }
    let text: Vec<U> = digits.bytes().map(U::from_narrow).collect();
    field(&specification, prefix, &text, sink);
}

/// Reads a counted string; a null pointer or buffer reads as `(null)`, which the precision does not cut for `%Z`.
fn counted<U: OutputUnit, A: Arena + ?Sized>(
    arena: &A,
    specification: &Specification,
    address: u64,
) -> Vec<U> {
    let wide = matches!(specification.size, Size::Long | Size::Wide);
    if address == 0 {
        return null(&Specification::default());
    }
    // Both structures have the same layout.
    let string = Guest::<UNICODE_STRING>::new(arena, address);
    let bytes = usize::from(crate::field!(string, UNICODE_STRING, Length).read());
    let buffer = crate::field!(string, UNICODE_STRING, Buffer).read() as u64;
    const { assert!(size_of::<STRING>() == size_of::<UNICODE_STRING>()) };
    if buffer == 0 {
        return null(&Specification::default());
    }
    if wide {
        GuestSlice::<u16>::new(arena, buffer, bytes / 2).to_vec().into_iter().map(U::from_wide).collect()
    } else {
        GuestSlice::<u8>::new(arena, buffer, bytes).to_vec().into_iter().map(U::from_narrow).collect()
    }
}

fn null<U: OutputUnit>(specification: &Specification) -> Vec<U> {
    b"(null)"
        .iter()
        .take(specification.precision.unwrap_or(usize::MAX))
        .map(|byte| U::from_narrow(*byte))
        .collect()
}

/// Writes prefix and text into the field.
fn field<U: OutputUnit>(specification: &Specification, prefix: &str, text: &[U], sink: &mut Sink<U>) {
    let Flags { left, zero, .. } = specification.flags;
    let padding = specification.width.saturating_sub(prefix.len() + text.len());
    if !left && !zero {
        sink.repeat(b' ', padding);
    }
    for byte in prefix.bytes() {
        sink.push(U::from_narrow(byte));
    }
    if !left && zero {
        sink.repeat(b'0', padding);
    }
    for unit in text {
        sink.push(*unit);
    }
    if left {
        sink.repeat(b' ', padding);
    }
}
