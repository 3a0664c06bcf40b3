//! RB020: code that ran on in an image that is gone.

use record::{Ending, Event, Finding, Module, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(20),
    slug: "called-after-unload",
    severity: Severity::Error,
    summary: "a routine of a driver was called after the driver had been unloaded",
    windows: "bugcheck 0xCE (DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS), which names the driver, or 0x50 or \
              0xD1 where the range has been used again",
    fix: "before the driver goes (from `DriverUnload`, and on every failing path of `DriverEntry`), unregister callbacks, \
          cancel timers, flush DPCs and work items, and wait for threads",
    detection: "the run ended in a fault at a code address inside of an image that had been unloaded",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let Ending::Bugcheck(record) = run.ending else { return Vec::new() };
    let addresses = [record.registers.map(|registers| registers.rip), record.at];
    let gone = addresses.into_iter().flatten().find_map(|address| {
        let module = run.modules.find(address)?;
        let unloaded = run.events.iter().position(
            |event| matches!(event.what, What::ImageUnloaded { base, .. } if base == module.base),
        )?;
        Some((address, module, unloaded))
    });
    let Some((address, module, unloaded)) = gone else { return Vec::new() };
    let event = &run.events[unloaded];
    let mut evidence = vec![event.sequence];
    let cause = cause(run, module, unloaded);
    // Who was inside of the image when it went was not called afterwards, but went on.
    let inside = cause.is_some_and(|(_, call, _)| call.sequence < event.sequence);
    let mut message = format!(
        "{} was {} after `{}` had been unloaded (event {})",
        run.place(address),
        if inside { "to run on" } else { "called" },
        module.name,
        event.sequence,
    );
    match cause {
        Some((index, call, routine)) => {
            evidence.push(call.sequence);
            match call.what {
                What::DeliveryBegin { object, registration, .. } => {
                    message.push_str(&format!(
                        ": a notify of {} still found {} there (event {})",
                        run.object_name(object, index),
                        run.place(routine),
                        call.sequence,
                    ));
                    if let Some(made) = run.registered(registration, index) {
                        evidence.insert(0, made.sequence);
                        message.push_str(&format!("; registered{}, event {}", run.by(made), made.sequence));
                    }
                }
                _ => {
                    let when =
                        if call.sequence > event.sequence { "was still to run" } else { "was still running" };
                    message.push_str(&format!(": {} {when} (event {})", run.place(routine), call.sequence));
                }
            }
        }
        None => message.push_str(": a thread, timer, DPC or pointer of it was still in use"),
    }
    vec![rule.finding(&module.name, message, Some(address), evidence)]
}

/// Returns the last call of a routine of `module` by the kernel: one begun after the unload, or else one that never ended.
fn cause<'a>(run: &Run<'a>, module: &Module, unloaded: usize) -> Option<(usize, &'a Event, u64)> {
    let called = |event: &'a Event| match event.what {
        What::DeliveryBegin { routine, .. } | What::EntryCalled { routine, .. }
            if module.contains(routine) =>
        {
            Some(routine)
        }
        _ => None,
    };
    let later = run.events.iter().enumerate().skip(unloaded).rev();
    later.filter_map(|(index, event)| Some((index, event, called(event)?))).next().or_else(|| {
        let thread = run.events.last()?.thread;
        let mut inside = None;
        run.walk(|index, event, open| {
            if event.thread == thread {
                let open = open.iter().rev().find_map(|begin| Some((*begin, called(begin)?)));
                inside = open.map(|(begin, routine)| (index, begin, routine));
            }
        });
        inside
    })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{BugcheckRecord, Ending, Mode, What};

    fn bugcheck(at: u64) -> Ending {
        Ending::Bugcheck(Box::new(BugcheckRecord {
            code: 0xCE,
            parameters: [at, 8, at, 0],
            reason: String::new(),
            at: Some(at),
            instruction: None,
            registers: None,
            stack: vec![],
        }))
    }

    fn late() -> Vec<(u64, What)> {
        vec![
            (IN_A, registered(ROUTINE_A)),
            (0, What::ImageUnloaded { name: "a.sys".into(), base: 0x1_0000 }),
            (IN_B, notify(OBJECT, Mode::Dropped)),
            (IN_B, delivery()),
        ]
    }

    #[test]
    fn rb020_a_call_into_an_unloaded_image_is_found_with_its_cause() {
        let findings = judge(&stream(late()), &modules(), &bugcheck(ROUTINE_A));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (20, &[0, 1, 3][..]));
        assert_eq!(findings[0].driver.as_deref(), Some("a.sys"));
        assert!(findings[0].message.contains("registered by a.sys+0x110"), "{findings:?}");
    }

    #[test]
    fn rb020_a_routine_that_was_running_when_its_image_went_is_the_cause() {
        let called = What::EntryCalled {
            entry: record::EntryPoint::WorkItem,
            name: "worker".into(),
            routine: ROUTINE_A,
        };
        let mut events = stream([
            (0, called),
            (0, What::ImageUnloaded { name: "a.sys".into(), base: 0x1_0000 }),
            (0, What::DebugPrint { text: "late".into(), filter: None }),
        ]);
        events[1].thread = 8;
        let findings = judge(&events, &modules(), &bugcheck(IN_A));
        assert_eq!((findings.len(), &findings[0].evidence[..]), (1, &[1, 0][..]), "{findings:?}");
        assert!(findings[0].message.ends_with("(OnRing) was still running (event 0)"), "{findings:?}");
        let begin = "a.sys+0x110 (DriverEntry+0x10) was to run on after `a.sys` had been unloaded (event 1)";
        assert!(findings[0].message.starts_with(begin), "{findings:?}");
        assert!(!findings[0].message.contains("a thread, timer"), "{findings:?}");
    }

    #[test]
    fn rb020_a_fault_in_a_loaded_image_is_not() {
        assert!(judge(&stream(late()), &modules(), &bugcheck(IN_B)).is_empty());
        assert!(judge(&stream([(IN_A, registered(ROUTINE_A))]), &modules(), &bugcheck(ROUTINE_A)).is_empty());
        assert!(judge(&stream(late()), &modules(), &FINISHED).is_empty());
    }
}
