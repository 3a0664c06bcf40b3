//! JSON for programs, by the schema in `docs/src/inspect.schema.json`.

use record::Inspection;
use serde_json::{Map, Value};

/// Fields that hold addresses or machine words; they become `"0x…"` strings.
const WORDS: &[&str] = &[
    "address",
    "at",
    "base",
    "code",
    "context",
    "header",
    "kernel",
    "lock",
    "parameters",
    "registration",
    "routine",
    "security_descriptor",
    "size",
    "system_time",
    "thread",
    "up_time",
];

/// Renders an inspection, one document ending in a newline.
///
/// # Errors
///
/// None in practice: every record serializes. The error is the serializer's own.
pub fn json(found: &Inspection) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&value(found)?)?;
    text.push('\n');
    Ok(text)
}

/// Renders an inspection as one line for the image, then one for each object, finding and remnant.
///
/// # Errors
///
/// As for [`json`].
pub fn lines(found: &Inspection) -> Result<String, serde_json::Error> {
    let Value::Object(mut image) = value(found)? else { return Ok(String::new()) };
    let mut rows = vec![Value::Null];
    for (field, kind) in [("objects", "object"), ("findings", "finding"), ("remnants", "remnant")] {
        let Some(Value::Array(values)) = image.remove(field) else { continue };
        for row in values {
            let Value::Object(row) = row else { continue };
            rows.push(tagged(kind, row));
        }
    }
    rows[0] = tagged("image", image);
    let mut out = String::new();
    for row in rows {
        out.push_str(&serde_json::to_string(&row)?);
        out.push('\n');
    }
    Ok(out)
}

fn tagged(kind: &str, row: Map<String, Value>) -> Value {
    let mut tagged = Map::new();
    // An anomaly has a kind of its own, so the row's is called differently.
    tagged.insert("row".to_owned(), kind.into());
    tagged.extend(row);
    Value::Object(tagged)
}

fn value(found: &Inspection) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(found)?;
    hex_fields(&mut value);
    Ok(value)
}

fn hex(value: &mut Value) {
    if let Some(number) = value.as_u64() {
        *value = Value::String(format!("{number:#x}"));
    }
}

fn hex_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::Number(_) if WORDS.contains(&key.as_str()) => hex(value),
                    Value::Array(words) if WORDS.contains(&key.as_str()) => words.iter_mut().for_each(hex),
                    other => hex_fields(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hex_fields),
        _ => {}
    }
}
