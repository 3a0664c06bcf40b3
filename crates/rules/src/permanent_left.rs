//! RB003: the driver that made a permanent object left without making it temporary, or without deleting its device.

use std::collections::BTreeMap;

use record::{CreateOutcome, Event, Finding, LeftKind, RuleId, Severity, What};

use crate::run::Departure;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(3),
    slug: "permanent-object-left",
    severity: Severity::Warning,
    summary: "a driver was unloaded while a permanent object that it created still has its name, or a device of it is there",
    windows: "the name and the object stay until the next boot; the next load opens the old callback object, whose \
              `AllowMultipleCallbacks`, attributes and security descriptor are then ignored, and cannot make its device or link: \
              STATUS_OBJECT_NAME_COLLISION; a device that is left keeps its driver object, and who opens it calls code that is gone",
    fix: "call `ObMakeTemporaryObject` (or `ZwMakeTemporaryObject` on a handle) before the last `ObDereferenceObject`; \
          `IoDeleteSymbolicLink` and `IoDeleteDevice` once for each link and device, in `DriverUnload` and on every failing path of \
          `DriverEntry`",
    detection: "at the departure audit of the driver: a permanent callback object, or another permanent object with a name (a symbolic link, an \
                event, a directory), that it created, not opened, and a device object that it did not delete; it is only a note while another \
                driver that is still loaded has opened the callback object",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for departure in run.departures() {
        let before = &run.events[..departure.index];
        for object in departure.snapshot.objects.iter().filter(|object| object.permanent) {
            let Some(name) = &object.name else { continue };
            let creation = before.iter().rev().find(|event| {
                matches!(event.what, What::CreateResult { object: made, outcome: CreateOutcome::Created, .. }
                    if made == object.address)
            });
            let Some(creation) = creation.filter(|event| run.driver_of(event) == Some(departure.driver))
            else {
                continue;
            };
            let message = format!(
                "`{name}` is permanent and outlives `{}`, which created it (created{}, event {})",
                departure.driver,
                run.by(creation),
                creation.sequence,
            );
            let evidence = vec![creation.sequence, run.events[departure.index].sequence];
            let mut finding = rule.finding(departure.driver, message, creation.caller, evidence);
            if let Some(user) = other_user(run, departure.index, object.address, departure.driver) {
                finding.severity = Severity::Note;
                finding.message.push_str(&format!("; `{user}` has opened it and is still loaded"));
            }
            findings.push(finding);
        }
        findings.extend(devices(rule, run, departure));
    }
    for left in run.left_behind() {
        for thing in left.things.iter().filter(|thing| thing.kind == LeftKind::Name) {
            let name = thing.name.as_deref().unwrap_or_default();
            let kind = match thing.object_type.as_deref() {
                Some("SymbolicLink") => "symbolic link",
                Some(other) => &other.to_lowercase(),
                None => "object",
            };
            let made = run.made("created", &thing.made);
            let message = format!("the permanent {kind} `{name}` outlives `{}`{made}", left.driver);
            findings.push(rule.left(run, &left, &thing.made, message));
        }
    }
    findings
}

/// The devices that a driver made and did not delete.
fn devices(rule: &Rule, run: &Run<'_>, departure: Departure<'_>) -> Vec<Finding> {
    let mut made = BTreeMap::new();
    for event in &run.events[..departure.index] {
        match &event.what {
            What::DeviceCreated { device, name } if run.driver_of(event) == Some(departure.driver) => {
                made.insert(*device, (event, name));
            }
            What::DeviceDeleted { device } => drop(made.remove(device)),
            _ => {}
        }
    }
    let audit = run.events[departure.index].sequence;
    made.iter()
        .map(|(device, (event, name))| {
            let name = name
                .as_ref()
                .map_or_else(|| format!("without a name at {device:#x}"), |name| format!("`{name}`"));
            let message = format!(
                "the device {name} outlives `{}` (created{}, event {})",
                departure.driver,
                run.by(event),
                event.sequence
            );
            rule.finding(departure.driver, message, event.caller, vec![event.sequence, audit])
        })
        .collect()
}

/// Returns another driver, still loaded at event `index`, that opened the object.
fn other_user<'a>(run: &Run<'a>, index: usize, object: u64, driver: &str) -> Option<&'a str> {
    let before = &run.events[..index];
    let opener = |event: &Event| match event.what {
        What::CreateResult { object: opened, outcome: CreateOutcome::Opened, .. } if opened == object => {
            run.driver_of(event)
        }
        _ => None,
    };
    before.iter().filter_map(opener).find(|name| {
        let unloaded = before
            .iter()
            .any(|event| matches!(&event.what, What::Audit { driver: Some(gone), .. } if gone == name));
        *name != driver && !unloaded
    })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{CreateOutcome, Event, LeftKind, Severity, What};

    fn released(caller: u64) -> (u64, What) {
        (caller, What::Dereferenced { object: OBJECT, count: 1 })
    }

    fn created(more: Vec<(u64, What)>) -> Vec<Event> {
        let mut all = vec![(IN_A, attempt(0x50)), (IN_A, result(CreateOutcome::Created)), released(IN_A)];
        all.extend(more);
        stream(all)
    }

    #[test]
    fn rb003_a_permanent_object_left_by_its_creator_is_found() {
        let findings =
            judge(&created(vec![(0, departure("a.sys", vec![object(true)]))]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].rule.0, findings[0].severity), (3, Severity::Warning));
    }

    #[test]
    fn rb003_a_temporary_one_is_not() {
        assert!(
            judge(&created(vec![(0, departure("a.sys", vec![object(false)]))]), &modules(), &FINISHED)
                .is_empty()
        );
    }

    #[test]
    fn rb003_the_opener_is_not_to_blame() {
        assert!(
            judge(&created(vec![(0, departure("b.sys", vec![object(true)]))]), &modules(), &FINISHED)
                .is_empty()
        );
    }

    #[test]
    fn rb003_is_a_note_while_another_loaded_driver_uses_the_object() {
        let events =
            created(vec![(IN_B, result(CreateOutcome::Opened)), (0, departure("a.sys", vec![object(true)]))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].rule.0, findings[0].severity), (3, Severity::Note));
        assert!(findings[0].message.contains("b.sys"));
    }

    #[test]
    fn rb003_a_device_that_is_not_deleted_is_found() {
        let device =
            |name: Option<&str>| What::DeviceCreated { device: 0x4000, name: name.map(str::to_owned) };
        let gone = What::DeviceDeleted { device: 0x4000 };
        let events = stream([
            (IN_A, device(None)),
            (IN_A, gone.clone()),
            (IN_A, device(Some(r"\Device\X"))),
            (0, departure("a.sys", vec![])),
        ]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!((findings.len(), &findings[0].evidence[..]), (1, &[2, 3][..]), "{findings:?}");
        assert!(
            findings[0]
                .message
                .starts_with(r"the device `\Device\X` outlives `a.sys` (created by a.sys+0x110"),
            "{findings:?}"
        );
        let events = stream([(IN_A, device(None)), (IN_A, gone), (0, departure("a.sys", vec![]))]);
        assert!(judge(&events, &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb003_a_symbolic_link_that_is_not_deleted_is_found() {
        let link = record::Left {
            object_type: Some("SymbolicLink".into()),
            name: Some(r"\GLOBAL??\X".into()),
            ..left(LeftKind::Name, IN_A)
        };
        let events = stream([(0, left_behind("a.sys", vec![link])), (0, departure("a.sys", vec![]))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!((findings.len(), findings[0].rule.0), (1, 3), "{findings:?}");
        let message = &findings[0].message;
        assert!(
            message.starts_with(
                r"the permanent symbolic link `\GLOBAL??\X` outlives `a.sys` (created by a.sys+0x110"
            ),
            "{message}"
        );
    }
}
