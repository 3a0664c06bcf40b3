//! What is told after the events: how the run ended, what was found, and how to have it again.

use std::fmt::Write as _;

use nt::BugCheck;
use record::{Ending, Report, Severity, UnloadOutcome, What};

use super::plural;
use crate::text::{clauses, printable};

/// Tells all of it.
pub(super) fn tell(report: &Report, out: &mut String) {
    ending(report, out);
    stayed(report, out);
    findings(report, out);
    made_to_fail(report, out);
    expectations(report, out);
    schedule(report, out);
    reproducible(report, out);
}

fn ending(report: &Report, out: &mut String) {
    let place = |address: u64| report.modules.locate(address).to_string();
    match &report.ending {
        Ending::Finished => {}
        Ending::Bugcheck(check) => {
            let _ = writeln!(out, "\n*** bugcheck {}", BugCheck(check.code));
            let [a, b, c, d] = check.parameters;
            let _ = writeln!(out, "    {}", printable(&check.reason));
            let _ = writeln!(out, "    parameters {a:#x}, {b:#x}, {c:#x}, {d:#x}");
            if let Some(at) = check.at {
                let _ = writeln!(out, "    at {}", place(at));
            }
            if let Some(instruction) = &check.instruction {
                let _ = writeln!(out, "    instruction {}", printable(instruction));
            }
            if let Some(registers) = &check.registers {
                out.push_str(&crate::text::registers(registers));
            }
            stack(report, &check.stack, "    ", out);
        }
        Ending::Hang(hang) => {
            let what = if hang.deadlock { "deadlock" } else { "hang" };
            let limit = if hang.deadlock {
                "nobody can ever run again".into()
            } else {
                format!("time limit of {} ms reached", hang.limit_ms)
            };
            let _ = writeln!(out, "\n*** {what}: {limit}");
            if let Some(at) = hang.at {
                let _ = writeln!(out, "    at {}", place(at));
            }
            stack(report, &hang.stack, "    ", out);
            for detail in &hang.details {
                let _ = writeln!(out, "    {}", printable(detail));
            }
        }
        Ending::AbsentExport { module, name, at } => {
            let _ = writeln!(out, "\n*** absent export {module}!{name}, used at {}", place(*at));
            let _ = writeln!(out, "    hint: `ringbell imports` lists what a driver needs and what is there");
        }
        Ending::EventLimit { limit } => {
            let _ = writeln!(out, "\n*** event limit: more than {limit} events");
        }
        Ending::Interrupted { signal, at, stack: calls } => {
            let _ = writeln!(out, "\n*** interrupted by signal {signal}");
            if let Some(at) = at {
                let _ = writeln!(out, "    at {}", place(*at));
            }
            stack(report, calls, "    ", out);
        }
        Ending::Died { signal, code } => {
            let how = match (signal, code) {
                (Some(signal), _) => format!("ended by signal {signal}"),
                (None, Some(code)) => format!("exit code {code}"),
                (None, None) => "no status".into(),
            };
            let _ = writeln!(out, "\n*** the kernel process died without last words ({how})");
        }
    }
    for why in &report.tainted {
        let _ = writeln!(out, "\n*** tainted: {}", printable(why));
    }
}

/// Tells which call was made to fail: what is wrong with the run may follow from it.
fn made_to_fail(report: &Report, out: &mut String) {
    for event in &report.events {
        let What::FallibleCall { fault, failed: true } = &event.what else { continue };
        let _ = writeln!(out, "\nin this run a call of {} was made to fail", printable(&fault.export));
        stack(report, &event.stack, "  ", out);
        let _ = writeln!(out, "  replay with `--fault {fault}`");
    }
}

/// Prints a call stack, innermost call first.
fn stack(report: &Report, stack: &[u64], margin: &str, out: &mut String) {
    for (index, address) in stack.iter().enumerate() {
        let head = if index == 0 { "stack " } else { "      " };
        let _ = writeln!(out, "{margin}{head}{}", report.modules.locate(*address));
    }
}

/// Tells which drivers did not leave, because nothing about what they leave behind was judged.
fn stayed(report: &Report, out: &mut String) {
    for driver in &report.drivers {
        let why = match driver.unload {
            UnloadOutcome::NotUnloadable => {
                "has no `DriverUnload`: it can never leave, and has no departure audit"
            }
            UnloadOutcome::Kept => "was kept loaded, and has no departure audit",
            UnloadOutcome::Unloaded | UnloadOutcome::EntryFailed | UnloadOutcome::NotReached => continue,
        };
        let _ = writeln!(out, "\n{} {why}", printable(&driver.name));
    }
}

/// Tells which expectations of the scenario were not met, and counts the others.
fn expectations(report: &Report, out: &mut String) {
    let checks = &report.expectations.checks;
    if checks.is_empty() {
        return;
    }
    let met = checks.iter().filter(|check| check.got.is_none()).count();
    let _ = writeln!(out, "\n{met} of {} met", plural(checks.len(), "expectation"));
    for check in checks {
        let Some(got) = &check.got else { continue };
        let place = check.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let _ = writeln!(out, "not met{place}: expected {}", printable(&check.expected));
        let _ = writeln!(out, "  got {}", printable(got));
    }
}

fn findings(report: &Report, out: &mut String) {
    for (index, finding) in report.findings.iter().enumerate() {
        let expected = if report.expectations.findings.contains(&index) { " (expected)" } else { "" };
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let clauses = clauses(&finding.message);
        for (index, clause) in clauses.iter().enumerate() {
            let _ = match index {
                0 => write!(out, "\n{severity} {} {}{expected}: ", finding.rule, finding.slug),
                _ => write!(out, "    "),
            };
            let more = if index + 1 < clauses.len() { ";" } else { "" };
            let _ = writeln!(out, "{}{more}", printable(clause));
        }
        // The message names the innermost call; only what led to it is news.
        if finding.stack.len() > 1 {
            stack(report, &finding.stack, "  ", out);
        }
        let _ = writeln!(out, "  on Windows: {}", finding.windows);
        let _ = writeln!(out, "  fix: {}", finding.fix);
    }
}

/// Most switches of a schedule that are shown; the report for programs has them all.
const SWITCHES: usize = 12;

/// Says how the order of threads can be had again, where it was not that of seed 0.
fn schedule(report: &Report, out: &mut String) {
    match &report.schedule {
        Some(schedule) if schedule.switches.is_empty() => {}
        Some(schedule) if schedule.switches.len() <= SWITCHES => {
            let _ = writeln!(out, "\nschedule {schedule}");
        }
        Some(schedule) => {
            let count = schedule.switches.len();
            let _ = writeln!(out, "\nschedule of {count} switches (`--format json` shows it)");
        }
        None if report.parallel => {
            let _ = writeln!(
                out,
                "\nno schedule: processors ran at the same time, and this run cannot be had again"
            );
        }
        None => {
            let _ = writeln!(out, "\nschedule of too many switches to be kept");
        }
    }
}

/// Says why the run cannot be had again, where it cannot. That processors ran at the same time was said of the schedule.
fn reproducible(report: &Report, out: &mut String) {
    if report.reproducible.yes {
        return;
    }
    let said = |because: &&String| report.parallel && because.contains("`--parallel`");
    for (index, because) in report.reproducible.because.iter().filter(|because| !said(because)).enumerate() {
        let margin = if index == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{margin}not reproducible: {}", printable(because));
    }
}
