//! RB004: a named callback object without `OBJ_PERMANENT`, which nobody can ever open.

use nt::OBJ_PERMANENT;
use record::{CreateOutcome, Event, Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(4),
    slug: "name-vanished",
    severity: Severity::Warning,
    summary: "a callback object was created with a name but without `OBJ_PERMANENT`, so its name is gone already",
    windows: "`ExCreateCallback` closes its own handle before it returns, and the close deletes a temporary name: the \
              object lives on, nameless, and no other driver can ever open it",
    fix: "add `OBJ_PERMANENT` (and make the object temporary when you leave), or create it without a name if nobody \
          else is meant to find it",
    detection: "an `ExCreateCallback` of the driver created a named object without `OBJ_PERMANENT`; opening an existing \
                one without it is fine",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, event) in run.events.iter().enumerate() {
        let What::CreateResult { name: Some(name), outcome: CreateOutcome::Created, .. } = &event.what else {
            continue;
        };
        let Some(driver) = run.driver_of(event) else { continue };
        let Some((attempt, attributes)) = attempt_of(&run.events[..index], event.thread) else { continue };
        if attributes & OBJ_PERMANENT != 0 {
            continue;
        }
        let message = format!(
            "`{name}` lost its name before `ExCreateCallback` returned, because `{driver}` created it without \
             `OBJ_PERMANENT` (created{}, event {})",
            run.by(event),
            event.sequence,
        );
        findings.push(rule.finding(driver, message, event.caller, vec![attempt.sequence, event.sequence]));
    }
    findings
}

/// Returns the attempt a result belongs to. Attempts and results of one thread nest, so it is the nearest unanswered one.
fn attempt_of(before: &[Event], thread: u32) -> Option<(&Event, u32)> {
    let mut answered = 0;
    for event in before.iter().rev().filter(|event| event.thread == thread) {
        match event.what {
            What::CreateResult { .. } => answered += 1,
            What::CreateAttempt { attributes, .. } if answered == 0 => return Some((event, attributes)),
            What::CreateAttempt { .. } => answered -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::CreateOutcome;

    #[test]
    fn rb004_a_temporary_name_is_found() {
        let events = stream([(IN_A, attempt(0x40)), (IN_A, result(CreateOutcome::Created))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.0, 4);
        assert_eq!(findings[0].evidence, [0, 1]);
    }

    #[test]
    fn rb004_a_permanent_name_or_an_opened_object_is_not() {
        for (attributes, outcome) in
            [(0x50, CreateOutcome::Created), (0x40, CreateOutcome::Opened), (0x40, CreateOutcome::Failed)]
        {
            let events = stream([(IN_A, attempt(attributes)), (IN_A, result(outcome))]);
            assert!(judge(&events, &modules(), &FINISHED).is_empty(), "{attributes:#x} {outcome:?}");
        }
    }

    #[test]
    fn rb004_the_kernels_own_objects_are_no_finding() {
        let events = stream([(0, attempt(0x240)), (0, result(CreateOutcome::Created))]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb004_each_result_goes_with_its_own_attempt() {
        let events = stream([
            (IN_A, attempt(0x40)),
            (IN_A, result(CreateOutcome::Opened)),
            (IN_A, attempt(0x50)),
            (IN_A, result(CreateOutcome::Created)),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }
}
