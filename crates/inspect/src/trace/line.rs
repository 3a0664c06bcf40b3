//! The pieces of a debugger's line.

use record::{AskedName, NamePlace};

/// Takes a prompt off (`0: kd> `, `lkd> `, `1: kd:x86> `) and tells whether there was one.
pub(super) fn without_prompt(line: &str) -> (bool, &str) {
    let Some((head, rest)) = line.split_once("kd") else { return (false, line) };
    let head = head.trim_start();
    let processor = head.strip_suffix(": ").unwrap_or(head);
    if !(processor.is_empty() || processor == "l" || processor.bytes().all(|byte| byte.is_ascii_digit())) {
        return (false, line);
    }
    let rest = match rest.strip_prefix(':') {
        Some(machine) => machine.trim_start_matches(|character: char| character.is_ascii_alphanumeric()),
        None => rest,
    };
    match rest.strip_prefix('>') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, line),
    }
}

/// Splits a field of a structure as `dt` (`   +0x010 ObjectName : …`) and `dx` (`    [+0x010] ObjectName : …`) print it.
pub(super) fn field(line: &str) -> Option<(u32, &str, &str)> {
    let rest = line.trim_start();
    let (bracket, rest) = match rest.strip_prefix('[') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix("+0x")?;
    let digits = rest.find(|character: char| !character.is_ascii_hexdigit())?;
    let offset = u32::from_str_radix(&rest[..digits], 16).ok()?;
    let rest = &rest[digits..];
    let rest = if bracket { rest.strip_prefix(']')? } else { rest };
    let (name, value) = rest.split_once(':')?;
    let name = name.trim();
    let identifier = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    identifier.then_some((offset, name, value.trim()))
}

/// Fields of the structures that a breakpoint on the routine prints along with the name.
pub(super) fn belongs(name: &str) -> bool {
    matches!(
        name,
        "Length"
            | "RootDirectory"
            | "Attributes"
            | "SecurityDescriptor"
            | "SecurityQualityOfService"
            | "MaximumLength"
            | "Buffer"
    )
}

/// Tells whether a line announces a structure: `nt!_OBJECT_ATTRIBUTES`, `Local var @ …`.
pub(super) fn is_structure_head(line: &str) -> bool {
    let line = line.trim();
    line == "nt!_OBJECT_ATTRIBUTES"
        || line == "_OBJECT_ATTRIBUTES"
        || (line.starts_with("Local var") && line.contains("_OBJECT_ATTRIBUTES"))
        || line.ends_with("[Type: _OBJECT_ATTRIBUTES]")
        || line.ends_with("[Type: _OBJECT_ATTRIBUTES *]")
}

/// Reads an address with or without `0x` and grave accent.
pub(super) fn address(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let joined: String = digits.chars().filter(|character| *character != '`').collect();
    let whole = !joined.is_empty()
        && joined.len() <= 16
        && joined.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digits.bytes().filter(|byte| *byte == b'`').count() <= 1;
    whole.then(|| u64::from_str_radix(&joined, 16).ok()).flatten()
}

/// Reads a number as `dt` prints one: hexadecimal with `0x`, decimal with or without `0n`.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.split_whitespace().next()?;
    match (text.strip_prefix("0x"), text.strip_prefix("0n")) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(decimal)) => decimal.parse().ok(),
        (None, None) => text.parse().ok(),
    }
}

/// Reads a pointer field: `(null)`, or an address and its type.
pub(super) fn pointer(value: &str) -> Option<u64> {
    let first = value.split_whitespace().next()?;
    if first == "(null)" { Some(0) } else { first.strip_prefix("0x").and_then(address) }
}

/// Reads the value of an `ObjectName` field; `None` where it holds no value (a layout printed without an address).
pub(super) fn asked_name(value: &str) -> Option<(Option<u64>, AskedName)> {
    let at = pointer(value)?;
    if at == 0 {
        return Some((None, AskedName::Unnamed));
    }
    let text = match (value.find('"'), value.rfind('"')) {
        (Some(from), Some(to)) if from < to => &value[from + 1..to],
        _ => return Some((Some(at), AskedName::Unreadable("the log does not show it".to_owned()))),
    };
    Some((Some(at), name(text)))
}

/// Sorts a printed string into a name, none, or the debugger's complaint.
pub(super) fn name(text: &str) -> AskedName {
    if text.starts_with("---") || text.contains("memory read error") {
        AskedName::Unreadable(text.trim_matches(|character| character == '-' || character == ' ').to_owned())
    } else if text.is_empty() {
        AskedName::Unnamed
    } else {
        AskedName::Path(text.to_owned())
    }
}

/// Tells where an address lies. Windows loads the kernel and drivers into the 16 TiB from `0xFFFFF800'00000000` on.
pub(super) fn place(at: u64) -> NamePlace {
    if at >> 40 == 0x00FF_FFF8 {
        NamePlace::Image
    } else if at >= 0xFFFF_8000_0000_0000 || (at >> 32 == 0 && at >= 0x8000_0000) {
        NamePlace::StackOrPool
    } else {
        NamePlace::User
    }
}

/// Splits a stack frame as `k` and `kb` print it into module and symbol.
pub(super) fn frame(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace().peekable();
    let first = *words.peek()?;
    if first.len() == 2 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        words.next();
    }
    let mut addresses = 0;
    let mut last = None;
    for word in words {
        match last {
            None if matches!(word.len(), 8 | 16 | 17) && address(word).is_some() => addresses += 1,
            None if word == ":" => {}
            None => last = Some(word),
            // Source position or a note in brackets may follow.
            Some(_) => break,
        }
    }
    let (module, symbol) = last?.split_once('!')?;
    (addresses >= 2 && !module.is_empty() && !symbol.is_empty()).then_some((module, symbol))
}

/// Tells whether a symbol is the routine itself.
pub(super) fn is_routine(module: &str, symbol: &str) -> bool {
    let symbol = symbol.split('+').next().unwrap_or(symbol);
    matches!(module, "nt" | "ntoskrnl" | "ntkrnlmp") && symbol == "ExCreateCallback"
}

/// Tells whether a line is a command that sets a breakpoint on the routine.
pub(super) fn sets_breakpoint(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap_or("");
    let breakpoint = ["bp", "bu", "bm", "ba"].iter().any(|name| {
        command.strip_prefix(name).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    breakpoint
        && words.take(4).any(|word| {
            let symbol = word.trim_matches(|c| c == '"' || c == ';').rsplit('!').next().unwrap_or(word);
            symbol == "ExCreateCallback"
        })
}
