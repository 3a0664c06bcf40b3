//! RB006: an operation on an object whose lock the same thread holds.

use record::{Finding, Mode, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(6),
    slug: "dispatch-self-deadlock",
    severity: Severity::Error,
    summary: "a routine called at DISPATCH_LEVEL rang, registered on or unregistered from the object that was calling it",
    windows: "a notify at DISPATCH_LEVEL holds the object's spin lock during the calls, and the same lock cannot be taken \
              twice: the processor spins forever, which a watchdog turns into a bugcheck (0x101 or 0x133) at best",
    fix: "in a routine that may be called at DISPATCH_LEVEL, leave its own object alone and queue a DPC or work item; other \
          objects may be rung",
    detection: "a notify, registration or unregistration of an object, in the thread that is inside of a notify of the same \
                object at DISPATCH_LEVEL",
    check,
};

pub(crate) fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    run.walk(|index, event, open| {
        let (object, verb) = match &event.what {
            What::NotifyBegin { object, .. } => (*object, "rings"),
            What::RegisterAttempt { object, .. } => (*object, "registers on"),
            What::UnregisterAttempt { registration } => {
                match run.registered(*registration, index).map(|made| &made.what) {
                    Some(What::Registered { object, .. }) => (*object, "unregisters from"),
                    _ => return,
                }
            }
            _ => return,
        };
        let held = open.iter().find(|begin| {
            matches!(begin.what, What::NotifyBegin { object: o, mode: Mode::Held, .. } if o == object)
        });
        let (Some(held), Some(driver)) = (held, run.driver_of(event)) else { return };
        let message = format!(
            "`{driver}` {verb} {} inside of a notify of it that holds its lock (called{}, event {}; the notify began{}, \
             event {})",
            run.object_name(object, index),
            run.by(event),
            event.sequence,
            run.by(held),
            held.sequence,
        );
        findings.push(rule.finding(driver, message, event.caller, vec![held.sequence, event.sequence]));
    });
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{Event, Mode, What};

    fn inside(mode: Mode, what: What) -> Vec<Event> {
        stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_B, notify(OBJECT, mode)),
            (IN_B, delivery()),
            (IN_A, what),
        ])
    }

    #[test]
    fn rb006_an_operation_on_the_object_that_rings_is_found() {
        for what in [
            notify(OBJECT, Mode::Held),
            What::RegisterAttempt { object: OBJECT, routine: ROUTINE_A },
            What::UnregisterAttempt { registration: REGISTRATION },
        ] {
            let findings = judge(&inside(Mode::Held, what), &modules(), &deadlock());
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!((findings[0].rule.0, findings[0].driver.as_deref()), (6, Some("a.sys")));
            assert_eq!(findings[0].evidence, [1, 3]);
        }
    }

    #[test]
    fn rb006_without_the_lock_or_on_another_object_it_is_not() {
        let again = inside(Mode::Dropped, notify(OBJECT, Mode::Dropped));
        assert!(judge(&again, &modules(), &FINISHED).is_empty());
        let other = inside(Mode::Held, notify(OBJECT + 0x100, Mode::Held));
        assert!(judge(&other, &modules(), &FINISHED).is_empty());
    }
}
