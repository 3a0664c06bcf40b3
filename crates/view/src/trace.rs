//! Debugger logs read back: a table, a comparison, JSON.

use std::fmt::Write as _;

use record::{AskedName, AttemptVerdict, NamePlace, TraceAttempt, TraceLog};
use serde_json::{Value, json};

use crate::json::hex_words;
use crate::text::printable;

/// Verdicts in the order of the sum.
const VERDICTS: [AttemptVerdict; 5] = [
    AttemptVerdict::Created,
    AttemptVerdict::Unnamed,
    AttemptVerdict::Opened,
    AttemptVerdict::Failed,
    AttemptVerdict::Unknown,
];

/// Prints one log: its attempts, its listings, the names nobody knows, and what was skipped.
#[must_use]
pub fn table(log: &TraceLog) -> String {
    let mut out = format!("{}: {}\n", printable(&log.source), sum(log));
    if !log.attempts.is_empty() {
        attempts(log, &mut out);
    }
    if !log.listed.is_empty() {
        listed(log, &mut out);
    }
    let unknown = unknown_names(log);
    if !unknown.is_empty() {
        let _ = writeln!(out, "\nnames that the catalog does not have");
        for name in unknown {
            let _ = writeln!(out, "  {}", printable(name));
        }
    }
    if !log.skipped.is_empty() {
        let _ = writeln!(out, "\nlines skipped: {}", log.skipped_lines());
        for (kind, count) in &log.skipped {
            let _ = writeln!(out, "  {count:>5}  {kind}");
        }
    }
    out
}

/// `81 lines, 76 attempts: 30 created, …; from the start of the boot`.
fn sum(log: &TraceLog) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text =
        format!("{}, {}", plural(log.lines as usize, "line"), plural(log.attempts.len(), "attempt"));
    let parts: Vec<String> = VERDICTS
        .into_iter()
        .filter(|verdict| log.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", log.count(verdict), verdict.word()))
        .collect();
    if !parts.is_empty() {
        let _ = write!(text, ": {}", parts.join(", "));
    }
    if log.from_boot {
        text.push_str("; from the start of the boot");
    }
    text
}

fn attempts(log: &TraceLog, out: &mut String) {
    let rows: Vec<[String; 5]> = log.attempts.iter().map(row).collect();
    let head = ["name", "outcome", "known", "string", "who"];
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        if longest == 0 { 0 } else { longest.max(head[column].len()) + 2 }
    };
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let line = |cells: [&str; 5]| -> String {
        cells
            .iter()
            .zip(widths)
            .filter(|(_, width)| *width > 0)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect()
    };
    let _ = writeln!(out, "\n   #   line  {}why", line(head));
    for (attempt, row) in log.attempts.iter().zip(&rows) {
        let cells = line([&row[0], &row[1], &row[2], &row[3], &row[4]]);
        let _ =
            writeln!(out, "{:>4} {:>6}  {cells}{}", attempt.number, attempt.line, printable(&attempt.why));
    }
}

fn row(attempt: &TraceAttempt) -> [String; 5] {
    let place = match attempt.place {
        NamePlace::None => "",
        NamePlace::Image => "image",
        NamePlace::StackOrPool => "stack or pool",
        NamePlace::User => "user",
    };
    let string = match attempt.same_slot_as {
        Some(earlier) => format!("{place}, as #{earlier}"),
        None => place.to_owned(),
    };
    let who = match (&attempt.caller, &attempt.symbols_sought) {
        (Some(caller), _) => printable(caller),
        (None, Some(module)) => format!("{}?", printable(module)),
        (None, None) => String::new(),
    };
    [asked(&attempt.name), attempt.verdict.word().to_owned(), attempt.certainty.clone(), string, who]
}

fn asked(name: &AskedName) -> String {
    match name {
        AskedName::Unnamed => "(null)".to_owned(),
        AskedName::Path(path) => printable(path),
        AskedName::Unreadable(words) => format!("(unreadable: {})", printable(words)),
    }
}

fn listed(log: &TraceLog, out: &mut String) {
    let _ = write!(out, "\ndirectory listing: {} objects", log.listed.len());
    match &log.hash {
        Some(hash) => {
            let _ = writeln!(out, "; their buckets show names hashed {hash}");
        }
        None => out.push('\n'),
    }
    for object in &log.listed {
        let bucket = object.bucket.map_or_else(|| "??".to_owned(), |bucket| format!("{bucket:02}"));
        let _ = writeln!(
            out,
            "  {bucket}  {:#018x}  {:<12}  {}\\{}",
            object.address,
            printable(&object.type_name),
            printable(&object.directory),
            printable(&object.name)
        );
    }
}

/// Lists the paths without an entry of the catalog, once each, in order.
fn unknown_names(log: &TraceLog) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for attempt in &log.attempts {
        if let (Some(path), None) = (attempt.name.path(), &attempt.known_as)
            && !names.iter().any(|name| name.eq_ignore_ascii_case(path))
        {
            names.push(path);
        }
    }
    names
}

/// Prints how often each log asks for each name; `rows` are a name and the counts in the order of `sources`.
#[must_use]
pub fn comparison<'a>(
    sources: &[&str],
    rows: impl IntoIterator<Item = (&'a str, &'a [u32])>,
    agrees: bool,
) -> String {
    let mut out = String::from("comparison by name\n");
    for (index, source) in sources.iter().enumerate() {
        let _ = writeln!(out, "  [{}] {}", index + 1, printable(source));
    }
    let heads: String = (1..=sources.len()).map(|number| format!("{:>6}", format!("[{number}]"))).collect();
    let _ = writeln!(out, "{heads}  name");
    for (name, counts) in rows {
        let cells: String = counts.iter().map(|count| format!("{count:>6}")).collect();
        let differs = if counts.windows(2).any(|pair| pair[0] != pair[1]) { "  differs" } else { "" };
        let _ = writeln!(out, "{cells}  {}{differs}", printable(name));
    }
    out.push_str(if agrees { "the logs agree\n" } else { "the logs differ\n" });
    out
}

/// Renders a log as a JSON value; addresses, attributes and statuses are hex strings.
///
/// # Errors
///
/// None in practice: every record serializes. The error is the serializer's own.
pub fn json(log: &TraceLog) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(log)?;
    hex_words(&mut value);
    value["counts"] = VERDICTS
        .into_iter()
        .map(|verdict| (verdict.word().to_owned(), json!(log.count(verdict))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    value["skipped"] =
        log.skipped.iter().map(|(kind, count)| json!({ "kind": kind, "lines": count })).collect();
    Ok(value)
}
