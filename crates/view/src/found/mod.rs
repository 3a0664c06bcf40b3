//! What was found in a memory image: WinDbg's dialect, a table, JSON, JSON lines, CSV.
//!
//! All of them say the same and in the same order, which the [`Inspection`] already has; none judges. A value that is absent is
//! printed with its reason, never as a blank.

mod csv;
mod json;
mod table;
mod time;
mod windbg;

pub use csv::{COLUMNS, csv};
pub use json::{json, lines};
pub use table::table;
pub use windbg::windbg;

use std::fmt::Write as _;

use record::{Anomaly, Because, Evidence, FoundBoot, FoundListener, Inspection, Severity, Value};

use crate::text::printable;

/// Spells a value, or the reason in parentheses.
fn told<T>(value: &Value<T>, spell: impl FnOnce(&T) -> String) -> String {
    match value {
        Value::Known(value) => spell(value),
        Value::Absent { absent, why } if why.is_empty() => format!("({absent})"),
        Value::Absent { absent, why } => format!("({absent}: {})", printable(why)),
    }
}

/// Spells the routine of a listener: place and symbol, or the bare address and why it has no place.
fn routine(listener: &FoundListener) -> String {
    let mut out = match (&listener.place, &listener.routine) {
        (Value::Known(place), _) => printable(place),
        (Value::Absent { why, .. }, Value::Known(routine)) => {
            return format!("{} ({})", address(*routine), printable(why));
        }
        (_, Value::Absent { absent, .. }) => return format!("({absent})"),
    };
    if let Value::Known(symbol) = &listener.symbol {
        let _ = write!(out, " ({})", printable(symbol));
    }
    out
}

/// Spells an address as WinDbg does: eight digits, a grave accent, eight digits.
fn address(value: u64) -> String {
    format!("{:08x}`{:08x}", value >> 32, value & 0xFFFF_FFFF)
}

fn evidence(evidence: Evidence) -> String {
    let views = [(evidence.list, "list"), (evidence.namespace, "namespace"), (evidence.carve, "carve")];
    let shown: Vec<_> = views.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// Spells an anomaly: what was seen, and what harmless explanation there is.
fn anomaly(anomaly: &Anomaly) -> String {
    let mut out =
        format!("{}: {} [{}]", severity(anomaly.severity), printable(&anomaly.message), anomaly.kind);
    if !anomaly.benign.is_empty() {
        let _ = write!(out, "; harmless if: {}", printable(&anomaly.benign));
    }
    out
}

/// The image, its kernel and the views, at the top of the texts.
fn head(found: &Inspection) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}, build {}, read as {} because {}",
        printable(&found.source),
        found.format,
        told(&found.build, u32::to_string),
        found.profile,
        printable(&found.profile_because)
    );
    let _ = writeln!(
        out,
        "kernel at {}, loaded modules: {}, unloaded modules: {}",
        told(&found.kernel, |base| address(*base)),
        told(&found.modules, u64::to_string),
        told(&found.unloaded, |unloaded| unloaded.len().to_string())
    );
    if let Value::Known(check) = &found.bugcheck {
        let parameters: Vec<String> = check.parameters.iter().map(|word| format!("{word:#x}")).collect();
        let _ = writeln!(out, "bugcheck {}, parameters {}", nt::BugCheck(check.code), parameters.join(", "));
    }
    let _ = writeln!(out, "{}", boot(&found.boot));
    let waiters = told(&found.waiters, |waiters| {
        let threads: Vec<String> = waiters.iter().map(|waiter| address(waiter.thread)).collect();
        if threads.is_empty() { "none".to_owned() } else { threads.join(" ") }
    });
    let _ = writeln!(out, "threads that wait to unregister: {waiters}");
    for view in &found.views {
        let how = if view.how.is_empty() { String::new() } else { format!("; {}", printable(&view.how)) };
        let _ = writeln!(
            out,
            "view {:<9}  {}{how}",
            view.view,
            told(&view.objects, |count| format!("{count} objects"))
        );
    }
    out
}

/// Tells the boot in a line.
fn boot(boot: &FoundBoot) -> String {
    let id = told(&boot.id, u32::to_string);
    match (boot.time(), boot.system_time.get(), boot.up_time.get()) {
        (Some(booted), Some(taken), Some(up)) => format!(
            "booted {}, taken {} later at {} (by {}); boot id {id}",
            time::moment(booted),
            time::duration(up),
            time::moment(taken),
            printable(&boot.times_from)
        ),
        _ => format!(
            "booted at a time {}; boot id {id}",
            told(&boot.system_time, |_| "that is contradictory".into())
        ),
    }
}

/// Findings, remnants, notes and the verdict, at the bottom of the texts.
fn foot(found: &Inspection) -> String {
    let mut out = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
            lines.iter().for_each(|line| {
                let _ = writeln!(out, "  {line}");
            });
        }
    };
    section("in the image", found.findings.iter().map(anomaly).collect());
    section(
        "remains of freed objects",
        found
            .remnants
            .iter()
            .map(|remnant| {
                let name = told(&remnant.former_name, |name| format!("was: {}", printable(name)));
                format!("{}  {name}  ({})", address(remnant.address), printable(&remnant.why))
            })
            .collect(),
    );
    section("notes", found.notes.iter().map(|note| printable(note)).collect());
    section("the result is partial", found.partial.iter().map(|why| printable(why)).collect());
    let _ = writeln!(out, "\n{NOT_LOOKED_FOR}\n{}", verdict(found));
    out
}

/// Other mechanisms that are called callbacks, so that nobody takes silence for their absence.
const NOT_LOOKED_FOR: &str =
    "not looked for: process, thread and image notify routines, object and registry callbacks";

/// Sums up in one line.
#[must_use]
pub fn verdict(found: &Inspection) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let listeners: usize = found.objects.iter().map(|object| object.listeners.len()).sum();
    let weighty = found.weighty();
    let noted = found.anomalies().count() - weighty;
    let mut out = format!(
        "{} with {}; {}",
        plural(found.objects.len(), "callback object"),
        plural(listeners, "listener"),
        match weighty {
            // Every Windows has callback objects: where none was found, nothing was seen.
            0 if found.objects.is_empty() => "nothing could be judged".to_owned(),
            0 => "nothing that does not belong".to_owned(),
            _ => plural(weighty, "finding"),
        }
    );
    if noted > 0 {
        let _ = write!(out, ", {}", plural(noted, "remark"));
    }
    if !found.partial.is_empty() {
        out.push_str("; partial");
    }
    out
}

/// Spells the reason as the schema's enumeration does.
const fn because(because: Because) -> &'static str {
    match because {
        Because::NotInImage => "not-in-image",
        Because::PagedOut => "paged-out",
        Because::Unreadable => "unreadable",
        Because::NotApplicable => "not-applicable",
        Because::NotFound => "not-found",
    }
}

#[cfg(test)]
mod tests;
