//! The verdict of a run.

use nt::BugCheck;
use record::{Ending, NotPlayed, Report, Severity, UnloadOutcome};

use super::plural;

/// Returns the verdict: one phrase that is only `clean` where everything was seen and nothing was wrong.
pub fn verdict(report: &Report) -> String {
    let count = |severity| report.unexpected().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let mut parts = Vec::new();
    match &report.not_played {
        None => {}
        Some(NotPlayed::Step(_)) => parts.push("a step was refused".into()),
        Some(NotPlayed::Schedule(_)) => parts.push("the schedule does not fit".into()),
        Some(NotPlayed::Fault(_)) => parts.push("the call that was to fail was not made".into()),
        Some(NotPlayed::File(_)) => parts.push("a file was not written".into()),
    }
    match &report.ending {
        _ if report.expectations.ending => {}
        Ending::Finished => {}
        Ending::Bugcheck(check) => parts.push(format!("bugcheck {}", BugCheck(check.code))),
        Ending::Hang(hang) if hang.deadlock => parts.push("deadlock".into()),
        Ending::Hang(_) => parts.push("hang".into()),
        Ending::AbsentExport { name, .. } => parts.push(format!("stopped at the absent export `{name}`")),
        Ending::EventLimit { .. } => parts.push("event limit".into()),
        Ending::Interrupted { .. } => parts.push("interrupted".into()),
        Ending::Died { .. } => parts.push("the kernel process died".into()),
    }
    if !report.tainted.is_empty() {
        parts.push("tainted".into());
    }
    for driver in report.failed_drivers() {
        parts.push(format!("`{}` failed to start", driver.name));
    }
    match report.expectations.failed().count() {
        0 => {}
        number => parts.push(format!("{} not met", plural(number, "expectation"))),
    }
    for (number, singular) in [(errors, "error"), (warnings, "warning")] {
        if number > 0 {
            parts.push(plural(number, singular));
        }
    }
    if parts.is_empty() {
        // What was expected and came is not clean, and yet all is well.
        let expected = report.expectations.ending && report.ending != Ending::Finished
            || !report.expectations.findings.is_empty()
            || !report.expectations.drivers.is_empty();
        parts.push(if expected { "as expected" } else { "clean" }.into());
    }
    if notes > 0 {
        parts.push(plural(notes, "note"));
    }
    let unjudged = |driver: &&record::DriverRecord| {
        matches!(driver.unload, UnloadOutcome::NotUnloadable | UnloadOutcome::Kept)
    };
    match report.drivers.iter().filter(unjudged).count() {
        0 => {}
        number => parts.push(format!("{} not audited", plural(number, "driver"))),
    }
    match report.stubs_called.len() {
        0 => {}
        number => parts.push(format!("{} called", plural(number, "stub"))),
    }
    parts.join(", ")
}
