//! Lines that a breakpoint's `.printf` writes.
//!
//! Everybody writes their own format, so the form is loose but must account for the whole line: the routine's name, then a
//! name (quoted, or a path, or `(null)`), and otherwise only `key=value`. A word that is none of these makes the line prose.

use record::AskedName;

use super::line;

/// What such a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) name: AskedName,
    pub(super) name_at: Option<u64>,
    pub(super) attributes: Option<u32>,
    pub(super) create: Option<bool>,
    pub(super) multiple: Option<bool>,
    pub(super) status: Option<u32>,
    pub(super) caller: Option<String>,
}

impl Printed {
    fn new(name: AskedName) -> Self {
        Self {
            name,
            name_at: None,
            attributes: None,
            create: None,
            multiple: None,
            status: None,
            caller: None,
        }
    }
}

/// Reads a line. `armed`: the log sets a breakpoint on the routine, so a line that is a path and nothing else is its output.
pub(super) fn parse(line: &str, armed: bool) -> Option<Printed> {
    let line = line.trim();
    let rest = after_routine(line).or_else(|| after_label(line));
    let Some(rest) = rest else {
        return (armed && is_path(line)).then(|| Printed::new(AskedName::Path(line.to_owned())));
    };
    let mut name = None;
    let mut printed = Printed::new(AskedName::Unnamed);
    for token in tokens(rest) {
        match token {
            Token::Quoted(text) => set(&mut name, quoted(text)?)?,
            Token::Word(word) => match word.split_once('=') {
                Some((key, value)) if is_key(key) => pair(&mut printed, &mut name, key, value)?,
                _ => set(&mut name, bare(word)?)?,
            },
        }
    }
    printed.name = name?;
    Some(printed)
}

fn set(name: &mut Option<AskedName>, value: AskedName) -> Option<()> {
    if name.is_some() {
        return None;
    }
    *name = Some(value);
    Some(())
}

/// Takes the routine's name, with what people put around it, off the start of a line.
fn after_routine(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(|character: char| {
        character.is_ascii_digit()
            || matches!(character, '[' | ']' | '*' | '>' | '#' | '.' | ':' | ' ' | '-' | '=')
    });
    let rest = rest.strip_prefix("nt!").unwrap_or(rest).strip_prefix("ExCreateCallback")?;
    let rest = rest.strip_prefix("()").unwrap_or(rest);
    let (separator, rest) = rest.split_at_checked(1)?;
    match separator {
        ":" | "]" | "," | "=" => Some(rest.trim_start_matches([':', ' '])),
        " " => {
            let rest = rest.trim_start();
            Some(rest.strip_prefix("->").or_else(|| rest.strip_prefix(':')).unwrap_or(rest))
        }
        "(" => rest.strip_suffix(')').or_else(|| rest.strip_suffix(");")),
        _ => None,
    }
}

/// Takes `ObjectName:` or `ObjectName =` off the start of a line.
fn after_label(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("ObjectName")?.trim_start();
    rest.strip_prefix([':', '='])
}

enum Token<'a> {
    Quoted(&'a str),
    Word(&'a str),
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', ',', '\t', '|']);
        if let Some(quoted) = rest.strip_prefix('"')
            && let Some(end) = quoted.find('"')
        {
            rest = &quoted[end + 1..];
            return Some(Token::Quoted(&quoted[..end]));
        }
        if rest.is_empty() {
            return None;
        }
        // A quoted value keeps its blanks: name="a b".
        let mut inside = false;
        let end = rest
            .find(|character: char| {
                inside ^= character == '"';
                !inside && matches!(character, ' ' | ',' | '\t' | '|')
            })
            .unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        Some(Token::Word(word))
    })
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@')
}

fn is_path(text: &str) -> bool {
    text.starts_with('\\')
        && text.len() > 1
        && !text.starts_with("\\\\")
        && !text.contains(['"', '\t'])
        && !text.contains(' ')
}

fn quoted(text: &str) -> Option<AskedName> {
    // Doubled separators are source code, not output.
    if text.contains("\\\\") { None } else { Some(line::name(text)) }
}

fn bare(word: &str) -> Option<AskedName> {
    match word {
        "(null)" | "NULL" | "(unnamed)" | "<unnamed>" | "(none)" => Some(AskedName::Unnamed),
        path if is_path(path) && !path.contains("\\\\") => Some(AskedName::Path(path.to_owned())),
        _ => None,
    }
}

fn pair(printed: &mut Printed, name: &mut Option<AskedName>, key: &str, value: &str) -> Option<()> {
    let plain = value.trim_matches('"');
    match key.to_ascii_lowercase().as_str() {
        "name" | "objectname" | "object" | "path" => {
            let value = if value.starts_with('"') { quoted(plain)? } else { bare(plain)? };
            set(name, value)?;
        }
        "create" => printed.create = Some(flag(plain)?),
        "multiple" | "allowmultiple" | "allowmultiplecallbacks" | "multi" => {
            printed.multiple = Some(flag(plain)?);
        }
        "attr" | "attrs" | "attributes" => {
            printed.attributes = u32::try_from(hexadecimal(plain)?).ok();
        }
        "status" | "result" | "rax" => printed.status = Some(hexadecimal(plain)? as u32),
        "caller" | "from" | "ret" => printed.caller = Some(plain.to_owned()),
        "at" | "name_at" => printed.name_at = line::address(plain),
        _ => {}
    }
    Some(())
}

fn hexadecimal(text: &str) -> Option<u64> {
    line::address(text)
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "0x1" | "01" => Some(true),
        "false" | "0" | "0x0" | "00" => Some(false),
        _ => None,
    }
}
