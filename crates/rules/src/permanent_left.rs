//! RB003: the driver that made a permanent object left without making it temporary.

use record::{CreateOutcome, Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(3),
    slug: "permanent-object-left",
    severity: Severity::Warning,
    summary: "a driver was unloaded while a permanent callback object that it created still has its name",
    windows: "the name and the object stay until the next boot; the next load opens the old object, and its \
              `AllowMultipleCallbacks`, attributes and security descriptor are then ignored",
    fix: "call `ObMakeTemporaryObject` (or `ZwMakeTemporaryObject` on a handle) before the last `ObDereferenceObject`",
    detection: "the object was created, not opened, by the driver, and is permanent and named in its departure audit; \
                it is only a note while another driver that is still loaded has opened the object",
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
    }
    findings
}

/// Returns another driver, still loaded at event `index`, that opened the object.
fn other_user<'a>(run: &Run<'a>, index: usize, object: u64, driver: &str) -> Option<&'a str> {
    let before = &run.events[..index];
    let opener = |event: &record::Event| match event.what {
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
    use record::{CreateOutcome, Event, Severity, What};

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
}
