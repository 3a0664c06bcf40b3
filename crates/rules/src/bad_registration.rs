//! RB012: a NULL routine, or an unregistration of what is not registered.

use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(12),
    slug: "bad-registration",
    severity: Severity::Error,
    summary: "a driver registered NULL as a routine, or unregistered something that was not registered",
    windows: "`ExRegisterCallback` stores a NULL routine, and the next notify jumps to it; `ExUnregisterCallback` takes what \
              it is given for a registration: NULL faults (bugcheck 0x7E, at DISPATCH_LEVEL 0xA), and a freed one corrupts memory or \
              ends in bugcheck 0x139 with first parameter 3, or in 0x7E where its memory has been filled",
    fix: "check the result of `ExRegisterCallback`, keep it, unregister it once and clear it then",
    detection: "a driver registered the routine 0, or passed `ExUnregisterCallback` NULL, an address that no registration \
                had, or one that was unregistered before",
    check,
};

pub(crate) fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, event) in run.events.iter().enumerate() {
        let Some(driver) = run.driver_of(event) else { continue };
        let mut evidence = vec![event.sequence];
        let what = match event.what {
            What::Registered { object, routine: 0, .. } => {
                format!("registered NULL as a routine on {}", run.object_name(object, index))
            }
            What::UnregisterAttempt { registration: 0 } => "unregistered NULL".to_owned(),
            What::UnregisterAttempt { registration } => {
                let last = run.events[..index].iter().rev().find(|earlier| match earlier.what {
                    What::Registered { registration: r, .. } | What::Unregistered { registration: r, .. } => {
                        r == registration
                    }
                    _ => false,
                });
                match last.map(|last| (last, &last.what)) {
                    Some((last, What::Unregistered { routine, .. })) => {
                        evidence.insert(0, last.sequence);
                        format!(
                            "unregistered {} a second time (first{}, event {})",
                            run.place(*routine),
                            run.by(last),
                            last.sequence
                        )
                    }
                    Some(_) => continue,
                    None => format!("unregistered {registration:#x}, which is no registration"),
                }
            }
            _ => continue,
        };
        let message = format!("`{driver}` {what} (called{}, event {})", run.by(event), event.sequence);
        findings.push(rule.finding(driver, message, event.caller, evidence));
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::What;

    fn unregister(registration: u64) -> (u64, What) {
        (IN_A, What::UnregisterAttempt { registration })
    }

    fn unregistered() -> (u64, What) {
        (IN_A, What::Unregistered { object: OBJECT, registration: REGISTRATION, routine: ROUTINE_A })
    }

    #[test]
    fn rb012_null_a_foreign_address_and_a_second_time_are_found() {
        for (events, expected) in [
            (vec![(IN_A, registered(0))], "registered NULL"),
            (vec![unregister(0)], "unregistered NULL"),
            (vec![unregister(0x77)], "which is no registration"),
            (
                vec![
                    (IN_A, registered(ROUTINE_A)),
                    unregister(REGISTRATION),
                    unregistered(),
                    unregister(REGISTRATION),
                ],
                "a second time (first by a.sys+0x110",
            ),
        ] {
            let findings = judge(&stream(events), &modules(), &FINISHED);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].rule.0, 12);
            assert!(findings[0].message.contains(expected), "{findings:?}");
        }
    }

    #[test]
    fn rb012_each_registration_may_be_unregistered_once() {
        let once = [(IN_A, registered(ROUTINE_A)), unregister(REGISTRATION), unregistered()];
        let twice = stream(once.clone().into_iter().chain(once));
        assert!(judge(&twice, &modules(), &FINISHED).is_empty());
    }
}
