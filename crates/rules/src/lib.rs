//! What must not happen around callback objects, and how Ringbell knows that it did.
//!
//! A rule is a pure function over a run's records: it sees the event stream, the module list and the ending, nothing else, so it
//! judges a stream recorded yesterday as well as one that just ended, and it runs in the trusted parent, never beside
//! driver code. Each rule has a file, a row in [`RULES`], a driver that must be caught and a near miss that must not.
//!
//! What a rule says about real Windows comes from Microsoft's driver documentation and from the public bugcheck
//! reference; where a consequence is inferred from the mechanism, the text says "would".
#![forbid(unsafe_code)]

mod apc_disable;
mod bad_registration;
mod called_after_unload;
mod dispatch_deadlock;
mod handle_leak;
mod hang;
mod irql_contract;
mod irql_left;
mod name_vanished;
mod pageable_routine;
mod paged_context;
mod permanent_left;
mod pool_corruption;
mod pool_leak;
mod reference_leaked;
mod refused_ignored;
mod registration_left;
mod routine_outside;
mod run;
mod self_unregister;
mod system_object_rung;
#[cfg(test)]
mod testing;
mod wait_at_dispatch;

use record::{Ending, Event, Finding, Made, Modules, RuleId, Severity};

use run::LeftBehind;
pub use run::Run;

/// A rule: what it is called, what it says, and how it is found.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Number.
    pub id: RuleId,
    /// Name on the command line and in reports.
    pub slug: &'static str,
    /// Severity of a finding, unless the circumstances soften it.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub summary: &'static str,
    /// What real Windows does about it.
    pub windows: &'static str,
    /// What to change in the driver.
    pub fix: &'static str,
    /// How it is detected, and what is not a finding.
    pub detection: &'static str,
    check: fn(&Rule, &Run<'_>) -> Vec<Finding>,
}

/// Every rule there is, by number.
pub const RULES: &[Rule] = &[
    registration_left::RULE,
    reference_leaked::RULE,
    permanent_left::RULE,
    name_vanished::RULE,
    self_unregister::RULE,
    dispatch_deadlock::RULE,
    irql_contract::RULE,
    irql_left::RULE,
    pageable_routine::RULE,
    routine_outside::RULE,
    system_object_rung::RULE,
    bad_registration::RULE,
    paged_context::RULE,
    pool_leak::RULE,
    pool_corruption::RULE,
    handle_leak::RULE,
    apc_disable::RULE,
    hang::RULE,
    refused_ignored::RULE,
    called_after_unload::RULE,
    wait_at_dispatch::RULE,
];

/// Returns the rule called `name`: its number (`RB004`) or its slug.
pub fn find(name: &str) -> Option<&'static Rule> {
    let id = name.parse::<RuleId>().ok();
    RULES.iter().find(|rule| Some(rule.id) == id || rule.slug.eq_ignore_ascii_case(name))
}

/// Judges a run by every rule. Findings come in stream order of their first evidence, then by rule number.
pub fn judge(events: &[Event], modules: &Modules, ending: &Ending) -> Vec<Finding> {
    let run = Run::new(events, modules, ending);
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| (rule.check)(rule, &run)).collect();
    for finding in &mut findings {
        if finding.stack.is_empty() {
            finding.stack = run.stack(finding.at, &finding.evidence);
        }
    }
    findings.sort_by_key(|finding| (finding.evidence.first().copied(), finding.rule));
    findings
}

impl Rule {
    /// Makes a finding about a thing that a driver left behind.
    fn left(&self, run: &Run<'_>, left: &LeftBehind<'_>, made: &Made, message: String) -> Finding {
        let mut evidence = vec![run.events[left.index].sequence];
        evidence.extend(run.audit_of(left.driver, left.index).map(|audit| audit.sequence));
        let at = (made.caller != 0).then_some(made.caller);
        let mut finding = self.finding(left.driver, message, at, evidence);
        finding.stack.clone_from(&made.stack);
        finding
    }

    fn finding(&self, driver: &str, message: String, at: Option<u64>, evidence: Vec<u64>) -> Finding {
        Finding {
            rule: self.id,
            slug: self.slug.into(),
            severity: self.severity,
            driver: Some(driver.into()),
            message,
            windows: self.windows.into(),
            fix: self.fix.into(),
            at,
            stack: Vec::new(),
            evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique_and_ordered() {
        for pair in RULES.windows(2) {
            assert!(pair[0].id < pair[1].id);
            assert_ne!(pair[0].slug, pair[1].slug);
        }
    }

    #[test]
    fn a_rule_is_found_by_number_or_slug() {
        assert_eq!(find("RB004").map(|rule| rule.slug), Some("name-vanished"));
        assert_eq!(find("rb004").map(|rule| rule.slug), Some("name-vanished"));
        assert_eq!(find("name-vanished").map(|rule| rule.id), Some(RuleId(4)));
        assert!(find("RB999").is_none());
    }
}
