//! What a run shows that it should not, in a form that tells whether two runs show the same.

use nt::{BugCheck, NTSTATUS};
use record::{Ending, Finding, Left, NotPlayed, Report, RuleId, Severity, What};

/// The rule that judges runs which came to a standstill.
const HANG: RuleId = RuleId(18);

/// The rule that judges runs which went on in an image that was gone.
const GONE: RuleId = RuleId(20);

/// Something wrong with a run. Two complaints about the same thing at the same place are equal in `what` and `place`, whatever
/// seed or schedule led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What it is: a rule's number and name, or the way the run ended.
    pub what: String,
    /// Where: a place in driver code, or a driver; empty where there is none.
    pub place: String,
    /// One sentence about it. Addresses of objects and threads in it may differ from run to run.
    pub message: String,
}

impl Complaint {
    /// Returns what makes it the same as another.
    pub(super) fn key(&self) -> (String, String) {
        (self.what.clone(), self.place.clone())
    }
}

/// A driver whose `DriverEntry` failed.
pub(super) const DOES_NOT_START: &str = "a driver that does not start";

/// What a scenario expects and did not come.
pub(super) const NOT_EXPECTED: &str = "not as expected";

/// Returns everything that is wrong with a run, each once. What a scenario expects is not wrong, and notes are not
/// either.
pub fn complaints(report: &Report) -> Vec<Complaint> {
    let mut all: Vec<Complaint> = Vec::new();
    let mut add = |what: String, place: String, message: String| {
        let complaint = Complaint { what, place, message };
        if !all.iter().any(|known| known.key() == complaint.key()) {
            all.push(complaint);
        }
    };
    let found = |finding: &&Finding| finding.severity >= Severity::Warning;
    // A rule that judges the ending says more about it.
    let hang = matches!(report.ending, Ending::Hang(_));
    let judged = |at: Option<u64>| {
        report.unexpected().filter(found).any(|it| hang && it.rule == HANG || at.is_some() && it.at == at)
    };
    if let Some((what, at, message)) = ending(report).filter(|(_, at, _)| !judged(*at)) {
        let place = at.map(|at| report.modules.locate(at).to_string()).unwrap_or_default();
        add(what, place, message);
    }
    for finding in report.unexpected().filter(found) {
        let place = match (late_routine(report, finding).or(finding.at), &finding.driver) {
            (Some(at), _) => report.modules.locate(at).to_string(),
            (None, Some(driver)) => driver.clone(),
            (None, None) => String::new(),
        };
        add(format!("{} {}", finding.rule, finding.slug), place, finding.message.clone());
    }
    for driver in report.failed_drivers() {
        let status = NTSTATUS(driver.entry_status.unwrap_or_default());
        let message = format!("`DriverEntry` returned {status}");
        add(DOES_NOT_START.into(), driver.name.clone(), message);
    }
    for check in report.expectations.failed() {
        let got = check.got.clone().unwrap_or_default();
        add(NOT_EXPECTED.into(), check.expected.clone(), format!("expected {}, got {got}", check.expected));
    }
    for taint in &report.tainted {
        add("records that cannot be trusted".into(), String::new(), taint.clone());
    }
    if let Some(NotPlayed::Step(why)) = &report.not_played {
        add("a step that is refused".into(), String::new(), why.clone());
    }
    all
}

/// Returns the routine that RB020 found at work in an image that was gone, or about to be called there. Where in the routine the end caught it depends on the
/// schedule, and is no other thing.
fn late_routine(report: &Report, finding: &Finding) -> Option<u64> {
    let told = |sequence: &u64| {
        let event = report.events.iter().find(|event| event.sequence == *sequence)?;
        match event.what {
            What::EntryCalled { routine, .. } | What::DeliveryBegin { routine, .. } => Some(routine),
            // What was still to call it was made where the finding says.
            What::LeftBehind { ref things, .. } => {
                let made = |thing: &&Left| Some(thing.made.caller) == finding.at && thing.routine.is_some();
                things.iter().find(made)?.routine
            }
            _ => None,
        }
    };
    (finding.rule == GONE).then(|| finding.evidence.iter().find_map(told))?
}

/// Says how a run ended that did not end well, and where.
fn ending(report: &Report) -> Option<(String, Option<u64>, String)> {
    if report.expectations.ending {
        return None;
    }
    Some(match &report.ending {
        // Nothing that the drivers did.
        Ending::Finished | Ending::Interrupted { .. } => return None,
        Ending::Bugcheck(check) => {
            (format!("bugcheck {}", BugCheck(check.code)), check.at, check.reason.clone())
        }
        Ending::Hang(hang) if hang.deadlock => ("deadlock".into(), hang.at, hang.details.join("; ")),
        // Where a loop is when its time is up differs from run to run.
        Ending::Hang(hang) => ("time limit".into(), None, hang.details.join("; ")),
        Ending::AbsentExport { module, name, at } => {
            let what = format!("absent export {module}!{name}");
            (what, Some(*at), "the driver needs it to go on".into())
        }
        Ending::EventLimit { limit } => ("event limit".into(), None, format!("more than {limit} events")),
        Ending::Died { .. } => ("kernel process died".into(), None, "it left no last words".into()),
    })
}
