//! RB002: a driver took more references on a callback object than it gave back before it went, or gave back more than it took.

use std::collections::BTreeMap;

use record::{CreateOutcome, Event, Finding, RuleId, Severity, What};

use crate::run::Departure;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(2),
    slug: "object-reference-leaked",
    severity: Severity::Warning,
    summary: "a driver was unloaded without giving back a reference to a callback object, or gave back one that it did not have",
    windows: "the object can never be deleted: its memory, and for a named one its name, stay until the next boot; \
              every load of the driver adds one more reference; one given back too often is somebody else's: the object goes \
              while it is in use, and whoever uses it next touches freed pool",
    fix: "call `ObDereferenceObject` once for each successful `ExCreateCallback` (and for each reference taken by \
          `ObReferenceObject*`), after `ExUnregisterCallback`",
    detection: "references are counted per driver and object: one for a successful `ExCreateCallback`, one for each \
                `ObReferenceObject*`, minus each `ObDereferenceObject`; a pointer handed to another driver that \
                dereferences it there is counted against the first and may be allowed; one too many is an error, told once all \
                drivers together gave back more of the object than they took",
    check,
};

/// What real Windows does about a reference too many.
const TAKEN_FROM_OTHERS: &str = "nothing checks whose a reference is: the object loses one that its name, a registration or \
                                 another driver has, and is deleted while it is in use; whoever uses it next touches freed pool: \
                                 bugcheck 0x18 (REFERENCE_BY_POINTER), 0x50, 0xD1 or a hang";

/// How to mend that.
const GIVE_BACK_ONCE: &str = "call `ObDereferenceObject` once for each reference: find the path that gives it back a second time, \
                              and set the pointer to NULL when it was given back";

/// What one driver holds on one object.
#[derive(Default)]
struct Held {
    count: i64,
    first: Option<(u64, Option<u64>, String)>,
}

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    run.departures().flat_map(|departure| leaks(rule, run, departure)).chain(excesses(rule, run)).collect()
}

/// Returns how `event` changes the references that drivers have on an object.
fn change(event: &Event) -> Option<(u64, i64)> {
    match event.what {
        What::CreateResult { object, outcome, .. } if outcome != CreateOutcome::Failed => Some((object, 1)),
        What::Referenced { object, .. } => Some((object, 1)),
        What::Dereferenced { object, .. } => Some((object, -1)),
        _ => None,
    }
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
        let Some((object, change)) = change(event) else { continue };
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

/// What drivers have on one object, and who gave back what nobody had.
#[derive(Default)]
struct Balance<'a> {
    /// References of all drivers together: one may give back what another took.
    together: i64,
    /// Of each driver, with the last event by which it gave back more than it had. `None`: code that belongs to nobody.
    each: BTreeMap<Option<&'a str>, (i64, Option<usize>)>,
    /// The findings of this object, as positions in the list.
    told: BTreeMap<&'a str, usize>,
}

/// A driver that gave back what it did not have.
struct Excess<'a> {
    driver: &'a str,
    object: u64,
    count: i64,
    /// Index of the event that did it.
    at: usize,
    /// Event with which the object lost what no driver had, where that is a later one.
    shown: u64,
}

/// Finds the drivers that gave back more references of an object than they took, once it shows: while any driver has more than it gave
/// back, the pointer may have been handed over.
fn excesses(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut objects: BTreeMap<u64, Balance<'_>> = BTreeMap::new();
    let mut found: Vec<Excess<'_>> = Vec::new();
    run.walk(|index, event, open| {
        if let What::ObjectDeleted { object, .. } = event.what {
            objects.remove(&object);
            return;
        }
        let Some((object, change)) = change(event) else { return };
        // A routine that ends in a jump to the export leaves no address of its own.
        let inside = open.iter().rev().find_map(|begin| match begin.what {
            What::EntryCalled { routine, .. } | What::DeliveryBegin { routine, .. } => Some(routine),
            _ => None,
        });
        let driver = run.driver_of(event).or_else(|| inside.and_then(|routine| run.driver_at(routine)));
        // What the kernel opens for itself it gives back by itself, which is not told.
        if driver.is_none() && event.caller.is_none() {
            return;
        }
        let balance = objects.entry(object).or_default();
        balance.together += change;
        let own = balance.each.entry(driver).or_default();
        own.0 += change;
        if own.0 < 0 && change < 0 {
            own.1 = Some(index);
        }
        if balance.together >= 0 {
            return;
        }
        for (driver, (count, at)) in &balance.each {
            let (Some(driver), Some(at), true) = (*driver, *at, *count < 0) else { continue };
            match balance.told.get(driver).and_then(|told| found.get_mut(*told)) {
                Some(told) => told.count = told.count.max(-count),
                None => {
                    balance.told.insert(driver, found.len());
                    found.push(Excess { driver, object, count: -count, at, shown: event.sequence });
                }
            }
        }
    });
    found
        .into_iter()
        .filter_map(|excess| Some(excess_finding(rule, run, &excess, run.events.get(excess.at)?)))
        .collect()
}

fn excess_finding(rule: &Rule, run: &Run<'_>, excess: &Excess<'_>, event: &Event) -> Finding {
    let Excess { driver, object, count, at, shown } = *excess;
    let name = run.object_name(object, at);
    let plural = if count == 1 { "" } else { "s" };
    let mut message = format!(
        "`{driver}` gave back {count} reference{plural} to {name} more than it took (given back{}, event {})",
        run.by(event),
        event.sequence,
    );
    let gone = run
        .events
        .iter()
        .skip(at)
        .find(|later| matches!(later.what, What::ObjectDeleted { object: gone, .. } if gone == object));
    if let Some(gone) = gone {
        message.push_str(&format!("; the object was deleted in event {}", gone.sequence));
    }
    let mut evidence = vec![event.sequence];
    evidence.extend((shown != event.sequence).then_some(shown));
    Finding {
        severity: Severity::Error,
        windows: TAKEN_FROM_OTHERS.into(),
        fix: GIVE_BACK_ONCE.into(),
        ..rule.finding(driver, message, event.caller, evidence)
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{CreateOutcome, EntryPoint, Severity, What};

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

    fn dereferenced(count: i64) -> What {
        What::Dereferenced { object: OBJECT, count }
    }

    #[test]
    fn rb002_one_given_back_too_often_is_found_once_with_how_many() {
        let events = stream([
            (0, result(CreateOutcome::Created)),
            (IN_A, result(CreateOutcome::Opened)),
            (IN_A, dereferenced(2)),
            (IN_A, dereferenced(1)),
            (IN_A, dereferenced(0)),
            (IN_A, What::ObjectDeleted { object: OBJECT, name: Some(NAME.into()) }),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, findings[0].severity), (2, Severity::Error));
        assert_eq!(findings[0].evidence, [3]);
        let said = "`a.sys` gave back 2 references to `\\Callback\\X` more than it took (given back by a.sys+0x110 \
                    (DriverEntry+0x10), event 3); the object was deleted in event 5";
        assert_eq!(findings[0].message, said);
        assert_eq!(judge(&events[..4], &modules(), &FINISHED).len(), 1);
        assert!(judge(&events[..3], &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb002_a_reference_handed_to_another_driver_may_be_given_back_there() {
        let handed = [
            (IN_A, result(CreateOutcome::Opened)),
            (IN_A, What::Referenced { object: OBJECT, count: 3 }),
            (IN_B, dereferenced(2)),
            (IN_A, dereferenced(1)),
        ];
        assert!(judge(&stream(handed.clone()), &modules(), &FINISHED).is_empty());
        // The same, but the first gives its own back as well: one of them does so too often, and the other took none.
        let events = stream(handed.into_iter().chain([(IN_A, dereferenced(0))]));
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!((findings.len(), &findings[0].evidence[..]), (1, &[2, 4][..]), "{findings:?}");
        assert!(findings[0].message.starts_with("`b.sys` gave back 1 reference to"), "{findings:?}");
    }

    #[test]
    fn rb002_at_an_address_that_is_used_again_the_count_begins_anew() {
        let life = [
            (IN_A, result(CreateOutcome::Created)),
            (IN_A, dereferenced(0)),
            (IN_A, What::ObjectDeleted { object: OBJECT, name: None }),
        ];
        let events = stream(life.iter().chain(&life).cloned());
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb002_a_jump_to_the_export_counts_for_the_routine_that_jumped() {
        let (entry, name, routine) = (EntryPoint::DriverEntry, String::from("a.sys"), 0x1_0100);
        let events = stream([
            (0, What::EntryCalled { entry, name, routine }),
            (0, result(CreateOutcome::Created)),
            (IN_A, dereferenced(0)),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }
}
