//! RB019: `ExRegisterCallback` returned NULL and `DriverEntry` reports success all the same.

use record::{EntryPoint, Event, Finding, RefusedBecause, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(19),
    slug: "refused-registration-ignored",
    severity: Severity::Warning,
    summary: "`ExRegisterCallback` returned NULL, yet the driver's entry routine reported success",
    windows: "the driver stays loaded and is never called; nothing in the system says so",
    fix: "check the result of `ExRegisterCallback`, undo what was done and return a failure status",
    detection: "a registration was refused while `DriverEntry` ran, in its thread, and no later one of the same driver on \
                that object succeeded before `DriverEntry` returned a success status; one refused in another routine or \
                thread is not judged: most of those have no status to report it with, and that of a dispatch routine is the request's",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (end, returned) in run.events.iter().enumerate() {
        let What::EntryReturned { entry: EntryPoint::DriverEntry, name, status: Some(status), .. } =
            &returned.what
        else {
            continue;
        };
        let begin = run.events[..end].iter().rposition(|event| {
            matches!(&event.what, What::EntryCalled { entry: EntryPoint::DriverEntry, name: n, .. } if n == name)
        });
        let (Some(begin), true) = (begin, nt::NTSTATUS(*status).is_success()) else { continue };
        let during = &run.events[begin..end];
        for (index, event) in during.iter().enumerate() {
            let What::RegisterRefused { object, because, .. } = event.what else { continue };
            // A thread that the driver started may be refused while `DriverEntry` runs, which knows nothing of it.
            let elsewhere = event.thread != returned.thread || run.driver_of(event) != Some(name);
            if elsewhere || registered_later(run, &during[index..], object, name) {
                continue;
            }
            let reason = match because {
                RefusedBecause::SingleCallbackTaken => "it admits one routine and has one",
                RefusedBecause::NoMemory => "there was no memory",
            };
            let message = format!(
                "`DriverEntry` of `{name}` returned success although its registration on {} was refused: {reason} \
                 (refused{}, event {})",
                run.object_name(object, begin + index),
                run.by(event),
                event.sequence,
            );
            findings.push(rule.finding(name, message, event.caller, vec![event.sequence, returned.sequence]));
        }
    }
    findings
}

fn registered_later(run: &Run<'_>, events: &[Event], object: u64, driver: &str) -> bool {
    events.iter().any(|event| {
        matches!(event.what, What::Registered { object: o, .. } if o == object)
            && run.driver_of(event) == Some(driver)
    })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{EntryPoint, Event, RefusedBecause, What};

    fn entry(status: u32, during: Vec<(u64, What)>) -> Vec<Event> {
        let (entry, name, routine) = (EntryPoint::DriverEntry, String::from("a.sys"), 0x1_0100);
        let mut all = vec![(0, What::EntryCalled { entry, name: name.clone(), routine })];
        all.extend(during);
        all.push((0, What::EntryReturned { entry, name, routine, status: Some(status), irql: 0 }));
        stream(all)
    }

    fn refused() -> (u64, What) {
        let because = RefusedBecause::SingleCallbackTaken;
        (IN_A, What::RegisterRefused { object: OBJECT, routine: ROUTINE_A, because })
    }

    fn registered() -> (u64, What) {
        (IN_A, What::Registered { object: OBJECT, registration: 1, routine: ROUTINE_A, context: 0 })
    }

    #[test]
    fn rb019_success_after_a_refused_registration_is_found() {
        let findings = judge(&entry(0, vec![refused()]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.0, 19);
        assert!(findings[0].message.contains("admits one routine"), "{findings:?}");
    }

    #[test]
    fn rb019_a_failure_status_or_a_second_try_is_not() {
        assert!(judge(&entry(0xC000_009A, vec![refused()]), &modules(), &FINISHED).is_empty());
        assert!(judge(&entry(0, vec![refused(), registered()]), &modules(), &FINISHED).is_empty());
        assert!(judge(&entry(0, vec![registered()]), &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb019_what_another_thread_was_refused_is_no_concern_of_the_entry() {
        let mut events = entry(0, vec![refused()]);
        events[1].thread = 256;
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }
}
