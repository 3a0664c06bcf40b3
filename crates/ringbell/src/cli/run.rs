//! `ringbell run`: real drivers, loaded, rung, unloaded and audited.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nt::NTSTATUS;
use record::{DriverRecord, Ending, Finding, Report, RuleId, Severity, UnloadOutcome};
use ringbell::{Config, MachineError, Play, Stopped};

use super::actions::Actions;
use super::failure::printable;
use super::options::{self, Format};
use super::output::{Answer, Verdict, say};
use super::{Failure, file};

/// Arguments of `ringbell run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Driver images (`.sys`), loaded in this order and unloaded in reverse
    #[arg(value_name = "DRIVER", required = true)]
    drivers: Vec<PathBuf>,
    #[command(flatten)]
    actions: Actions,
    /// Windows version to be
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// Wall time each step may take, such as `500ms` or `10s`
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// Seed of every choice: cookies, and with any but 0 the schedule. The same seed gives the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Show every export call
    #[arg(long)]
    trace: bool,
    /// Leave the drivers loaded at the end; there is no departure audit then
    #[arg(long)]
    keep_loaded: bool,
    /// Write the machine as a Windows crash dump, after the last ring and before the drivers leave; `ringbell inspect` reads it
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Do not report this rule (`RB004` or its name); may be given more than once
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// Make every finding of this rule an error; may be given more than once
    #[arg(long, value_name = "RULE")]
    deny: Vec<String>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let profile = options::profile(arguments.os.as_deref())?;
    let actions = arguments.actions.read()?;
    let levels = Levels { allow: rules(&arguments.allow)?, deny: rules(&arguments.deny)? };
    if let Some(both) = levels.allow.iter().find(|rule| levels.deny.contains(rule)) {
        return Err(Failure::new(format!("`{both}` is both allowed and denied")).hint("give one of the two"));
    }
    let drivers = arguments.drivers.iter().map(|path| driver(path)).collect::<Result<_, _>>()?;
    let config = Config {
        profile: profile.name.into(),
        seed: arguments.seed,
        timeout: arguments.timeout,
        trace_exports: arguments.trace,
        ..Config::default()
    };
    let dump = arguments.dump.clone();
    let answer = play(
        Play { config, drivers, actions, dump, keep_loaded: arguments.keep_loaded },
        arguments.format,
        &levels,
    )?;
    if let Some(path) = arguments.dump.as_ref().filter(|path| !path.exists()) {
        say(&format!("`{}` was not written, because the machine died before", file::shown(path)));
    }
    Ok(answer)
}

/// How the user wants findings to be taken, where it is not by their rule's own severity.
#[derive(Debug, Default)]
pub(super) struct Levels {
    allow: Vec<RuleId>,
    deny: Vec<RuleId>,
}

impl Levels {
    /// Drops what is allowed, makes errors of what is denied, and returns how many were dropped.
    fn apply(&self, findings: &mut Vec<Finding>) -> usize {
        let before = findings.len();
        findings.retain(|finding| !self.allow.contains(&finding.rule));
        for finding in findings.iter_mut().filter(|finding| self.deny.contains(&finding.rule)) {
            finding.severity = Severity::Error;
        }
        before - findings.len()
    }
}

/// Finds rules by number or name.
fn rules(names: &[String]) -> Result<Vec<RuleId>, Failure> {
    let find = |name: &String| {
        rules::find(name).map(|rule| rule.id).ok_or_else(|| {
            let numbers: Vec<String> = rules::RULES.iter().map(|rule| rule.id.to_string()).collect();
            let known = rules::RULES.iter().map(|rule| rule.slug).chain(numbers.iter().map(String::as_str));
            Failure::unknown("rule", name, known, &format!("rules: {}", numbers.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

/// Reads a driver and refuses what is none, or needs more than the kernel, before any machine is started.
fn driver(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let bytes = file::read(path)?;
    let parsed = file::parse(path, &bytes)?;
    parsed
        .imports()
        .and_then(|imports| image::require_kernel_imports(&imports))
        .map_err(|error| file::refused(path, &error))?;
    let name = path.file_name().map(|name| printable(&name.to_string_lossy())).unwrap_or_default();
    Ok((name, bytes))
}

/// Plays and reports. What stopped a run is said on stderr, and what happened until then is the answer all the same.
pub(super) fn play(play: Play, format: Format, levels: &Levels) -> Result<Answer, Failure> {
    let (mut report, stopped) = match play.run() {
        Ok(report) => (report, None),
        Err(Stopped { error, report: Some(report) }) => (*report, Some(refused(&error))),
        Err(Stopped { error, report: None }) => return Err(refused(&error)),
    };
    match levels.apply(&mut report.findings) {
        0 => {}
        1 => say("1 finding is not reported, because of `--allow`"),
        allowed => say(&format!("{allowed} findings are not reported, because of `--allow`")),
    }
    let text = match format {
        Format::Text => ringbell::story(&report),
        Format::Json => view::json::report(&report)
            .map_err(|error| Failure::new(format!("cannot write the report: {error}")))?,
    };
    for driver in report.drivers.iter().filter(|driver| driver.unload == UnloadOutcome::EntryFailed) {
        entry_failed(driver).print();
    }
    let verdict = match stopped {
        Some(failure) => {
            failure.print();
            Verdict::Refused
        }
        None => verdict(&report),
    };
    Ok(Answer { text, verdict })
}

/// Says that a driver did not start.
fn entry_failed(driver: &DriverRecord) -> Failure {
    let status = NTSTATUS(driver.entry_status.unwrap_or_default());
    let failure = Failure::new(format!("`{}`: `DriverEntry` returned {status}", printable(&driver.name)));
    let what = status.name().map_or_else(|| format!("{:#010x}", status.0), str::to_owned);
    failure.hint(format!("`ringbell explain {what}` says what it means; `--trace` shows the calls before it"))
}

/// Says a machine's error in the command's grammar.
pub(super) fn refused(error: &MachineError) -> Failure {
    let text = error.to_string();
    match text.split_once("\nhint: ") {
        Some((message, hint)) => Failure::new(message).hint(hint),
        None => Failure::new(text),
    }
}

/// Returns what the exit code says about a report.
pub(super) fn verdict(report: &Report) -> Verdict {
    match &report.ending {
        Ending::Bugcheck(_) => return Verdict::Bugcheck,
        Ending::Hang(_) => return Verdict::Hang,
        Ending::Died { .. } => return Verdict::Refused,
        Ending::AbsentExport { .. } | Ending::EventLimit { .. } => return Verdict::Findings,
        Ending::Finished => {}
    }
    let failed = report.drivers.iter().any(|driver| driver.unload == UnloadOutcome::EntryFailed);
    let found = report.worst().is_some_and(|worst| worst >= Severity::Warning);
    if failed || found || !report.tainted.is_empty() { Verdict::Findings } else { Verdict::Clean }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let number: u64 =
        digits.parse().map_err(|_| "write a number and a unit, such as `500ms` or `10s`".to_owned())?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("units are `ms`, `s` and `m`".into()),
    };
    if time.is_zero() || time > Duration::from_secs(24 * 3600) {
        return Err("the limit lies between 1ms and 24 hours".into());
    }
    Ok(time)
}

#[cfg(test)]
mod level_tests {
    use super::*;

    fn finding(rule: u16) -> Finding {
        Finding {
            rule: RuleId(rule),
            slug: String::new(),
            severity: Severity::Warning,
            driver: None,
            message: String::new(),
            windows: String::new(),
            fix: String::new(),
            at: None,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn what_is_allowed_goes_and_what_is_denied_is_an_error() {
        let levels =
            Levels { allow: rules(&["RB004".into()]).unwrap(), deny: rules(&["pool-leak".into()]).unwrap() };
        let mut findings = vec![finding(4), finding(14), finding(2)];
        assert_eq!(levels.apply(&mut findings), 1);
        let left: Vec<_> = findings.iter().map(|finding| (finding.rule.0, finding.severity)).collect();
        assert_eq!(left, [(14, Severity::Error), (2, Severity::Warning)]);
    }

    #[test]
    fn an_unknown_rule_is_refused_with_the_near_one() {
        let failure = rules(&["pool-leek".into()]).unwrap_err().to_string();
        assert!(failure.contains("unknown rule `pool-leek`"), "{failure}");
        assert!(failure.contains("did you mean `pool-leak`"), "{failure}");
    }
}
