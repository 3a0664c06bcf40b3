//! The catalog told to people and to programs.

mod json;
mod text;

pub use json::{bugcheck_json, entry_json, event_json, routine_json, status_json};
pub use text::{bugcheck, entry, event, routine, status};

use nt::Profile;
use nt::catalog::{Argument, Entry, Presence};

/// Spells attribute bits as a debugger user reads them: `0x50 (OBJ_PERMANENT | OBJ_CASE_INSENSITIVE)`.
#[must_use]
pub fn attributes(bits: u32) -> String {
    const NAMES: &[(u32, &str)] = &[
        (nt::OBJ_INHERIT, "OBJ_INHERIT"),
        (nt::OBJ_PERMANENT, "OBJ_PERMANENT"),
        (nt::OBJ_EXCLUSIVE, "OBJ_EXCLUSIVE"),
        (nt::OBJ_CASE_INSENSITIVE, "OBJ_CASE_INSENSITIVE"),
        (nt::OBJ_OPENIF, "OBJ_OPENIF"),
        (nt::OBJ_OPENLINK, "OBJ_OPENLINK"),
        (nt::OBJ_KERNEL_HANDLE, "OBJ_KERNEL_HANDLE"),
        (nt::OBJ_FORCE_ACCESS_CHECK, "OBJ_FORCE_ACCESS_CHECK"),
        (nt::OBJ_IGNORE_IMPERSONATED_DEVICEMAP, "OBJ_IGNORE_IMPERSONATED_DEVICEMAP"),
        (nt::OBJ_DONT_REPARSE, "OBJ_DONT_REPARSE"),
    ];
    let known: Vec<&str> = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    let rest = NAMES.iter().fold(bits, |rest, (bit, _)| rest & !bit);
    match (known.is_empty(), rest) {
        (true, _) => format!("{bits:#x}"),
        (false, 0) => format!("{bits:#x} ({})", known.join(" | ")),
        (false, rest) => format!("{bits:#x} ({} | {rest:#x})", known.join(" | ")),
    }
}

/// Spells an argument of an event.
fn argument(argument: Argument) -> String {
    match argument {
        Argument::Null => "NULL".to_owned(),
        Argument::PortHandle => "the port's handle".to_owned(),
        Argument::Value(value) if value < 10 => value.to_string(),
        Argument::Value(value) => format!("{value:#x}"),
        Argument::Structure(structure, []) => format!("{}*", structure.name()),
        Argument::Structure(structure, members) => {
            let members: Vec<_> = members
                .iter()
                .map(
                    |(name, value)| {
                        if *value < 10 { format!("{name} {value}") } else { format!("{name} {value:#x}") }
                    },
                )
                .collect();
            format!("{}* {{ {} }}", structure.name(), members.join(", "))
        }
    }
}

/// Lists the profiles that have the object.
fn profiles(entry: &Entry) -> Vec<&'static str> {
    Profile::ALL
        .iter()
        .filter(|profile| entry.exists_in(profile) == Some(true))
        .map(|profile| profile.name)
        .collect()
}

/// Says where the object exists.
fn presence(entry: &Entry) -> String {
    match entry.presence {
        Presence::WithDriver => "wherever its driver runs".to_owned(),
        Presence::BuiltIn => profiles(entry).join(", "),
        Presence::Profiles(_) => format!("{}; others not examined", profiles(entry).join(", ")),
    }
}
