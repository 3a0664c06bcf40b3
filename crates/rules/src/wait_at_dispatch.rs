//! RB021: a wait where no other thread can run.

use nt::Irql;
use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(21),
    slug: "wait-at-dispatch",
    severity: Severity::Error,
    summary: "a driver waited at DISPATCH_LEVEL or above for something that was not signaled",
    windows: "the processor cannot switch threads there: bugcheck 0xA (IRQL_NOT_LESS_OR_EQUAL), or 0xB8 \
              (ATTEMPTED_SWITCH_FROM_DPC) from a DPC",
    fix: "wait at PASSIVE_LEVEL or APC_LEVEL, or ask with a timeout of zero, which never waits; leave the waiting to a \
          work item",
    detection: "a wait with another timeout than zero had to block while the IRQL was DISPATCH_LEVEL or above; a question \
                with timeout zero, and a wait for what is signaled already, are fine",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    run.walk(|_, event, open| {
        let What::WaitRaised { irql } = event.what else { return };
        let routine = open.iter().rev().find_map(|begin| match begin.what {
            What::EntryCalled { routine, .. } | What::DeliveryBegin { routine, .. } => Some((begin, routine)),
            _ => None,
        });
        let driver = run.driver_of(event).or_else(|| routine.and_then(|(_, routine)| run.driver_at(routine)));
        let Some(driver) = driver else { return };
        let mut message =
            format!("`{driver}` waits at {} (called{}, event {}", Irql(irql), run.by(event), event.sequence);
        if let Some((begin, routine)) = routine {
            message.push_str(&format!(
                "; in {}, called at {}, event {}",
                run.place(routine),
                Irql(begin.irql),
                begin.sequence
            ));
        }
        message.push(')');
        findings.push(rule.finding(driver, message, event.caller, vec![event.sequence]));
    });
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::What;

    #[test]
    fn rb021_a_wait_at_dispatch_level_is_found() {
        let events = stream([(IN_A, delivery()), (IN_A, What::WaitRaised { irql: 2 })]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.0, 21);
        assert!(findings[0].message.contains("waits at DISPATCH_LEVEL"), "{findings:?}");
    }

    #[test]
    fn rb021_the_kernels_own_wait_is_no_finding() {
        assert!(judge(&stream([(0, What::WaitRaised { irql: 2 })]), &modules(), &FINISHED).is_empty());
    }
}
