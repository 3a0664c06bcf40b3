//! CSV: one row per listener, and one for an object without any (RFC 4180).
//!
//! Names in an image are an attacker's to choose, and spreadsheets run cells that begin like a formula: such a text cell gets
//! an apostrophe in front.

use record::{FoundListener, FoundObject, Inspection, Value};

use super::{because, evidence};

/// The columns in order.
pub const COLUMNS: &[&str] = &[
    "name",
    "former_name",
    "attribution",
    "known_as",
    "address",
    "header",
    "permanent",
    "allow_multiple",
    "pointer_count",
    "handle_count",
    "flags",
    "info_mask",
    "security_descriptor",
    "lock",
    "linkage",
    "pool",
    "evidence",
    "confidence",
    "object_anomalies",
    "listeners_cut",
    "registration",
    "routine",
    "place",
    "symbol",
    "context",
    "busy",
    "waiting",
    "listener_anomalies",
];

/// Renders the objects and their listeners.
#[must_use]
pub fn csv(found: &Inspection) -> String {
    let mut out = COLUMNS.join(",") + "\r\n";
    for object in &found.objects {
        if object.listeners.is_empty() {
            row(object, None, &mut out);
        }
        for listener in &object.listeners {
            row(object, Some(listener), &mut out);
        }
    }
    out
}

fn row(object: &FoundObject, listener: Option<&FoundListener>, out: &mut String) {
    let hex = |value: &u64| format!("{value:#x}");
    let byte = |value: &u8| format!("{value:#x}");
    let kinds = |anomalies: &[record::Anomaly]| {
        anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect::<Vec<_>>().join(" ")
    };
    let mut cells = vec![
        cell(&object.name, |it| text(it)),
        object.former_name.as_deref().map(text).unwrap_or_default(),
        cell(&object.attribution, |it| text(it)),
        object.known_as.as_deref().map(text).unwrap_or_default(),
        hex(&object.address),
        hex(&object.header),
        cell(&object.permanent, bool::to_string),
        cell(&object.allow_multiple, bool::to_string),
        cell(&object.pointer_count, i64::to_string),
        cell(&object.handle_count, i64::to_string),
        cell(&object.flags, byte),
        cell(&object.info_mask, byte),
        cell(&object.security_descriptor, hex),
        cell(&object.lock, hex),
        cell(&object.linkage, |it| text(it)),
        cell(&object.pool, |it| text(it)),
        evidence(object.evidence).replace(", ", " "),
        object.confidence.word().to_owned(),
        kinds(&object.anomalies),
        object.listeners_cut.as_deref().map(text).unwrap_or_default(),
    ];
    match listener {
        None => cells.extend((0..8).map(|_| String::new())),
        Some(listener) => cells.extend([
            hex(&listener.registration),
            cell(&listener.routine, hex),
            cell(&listener.place, |it| text(it)),
            cell(&listener.symbol, |it| text(it)),
            cell(&listener.context, hex),
            cell(&listener.busy, u32::to_string),
            cell(&listener.waiting, bool::to_string),
            kinds(&listener.anomalies),
        ]),
    }
    debug_assert_eq!(cells.len(), COLUMNS.len());
    let quoted: Vec<String> = cells.iter().map(|cell| quote(cell)).collect();
    out.push_str(&quoted.join(","));
    out.push_str("\r\n");
}

/// A value, or `absent:reason:why`.
fn cell<T>(value: &Value<T>, spell: impl FnOnce(&T) -> String) -> String {
    match value {
        Value::Known(value) => spell(value),
        Value::Absent { absent, why } => format!("absent:{}:{why}", because(*absent)),
    }
}

fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn quote(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
