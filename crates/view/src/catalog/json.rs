//! The catalog for programs. Addresses and codes are `"0x…"` strings; what is not known is `null`.

use nt::catalog::{
    Condition, Entry, Event, Listener, Name, Party, Permanence, RoutineEntry, Sharing, events_of, outcomes_of,
};
use nt::{BugCheck, NTSTATUS};
use serde_json::{Value, json};

use super::{argument, profiles, text};

/// Tells an object.
#[must_use]
pub fn entry_json(entry: &Entry) -> Value {
    json!({
        "kind": "object",
        "key": entry.key,
        "path": entry.path(),
        "prefix": match entry.name { Name::Numbered { prefix, .. } => Some(prefix), _ => None },
        "port": match entry.name { Name::Unnamed { port } => Some(port), _ => None },
        "summary": entry.summary,
        "variable": entry.variable,
        "creator": entry.creator.as_ref().map(party),
        "openers": entry.openers.iter().map(party).collect::<Vec<_>>(),
        "permanent": match entry.permanence {
            Permanence::Permanent => Some(true),
            Permanence::Temporary => Some(false),
            Permanence::Unnamed | Permanence::Unknown => None,
        },
        "allow_multiple": match entry.sharing {
            Sharing::Multiple => Some(true),
            Sharing::Single => Some(false),
            Sharing::Unknown => None,
        },
        "listeners": entry.listeners.iter().map(listener).collect::<Vec<_>>(),
        "trigger": entry.trigger,
        "arguments": entry.arguments.iter().map(|parameter| parameter.meaning).collect::<Vec<_>>(),
        "irql": entry.irql.map(|(irql, certainty)| json!({
            "value": irql.0,
            "certainty": certainty.to_string(),
        })),
        "events": events_of(entry).map(|event| event.name).collect::<Vec<_>>(),
        "profiles": profiles(entry),
        "certainty": entry.certainty.to_string(),
        "sources": entry.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "misreading": entry.misreading,
        "notes": entry.notes,
    })
}

/// Tells an event.
#[must_use]
pub fn event_json(event: &Event) -> Value {
    json!({
        "kind": "event",
        "name": event.name,
        "object": text::object_name(event.entry()),
        "summary": event.summary,
        "irql": event.is_delivered().then_some(event.irql.0),
        "calls": event.calls.iter().map(|call| json!({
            "argument1": argument(call.argument1),
            "argument2": argument(call.argument2),
            "when": match call.when {
                Condition::Always => "always",
                Condition::Accepted => "accepted",
                Condition::Refused => "refused",
            },
        })).collect::<Vec<_>>(),
        "certainty": event.certainty.to_string(),
    })
}

/// Tells a routine of the mechanism.
#[must_use]
pub fn routine_json(routine: &RoutineEntry) -> Value {
    json!({
        "kind": "routine",
        "name": routine.name,
        "prototype": routine.prototype,
        "summary": routine.summary,
        "exported": routine.exported,
        "irql": routine.irql,
        "steps": routine.steps,
        "notes": routine.notes,
        "sources": routine.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Tells a status code.
#[must_use]
pub fn status_json(status: NTSTATUS) -> Value {
    json!({
        "kind": "status",
        "name": status.name(),
        "value": format!("0x{:08X}", status.0),
        "success": status.is_success(),
        "also": text::also_named(status).collect::<Vec<_>>(),
        "returned_by": outcomes_of(status).map(|outcome| json!({
            "routine": outcome.routine,
            "when": outcome.when,
        })).collect::<Vec<_>>(),
    })
}

/// Tells a bugcheck code.
#[must_use]
pub fn bugcheck_json(check: BugCheck) -> Value {
    json!({
        "kind": "bugcheck",
        "name": check.name(),
        "code": format!("{:#x}", check.0),
        "meaning": check.meaning(),
    })
}

fn party(party: &Party) -> Value {
    json!({
        "who": party.who,
        "attributes": party.attributes.map(|bits| format!("{bits:#x}")),
        "when": party.when,
        "certainty": party.certainty.to_string(),
    })
}

fn listener(listener: &Listener) -> Value {
    json!({ "routine": listener.routine, "how": listener.how, "at_boot": listener.at_boot })
}
