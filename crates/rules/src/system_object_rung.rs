//! RB011: a driver that rings an object which only the system may ring.

use std::collections::{BTreeMap, BTreeSet};

use record::{CreateOutcome, Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(11),
    slug: "system-object-rung",
    severity: Severity::Warning,
    summary: "a driver called `ExNotifyCallback` for a callback object of the kernel",
    windows: "the documentation reserves it to the operating system; nothing stops it, and every listener takes the \
              arguments for the system's: a power state, a time, a processor that is not there",
    fix: "ring only objects that your drivers create; on a system object, register and listen",
    detection: "the object was created by the kernel itself and the notify came from driver code; `--notify` and `--event` \
                ring as the kernel does and are never meant; one finding per call site",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut kernels = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (index, event) in run.events.iter().enumerate() {
        match event.what {
            What::CreateResult {
                object, outcome: CreateOutcome::Created | CreateOutcome::Unnamed, ..
            } => {
                if run.driver_of(event).is_none() {
                    kernels.insert(object, event.sequence);
                } else {
                    kernels.remove(&object);
                }
            }
            What::ObjectDeleted { object, .. } => {
                kernels.remove(&object);
            }
            What::NotifyBegin { object, .. } => {
                let (Some(created), Some(driver)) = (kernels.get(&object), run.driver_of(event)) else {
                    continue;
                };
                if !told.insert((event.caller, object)) {
                    continue;
                }
                let message = format!(
                    "`{driver}` rang {}, which the kernel created (rung{}, event {})",
                    run.object_name(object, index),
                    run.by(event),
                    event.sequence,
                );
                findings.push(rule.finding(driver, message, event.caller, vec![*created, event.sequence]));
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{CreateOutcome, Mode};

    #[test]
    fn rb011_a_driver_that_rings_the_kernels_object_is_found() {
        let events = stream([
            (0, result(CreateOutcome::Created)),
            (IN_A, result(CreateOutcome::Opened)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (11, &[0, 2][..]));
    }

    #[test]
    fn rb011_the_kernels_own_ring_or_a_drivers_own_object_is_not() {
        let kernel = stream([(0, result(CreateOutcome::Created)), (0, notify(OBJECT, Mode::Dropped))]);
        assert!(judge(&kernel, &modules(), &FINISHED).is_empty());
        let own = stream([
            (0, result(CreateOutcome::Created)),
            (0, record::What::ObjectDeleted { object: OBJECT, name: None }),
            (IN_A, attempt(0x50)),
            (IN_A, result(CreateOutcome::Created)),
            (IN_B, notify(OBJECT, Mode::Dropped)),
        ]);
        assert!(judge(&own, &modules(), &FINISHED).is_empty());
    }
}
