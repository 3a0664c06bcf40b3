//! RB020: code that ran on in an image that is gone, or will.

use record::{Ending, EntryPoint, Event, Finding, Left, LeftKind, Module, RuleId, Severity, What};

use crate::run::LeftBehind;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(20),
    slug: "called-after-unload",
    severity: Severity::Error,
    summary: "a routine of a driver was called, or was still to be called, after the driver had been unloaded",
    windows: "bugcheck 0xCE (DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS), which names the driver, or 0x50 or \
              0xD1 where the range has been used again; a timer or DPC in memory that is gone is 0xA or 0xD1 when the queue is \
              walked, and with Driver Verifier 0xC7 (TIMER_OR_DPC_INVALID) at once",
    fix: "before the driver goes (from `DriverUnload`, and on every failing path of `DriverEntry`), unregister callbacks, \
          cancel timers, call `KeFlushQueuedDpcs`, wait for work items, and wait for the objects of threads",
    detection: "at the departure audit a timer is set, a DPC queued or running, a work item queued or running, or a thread not ended that is \
                the driver's: its routine or itself lies in the image, or code of the driver set it; or the run ended in a fault at an \
                address inside of an image that had been unloaded; work items of the I/O manager are waited for, as on Windows",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let (late, told) = late_call(rule, run).unzip();
    let mut findings: Vec<Finding> = late.into_iter().collect();
    let told = told.flatten();
    for left in run.left_behind() {
        let pending = left.things.iter().filter(|thing| CALLS.contains(&thing.kind));
        for thing in pending.filter(|thing| told.is_none_or(|known| !std::ptr::eq(known, *thing))) {
            let message = format!("`{}` was unloaded while {}", left.driver, pending_thing(run, thing, None));
            findings.push(rule.left(run, &left, &thing.made, message));
        }
    }
    findings
}

/// What calls a routine later.
const CALLS: [LeftKind; 4] = [LeftKind::Timer, LeftKind::Dpc, LeftKind::WorkItem, LeftKind::Thread];

/// Says what a thing is about to do, or does: `the timer at 0x1000 was set, to call x.sys+0x10 (set by …)`. A routine that was `named` already is not
/// named again.
pub(crate) fn pending_thing(run: &Run<'_>, thing: &Left, named: Option<u64>) -> String {
    let known = named.is_some() && thing.routine == named;
    let routine = thing.routine.filter(|_| !known).map(|routine| run.place(routine));
    let will = routine.as_ref().map(|routine| format!(", to call {routine}")).unwrap_or_default();
    let at = run.place(thing.address);
    match thing.kind {
        LeftKind::LiveResource => {
            format!("the executive resource at {at} was not deleted{}", run.made("initialized", &thing.made))
        }
        LeftKind::Timer => format!("the timer at {at} was set{will}{}", run.made("set", &thing.made)),
        LeftKind::Dpc | LeftKind::WorkItem => {
            let what = format!("the {} at {at}", thing.kind);
            let made = run.made("queued", &thing.made);
            match routine {
                Some(routine) if thing.running => format!("{routine}, of {what}, was running{made}"),
                None if thing.running => format!("{what} was running{made}"),
                _ => format!("{what} was queued{will}{made}"),
            }
        }
        _ => {
            let number = thing.thread.unwrap_or_default();
            let who = routine.map_or_else(|| number.to_string(), |routine| format!("{number}, {routine},"));
            format!("its thread {who} had not ended{}", run.made("created", &thing.made))
        }
    }
}

/// A fault in an image that is gone, with the thing that was left behind and caused it.
fn late_call<'a>(rule: &Rule, run: &Run<'a>) -> Option<(Finding, Option<&'a Left>)> {
    let Ending::Bugcheck(record) = run.ending else { return None };
    let gone = |address: u64| {
        let module = run.modules.find(address)?;
        let unloaded = run.events.iter().position(
            |event| matches!(event.what, What::ImageUnloaded { base, .. } if base == module.base),
        )?;
        Some((address, module, unloaded))
    };
    let code = [record.registers.map(|registers| registers.rip), record.at];
    let Some((address, module, unloaded)) = code.into_iter().flatten().find_map(gone) else {
        // The kernel or another driver came across the driver's memory. The address is the first parameter of every such bugcheck.
        let who = record.registers.map(|registers| run.place(registers.rip));
        let touched = gone(record.parameters[0])?;
        return Some(late_touch(rule, run, who.as_deref().unwrap_or("the kernel"), touched));
    };
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
    let mut thing = None;
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
                    thing = left_for(run, module, call, routine);
                    let when =
                        if call.sequence > event.sequence { "was still to run" } else { "was still running" };
                    // Where the fault is at its first instruction the routine is named already.
                    let who = if routine == address { "it".into() } else { run.place(routine) };
                    message.push_str(&format!(": {who} {when} (event {})", call.sequence));
                    if let Some((left, thing)) = thing {
                        message.push_str(&format!(
                            "; when it left, {}",
                            pending_thing(run, thing, Some(routine))
                        ));
                        evidence.insert(0, run.events[left.index].sequence);
                    }
                }
            }
        }
        None => message.push_str(": a thread, timer, DPC or pointer of it was still in use"),
    }
    let thing = thing.map(|(_, thing)| thing);
    Some((rule.finding(&module.name, message, Some(address), evidence), thing))
}

/// Memory of an image that is gone, which the kernel or another driver touched.
fn late_touch<'a>(
    rule: &Rule,
    run: &Run<'a>,
    who: &str,
    (address, module, unloaded): (u64, &Module, usize),
) -> (Finding, Option<&'a Left>) {
    let event = &run.events[unloaded];
    let mut evidence = vec![event.sequence];
    let mut message = format!(
        "{who} touched {} after `{}` had been unloaded (event {})",
        run.place(address),
        module.name,
        event.sequence,
    );
    // The nearest thing that begins before the address: a field of it is what was touched.
    let things = run.left_behind().filter(|left| left.driver == module.name);
    let things = things.flat_map(|left| left.things.iter().map(move |thing| (left, thing)));
    let inside = things.filter(|(_, thing)| module.contains(thing.address) && thing.address <= address);
    let thing =
        inside.filter(|(_, thing)| CALLS.contains(&thing.kind)).max_by_key(|(_, thing)| thing.address);
    if let Some((left, thing)) = thing {
        message.push_str(&format!(": when it left, {}", pending_thing(run, thing, None)));
        evidence.insert(0, run.events[left.index].sequence);
    }
    (rule.finding(&module.name, message, Some(address), evidence), thing.map(|(_, thing)| thing))
}

/// Returns what was left behind that led to a call of a routine by the kernel.
fn left_for<'a>(
    run: &Run<'a>,
    module: &Module,
    call: &Event,
    routine: u64,
) -> Option<(LeftBehind<'a>, &'a Left)> {
    let What::EntryCalled { entry, .. } = call.what else { return None };
    let kinds: &[LeftKind] = match entry {
        EntryPoint::Thread => &[LeftKind::Thread],
        EntryPoint::WorkItem => &[LeftKind::WorkItem],
        EntryPoint::Dpc => &[LeftKind::Dpc, LeftKind::Timer],
        _ => return None,
    };
    let fits = |thing: &Left| {
        let thread = thing.kind == LeftKind::Thread && thing.thread.is_some_and(|id| id != call.thread);
        thing.routine == Some(routine) && kinds.contains(&thing.kind) && !thread
    };
    let lefts = run.left_behind().filter(|left| left.driver == module.name);
    lefts.last().and_then(|left| Some((left, left.things.iter().find(|thing| fits(thing))?)))
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
    use record::{BugcheckRecord, Ending, EntryPoint, Left, LeftKind, Mode, What};

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
        let called =
            What::EntryCalled { entry: EntryPoint::WorkItem, name: "worker".into(), routine: ROUTINE_A };
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

    fn timer() -> Left {
        Left { routine: Some(ROUTINE_A), address: 0x1_3040, ..left(LeftKind::Timer, IN_A) }
    }

    fn leaves(things: Vec<Left>) -> Vec<(u64, What)> {
        vec![
            (0, left_behind("a.sys", things)),
            (0, departure("a.sys", vec![])),
            (0, What::ImageUnloaded { name: "a.sys".into(), base: 0x1_0000 }),
        ]
    }

    #[test]
    fn rb020_what_is_still_to_call_a_driver_is_found_at_its_departure() {
        let kinds = [
            (
                timer(),
                "the timer at a.sys+0x3040 (OnRing+0x2e40) was set, to call a.sys+0x200 (OnRing) (set by a.sys+0x110",
            ),
            (Left { kind: LeftKind::Dpc, ..timer() }, "was queued, to call a.sys+0x200"),
            (Left { kind: LeftKind::Dpc, running: true, ..timer() }, "(OnRing), of the DPC at"),
            (Left { kind: LeftKind::WorkItem, ..timer() }, "the work item at"),
            (Left { kind: LeftKind::WorkItem, running: true, ..timer() }, "(OnRing), of the work item at"),
            (
                Left { kind: LeftKind::Thread, thread: Some(256), ..timer() },
                "its thread 256, a.sys+0x200 (OnRing), had not ended (created by",
            ),
        ];
        for (thing, said) in kinds {
            let findings = judge(&stream(leaves(vec![thing])), &modules(), &FINISHED);
            assert_eq!(
                (findings.len(), findings[0].rule.0, &findings[0].evidence[..]),
                (1, 20, &[0, 1][..]),
                "{findings:?}"
            );
            assert!(findings[0].message.contains(said), "{findings:?}");
            assert_eq!(findings[0].stack, [IN_A, IN_A + 1]);
        }
        for kind in [LeftKind::Handle, LeftKind::Name, LeftKind::SpinLock] {
            let findings = judge(&stream(leaves(vec![Left { kind, ..timer() }])), &modules(), &FINISHED);
            assert!(findings.iter().all(|finding| finding.rule.0 != 20), "{findings:?}");
        }
    }

    #[test]
    fn rb020_a_late_call_tells_the_timer_that_made_it_and_tells_it_once() {
        let other = Left { routine: Some(IN_A), ..timer() };
        let mut events = leaves(vec![other, timer()]);
        let called = What::EntryCalled { entry: EntryPoint::Dpc, name: "DPC".into(), routine: ROUTINE_A };
        events.push((0, called));
        let findings = judge(&stream(events), &modules(), &bugcheck(ROUTINE_A));
        assert_eq!(findings.len(), 2, "{findings:?}");
        let late = findings.iter().find(|finding| finding.evidence == [0, 2, 3]).expect("the late call");
        assert!(
            late.message.contains("was still to run (event 3); when it left, the timer at a.sys+0x3040"),
            "{late:?}"
        );
        assert!(late.message.contains("was set (set by a.sys+0x110"), "{late:?}");
        assert_eq!(
            late.message.matches("a.sys+0x200 (OnRing)").count(),
            1,
            "the routine is named once: {late:?}"
        );
    }

    #[test]
    fn rb020_memory_that_the_kernel_touches_tells_the_timer_in_it() {
        let Ending::Bugcheck(mut check) = bugcheck(0x1_3060) else { unreachable!() };
        check.at = None;
        let findings = judge(&stream(leaves(vec![timer()])), &modules(), &Ending::Bugcheck(check));
        assert_eq!(findings.len(), 1, "{findings:?}");
        let message = &findings[0].message;
        assert!(message.starts_with("the kernel touched a.sys+0x3060"), "{message}");
        assert!(message.contains("when it left, the timer at a.sys+0x3040"), "{message}");
    }

    #[test]
    fn rb020_memory_that_another_driver_touches_is_not_said_to_be_touched_by_the_kernel() {
        let Ending::Bugcheck(mut check) = bugcheck(0x1_3060) else { unreachable!() };
        let registers = check.registers.get_or_insert_default();
        registers.rip = IN_B;
        check.at = Some(IN_B);
        let findings = judge(&stream(leaves(vec![])), &modules(), &Ending::Bugcheck(check));
        assert_eq!(findings.len(), 1, "{findings:?}");
        let message = &findings[0].message;
        assert!(message.starts_with("b.sys+0x110 (DriverEntry+0x10) touched a.sys+0x3060"), "{message}");
    }
}
