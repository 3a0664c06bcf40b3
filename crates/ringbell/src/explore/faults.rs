//! Each call that can fail, failed once for each path to it.
//!
//! A first run fails nothing and tells which calls can fail. Each of them is then failed in a run of its own, and paths that appear only
//! behind a failure join the queue, until none is left. What is wrong with the run that fails nothing is wrong without
//! any failure, and is not told again of the others.

use std::collections::{BTreeSet, VecDeque};

use record::{Ending, FaultId, FaultPlan, Report, What};

use super::complaint::{Complaint, DOES_NOT_START, NOT_EXPECTED, complaints};
use crate::scenario::{Scenario, Stopped};
use crate::{Base, Machine, interrupt};
use ::machine::{Config, MachineError};

/// A failure that the drivers do not take well.
#[derive(Clone, Debug)]
pub struct FaultFind {
    /// The call that was made to fail.
    pub fault: FaultId,
    /// Where it was called, and the calls that led there, innermost first.
    pub path: Vec<String>,
    /// What is wrong, each once.
    pub complaints: Vec<Complaint>,
    /// The whole run.
    pub report: Report,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct FaultSearch {
    /// What is wrong without any failure.
    pub always: Vec<Complaint>,
    /// The run that fails nothing. Where somebody interrupted it, nothing follows from it but which calls can fail.
    pub first: Report,
    /// How many calls were made to fail, one in each run.
    pub failed: u64,
    /// How many known ones are left, because the limit was reached or somebody interrupted the search.
    pub left: u64,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
    /// The failures that show something, in the order in which the calls appeared.
    pub finds: Vec<FaultFind>,
}

/// Fails each call that can fail once for each path to it, but not more than `most`, and tells `watch` after each run how many were
/// failed, how many are known, and how many finds there are.
///
/// # Errors
///
/// Fails where a machine cannot be had, and where a step is refused in the run that fails nothing.
pub fn fail_each(
    scenario: &Scenario,
    most: u64,
    mut watch: impl FnMut(u64, u64, usize),
) -> Result<FaultSearch, Stopped> {
    let mut base = Machine::boot(Config { faults: None, ..scenario.config.clone() })?.into_base();
    let first = play(scenario, &mut base, FaultPlan::Watch)?;
    let interrupted = matches!(first.ending, Ending::Interrupted { .. });
    let always = if interrupted { Vec::new() } else { complaints(&first) };
    let known: BTreeSet<_> = always.iter().map(Complaint::key).collect();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<FaultId> = paths(&first, &mut seen);
    let mut search = FaultSearch { always, first, failed: 0, left: 0, interrupted, finds: Vec::new() };
    while search.failed < most && !search.interrupted {
        let Some(fault) = queue.pop_front() else { break };
        let done = play(scenario, &mut base, FaultPlan::At(fault.clone()));
        if super::cut_short(&done) || interrupt::caught().is_some() {
            queue.push_front(fault);
            search.interrupted = true;
            break;
        }
        let report = match done {
            Ok(report) => report,
            // A later step may need what a driver that rightly gave up would have made.
            Err(Stopped { error: MachineError::Refused(_), report: Some(report), .. }) => *report,
            Err(stopped) => return Err(stopped),
        };
        search.failed += 1;
        queue.extend(paths(&report, &mut seen));
        let mut complaints = complaints(&report);
        // A driver may give up when it gets no memory, and then the scenario does not come out as it should.
        complaints.retain(|complaint| {
            !known.contains(&complaint.key())
                && ![DOES_NOT_START, NOT_EXPECTED].contains(&complaint.what.as_str())
        });
        if !complaints.is_empty() {
            let path = path(&report);
            search.finds.push(FaultFind { fault, path, complaints, report });
        }
        watch(search.failed, search.failed + queue.len() as u64, search.finds.len());
    }
    search.left = queue.len() as u64;
    Ok(search)
}

fn play(scenario: &Scenario, base: &mut Base, plan: FaultPlan) -> Result<Report, Stopped> {
    scenario.run_on(base.fork(Config { faults: Some(plan), ..scenario.config.clone() })?)
}

/// Returns the paths of a run that were not `seen` before, in the order of the run.
fn paths(report: &Report, seen: &mut BTreeSet<FaultId>) -> VecDeque<FaultId> {
    let all = report.events.iter().filter_map(|event| match &event.what {
        What::FallibleCall { fault, .. } => Some(fault),
        _ => None,
    });
    all.filter(|fault| seen.insert((*fault).clone())).cloned().collect()
}

/// Returns where the failed call was made, and what led there.
fn path(report: &Report) -> Vec<String> {
    let mut events = report.events.iter();
    let failed = events.find(|event| matches!(event.what, What::FallibleCall { failed: true, .. }));
    let stack = failed.map_or(&[][..], |event| &event.stack);
    stack.iter().map(|address| report.modules.locate(*address).to_string()).collect()
}
