//! Two images compared: text for people, JSON for programs.

use std::fmt::Write as _;

use record::{Boots, Change, Difference, ListenerChange, ObjectChange};
use serde_json::Value;

use crate::text::printable;

/// Prints a comparison.
#[must_use]
pub fn text(difference: &Difference) -> String {
    let mut out = format!(
        "- {} ({} callback objects)\n+ {} ({} callback objects)\n",
        printable(&difference.before),
        difference.objects.0,
        printable(&difference.after),
        difference.objects.1
    );
    let boots = match (difference.boots, difference.same_boot) {
        (Boots::Same, _) => "both images are of one boot",
        (Boots::Different, _) => "the images are of different boots",
        (Boots::Unknown, true) => {
            "the images do not tell whether they are of one boot, and look so: the kernel and most objects lie where they lay"
        }
        (Boots::Unknown, false) => "the images do not tell whether they are of one boot, and do not look so",
    };
    let compared = if difference.same_boot { "addresses are compared" } else { "addresses are not compared" };
    let _ = writeln!(out, "{boots} ({}), {compared}", printable(&difference.boots_because));
    for change in &difference.changes {
        out.push('\n');
        object(change, &mut out);
    }
    for (title, lines) in [("notes", &difference.notes), ("the comparison is partial", &difference.partial)] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
            lines.iter().for_each(|line| {
                let _ = writeln!(out, "  {}", printable(line));
            });
        }
    }
    let _ = writeln!(out, "\n{}", sum(difference));
    out
}

/// Sums up in one line.
#[must_use]
pub fn sum(difference: &Difference) -> String {
    if difference.changes.is_empty() && difference.unchanged == 0 && !difference.partial.is_empty() {
        return "nothing could be compared".to_owned();
    }
    if difference.changes.is_empty() {
        return format!("no differences among {} objects", difference.unchanged);
    }
    let parts: Vec<String> = [Change::Added, Change::Removed, Change::Replaced, Change::Changed]
        .into_iter()
        .filter(|change| difference.count(*change) > 0)
        .map(|change| format!("{} {}", difference.count(change), change.word()))
        .collect();
    format!("objects: {}, {} the same", parts.join(", "), difference.unchanged)
}

const fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Replaced => '!',
        Change::Changed => '~',
    }
}

fn object(change: &ObjectChange, out: &mut String) {
    let places: Vec<String> = [change.address_before, change.address_after]
        .into_iter()
        .flatten()
        .map(|at| format!("{at:#x}"))
        .collect();
    let _ = writeln!(
        out,
        "{} {}  {}  {}",
        sign(change.change),
        printable(&change.name),
        change.change.word(),
        places.join(" -> ")
    );
    for what in &change.what {
        let _ = writeln!(out, "    {}", printable(what));
    }
    for it in &change.listeners {
        listener(it, out);
    }
}

fn listener(change: &ListenerChange, out: &mut String) {
    let what = if change.what.is_empty() { String::new() } else { format!("  {}", printable(&change.what)) };
    let routine = match (&change.before, &change.after) {
        (Some(before), Some(after)) if before == after => printable(before),
        (Some(before), Some(after)) => format!("{} -> {}", printable(before), printable(after)),
        (Some(one), None) | (None, Some(one)) => printable(one),
        (None, None) => {
            let _ = writeln!(out, "    {}{what}", sign(change.change));
            return;
        }
    };
    let _ = writeln!(out, "    {} <- {routine}{what}", sign(change.change));
}

/// Renders a comparison as JSON, one document ending in a newline; addresses are `"0x…"` strings.
///
/// # Errors
///
/// None in practice: every record serializes. The error is the serializer's own.
pub fn json(difference: &Difference) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(difference)?;
    hex_fields(&mut value);
    let mut text = serde_json::to_string_pretty(&value)?;
    text.push('\n');
    Ok(text)
}

fn hex_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value.as_u64() {
                    Some(number) if key.starts_with("address_") || key.starts_with("registration_") => {
                        *value = Value::String(format!("{number:#x}"));
                    }
                    _ => hex_fields(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hex_fields),
        _ => {}
    }
}
