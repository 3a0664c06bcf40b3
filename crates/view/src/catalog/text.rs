//! The catalog for people.

use nt::catalog::{Condition, Entry, Event, Name, Party, Permanence, RoutineEntry, events_of, outcomes_of};
use nt::status::Severity;
use nt::{BugCheck, NTSTATUS};

use super::{argument, attributes, presence};
use crate::fields::Fields;

/// Explains an object.
#[must_use]
pub fn entry(entry: &Entry) -> String {
    let title = match entry.name {
        Name::Path(path) => path.to_owned(),
        Name::Numbered { prefix, .. } => format!("{prefix}<digits>"),
        Name::Unnamed { port } => format!("(unnamed) rung by the ALPC port {port}"),
    };
    let mut fields = Fields::titled(&title);
    fields.add("what", entry.summary);
    if let Name::Numbered { digits, .. } = entry.name {
        fields.add("digits", digits);
    }
    fields.gap();
    match &entry.creator {
        Some(creator) => fields.add("creator", &party(creator)),
        None => fields.add("creator", "not known"),
    };
    fields.list("openers", entry.openers.iter().map(party));
    fields.add(
        "name",
        match entry.permanence {
            Permanence::Permanent => "stays: created with OBJ_PERMANENT",
            Permanence::Temporary => "gone when the creating call returns: created without OBJ_PERMANENT",
            Permanence::Unnamed => "none",
            Permanence::Unknown => "whether it stays is not known",
        },
    );
    fields.add("routines", &entry.sharing.to_string());
    fields.list("variable", entry.variable.map(|name| format!("nt!{name}")));
    fields.list(
        "listeners",
        entry.listeners.iter().map(|listener| match listener.how {
            "" => listener.routine.to_owned(),
            how => format!("{}: {how}", listener.routine),
        }),
    );
    fields.gap();
    fields.add("rings when", entry.trigger.unwrap_or("no notifier is known"));
    for (label, parameter) in ["argument 1", "argument 2"].into_iter().zip(entry.arguments) {
        fields.add(label, parameter.meaning);
    }
    fields.add(
        "irql",
        &match entry.irql {
            Some((irql, certainty)) => format!("{irql} ({certainty})"),
            None => "not known".to_owned(),
        },
    );
    let events: Vec<_> =
        events_of(entry).filter(|event| event.is_delivered()).map(|event| event.name).collect();
    if !events.is_empty() {
        fields.add("events", &events.join(", "));
    }
    fields.gap();
    fields.add("versions", &presence(entry));
    fields.add("certainty", &entry.certainty.to_string());
    fields.list("sources", entry.sources.iter().map(ToString::to_string));
    fields.list("misreading", entry.misreading);
    fields.list("note", entry.notes);
    fields.finish()
}

/// Explains an event.
#[must_use]
pub fn event(event: &Event) -> String {
    let entry = event.entry();
    let mut fields = Fields::titled(&format!("event {}", event.name));
    fields.add("what", event.summary);
    fields.add("object", &object_name(entry));
    if event.is_delivered() {
        fields.add("irql", &event.irql.to_string());
        fields.list(
            "notify",
            event.calls.iter().map(|call| {
                let when = match call.when {
                    Condition::Always => "",
                    Condition::Accepted => ", if no routine refused",
                    Condition::Refused => ", if a routine refused",
                };
                format!("({}, {}){when}", argument(call.argument1), argument(call.argument2))
            }),
        );
    }
    fields.add("certainty", &event.certainty.to_string());
    fields.finish()
}

/// Explains a routine of the mechanism.
#[must_use]
pub fn routine(routine: &RoutineEntry) -> String {
    let mut fields = Fields::titled(routine.name);
    fields.add("what", routine.summary);
    fields.add("prototype", routine.prototype);
    fields.add("exported", if routine.exported { "yes" } else { "no: the kernel's own" });
    fields.add("irql", routine.irql);
    fields.gap();
    for (index, step) in routine.steps.iter().enumerate() {
        fields.add(&format!("step {}", index + 1), step);
    }
    fields.gap();
    fields.list("note", routine.notes);
    fields.list("sources", routine.sources.iter().map(ToString::to_string));
    fields.finish()
}

/// Explains a status code; what the callback routines mean by it comes first.
#[must_use]
pub fn status(status: NTSTATUS) -> String {
    let mut fields = Fields::titled(&status.to_string());
    if status.name().is_none() {
        fields.add("name", "not known here; the severity is that of its two highest bits");
    }
    fields.add(
        "severity",
        match status.severity() {
            Severity::Success => "success",
            Severity::Informational => "informational: the operation worked",
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
    );
    fields.list("also", also_named(status));
    fields.list(
        "returned by",
        outcomes_of(status).map(|outcome| format!("{}: {}", outcome.routine, outcome.when)),
    );
    fields.finish()
}

/// Explains a bugcheck code.
#[must_use]
pub fn bugcheck(check: BugCheck) -> String {
    let mut fields = Fields::titled(&format!("bugcheck {check}"));
    fields.add("what", check.meaning().unwrap_or("not a code this program knows"));
    fields.finish()
}

/// Lists the other names of a status value.
pub(super) fn also_named(status: NTSTATUS) -> impl Iterator<Item = &'static str> {
    let first = status.name();
    NTSTATUS::names()
        .filter(move |(name, value)| *value == status && Some(*name) != first)
        .map(|(name, _)| name)
}

/// Names an object for people.
pub(super) fn object_name(entry: &Entry) -> String {
    match entry.name {
        Name::Path(path) => path.to_owned(),
        Name::Numbered { prefix, .. } => format!("{prefix}<digits>"),
        Name::Unnamed { .. } => format!("{} (unnamed)", entry.key),
    }
}

fn party(party: &Party) -> String {
    let mut text = party.who.to_owned();
    if let Some(bits) = party.attributes {
        text.push_str(&format!(", attributes {}", attributes(bits)));
    }
    if !party.when.is_empty() {
        text.push_str(&format!(": {}", party.when));
    }
    text.push_str(&format!(" [{}]", party.certainty));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nt::catalog::{EVENTS, entries, find};

    #[test]
    fn every_entry_and_event_can_be_told() {
        for it in entries() {
            let text = entry(it);
            assert!(text.contains(it.key) && text.contains("sources"), "{text}");
            assert!(
                text.lines().all(|line| line.trim_end() == line && line.chars().count() <= 110),
                "{text}"
            );
        }
        for it in EVENTS {
            assert!(event(it).contains(it.summary.split(' ').next().unwrap()));
        }
    }

    #[test]
    fn the_port_object_says_that_it_has_no_name() {
        let text = entry(find("PowerPort").unwrap());
        assert!(text.starts_with("(unnamed) rung by the ALPC port \\PowerPort\n"), "{text}");
        assert!(text.contains("routines    single"), "{text}");
        assert!(text.contains("attributes 0x200 (OBJ_KERNEL_HANDLE)"), "{text}");
    }

    #[test]
    fn the_object_nobody_rings_says_so() {
        let text = entry(find("SetSystemState").unwrap());
        assert!(text.contains("rings when  no notifier is known"), "{text}");
        assert!(!text.contains("events "), "{text}");
    }
}
