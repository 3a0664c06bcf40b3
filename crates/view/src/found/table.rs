//! One line per object and one per listener.

use std::fmt::Write as _;

use record::{Evidence, Inspection};

use super::{address, anomaly, foot, head, routine, told};
use crate::text::printable;

/// Prints an inspection as a table.
#[must_use]
pub fn table(found: &Inspection) -> String {
    let mut out = head(found);
    let names: Vec<String> = found.objects.iter().map(|object| printable(&object.display_name())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(4);
    if !names.is_empty() {
        let _ =
            writeln!(out, "\n{:<width$}  address            refs  takes     name stays  seen  trust", "name");
    }
    for (object, name) in found.objects.iter().zip(&names) {
        let word = |value: &record::Value<bool>, yes: &str, no: &str| {
            told(value, |it| if *it { yes } else { no }.to_owned())
        };
        let line = format!(
            "{name:<width$}  {}  {:>4}  {:<8}  {:<10}  {}   {}",
            address(object.address),
            told(&object.pointer_count, i64::to_string),
            word(&object.allow_multiple, "several", "one"),
            word(&object.permanent, "permanent", "temporary"),
            letters(object.evidence),
            object.confidence.word()
        );
        let _ = writeln!(out, "{}", line.trim_end());
        for listener in &object.listeners {
            let mut state = String::new();
            if listener.busy.get().is_some_and(|busy| busy != 0) {
                let _ = write!(state, "  busy {}", told(&listener.busy, u32::to_string));
            }
            if listener.waiting.get() == Some(true) {
                state.push_str("  unregister waits");
            }
            let _ = writeln!(out, "  <- {}{state}", routine(listener));
        }
        for it in object.all_anomalies() {
            let _ = writeln!(out, "  !  {}", anomaly(it));
        }
    }
    out.push_str(&foot(found));
    out
}

/// `LNC`, with a dash for each view that does not show the object.
fn letters(evidence: Evidence) -> String {
    [(evidence.list, 'L'), (evidence.namespace, 'N'), (evidence.carve, 'C')]
        .into_iter()
        .map(|(there, letter)| if there { letter } else { '-' })
        .collect()
}
