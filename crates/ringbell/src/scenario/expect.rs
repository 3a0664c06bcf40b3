//! What a scenario expects, and how a run is held to it.
//!
//! What concerns the moment (is the object there, who listens, what was delivered and printed since the last look) is a
//! step. What can only be said of the whole run (findings, the ending) stands apart, because the rules judge at the end.

use std::fmt;

use nt::{BugCheck, NTSTATUS};
use record::{Check, Ending, Finding, Report, RuleId, What};

use super::Place;
use super::mistake::printable;

/// The rule that a run hung, where no other one says why.
const HANG: RuleId = RuleId(18);

/// Something expected of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// What a driver's `DriverEntry` returned.
    Status {
        /// The driver's name in the run.
        driver: String,
        /// What it must have returned.
        status: ExpectedStatus,
    },
    /// Whether a callback object has this name.
    Exists {
        /// Full path.
        object: String,
        /// Whether it must be there.
        exists: bool,
    },
    /// How many routines are registered on an object.
    Listeners {
        /// Full path.
        object: String,
        /// Count only those in this driver.
        driver: Option<String>,
        /// How many there must be.
        count: u32,
    },
    /// How many times routines were called since the last look.
    Deliveries {
        /// Count only those of this object.
        object: Option<String>,
        /// Count only those to this driver.
        driver: Option<String>,
        /// How many there must be.
        count: u32,
    },
    /// Whether text was printed with `DbgPrint` since the last look.
    Printed {
        /// The text, which must stand in one call's output.
        text: String,
        /// Look only at what this driver printed.
        driver: Option<String>,
        /// How many times exactly; without it at least once.
        count: Option<u32>,
    },
}

/// What a `DriverEntry` may be expected to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedStatus {
    /// Any status of success.
    Success,
    /// Any failing status.
    Failure,
    /// This one.
    Exactly(NTSTATUS),
}

impl ExpectedStatus {
    pub(super) fn is_met(self, status: NTSTATUS) -> bool {
        match self {
            Self::Success => status.is_success(),
            Self::Failure => !status.is_success(),
            Self::Exactly(exactly) => status == exactly,
        }
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failure => f.write_str("a failure"),
            Self::Exactly(status) => status.fmt(f),
        }
    }
}

struct Of<'a>(&'a str, &'a Option<String>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.as_ref().map_or(Ok(()), |name| write!(f, " {} {name}", self.0))
    }
}

pub(super) fn plural(count: u32, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { driver, status } => write!(f, "{status} from `DriverEntry` of {driver}"),
            Self::Exists { object, exists: true } => write!(f, "a callback object {object}"),
            Self::Exists { object, exists: false } => write!(f, "no callback object {object}"),
            Self::Listeners { object, driver, count } => {
                write!(f, "{} on {object}{}", plural(*count, "listener", "listeners"), Of("from", driver))
            }
            Self::Deliveries { object, driver, count } => {
                let count = plural(*count, "delivery", "deliveries");
                write!(f, "{count}{}{}", Of("of", object), Of("to", driver))
            }
            Self::Printed { text, driver, count } => {
                write!(f, "`{}` printed", printable(text))?;
                match count {
                    None => {}
                    Some(0) => f.write_str(" never")?,
                    Some(count) => write!(f, " {}", plural(*count, "time", "times"))?,
                }
                write!(f, "{}", Of("by", driver))
            }
        }
    }
}

/// What is expected of the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// How it ends, and where that is written; without it every ending but `finished` turns the exit code.
    pub ending: Option<(ExpectedEnding, Option<Place>)>,
    /// What the rules find. What else they find counts as without a scenario.
    pub findings: Vec<ExpectedFinding>,
}

/// How a run may be expected to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedEnding {
    /// Every step was played.
    Finished,
    /// A bugcheck, of this code where one is given.
    Bugcheck(Option<u32>),
    /// A hang: the time limit, or a deadlock.
    Hang,
    /// A deadlock: nobody can ever run again.
    Deadlock,
    /// An export that is not there was used, this one where a name is given.
    AbsentExport(Option<String>),
    /// More events than the limit.
    EventLimit,
}

impl ExpectedEnding {
    fn is_met(&self, ending: &Ending) -> bool {
        match (self, ending) {
            (Self::Finished, Ending::Finished)
            | (Self::EventLimit, Ending::EventLimit { .. })
            | (Self::Hang, Ending::Hang(_))
            | (Self::Bugcheck(None), Ending::Bugcheck(_))
            | (Self::AbsentExport(None), Ending::AbsentExport { .. }) => true,
            (Self::Deadlock, Ending::Hang(hang)) => hang.deadlock,
            (Self::Bugcheck(Some(code)), Ending::Bugcheck(check)) => check.code == *code,
            (Self::AbsentExport(Some(wanted)), Ending::AbsentExport { name, .. }) => wanted == name,
            _ => false,
        }
    }
}

impl fmt::Display for ExpectedEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the run to finish"),
            Self::Bugcheck(None) => f.write_str("a bugcheck"),
            Self::Bugcheck(Some(code)) => write!(f, "bugcheck {}", BugCheck(*code)),
            Self::Hang => f.write_str("a hang"),
            Self::Deadlock => f.write_str("a deadlock"),
            Self::AbsentExport(None) => f.write_str("a stop at an absent export"),
            Self::AbsentExport(Some(name)) => write!(f, "a stop at the absent export `{name}`"),
            Self::EventLimit => f.write_str("the event limit to be reached"),
        }
    }
}

/// Says how a run ended.
pub(super) fn ending_words(ending: &Ending) -> String {
    match ending {
        Ending::Finished => "a run that finished".into(),
        Ending::Bugcheck(check) => format!("bugcheck {}: {}", BugCheck(check.code), check.reason),
        Ending::Hang(hang) if hang.deadlock => "a deadlock".into(),
        Ending::Hang(hang) => format!("a hang, after {} ms", hang.limit_ms),
        Ending::AbsentExport { name, .. } => format!("a stop at the absent export `{name}`"),
        Ending::EventLimit { limit } => format!("more than {limit} events"),
        Ending::Interrupted { .. } => "a run that was interrupted".into(),
        Ending::Died { .. } => "a kernel process that died".into(),
    }
}

/// A finding that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedFinding {
    /// By which rule.
    pub rule: RuleId,
    /// In which driver; without it in any.
    pub driver: Option<String>,
    /// How many times exactly; without it at least once.
    pub count: Option<u32>,
    /// Where that is written.
    pub place: Option<Place>,
}

impl ExpectedFinding {
    fn is_about(&self, finding: &Finding) -> bool {
        finding.rule == self.rule && (self.driver.is_none() || finding.driver == self.driver)
    }
}

impl fmt::Display for ExpectedFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            None => write!(f, "a finding")?,
            Some(0) => write!(f, "no finding")?,
            Some(count) => write!(f, "{}", plural(count, "finding", "findings"))?,
        }
        write!(f, " of {}{}", self.rule, Of("in", &self.driver))
    }
}

impl Expected {
    /// Holds a report to it: its expectations get what is met and what is not.
    pub(super) fn judge(&self, report: &mut Report) {
        for expected in &self.findings {
            let about = |finding: &&Finding| expected.is_about(finding);
            let found = report.findings.iter().filter(about).count();
            let met = expected.count.map_or(found > 0, |count| found == count as usize);
            let got = (!met).then(|| {
                let all: Vec<String> = report
                    .findings
                    .iter()
                    .map(|finding| format!("{}{}", finding.rule, Of("in", &finding.driver)))
                    .collect();
                if all.is_empty() { "no finding at all".into() } else { all.join(", ") }
            });
            if met {
                let places = report.findings.iter().enumerate();
                let places = places.filter(|(_, finding)| expected.is_about(finding)).map(|(place, _)| place);
                report.expectations.findings.extend(places);
            }
            report.expectations.checks.push(check(expected, got, expected.place.as_ref()));
        }
        if let Some((expected, place)) = &self.ending {
            let met = expected.is_met(&report.ending);
            report.expectations.ending = met;
            if met {
                let telling = report.findings.iter().enumerate();
                let telling = telling.filter(|(_, finding)| tells_ending(report, finding));
                report.expectations.findings.extend(telling.map(|(place, _)| place).collect::<Vec<_>>());
            }
            let got = (!met).then(|| ending_words(&report.ending));
            report.expectations.checks.push(check(expected, got, place.as_ref()));
        }
        report.expectations.findings.sort_unstable();
        report.expectations.findings.dedup();
    }
}

/// Returns whether a finding tells of nothing but how the run ended: whoever expects that ending expects it too. With a hang it is
/// [`HANG`]; with a bugcheck, the one whose last evidence is what ended the run. What is left behind has no part in an ending.
fn tells_ending(report: &Report, finding: &Finding) -> bool {
    match &report.ending {
        Ending::Hang(_) => finding.rule == HANG,
        Ending::Bugcheck(_) => {
            let last = |event: &&record::Event| matches!(event.what, What::Bugcheck(_));
            let Some(end) = report.events.iter().rfind(last) else { return false };
            let before = report.events.iter().rev().skip_while(|event| event.sequence >= end.sequence);
            // The exception lies between what was done and the bugcheck that comes of it.
            let before = before
                .filter(|event| event.thread == end.thread)
                .find(|event| !matches!(event.what, What::ExceptionRaised { .. }))
                .filter(|event| !matches!(event.what, What::Audit { .. }));
            let ends = [Some(end), before].map(|event| event.map(|event| event.sequence));
            finding.evidence.last().is_some_and(|evidence| ends.contains(&Some(*evidence)))
        }
        _ => false,
    }
}

/// Makes the record of an expectation; `got` is what came instead.
pub(super) fn check(expected: &impl fmt::Display, got: Option<String>, place: Option<&Place>) -> Check {
    Check { expected: expected.to_string(), got, line: place.map(|place| place.line) }
}
