//! RB008: a routine that returned at another IRQL than it was called at or with a lock, or a lock released that was not held.

use nt::Irql;
use std::collections::BTreeSet;

use record::{EntryPoint, Event, Finding, Left, LeftKind, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(8),
    slug: "irql-or-lock-left",
    severity: Severity::Error,
    summary: "a routine of the driver returned at another IRQL than it was called at, or with a lock that it had taken, or a lock was \
              released that was not held",
    windows: "after a work routine it is bugcheck 0xE1 (WORKER_THREAD_RETURNED_AT_BAD_IRQL) at once; elsewhere nothing \
              looks, and the thread goes on at that level: a left spin lock hangs the next processor that wants it, and \
              the next wait or touch of paged memory would be bugcheck 0xA; a mutex or resource belongs to its thread, and who wants \
              one of a thread that is gone waits for good; one released too often lets two in at once, or nobody ever again",
    fix: "pair every `KeRaiseIrql` with `KeLowerIrql`, every `KeAcquireSpinLock` with `KeReleaseSpinLock` and the same for mutexes and \
          resources, on every path, in the same thread, with the IRQL that was saved",
    detection: "the IRQL when `DriverEntry`, `DriverUnload`, a thread, a work, dispatch or callback routine returned is \
                not the one it was called at, or its thread then holds a spin lock (also a queued or a reader-writer one) that it did not \
                hold before; of `DriverEntry`, `DriverUnload` and threads also a fast or guarded mutex or a resource, which other \
                routines may leave to a later one; also any of these that a driver's code took and that is held at its departure \
                audit, and the release of a spin lock that is free, or of a mutex that the thread does not hold",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: Vec<&Left> = Vec::new();
    run.walk(|index, event, open| {
        let (routine, left, what) = match &event.what {
            What::EntryReturned { routine, irql, entry, .. } => (*routine, *irql, contract(*entry)),
            What::DeliveryEnd { routine, irql, .. } => (*routine, *irql, "callback routine"),
            _ => return,
        };
        let begin = open.last().filter(|begin| match begin.what {
            What::EntryCalled { routine: called, .. } | What::DeliveryBegin { routine: called, .. } => {
                called == routine
            }
            _ => false,
        });
        let (Some(begin), Some(driver)) = (begin, run.driver_at(routine)) else { return };
        // A routine that calls one that keeps a lock returns with it too: only the first is told.
        let kept = locks_kept(run, begin, index, routine);
        let whole = matches!(
            &event.what,
            What::EntryReturned {
                entry: EntryPoint::DriverEntry | EntryPoint::DriverUnload | EntryPoint::Thread,
                ..
            }
        );
        let judged = |lock: &&Left| lock.kind == LeftKind::SpinLock || whole && is_lock(lock.kind);
        let raised = kept.iter().rev().find(|kept| kept.kind == LeftKind::Irql);
        let kept: Vec<&Left> = kept.iter().filter(judged).filter(|lock| !told.contains(lock)).collect();
        told.extend(&kept);
        let locks = kept.first().map(|first| {
            let more = if kept.len() > 1 { format!(" and {} more", kept.len() - 1) } else { String::new() };
            let made = run.made("taken", &first.made);
            (first, format!("the {} at {}{more}{made}", first.kind, run.place(first.address)))
        });
        let evidence = vec![begin.sequence, event.sequence];
        if begin.irql != left {
            let message = format!(
                "the {what} {} was called at {} (event {}) and returned at {} (event {}){}{}",
                run.place(routine),
                Irql(begin.irql),
                begin.sequence,
                Irql(left),
                event.sequence,
                raised.map(|raised| run.made("raised", &raised.made)).unwrap_or_default(),
                locks.map(|(_, locks)| format!(", with {locks}")).unwrap_or_default(),
            );
            let at = raised.map_or(routine, |raised| raised.made.caller);
            findings.push(rule.finding(driver, message, Some(at), evidence));
        } else if let Some((first, locks)) = locks {
            let message = format!(
                "the {what} {} was called (event {}) and returned (event {}) with {locks}",
                run.place(routine),
                begin.sequence,
                event.sequence,
            );
            findings.push(rule.finding(driver, message, Some(first.made.caller), evidence));
        }
    });
    for left in run.left_behind() {
        let held = left.things.iter().filter(|thing| is_lock(thing.kind));
        for lock in held.filter(|lock| !told.contains(lock)) {
            let place = run.place(lock.address);
            let made = run.made("taken", &lock.made);
            let message =
                format!("`{}` was unloaded while the {} at {place} was held{made}", left.driver, lock.kind);
            findings.push(rule.left(run, &left, &lock.made, message));
        }
    }
    findings.extend(misused(rule, run));
    findings
}

/// Whether it is a lock of those that are accounted for.
pub(crate) fn is_lock(kind: LeftKind) -> bool {
    matches!(kind, LeftKind::SpinLock | LeftKind::FastMutex | LeftKind::Resource)
}

/// Finds the releases of locks that were not held: one for each place.
fn misused(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for event in run.events {
        let What::LockMisused { kind, lock, held } = event.what else { continue };
        let Some(driver) = run.driver_of(event) else { continue };
        if !told.insert((event.caller, lock)) {
            continue;
        }
        let message = format!(
            "`{driver}` released the {kind} at {}, which {} (called{}, event {})",
            run.place(lock),
            if held { "another thread holds" } else { "nobody holds" },
            run.by(event),
            event.sequence,
        );
        findings.push(rule.finding(driver, message, event.caller, vec![event.sequence]));
    }
    findings
}

/// Returns the locks that the call of `routine` that began with `begin` and ends at event `index` kept.
fn locks_kept<'a>(run: &Run<'a>, begin: &Event, index: usize, routine: u64) -> &'a [Left] {
    let inside = run.events[..index].iter().rev().take_while(|event| event.sequence > begin.sequence);
    let mut kept = inside.filter_map(|event| match &event.what {
        What::LocksLeft { routine: left, locks } if event.thread == begin.thread && *left == routine => {
            Some(&**locks)
        }
        _ => None,
    });
    kept.next().unwrap_or_default()
}

fn contract(entry: EntryPoint) -> &'static str {
    match entry {
        EntryPoint::DriverEntry | EntryPoint::DriverUnload => "routine",
        EntryPoint::Thread => "thread routine",
        EntryPoint::WorkItem => "work routine",
        EntryPoint::Dpc => "DPC routine",
        EntryPoint::Dispatch => "dispatch routine",
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{EntryPoint, LeftKind, What};

    #[test]
    fn rb008_a_callback_routine_that_stays_raised_is_found() {
        let events = stream([(IN_A, delivery()), (IN_A, delivered(2))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.0, 8);
        assert!(findings[0].message.contains("called at PASSIVE_LEVEL"), "{findings:?}");
    }

    #[test]
    fn rb008_who_raised_the_irql_is_told() {
        let raised = vec![left(LeftKind::Irql, IN_A)];
        let events = stream([
            (IN_A, delivery()),
            (0, What::LocksLeft { routine: ROUTINE_A, locks: raised }),
            (IN_A, delivered(2)),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        let said =
            "returned at DISPATCH_LEVEL (event 2) (raised by a.sys+0x110 (DriverEntry+0x10) at 2.0000007 s)";
        assert!(findings.len() == 1 && findings[0].message.ends_with(said), "{findings:?}");
    }

    #[test]
    fn rb008_a_routine_called_at_dispatch_level_may_return_there() {
        let mut events = stream([(IN_A, delivery()), (IN_A, delivered(2))]);
        events[0].irql = 2;
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb008_an_entry_routine_that_stays_raised_is_found() {
        let (entry, name, routine) = (EntryPoint::DriverUnload, String::from("a.sys"), 0x1_0100);
        let returned =
            |irql| What::EntryReturned { entry, name: "a.sys".into(), routine, status: None, irql };
        let called = What::EntryCalled { entry, name, routine };
        for (irql, count) in [(0, 0), (1, 1)] {
            let events = stream([(0, called.clone()), (0, returned(irql))]);
            assert_eq!(judge(&events, &modules(), &FINISHED).len(), count);
        }
    }

    #[test]
    fn rb008_a_spin_lock_that_a_routine_keeps_is_found_once() {
        let lock = left(LeftKind::SpinLock, IN_A);
        let kept = |routine| What::LocksLeft { routine, locks: vec![lock.clone()] };
        let entry = EntryPoint::DriverEntry;
        let outer = What::EntryCalled { entry, name: "a.sys".into(), routine: IN_A };
        let over =
            |irql| What::EntryReturned { entry, name: "a.sys".into(), routine: IN_A, status: None, irql };
        let leaves = left_behind("a.sys", vec![lock.clone()]);
        for (inner, outside, said) in [
            (
                0,
                0,
                "(OnRing) was called (event 1) and returned (event 3) with the spin lock at 0x7000 (taken by a.sys+0x110",
            ),
            (
                2,
                0,
                "and returned at DISPATCH_LEVEL (event 3), with the spin lock at 0x7000 (taken by a.sys+0x110",
            ),
        ] {
            let events = stream([
                (0, outer.clone()),
                (IN_A, delivery()),
                (0, kept(ROUTINE_A)),
                (IN_A, delivered(inner)),
                (0, kept(IN_A)),
                (0, over(outside)),
                (0, leaves.clone()),
                (0, departure("a.sys", vec![])),
            ]);
            let findings = judge(&events, &modules(), &FINISHED);
            assert_eq!((findings.len(), findings[0].rule.0), (1, 8), "{findings:?}");
            assert!(findings[0].message.contains(said), "{findings:?}");
        }

        let events = stream([(0, leaves), (0, departure("a.sys", vec![]))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(
            (findings.len(), findings[0].rule.0, &findings[0].evidence[..]),
            (1, 8, &[0, 1][..]),
            "{findings:?}"
        );
        assert!(
            findings[0].message.starts_with("`a.sys` was unloaded while the spin lock at"),
            "{findings:?}"
        );
    }

    #[test]
    fn rb008_a_mutex_or_resource_is_kept_by_a_thread_and_left_to_a_later_routine_by_others() {
        for kind in [LeftKind::FastMutex, LeftKind::Resource] {
            let lock = left(kind, IN_A);
            for (entry, count) in [
                (EntryPoint::DriverEntry, 1),
                (EntryPoint::DriverUnload, 1),
                (EntryPoint::Thread, 1),
                (EntryPoint::WorkItem, 0),
                (EntryPoint::Dispatch, 0),
            ] {
                let (name, routine) = (String::from("a.sys"), IN_A);
                let events = stream([
                    (0, What::EntryCalled { entry, name: name.clone(), routine }),
                    (0, What::LocksLeft { routine, locks: vec![lock.clone()] }),
                    (0, What::EntryReturned { entry, name, routine, status: None, irql: 0 }),
                ]);
                let findings = judge(&events, &modules(), &FINISHED);
                assert_eq!(findings.len(), count, "{entry:?}: {findings:?}");
                let said = format!("with the {kind} at 0x7000 (taken by a.sys+0x110");
                assert!(findings.iter().all(|finding| finding.message.contains(&said)), "{findings:?}");
            }
            let events = stream([(0, left_behind("a.sys", vec![lock])), (0, departure("a.sys", vec![]))]);
            let findings = judge(&events, &modules(), &FINISHED);
            let said = format!("`a.sys` was unloaded while the {kind} at 0x7000 was held");
            assert!(findings.len() == 1 && findings[0].message.starts_with(&said), "{findings:?}");
        }
    }

    #[test]
    fn rb008_a_lock_released_that_is_not_held_is_found_once_for_each_place() {
        let misused = |held| What::LockMisused { kind: LeftKind::FastMutex, lock: 0x7000, held };
        let events = stream([
            (IN_A, misused(false)),
            (IN_A, misused(false)),
            (IN_B, misused(true)),
            (0, misused(true)),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        let said: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let expected = [
            "`a.sys` released the fast mutex at 0x7000, which nobody holds (called by a.sys+0x110 (DriverEntry+0x10), event 0)",
            "`b.sys` released the fast mutex at 0x7000, which another thread holds (called by b.sys+0x110 (DriverEntry+0x10), event 2)",
        ];
        assert_eq!(said, expected);
    }
}
