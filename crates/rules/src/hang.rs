//! RB018: a run that did not come to its end.

use std::collections::BTreeMap;

use record::{Ending, Event, Finding, HangRecord, RuleId, Severity, Wait, What, cycle_sentence};

use crate::{Rule, Run, bad_registration, dispatch_deadlock, self_unregister};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(18),
    slug: "hang",
    severity: Severity::Error,
    summary: "the run could not go on: every thread waits for what nobody will do, or the time limit ran out",
    windows: "the thread hangs for good, and with it the unload, the boot or the request that waits for it; at \
              DISPATCH_LEVEL the processor is lost, and a watchdog would end it with bugcheck 0x101 or 0x133",
    fix: "see who waits for whom, and let one of them go: signal before waiting, take locks in one order, give waits a \
          timeout",
    detection: "the run ended as a deadlock, found at once, or at the time limit of a step; of a deadlock it tells who waits \
                for what, who holds that since where, and who wait for each other; where RB005 or RB006 tells the reason, \
                or RB012 that what a thread unregisters is no registration, this rule is silent",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let Ending::Hang(hang) = run.ending else { return Vec::new() };
    if !self_unregister::check(&self_unregister::RULE, run).is_empty()
        || !dispatch_deadlock::check(&dispatch_deadlock::RULE, run).is_empty()
        || waits_for_no_registration(run)
    {
        return Vec::new();
    }
    let mut message = if hang.deadlock {
        String::from("nobody can ever run again")
    } else {
        format!("a step did not end within {} ms", hang.limit_ms)
    };
    if let Some(at) = hang.at {
        message.push_str(&format!(", at {}", run.place(at)));
    }
    for detail in reasons(run, hang) {
        message.push_str(&format!("; {detail}"));
    }
    let mut evidence = Vec::new();
    // A deadlock comes with who waits for whom, and a time limit does not.
    let untold = if hang.waits.is_empty() { unregistering(run) } else { Vec::new() };
    for (event, running) in untold {
        let What::UnregisterWaits { registration, .. } = event.what else { continue };
        evidence.push(event.sequence);
        message.push_str(&format!(
            "; thread {} waits in `ExUnregisterCallback`{}",
            event.thread,
            run.by(event)
        ));
        if let Some(What::DeliveryBegin { routine, .. }) = running.map(|running| &running.what) {
            let thread = running.map_or(0, |running| running.thread);
            message.push_str(&format!(" for {}, which thread {thread} is running", run.place(*routine)));
        } else {
            message.push_str(&format!(" for the registration {registration:#x}"));
        }
    }
    if evidence.is_empty() {
        let last = run.events.iter().rev().find(|event| !matches!(event.what, What::Audit { .. }));
        evidence.extend(last.map(|event| event.sequence));
    }
    let driver = hang.at.and_then(|at| run.driver_at(at));
    let mut finding = rule.finding(driver.unwrap_or_default(), message, hang.at, evidence);
    finding.driver = driver.map(Into::into);
    vec![finding]
}

/// Whether the last that a thread did was to unregister what RB012 says is no registration: it waits for memory, not for a call.
fn waits_for_no_registration(run: &Run<'_>) -> bool {
    let wrong = bad_registration::check(&bad_registration::RULE, run);
    wrong.iter().filter_map(|finding| finding.evidence.last()).any(|sequence| {
        let Ok(index) = run.events.binary_search_by_key(sequence, |event| event.sequence) else {
            return false;
        };
        let thread = run.events[index].thread;
        let later = run.events[index + 1..].iter().filter(|event| event.thread == thread);
        matches!(run.events[index].what, What::UnregisterAttempt { .. })
            && later.clone().any(|event| matches!(event.what, What::UnregisterWaits { .. }))
            && later.clone().all(|event| {
                matches!(
                    event.what,
                    What::UnregisterWaits { .. } | What::Deadlock { .. } | What::Audit { .. }
                )
            })
    })
}

/// Returns why nobody goes on: the threads that wait for each other, where there are such, as everybody else waits for them.
fn reasons(run: &Run<'_>, hang: &HangRecord) -> Vec<String> {
    if hang.cycles.is_empty() {
        return hang.details.clone();
    }
    let circling = |wait: &&Wait| hang.cycles.iter().any(|cycle| cycle.contains(&wait.thread));
    let waits = hang.waits.iter().filter(circling).map(|wait| wait.sentence(run.modules));
    hang.cycles.iter().map(|cycle| cycle_sentence(cycle)).chain(waits).collect()
}

/// Returns the threads that still wait in `ExUnregisterCallback`, each with the call it waits for.
fn unregistering<'a>(run: &Run<'a>) -> Vec<(&'a Event, Option<&'a Event>)> {
    let mut waiting: BTreeMap<u32, &'a Event> = BTreeMap::new();
    let mut running: Vec<&'a Event> = Vec::new();
    for event in run.events {
        waiting.remove(&event.thread);
        match event.what {
            What::UnregisterWaits { .. } => {
                waiting.insert(event.thread, event);
            }
            What::DeliveryBegin { .. } => running.push(event),
            What::DeliveryEnd { registration, .. } => {
                let begun = running.iter().rposition(|begin| {
                    begin.thread == event.thread
                        && matches!(begin.what, What::DeliveryBegin { registration: r, .. } if r == registration)
                });
                begun.map(|begun| running.remove(begun));
            }
            _ => {}
        }
    }
    let call = |waiter: &Event| {
        let What::UnregisterWaits { registration: wanted, .. } = waiter.what else { return None };
        running.iter().copied().find(
            |begin| matches!(begin.what, What::DeliveryBegin { registration, .. } if registration == wanted),
        )
    };
    waiting.into_values().map(|waiter| (waiter, call(waiter))).collect()
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{Ending, Holder, Mode, Wait, WaitKind, WaitedFor, What};

    #[test]
    fn rb018_a_deadlock_is_found_with_who_waits_for_whom() {
        let waits = What::UnregisterWaits { object: OBJECT, registration: REGISTRATION, busy: 1 };
        let mut events = stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_A, notify(OBJECT, Mode::Dropped)),
            (IN_A, delivery()),
            (IN_B, waits),
        ]);
        events[3].thread = 8;
        let findings = judge(&events, &modules(), &deadlock());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (18, &[3][..]));
        let expected = "thread 8 waits in `ExUnregisterCallback` by b.sys+0x110 (DriverEntry+0x10) for a.sys+0x200 \
                        (OnRing), which thread 4 is running";
        assert!(findings[0].message.contains(expected), "{}", findings[0].message);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb018_who_unregisters_what_is_no_registration_is_told_by_rb012_alone() {
        let mut events = stream([
            (IN_A, registered(ROUTINE_A)),
            (IN_A, What::Unregistered { object: OBJECT, registration: REGISTRATION, routine: ROUTINE_A }),
            (IN_A, What::UnregisterAttempt { registration: REGISTRATION }),
            (IN_A, What::UnregisterWaits { object: 7, registration: REGISTRATION, busy: 0x1000_5030 }),
        ]);
        let rules = |events: &[record::Event]| -> Vec<u16> {
            judge(events, &modules(), &deadlock()).iter().map(|finding| finding.rule.0).collect()
        };
        assert_eq!(rules(&events), [12]);
        // It got past that, and hangs for another reason.
        events.extend(stream([(IN_A, notify(OBJECT, Mode::Dropped))]));
        events[4].sequence = 4;
        assert_eq!(rules(&events), [12, 18]);
    }

    #[test]
    fn rb018_of_a_cycle_those_are_told_who_wait_for_each_other() {
        let wait = |thread, holder, kind| {
            let holders = vec![Holder { thread: holder, since: Some(IN_A), ended: false }];
            let on = WaitedFor {
                kind,
                address: 0x5000,
                name: Some(format!("lock {holder}")),
                block: None,
                holders,
            };
            Wait { thread, at: Some(IN_B), spins: false, all: false, on: vec![on] }
        };
        let Ending::Hang(mut hang) = deadlock() else { panic!("a hang") };
        hang.waits =
            vec![wait(8, 12, WaitKind::Mutex), wait(12, 8, WaitKind::Resource), wait(16, 8, WaitKind::Mutex)];
        hang.cycles = record::cycles(&hang.waits);
        let findings = judge(&stream([(IN_A, registered(ROUTINE_A))]), &modules(), &Ending::Hang(hang));
        let expected = "; threads 8 and 12 wait for each other; thread 8 at b.sys+0x110 (DriverEntry+0x10) waits for the \
                        mutex lock 12, which thread 12 has held since a.sys+0x110 (DriverEntry+0x10); thread 12 at \
                        b.sys+0x110 (DriverEntry+0x10) waits for the resource lock 8, which thread 8 has held since \
                        a.sys+0x110 (DriverEntry+0x10)";
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.ends_with(expected), "{}", findings[0].message);
    }
}
