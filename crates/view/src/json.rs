//! Records as JSON. Addresses are `"0x…"` strings, because JSON numbers above 2^53 do not survive every reader.

use record::{Report, Snapshot};
use serde_json::Value;

/// Names of the fields that hold addresses or machine words; they become hex strings wherever they occur.
const WORDS: &[&str] = &[
    "address",
    "argument1",
    "argument2",
    "arguments",
    "at",
    "base",
    "caller",
    "context",
    "device",
    "entry_address",
    "header",
    "name_at",
    "object",
    "parameters",
    "registration",
    "routine",
    "security_descriptor",
    "size",
    "stack",
    "value",
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
    "rflags",
    "status",
    "entry_status",
    "code",
    "attributes",
    "seed",
];

/// Renders a report, one JSON document ending in a newline.
///
/// # Errors
///
/// None in practice: every record serializes. The error is the serializer's own.
pub fn report(report: &Report) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(report)?;
    hex_words(&mut value);
    name_places(&mut value, report);
    let mut text = serde_json::to_string_pretty(&value)?;
    text.push('\n');
    Ok(text)
}

/// Renders objects and namespace, one JSON document ending in a newline.
///
/// # Errors
///
/// As for [`report`].
pub fn snapshot(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(snapshot)?;
    hex_words(&mut value);
    let mut text = serde_json::to_string_pretty(&value)?;
    text.push('\n');
    Ok(text)
}

pub(crate) fn hex_words(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if WORDS.contains(&key.as_str()) { hex(value) } else { hex_words(value) }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hex_words),
        _ => {}
    }
}

fn hex(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                *value = Value::String(format!("{number:#x}"));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hex),
        other => hex_words(other),
    }
}

/// Adds `place` (`module+offset (symbol)`) beside the fields that point into code.
fn name_places(value: &mut Value, report: &Report) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|value| name_places(value, report));
            if let Some(places) = map.get("stack").and_then(|stack| stack_places(stack, report)) {
                map.insert("stack_places".into(), places);
            }
            for key in ["caller", "routine", "at"] {
                let Some(Value::String(text)) = map.get(key) else { continue };
                let Some(address) = text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())
                else {
                    continue;
                };
                if report.modules.find(address).is_some() {
                    let place = report.modules.locate(address).to_string();
                    map.insert(format!("{key}_place"), Value::String(place));
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| name_places(value, report)),
        _ => {}
    }
}

/// Names each address of a call stack; an address outside of every module stands for itself.
fn stack_places(stack: &Value, report: &Report) -> Option<Value> {
    let addresses = stack.as_array().filter(|addresses| !addresses.is_empty())?;
    let name = |address: &Value| {
        let digits = address.as_str()?.strip_prefix("0x")?;
        let address = u64::from_str_radix(digits, 16).ok()?;
        Some(Value::String(report.modules.locate(address).to_string()))
    };
    addresses.iter().map(name).collect()
}
