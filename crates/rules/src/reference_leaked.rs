//! RB002: a driver is gone, a reference it took on a callback object is not.

use std::collections::BTreeMap;

use record::{CreateOutcome, Finding, RuleId, Severity, What};

use crate::run::Departure;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(2),
    slug: "object-reference-leaked",
    severity: Severity::Warning,
    summary: "a driver was unloaded without giving back a reference to a callback object",
    windows: "the object can never be deleted: its memory, and for a named one its name, stay until the next boot; \
              every load of the driver adds one more reference",
    fix: "call `ObDereferenceObject` once for each successful `ExCreateCallback` (and for each reference taken by \
          `ObReferenceObject*`), after `ExUnregisterCallback`",
    detection: "references are counted per driver and object: one for a successful `ExCreateCallback`, one for each \
                `ObReferenceObject*`, minus each `ObDereferenceObject`; a pointer handed to another driver that \
                dereferences it there is counted against the first and may be allowed",
    check,
};

/// What one driver holds on one object.
#[derive(Default)]
struct Held {
    count: i64,
    first: Option<(u64, Option<u64>, String)>,
}

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    run.departures().flat_map(|departure| leaks(rule, run, departure)).collect()
}

fn leaks(rule: &Rule, run: &Run<'_>, departure: Departure<'_>) -> Vec<Finding> {
    let mut held: BTreeMap<u64, Held> = BTreeMap::new();
    for event in &run.events[..departure.index] {
        if let What::ObjectDeleted { object, .. } = event.what {
            held.remove(&object);
            continue;
        }
        if run.driver_of(event) != Some(departure.driver) {
            continue;
        }
        let (object, change) = match event.what {
            What::CreateResult { object, outcome, .. } if outcome != CreateOutcome::Failed => (object, 1),
            What::Referenced { object, .. } => (object, 1),
            What::Dereferenced { object, .. } => (object, -1),
            _ => continue,
        };
        let entry = held.entry(object).or_default();
        entry.count += change;
        if change > 0 {
            entry.first.get_or_insert_with(|| (event.sequence, event.caller, run.by(event)));
        }
    }
    held.into_iter()
        .filter(|(object, held)| held.count > 0 && departure.snapshot.object(*object).is_some())
        .filter_map(|(object, held)| {
            let (sequence, caller, by) = held.first?;
            let message = format!(
                "`{}` left {} reference{} to {} behind (first taken{by}, event {sequence})",
                departure.driver,
                held.count,
                if held.count == 1 { "" } else { "s" },
                run.object_name(object, departure.index),
            );
            let evidence = vec![sequence, run.events[departure.index].sequence];
            Some(rule.finding(departure.driver, message, caller, evidence))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{CreateOutcome, What};

    #[test]
    fn rb002_a_reference_never_given_back_is_found() {
        let events = stream([
            (IN_A, attempt(0x50)),
            (IN_A, result(CreateOutcome::Opened)),
            (0, departure("a.sys", vec![object(false)])),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.to_string(), "RB002");
        assert!(
            findings[0].message.starts_with("`a.sys` left 1 reference to `\\Callback\\X`"),
            "{findings:?}"
        );
    }

    #[test]
    fn rb002_one_given_back_is_not() {
        let events = stream([
            (IN_A, attempt(0x50)),
            (IN_A, result(CreateOutcome::Opened)),
            (IN_A, What::Dereferenced { object: OBJECT, count: 1 }),
            (0, departure("a.sys", vec![object(false)])),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb002_another_drivers_reference_does_not_count() {
        let events = stream([
            (IN_B, attempt(0x50)),
            (IN_B, result(CreateOutcome::Opened)),
            (0, departure("a.sys", vec![object(false)])),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb002_a_deleted_object_ends_the_count() {
        let events = stream([
            (IN_A, attempt(0x40)),
            (IN_A, result(CreateOutcome::Opened)),
            (0, What::ObjectDeleted { object: OBJECT, name: None }),
            (0, departure("a.sys", vec![])),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }
}
