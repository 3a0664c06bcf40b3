//! RB008: a routine that returned at another IRQL than it was called at.

use nt::Irql;
use record::{EntryPoint, Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(8),
    slug: "irql-or-lock-left",
    severity: Severity::Error,
    summary: "a routine of the driver returned at another IRQL than it was called at",
    windows: "after a work routine it is bugcheck 0xE1 (WORKER_THREAD_RETURNED_AT_BAD_IRQL) at once; elsewhere nothing \
              looks, and the thread goes on at that level: a left spin lock hangs the next processor that wants it, and \
              the next wait or touch of paged memory would be bugcheck 0xA",
    fix: "pair every `KeRaiseIrql` with `KeLowerIrql` and every `KeAcquireSpinLock` with `KeReleaseSpinLock`, on every \
          path, with the IRQL that was saved",
    detection: "the IRQL when `DriverEntry`, `DriverUnload`, a thread, a work, dispatch or callback routine returned is \
                not the one it was called at; a lock taken at DISPATCH_LEVEL changes no IRQL and is not seen by this",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    run.walk(|_, event, open| {
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
        if begin.irql == left {
            return;
        }
        let message = format!(
            "the {what} {} was called at {} (event {}) and returned at {} (event {})",
            run.place(routine),
            Irql(begin.irql),
            begin.sequence,
            Irql(left),
            event.sequence,
        );
        findings.push(rule.finding(driver, message, Some(routine), vec![begin.sequence, event.sequence]));
    });
    findings
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
    use record::{EntryPoint, What};

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
}
