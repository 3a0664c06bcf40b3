//! The verdict of a run.

use nt::BugCheck;
use record::{Ending, NotPlayed, Report, Severity, UnloadOutcome};

use super::plural;

/// Says what the departure audit at event `sequence` came to. The number of findings is that of those the verdict counts; notes and what was expected are told
/// apart.
pub(super) fn audit(report: &Report, sequence: u64) -> String {
    let mut counts = [0; 3];
    for (index, finding) in report.findings.iter().enumerate() {
        if finding.evidence.last() == Some(&sequence) {
            let expected = report.expectations.findings.contains(&index);
            let kind = if expected { 2 } else { usize::from(finding.severity < Severity::Warning) };
            counts[kind] += 1;
        }
    }
    let words = [plural(counts[0], "finding"), plural(counts[1], "note"), format!("{} expected", counts[2])];
    let told: Vec<String> =
        counts.iter().zip(words).filter(|(count, _)| **count > 0).map(|(_, word)| word).collect();
    if told.is_empty() { "no finding".into() } else { told.join(", ") }
}

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
    let ended = ending(&report.ending);
    parts.extend(ended.clone().filter(|_| !report.expectations.ending));
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
        let expected = !report.expectations.findings.is_empty() || !report.expectations.drivers.is_empty();
        parts.push(match ended {
            Some(ended) => format!("{ended} as expected"),
            None if expected => "as expected".into(),
            None => "clean".into(),
        });
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

/// Says how a run ended that did not finish.
fn ending(ending: &Ending) -> Option<String> {
    Some(match ending {
        Ending::Finished => return None,
        Ending::Bugcheck(check) => format!("bugcheck {}", BugCheck(check.code)),
        Ending::Hang(hang) if hang.deadlock => "deadlock".into(),
        Ending::Hang(_) => "hang".into(),
        Ending::AbsentExport { name, .. } => format!("stopped at the absent export `{name}`"),
        Ending::EventLimit { .. } => "event limit".into(),
        Ending::Interrupted { .. } => "interrupted".into(),
        Ending::Died { .. } => "the kernel process died".into(),
    })
}
