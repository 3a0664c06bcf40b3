//! The object namespace as WinObj shows it, and the callback objects that no name leads to.
//!
//! A debugger's or WinObj's walk of the directories sees named objects only. The global list of callback objects
//! (`ExpCallbackListHead`, Windows 8.1 and later) has all of them; the difference is printed apart.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use nt::catalog::{self, Name};
use record::{ListenerSnapshot, NamespaceEntry, ObjectSnapshot, Snapshot};

use crate::text::printable;

/// Prints the namespace as a tree, every callback object with its listeners.
#[must_use]
pub fn tree(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let mut named = BTreeSet::new();
    let mut entries: Vec<(Vec<&str>, &NamespaceEntry)> =
        snapshot.namespace.iter().map(|entry| (components(&entry.path), entry)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let label = |path: &[&str]| {
        format!("{:depth$}{}", "", printable(path.last().unwrap_or(&"\\")), depth = 2 * path.len())
    };
    let width = entries.iter().map(|(path, _)| label(path).chars().count()).max().unwrap_or(0);
    for (path, entry) in &entries {
        let depth = 2 * path.len();
        let mut line = format!("{:<width$}  {}", label(path), printable(&entry.type_name));
        if let Some(target) = &entry.link_target {
            let _ = write!(line, " -> {}", printable(target));
        }
        let object = snapshot.object(entry.address);
        if let Some(object) = object {
            named.insert(object.address);
            let _ = write!(line, "  {}", facts(object));
        }
        let _ = writeln!(out, "{}", line.trim_end());
        object
            .into_iter()
            .flat_map(|object| &object.listeners)
            .for_each(|it| listener(&mut out, depth + 2, it));
    }
    let nameless: Vec<&ObjectSnapshot> =
        snapshot.objects.iter().filter(|object| !named.contains(&object.address)).collect();
    if !nameless.is_empty() {
        out.push_str("\ncallback objects without a name\n");
        for object in nameless {
            let known = known_as(object).map(|name| format!("  (known as {name})")).unwrap_or_default();
            let _ = writeln!(out, "  {:#x}  {}{known}", object.address, facts(object));
            if let Some(former) = &object.former_name {
                let _ = writeln!(out, "    was: {}", printable(former));
            }
            object.listeners.iter().for_each(|it| listener(&mut out, 4, it));
        }
    }
    out
}

/// The components of a path; none for the root.
fn components(path: &str) -> Vec<&str> {
    path.split('\\').filter(|component| !component.is_empty()).collect()
}

fn facts(object: &ObjectSnapshot) -> String {
    let mut facts = vec![if object.allow_multiple { "multiple" } else { "single" }.to_owned()];
    if object.permanent {
        facts.push("permanent".into());
    }
    facts.push(counted(object.pointer_count, "pointer"));
    if object.handle_count != 0 {
        facts.push(counted(object.handle_count, "handle"));
    }
    facts.join(", ")
}

/// What people call an object that never had a name: it is told by the routine that listens on it.
fn known_as(object: &ObjectSnapshot) -> Option<&'static str> {
    if object.former_name.is_some() {
        return None;
    }
    let routines = object.listeners.iter().filter_map(|listener| listener.routine_name.as_deref());
    routines
        .filter_map(catalog::find)
        .find(|entry| matches!(entry.name, Name::Unnamed { .. }))
        .map(|entry| entry.key)
}

fn counted(count: i64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn listener(out: &mut String, depth: usize, listener: &ListenerSnapshot) {
    let routine = match &listener.routine_name {
        Some(name) => printable(name),
        None => format!("{:#x}", listener.routine),
    };
    let mut line = format!("{:depth$}<- {routine}", "");
    if listener.context != 0 {
        let _ = write!(line, ", context {:#x}", listener.context);
    }
    if listener.busy != 0 {
        let _ = write!(line, ", {} in progress", counted(listener.busy.into(), "call"));
    }
    if listener.waiting {
        line.push_str(", being unregistered");
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(address: u64, former: Option<&str>, listeners: Vec<ListenerSnapshot>) -> ObjectSnapshot {
        ObjectSnapshot {
            address,
            header: address - 0x30,
            name: None,
            former_name: former.map(str::to_owned),
            permanent: former.is_none(),
            allow_multiple: former.is_none(),
            pointer_count: 2,
            handle_count: 0,
            flags: 0x12,
            info_mask: 2,
            security_descriptor: 0,
            listeners,
        }
    }

    fn entry(path: &str, type_name: &str, address: u64) -> NamespaceEntry {
        NamespaceEntry { path: path.into(), type_name: type_name.into(), address, link_target: None }
    }

    #[test]
    fn named_objects_stand_in_the_tree_and_the_others_apart() {
        let routine = ListenerSnapshot {
            registration: 1,
            routine: 0x1234,
            routine_name: Some("nt!EtwpPowerStateCallback".into()),
            context: 0,
            busy: 0,
            waiting: false,
        };
        let snapshot = Snapshot {
            objects: vec![
                object(0x1000, None, vec![routine.clone()]),
                object(
                    0x2000,
                    Some("Gone"),
                    vec![ListenerSnapshot { routine_name: None, context: 7, busy: 1, ..routine }],
                ),
            ],
            namespace: vec![
                entry("\\", "Directory", 0x10),
                entry("\\Callback", "Directory", 0x20),
                entry("\\Callback\\PowerState", "Callback", 0x1000),
                entry("\\Callback-a", "Event", 0x30),
                NamespaceEntry {
                    link_target: Some("\\Device".into()),
                    ..entry("\\DosDevices", "SymbolicLink", 0x40)
                },
            ],
        };
        assert_eq!(
            tree(&snapshot).lines().collect::<Vec<_>>(),
            [
                "\\               Directory",
                "  Callback      Directory",
                "    PowerState  Callback  multiple, permanent, 2 pointers",
                "      <- nt!EtwpPowerStateCallback",
                "  Callback-a    Event",
                "  DosDevices    SymbolicLink -> \\Device",
                "",
                "callback objects without a name",
                "  0x2000  single, 2 pointers",
                "    was: Gone",
                "    <- 0x1234, context 0x7, 1 call in progress",
            ]
        );
    }

    #[test]
    fn an_object_that_never_had_a_name_is_told_by_its_listener() {
        let routine = ListenerSnapshot {
            registration: 1,
            routine: 0x1234,
            routine_name: Some("nt!PopUmpoMessageCallback".into()),
            context: 0,
            busy: 0,
            waiting: false,
        };
        let object = ObjectSnapshot { former_name: None, ..object(0x1000, Some(""), vec![routine]) };
        let text = tree(&Snapshot { objects: vec![object], namespace: Vec::new() });
        assert!(text.contains("0x1000  single, 2 pointers  (known as PowerPort)\n"), "{text}");
    }
}
