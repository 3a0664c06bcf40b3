//! RB001: a driver is gone, one of its routines is still registered.

use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(1),
    slug: "registration-left-at-unload",
    severity: Severity::Error,
    summary: "a driver was unloaded while a routine of it was still registered on a callback object",
    windows: "nothing tracks who registered what: the next notify jumps into unmapped memory, bugcheck 0xCE \
              (DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS), 0x50 or 0xD1",
    fix: "call `ExUnregisterCallback` with the handle that `ExRegisterCallback` returned, in `DriverUnload` and on \
          every failure path of `DriverEntry`",
    detection: "a registration belongs to the driver whose image contains its routine, or else to the one that \
                registered it; it is left when it was not unregistered before the driver's departure audit",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for departure in run.departures() {
        let before = &run.events[..departure.index];
        for (index, event) in before.iter().enumerate() {
            let What::Registered { object, registration, routine, .. } = event.what else { continue };
            if run.driver_at(routine).or_else(|| run.driver_of(event)) != Some(departure.driver) {
                continue;
            }
            let gone = before[index..].iter().any(
                |later| matches!(later.what, What::Unregistered { registration: r, .. } if r == registration),
            );
            if gone {
                continue;
            }
            let message = format!(
                "{} is still registered on {} after `{}` was unloaded (registered{}, event {})",
                run.place(routine),
                run.object_name(object, departure.index),
                departure.driver,
                run.by(event),
                event.sequence,
            );
            let evidence = vec![event.sequence, run.events[departure.index].sequence];
            findings.push(rule.finding(departure.driver, message, event.caller, evidence));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::What;

    fn registered() -> What {
        What::Registered { object: OBJECT, registration: 0x600, routine: ROUTINE_A, context: 0 }
    }

    fn unregistered() -> What {
        What::Unregistered { object: OBJECT, registration: 0x600, routine: ROUTINE_A }
    }

    #[test]
    fn rb001_a_registration_that_outlives_its_driver_is_found() {
        let events = stream([(IN_A, registered()), (0, departure("a.sys", vec![]))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.to_string(), "RB001");
        assert_eq!(findings[0].evidence, [0, 1]);
        assert!(findings[0].message.contains("a.sys+0x200 (OnRing)"), "{}", findings[0].message);
        assert!(findings[0].message.contains("a.sys+0x110 (DriverEntry+0x10)"), "{}", findings[0].message);
    }

    #[test]
    fn rb001_an_unregistered_one_is_not() {
        let events = stream([(IN_A, registered()), (IN_A, unregistered()), (0, departure("a.sys", vec![]))]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb001_a_reused_address_is_a_new_registration() {
        let events = stream([
            (IN_A, registered()),
            (IN_A, unregistered()),
            (IN_A, registered()),
            (0, departure("a.sys", vec![])),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].evidence, [2, 3]);
    }

    #[test]
    fn rb001_the_routine_of_another_driver_is_that_drivers_business() {
        let events = stream([(IN_B, registered()), (0, departure("b.sys", vec![]))]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }
}
