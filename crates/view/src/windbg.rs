//! WinDbg's dialect: what `dt` prints for a structure, and what a breakpoint on `nt!ExCreateCallback` prints.
//!
//! The forms were taken from published debugger output (`dt nt!_DRIVER_OBJECT` and the boot trace of 76 attempts).
//! Deliberately different: structures that the public symbols do not have (`_CALLBACK_OBJECT`) are printed like all others.

use std::fmt::Write as _;

use nt::layout::{self, Layout};

/// Prints a 64-bit address: eight digits, a grave accent, eight digits.
#[must_use]
pub fn address(value: u64) -> String {
    format!("0x{:08x}`{:08x}", value >> 32, value & 0xFFFF_FFFF)
}

/// Prints what `dt nt!_OBJECT_ATTRIBUTES ObjectName` shows at the entry of `ExCreateCallback`, one line.
///
/// A name is shown up to its first NUL, and with control characters made visible, so that it stays one line.
#[must_use]
pub fn create_attempt(name_at: u64, name: Option<&str>) -> String {
    match name {
        Some(name) => {
            let mut shown = String::with_capacity(name.len());
            for character in name.chars().take_while(|character| *character != '\0') {
                if character.is_control() {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
                } else {
                    shown.push(character);
                }
            }
            format!("   +0x010 ObjectName : {} _UNICODE_STRING \"{shown}\"\n", address(name_at))
        }
        // WinDbg leaves a blank after a null pointer's value.
        None => "   +0x010 ObjectName : (null) \n".to_owned(),
    }
}

/// Prints a structure as `dt` does, with the head line of its verbose form, which has the size. Where members are not modeled, a
/// last line says where; what is shorter than a pointer is taken for padding, of which a debugger says nothing either.
#[must_use]
pub fn structure(layout: &Layout) -> String {
    let name = layout.nt_name();
    let count = layout.named_fields().count();
    let elements = if count == 1 { "element" } else { "elements" };
    let mut out = format!("nt!_{name}\nstruct _{name}, {count} {elements}, {:#x} bytes\n", layout.size);
    for field in layout.named_fields() {
        let _ = writeln!(
            out,
            "   +0x{:03x} {:<16} : {}",
            field.offset,
            field.name,
            type_name(field.type_name, field.size)
        );
    }
    let gaps: Vec<_> = layout
        .fields
        .iter()
        .filter(|field| field.is_filler() && field.size >= 8)
        .map(|field| format!("0x{:03x}-0x{:03x}", field.offset, field.offset + field.size - 1))
        .collect();
    if !gaps.is_empty() {
        let _ = writeln!(out, "   members not listed: {}", gaps.join(", "));
    }
    out
}

/// Translates a type as `nt` writes it into WinDbg's words.
#[must_use]
pub fn type_name(written: &str, size: usize) -> String {
    let written = written.trim();
    if let Some((element, _)) = written.strip_prefix('[').and_then(|rest| rest.rsplit_once(';')) {
        let element = element.trim();
        let count = size / element_size(element).max(1);
        return format!("[{count}] {}", type_name(element, size / count.max(1)));
    }
    if let Some(target) = written.strip_prefix("*mut ").or_else(|| written.strip_prefix("*const ")) {
        return format!("Ptr64 {}", pointed(last_segment(target)));
    }
    let name = last_segment(written);
    if let Some(known) = layout::by_name(name) {
        return format!("_{}", known.nt_name());
    }
    match name {
        "PVOID" | "HANDLE" => "Ptr64 Void".to_owned(),
        // A driver's dispatch routines return NTSTATUS, the other routines nothing; the trailing blank is WinDbg's.
        "PDRIVER_DISPATCH" => "Ptr64     long ".to_owned(),
        _ if is_routine(name) => "Ptr64     void ".to_owned(),
        "i8" => "Char".to_owned(),
        "i16" => "Int2B".to_owned(),
        "i32" | "NTSTATUS" => "Int4B".to_owned(),
        "i64" => "Int8B".to_owned(),
        _ => match size {
            1 => "UChar".to_owned(),
            2 => "Uint2B".to_owned(),
            4 => "Uint4B".to_owned(),
            8 => "Uint8B".to_owned(),
            _ => format!("_{name}"),
        },
    }
}

fn is_routine(name: &str) -> bool {
    name.starts_with('P')
        && (name.contains("ROUTINE") || name.contains("FUNCTION") || name.contains("UNLOAD"))
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path).trim()
}

fn pointed(name: &str) -> String {
    match name {
        "c_void" => "Void".to_owned(),
        "u8" => "UChar".to_owned(),
        "u16" => "Wchar".to_owned(),
        "u32" => "Uint4B".to_owned(),
        "u64" => "Uint8B".to_owned(),
        _ => format!("_{}", layout::by_name(name).map_or(name, |known| known.nt_name())),
    }
}

fn element_size(name: &str) -> usize {
    match name {
        "u8" | "i8" | "BOOLEAN" => 1,
        "u16" | "i16" => 2,
        "u32" | "i32" | "NTSTATUS" | "ACCESS_MASK" => 4,
        _ => layout::by_name(last_segment(name)).map_or(8, |layout| layout.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nt::catalog::boot_trace;

    #[test]
    fn a_structure_reads_as_in_the_debugger() {
        assert_eq!(
            structure(&nt::CALLBACK_REGISTRATION::LAYOUT),
            "nt!_CALLBACK_REGISTRATION\n\
             struct _CALLBACK_REGISTRATION, 6 elements, 0x30 bytes\n\
             \u{20}  +0x000 Link             : _LIST_ENTRY\n\
             \u{20}  +0x010 CallbackObject   : Ptr64 _CALLBACK_OBJECT\n\
             \u{20}  +0x018 CallbackFunction : Ptr64     void \n\
             \u{20}  +0x020 CallbackContext  : Ptr64 Void\n\
             \u{20}  +0x028 Busy             : Uint4B\n\
             \u{20}  +0x02c UnregisterWaiting : UChar\n"
        );
    }

    #[test]
    fn an_older_generation_carries_the_types_own_name() {
        let text = structure(&nt::CALLBACK_OBJECT_V1::LAYOUT);
        assert!(text.starts_with("nt!_CALLBACK_OBJECT\nstruct _CALLBACK_OBJECT, 4 elements, 0x28 bytes\n"));
    }

    #[test]
    fn members_that_are_not_modeled_are_told() {
        let port = structure(nt::layout_for("ALPC_PORT", nt::Profile::NT6).unwrap());
        assert!(port.ends_with("\n   members not listed: 0x040-0x087\n"), "{port}");
        let stack = structure(nt::layout_for("IO_STACK_LOCATION", nt::Profile::DEFAULT).unwrap());
        assert!(!stack.contains("not listed"), "{stack}");
    }

    #[test]
    fn every_field_of_every_structure_has_a_type_in_the_dialect() {
        for layout in layout::ALL {
            for field in layout.named_fields() {
                let mut shown = type_name(field.type_name, field.size);
                if shown.starts_with('[') {
                    let (count, element) = shown[1..].split_once("] ").unwrap();
                    let count: usize = count.parse().unwrap();
                    assert!(count > 0 && field.size % count == 0, "{}.{}: {shown}", layout.name, field.name);
                    shown = element.to_owned();
                }
                let plain = ["UChar", "Char", "Uint2B", "Int2B", "Uint4B", "Int4B", "Uint8B", "Int8B"];
                let structure = shown
                    .strip_prefix('_')
                    .is_some_and(|name| layout::ALL.iter().any(|layout| layout.nt_name() == name));
                assert!(
                    plain.contains(&shown.as_str()) || shown.starts_with("Ptr64 ") || structure,
                    "{}.{}: {shown}",
                    layout.name,
                    field.name
                );
            }
        }
    }

    #[test]
    fn an_attempt_is_a_line_of_the_published_log() {
        let lines: Vec<_> = boot_trace().lines().filter(|line| line.starts_with("   +0x010 ")).collect();
        let ours: String = nt::catalog::BOOT_ATTEMPTS
            .iter()
            .map(|attempt| create_attempt(attempt.recorded_at, attempt.name))
            .collect();
        assert_eq!(ours.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        assert_eq!(
            create_attempt(0x10_0000_0010, Some("\\Callback\\a\n\u{1b}[2Jb\0hidden")),
            "   +0x010 ObjectName : 0x00000010`00000010 _UNICODE_STRING \"\\Callback\\a\\u{a}\\u{1b}[2Jb\"\n"
        );
    }
}
