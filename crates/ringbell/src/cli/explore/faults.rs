//! `ringbell explore --faults`: which failures the drivers do not take well.

use std::fmt::Write as _;

use ringbell::explore::{FaultFind, FaultSearch, fail_each};
use ringbell::{Ending, Scenario};
use serde_json::json;

use super::super::output::{Answer, Verdict};
use super::super::progress::Schedules;
use super::super::{Failure, options::Format, run};

/// Searches and reports.
pub(super) fn run(scenario: &Scenario, most: u64, format: Format) -> Result<Answer, Failure> {
    run::catch_signals();
    let bar = Schedules::new(most);
    let done = fail_each(scenario, most, |failed, _, finds| bar.played(failed, finds));
    bar.end();
    let search = done.map_err(|stopped| run::refused(&stopped.error, stopped.place.as_ref()))?;
    for driver in search.first.failed_drivers() {
        run::entry_failed(driver).print();
    }
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let replay = super::replay(&words);
    let text = match format {
        Format::Text => text(&search, &replay),
        Format::Json => format!("{:#}\n", json(&search, &replay)),
    };
    Ok(Answer { text, verdict: verdict(&search) })
}

fn verdict(search: &FaultSearch) -> Verdict {
    if let Some(verdict) = Verdict::of_signal().filter(|_| search.interrupted) {
        return verdict;
    }
    // What goes wrong without any failure is as bad as what goes wrong with one.
    let reports = std::iter::once(&search.first).chain(search.finds.iter().map(|find| &find.report));
    let all: Vec<Verdict> = reports.map(run::verdict).collect();
    let clean = search.finds.is_empty() && search.always.is_empty() && search.left == 0;
    [Verdict::Bugcheck, Verdict::Hang].into_iter().find(|verdict| all.contains(verdict)).unwrap_or(if clean {
        Verdict::Clean
    } else {
        Verdict::Findings
    })
}

fn calls(number: u64) -> String {
    format!("{number} {}", if number == 1 { "call" } else { "calls" })
}

fn text(search: &FaultSearch, replay: &str) -> String {
    let mut out = String::new();
    // What goes wrong by itself comes first: there may be nothing behind it that could fail.
    for complaint in &search.always {
        let at = if complaint.place.is_empty() { String::new() } else { format!(" at {}", complaint.place) };
        let _ = writeln!(out, "without any failure: {}{at}", complaint.what);
        super::message(&complaint.message, "  ", &mut out);
        out.push('\n');
    }
    let _ = match search.failed {
        0 if matches!(search.first.ending, Ending::Interrupted { .. }) => {
            write!(out, "interrupted in the run that fails nothing, before any call was made to fail: ")
        }
        0 if search.left > 0 => write!(out, "let no call fail: "),
        0 => write!(out, "no call that can fail was made: "),
        1 => write!(out, "let 1 call fail: "),
        number => write!(out, "let {number} calls fail, one in each run: "),
    };
    let _ = match search.finds.len() {
        0 if search.always.is_empty() => writeln!(out, "nothing found"),
        0 => writeln!(out, "nothing else found"),
        1 => writeln!(out, "1 failure is not taken well"),
        number => writeln!(out, "{number} failures are not taken well"),
    };
    if search.left > 0 {
        let why =
            if search.interrupted { "somebody interrupted the search" } else { "`--schedules` is the limit" };
        let _ = writeln!(out, "{} left, because {why}", calls(search.left));
    }
    for find in &search.finds {
        let at = find.path.first().map(String::as_str).unwrap_or_default();
        let _ = writeln!(out, "\n{} fails at {at}", find.fault.export);
        for caller in find.path.iter().skip(1) {
            let _ = writeln!(out, "  called from {caller}");
        }
        for complaint in &find.complaints {
            let place =
                if complaint.place.is_empty() { String::new() } else { format!(" at {}", complaint.place) };
            let _ = writeln!(out, "  {}{place}", complaint.what);
            super::message(&complaint.message, "    ", &mut out);
        }
        let _ = writeln!(out, "  replay: {}", again(find, replay));
    }
    out
}

fn again(find: &FaultFind, replay: &str) -> String {
    format!("{replay} --fault {}", find.fault)
}

fn json(search: &FaultSearch, replay: &str) -> serde_json::Value {
    let complaints = |all: &[ringbell::explore::Complaint]| -> Vec<serde_json::Value> {
        let one = |it: &ringbell::explore::Complaint| json!({ "what": it.what, "place": it.place, "message": it.message });
        all.iter().map(one).collect()
    };
    let find = |find: &FaultFind| {
        json!({
            "fault": find.fault.to_string(),
            "export": find.fault.export,
            "path": find.path,
            "complaints": complaints(&find.complaints),
            "replay": again(find, replay),
        })
    };
    json!({
        "version": 1,
        "failed": search.failed,
        "left": search.left,
        "interrupted": search.interrupted,
        "always": complaints(&search.always),
        "finds": search.finds.iter().map(find).collect::<Vec<_>>(),
    })
}
