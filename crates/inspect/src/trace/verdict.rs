//! What each attempt came to, by order and catalog.
//!
//! A breakpoint at the routine's entry proves an attempt. The first attempt at a name creates it only where somebody is
//! known to create it, and only in a log that has the boot from its start; a later one opens it. Arguments and a status, where
//! the log has them, decide first.

use std::collections::BTreeMap;

use nt::Profile;
use nt::catalog::{self, Certainty, Entry, Gathered, Permanence};
use record::{AskedName, AttemptVerdict, TraceAttempt, TraceLog};

/// Judges all attempts of a log.
pub(super) fn judge(log: &mut TraceLog) {
    let boot = boot_run(&log.attempts);
    log.from_boot = boot.is_some();
    let mut seen: BTreeMap<String, AttemptVerdict> = BTreeMap::new();
    for index in 0..log.attempts.len() {
        let built_in = boot.is_some_and(|(start, count)| (start..start + count).contains(&index));
        let attempt = &log.attempts[index];
        let entry = attempt.name.path().and_then(catalog::find);
        let key = attempt.name.path().map(str::to_lowercase);
        let earlier = key.as_ref().and_then(|key| seen.get(key)).copied();
        let (verdict, certainty, why) = decide(attempt, entry, earlier, built_in, log.from_boot);
        if let Some(key) = key {
            let known = seen.entry(key).or_insert(verdict);
            if matches!(verdict, AttemptVerdict::Created | AttemptVerdict::Opened) {
                *known = verdict;
            }
        }
        let attempt = &mut log.attempts[index];
        attempt.verdict = verdict;
        attempt.certainty = certainty.to_string();
        attempt.known_as = entry.map(|entry| entry.key.to_owned());
        if attempt.why.is_empty() {
            attempt.why = why;
        } else {
            attempt.why = format!("{}; {why}", attempt.why);
        }
    }
}

/// Finds the kernel's own creations: the built-in names of some version, all of them, one after the other in its order.
fn boot_run(attempts: &[TraceAttempt]) -> Option<(usize, usize)> {
    let leaves: Vec<Option<&str>> = attempts.iter().map(|it| it.name.path().map(catalog::leaf)).collect();
    let mut profiles: Vec<&[&str]> = Profile::ALL.iter().map(|profile| profile.builtin_names.value).collect();
    profiles.sort_by_key(|names| std::cmp::Reverse(names.len()));
    profiles.into_iter().find_map(|names| {
        let start = leaves.windows(names.len()).position(|window| {
            window
                .iter()
                .zip(names)
                .all(|(leaf, name)| leaf.is_some_and(|leaf| leaf.eq_ignore_ascii_case(name)))
        })?;
        Some((start, names.len()))
    })
}

type Decision = (AttemptVerdict, Certainty, String);

fn decide(
    attempt: &TraceAttempt,
    entry: Option<&'static Entry>,
    earlier: Option<AttemptVerdict>,
    built_in: bool,
    from_boot: bool,
) -> Decision {
    if let Some(status) = attempt.status.filter(|status| *status >= 0xC000_0000) {
        return (
            AttemptVerdict::Failed,
            Certainty::Certain,
            format!("the log has the status: {}", nt::NTSTATUS(status)),
        );
    }
    match &attempt.name {
        AskedName::Unreadable(_) => {
            return (AttemptVerdict::Unknown, Certainty::Assumed, "the name could not be read".to_owned());
        }
        AskedName::Unnamed if attempt.create == Some(false) => {
            return (
                AttemptVerdict::Failed,
                Certainty::High,
                "without a name there is nothing to open: STATUS_UNSUCCESSFUL".to_owned(),
            );
        }
        AskedName::Unnamed => {
            return (
                AttemptVerdict::Unnamed,
                if attempt.create.is_some() { Certainty::High } else { Certainty::Inferred },
                "no name was given; callers that pass none create".to_owned(),
            );
        }
        AskedName::Path(_) => {}
    }
    if built_in {
        return (
            AttemptVerdict::Created,
            Certainty::Certain,
            "one of the kernel's own names, in the order its array creates them".to_owned(),
        );
    }
    match earlier {
        Some(AttemptVerdict::Created | AttemptVerdict::Opened) => later(entry),
        _ => first(attempt, entry, from_boot),
    }
}

/// A name that was there before.
fn later(entry: Option<&Entry>) -> Decision {
    match entry {
        Some(entry) if entry.permanence == Permanence::Temporary => (
            AttemptVerdict::Unknown,
            Certainty::Inferred,
            "created earlier without OBJ_PERMANENT, so its name was gone by now".to_owned(),
        ),
        Some(entry) if entry.permanence == Permanence::Permanent => {
            (AttemptVerdict::Opened, Certainty::Inferred, "the name was there before".to_owned())
        }
        _ => (
            AttemptVerdict::Opened,
            Certainty::Assumed,
            "the name was there before; an open, if it was created with OBJ_PERMANENT".to_owned(),
        ),
    }
}

/// Nobody is known to create it: an open that finds nothing, where nobody else did.
fn never_created(entry: &Entry) -> bool {
    entry.creator.is_none() && entry.openers.iter().any(|party| party.when.contains("Create is FALSE"))
}

/// The first attempt at a name.
fn first(attempt: &TraceAttempt, entry: Option<&Entry>, from_boot: bool) -> Decision {
    if attempt.create == Some(true) && from_boot {
        return (
            AttemptVerdict::Created,
            Certainty::High,
            "the first attempt since the boot, and Create is TRUE".to_owned(),
        );
    }
    let absent = attempt.create == Some(false) || entry.is_some_and(never_created);
    if absent && from_boot {
        let certainty = if attempt.create == Some(false) { Certainty::High } else { Certainty::Inferred };
        return (
            AttemptVerdict::Failed,
            certainty,
            "an open, and nobody had created the name: STATUS_OBJECT_NAME_NOT_FOUND".to_owned(),
        );
    }
    if attempt.create == Some(false)
        || (!from_boot && entry.is_some_and(|it| it.gathered == Gathered::BuiltIn))
    {
        return (
            AttemptVerdict::Opened,
            Certainty::Inferred,
            "the log begins after the boot, when the name was there".to_owned(),
        );
    }
    match entry {
        Some(entry) if from_boot && entry.creator.is_some() => {
            let who = entry.creator.map_or("", |party| party.who);
            (
                AttemptVerdict::Created,
                Certainty::Inferred,
                format!("the first attempt since the boot; created by {who}"),
            )
        }
        Some(_) if from_boot => (
            AttemptVerdict::Created,
            Certainty::Assumed,
            "the first attempt since the boot; who creates it is not known".to_owned(),
        ),
        None if from_boot => (
            AttemptVerdict::Unknown,
            Certainty::Assumed,
            "the first attempt at a name that the catalog does not have: a creation, or an open that fails"
                .to_owned(),
        ),
        _ => (
            AttemptVerdict::Unknown,
            Certainty::Assumed,
            "the log begins after the boot: a creation or an open".to_owned(),
        ),
    }
}
