//! RB005: a routine that unregisters itself and waits for its own end.

use std::collections::BTreeSet;

use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(5),
    slug: "self-unregister",
    severity: Severity::Error,
    summary: "a routine called `ExUnregisterCallback` for the registration it was being called for",
    windows: "`ExUnregisterCallback` waits, without a limit and without being alertable, until the routine has returned; \
              the routine waits for it: the thread never comes back",
    fix: "leave the registration alone inside of its routine: note the wish and unregister from `DriverUnload`, a work \
          item or another thread, which then waits for the routine as it should",
    detection: "an `ExUnregisterCallback` began to wait for a registration that a notify was calling in the same thread; \
                a routine may unregister its neighbors, and another thread may unregister a routine that runs",
    check,
};

pub(crate) fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    run.walk(|index, event, open| {
        let What::UnregisterWaits { object, registration, .. } = event.what else { return };
        let delivery = open.iter().rev().find(
            |begin| matches!(begin.what, What::DeliveryBegin { registration: r, .. } if r == registration),
        );
        let Some(delivery) = delivery else { return };
        let What::DeliveryBegin { routine, .. } = delivery.what else { return };
        let Some(driver) = run.driver_of(event).or_else(|| run.driver_at(routine)) else { return };
        // Whoever sets the event wakes the waiter, which finds the routine running and waits again.
        if !told.insert(delivery.sequence) {
            return;
        }
        let registered = run.registered(registration, index);
        let made = registered.map(|made| format!("; registered{}", run.by(made))).unwrap_or_default();
        // The one that calls may be another routine, which was called by this one.
        let inner = open.iter().rev().find_map(|begin| match begin.what {
            What::DeliveryBegin { routine: inner, .. } if begin.sequence != delivery.sequence => Some(inner),
            What::DeliveryBegin { .. } => Some(routine),
            _ => None,
        });
        let what = match inner.filter(|inner| *inner != routine) {
            Some(inner) => format!(
                "{}, which was called while {} was running in the same thread, unregisters that from {} and waits for its return",
                run.place(inner),
                run.place(routine),
                run.object_name(object, index),
            ),
            None => format!(
                "{} unregisters itself from {} and waits for its own return",
                run.place(routine),
                run.object_name(object, index),
            ),
        };
        let message = format!(
            "{what} (called{}, event {}{made})",
            run.by(event),
            event.sequence,
        );
        findings.push(rule.finding(driver, message, event.caller, vec![delivery.sequence, event.sequence]));
    });
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{ExceptionOutcome, Mode, Symbol, What};

    fn waits() -> What {
        What::UnregisterWaits { object: OBJECT, registration: REGISTRATION, busy: 1 }
    }

    #[test]
    fn rb005_a_routine_that_unregisters_itself_is_found_once() {
        let events = stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, delivery()),
            (IN_A, waits()),
            (IN_A, waits()),
        ]);
        let findings = judge(&events, &modules(), &deadlock());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (5, &[2, 3][..]));
        assert!(findings[0].message.contains("registered by a.sys+0x110"), "{}", findings[0].message);
    }

    #[test]
    fn rb005_a_routine_that_was_called_by_it_is_told_apart() {
        let inner = What::DeliveryBegin {
            object: OBJECT + 0x100,
            registration: REGISTRATION + 0x100,
            routine: 0x2_0200,
            context: 0,
        };
        let events = stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, delivery()),
            (IN_A, notify(OBJECT + 0x100, Mode::Dropped)),
            (IN_A, inner),
            (IN_B, waits()),
        ]);
        let findings = judge(&events, &modules(), &deadlock());
        let said = "b.sys+0x200 (OnRing), which was called while a.sys+0x200 (OnRing) was running in the same thread, \
                    unregisters that from";
        assert!(findings.len() == 1 && findings[0].message.starts_with(said), "{findings:?}");
    }

    #[test]
    fn rb005_another_thread_may_wait_for_a_running_routine() {
        let mut events = stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, delivery()),
            (IN_A, waits()),
        ]);
        events[3].thread = 8;
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb005_after_its_return_it_may_be_unregistered() {
        let events = stream([
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, delivery()),
            (IN_A, delivered(0)),
            (IN_A, waits()),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb005_a_routine_that_an_exception_left_is_no_longer_around() {
        let mut modules = modules();
        modules.0[0].symbols.insert(0, Symbol { rva: 0x10, name: "ExNotifyCallback".into() });
        let crossed = vec![modules.0[0].base + 0x10];
        let handled = |crossed| What::ExceptionHandled {
            code: 0xC000_0005,
            address: ROUTINE_A,
            outcome: ExceptionOutcome::Unwound { target: IN_A, crossed },
        };
        for (crossed, expected) in [(crossed, 0), (Vec::new(), 1)] {
            let events = stream([
                (IN_A, registered(ROUTINE_A)),
                (IN_A, notify(OBJECT, Mode::Dropped)),
                (IN_A, delivery()),
                (IN_A, handled(crossed)),
                (IN_A, waits()),
            ]);
            let findings = judge(&events, &modules, &deadlock());
            let found = findings.iter().filter(|finding| finding.rule.0 == 5).count();
            assert_eq!(found, expected, "{findings:?}");
        }
    }
}
