//! RB008: a routine that returned at another IRQL than it was called at, or with a spin lock.

use nt::Irql;
use record::{EntryPoint, Event, Finding, Left, LeftKind, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(8),
    slug: "irql-or-lock-left",
    severity: Severity::Error,
    summary: "a routine of the driver returned at another IRQL than it was called at, or with a spin lock that it had taken",
    windows: "after a work routine it is bugcheck 0xE1 (WORKER_THREAD_RETURNED_AT_BAD_IRQL) at once; elsewhere nothing \
              looks, and the thread goes on at that level: a left spin lock hangs the next processor that wants it, and \
              the next wait or touch of paged memory would be bugcheck 0xA",
    fix: "pair every `KeRaiseIrql` with `KeLowerIrql` and every `KeAcquireSpinLock` with `KeReleaseSpinLock`, on every \
          path, with the IRQL that was saved",
    detection: "the IRQL when `DriverEntry`, `DriverUnload`, a thread, a work, dispatch or callback routine returned is \
                not the one it was called at, or its thread then holds a spin lock (also a queued or a reader-writer one) that it did not \
                hold before; also a spin lock that a driver's code took and that is held at its departure audit",
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
        let kept: Vec<&Left> = kept.iter().filter(|lock| !told.contains(lock)).collect();
        told.extend(&kept);
        let locks = kept.first().map(|first| {
            let more = if kept.len() > 1 { format!(" and {} more", kept.len() - 1) } else { String::new() };
            let made = run.made("taken", &first.made);
            (first, format!("the spin lock at {}{more}{made}", run.place(first.address)))
        });
        let evidence = vec![begin.sequence, event.sequence];
        if begin.irql != left {
            let message = format!(
                "the {what} {} was called at {} (event {}) and returned at {} (event {}){}",
                run.place(routine),
                Irql(begin.irql),
                begin.sequence,
                Irql(left),
                event.sequence,
                locks.map(|(_, locks)| format!(", with {locks}")).unwrap_or_default(),
            );
            findings.push(rule.finding(driver, message, Some(routine), evidence));
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
        let held = left.things.iter().filter(|thing| thing.kind == LeftKind::SpinLock);
        for lock in held.filter(|lock| !told.contains(lock)) {
            let place = run.place(lock.address);
            let made = run.made("taken", &lock.made);
            let message =
                format!("`{}` was unloaded while the spin lock at {place} was held{made}", left.driver);
            findings.push(rule.left(run, &left, &lock.made, message));
        }
    }
    findings
}

/// Returns the spin locks that the call of `routine` that began with `begin` and ends at event `index` kept.
fn locks_kept<'a>(run: &Run<'a>, begin: &Event, index: usize, routine: u64) -> &'a [Left] {
    let inside = run.events[..index].iter().rev().take_while(|event| event.sequence > begin.sequence);
    let mut kept = inside.filter_map(|event| match &event.what {
        What::SpinLocksLeft { routine: left, locks } if event.thread == begin.thread && *left == routine => {
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
        let kept = |routine| What::SpinLocksLeft { routine, locks: vec![lock.clone()] };
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
}
