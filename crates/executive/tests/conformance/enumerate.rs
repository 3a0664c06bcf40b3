//! Enumeration of objects and registrations.

use std::ptr::null_mut;

use nt::Profile;
use nt::catalog::{BOOT_ATTEMPTS, Verdict};
use record::{CreateOutcome, What};
use ringbell_executive::Attempt;

use crate::support::*;

/// One step of the walk over all objects.
fn next(nt: &Nt, previous: Object) -> Object {
    // SAFETY: null or the result of the step before.
    unsafe { nt.ExpGetNextCallback(previous) }
}

/// One step of the walk over an object's registrations.
fn step(nt: &Nt, object: Object, cursor: &mut Registered) -> Option<usize> {
    // SAFETY: a live object and a cursor of this walk.
    unsafe { nt.ExpEnumerateCallback(object, cursor) }.map(|routine| routine.0)
}

/// Walks behind the built-in objects.
fn last_builtin(nt: &Nt) -> Object {
    let mut object = null_mut();
    for _ in nt.profile().builtin_names.value {
        object = next(nt, object);
    }
    object
}

#[test]
fn c111_enumerate_objects() {
    for profile in modern() {
        let nt = boot(profile);
        let made: Vec<Object> = (0..3).map(|_| ask_unnamed(0x200).object(&nt)).collect();
        let mut object = last_builtin(&nt);
        for expected in &made {
            let previous = object;
            let before = counts(previous).0;
            object = next(&nt, object);
            assert_eq!(object, *expected, "{}", profile.name);
            assert_eq!(counts(object), (2, 0), "one reference of the enumeration");
            assert_eq!(counts(previous).0, before - 1, "which the one before has lost");
        }
        assert!(next(&nt, object).is_null());
        assert_eq!(counts(object), (1, 0));
    }
}

#[test]
fn c112_enumeration_skips_the_dying() {
    for profile in modern() {
        let nt = boot(profile);
        let made: Vec<Object> = (0..3).map(|_| ask_unnamed(0x200).object(&nt)).collect();
        // No reference left, but still on the list: between the last dereference and the delete procedure.
        write(made[1].wrapping_byte_sub(0x30).cast::<i64>(), 0);
        let first = next(&nt, last_builtin(&nt));
        assert_eq!(first, made[0]);
        assert_eq!(next(&nt, first), made[2], "{}", profile.name);
        assert_eq!(counts(made[1]).0, 0, "untouched");
    }
}

#[test]
fn c113_enumerate_registrations() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let f = register(&nt, object, 0x1000, null_mut());
        let g = register(&nt, object, 0x2000, null_mut());
        let mut cursor = null_mut();
        assert_eq!(step(&nt, object, &mut cursor), Some(0x1000));
        assert_eq!((cursor, busy(f), busy(g)), (f, 1, 0));
        assert_eq!(step(&nt, object, &mut cursor), Some(0x2000));
        assert_eq!((cursor, busy(f), busy(g)), (g, 0, 1));
        assert_eq!(step(&nt, object, &mut cursor), None);
        assert_eq!((cursor, busy(f), busy(g)), (g, 0, 0), "{}", profile.name);
        assert_eq!(lock_of(object), 0);
    }
}

#[test]
fn c114_enumeration_pins() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let f = register(&nt, object, 0x1000, null_mut());
        let mut cursor = null_mut();
        step(&nt, object, &mut cursor);
        // One thread cannot advance the enumeration meanwhile, so waiting for it is forever.
        assert_deadlock(|| unregister(&nt, f));

        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let f = register(&nt, object, 0x1000, null_mut());
        let mut cursor = null_mut();
        step(&nt, object, &mut cursor);
        step(&nt, object, &mut cursor);
        unregister(&nt, f);
        assert!(registrations(object).is_empty());
    }
}

#[test]
fn c115_enumeration_and_waiters() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let f = register(&nt, object, 0x1000, null_mut());
        let g = register(&nt, object, 0x2000, null_mut());
        let waiting = |registration: Registered| write(registration.wrapping_byte_add(0x2C).cast::<u8>(), 1);
        let signaled = || at::<i32>(nt.ExpCallbackEvent().cast(), 4) != 0;
        let mut cursor = null_mut();
        assert_eq!(step(&nt, object, &mut cursor), Some(0x1000));
        waiting(f);
        assert!(!signaled());
        assert_eq!(step(&nt, object, &mut cursor), Some(0x2000));
        assert!(signaled(), "{}: the cursor left a registration that somebody waits for", profile.name);
        let mut cursor = null_mut();
        assert_eq!(step(&nt, object, &mut cursor), Some(0x2000), "the waiting one is skipped");
        assert_eq!((busy(f), busy(g)), (0, 2));
    }
}

#[test]
fn c116_enumeration_sees_nameless_objects() {
    for profile in modern() {
        let nt = boot(profile);
        let permanent = ask("\\Callback\\Kept", KEPT).object(&nt);
        let temporary = ask("\\Callback\\Lost", 0x40).object(&nt);
        let unnamed = ask_unnamed(0x200).object(&nt);
        let mut seen = Vec::new();
        let mut object = next(&nt, null_mut());
        while !object.is_null() {
            seen.push(object);
            object = next(&nt, object);
        }
        assert_eq!(seen[seen.len() - 3..], [permanent, temporary, unnamed]);
        let names = callback_names(&nt);
        assert!(names.iter().any(|name| name == "Kept") && !names.iter().any(|name| name == "Lost"));

        let snapshot = nt.snapshot();
        let told: Vec<(u64, Option<&str>, Option<&str>)> = snapshot
            .objects
            .iter()
            .map(|object| (object.address, object.name.as_deref(), object.former_name.as_deref()))
            .collect();
        assert_eq!(
            told[told.len() - 3..],
            [
                (permanent.addr() as u64, Some("\\Callback\\Kept"), None),
                (temporary.addr() as u64, None, Some("Lost")),
                (unnamed.addr() as u64, None, None),
            ]
        );
        assert_eq!(counts(unnamed), (1, 0), "a snapshot leaves no reference");
    }
}

#[test]
fn c117_no_list_no_enumeration() {
    for profile in all().filter(|profile| !profile.has_global_list.value) {
        let nt = boot(profile);
        assert_eq!(nt.ExpCallbackListHead(), None, "{}", profile.name);
        assert!(next(&nt, null_mut()).is_null());
    }
}

#[test]
fn c118_recorded_boot() {
    let nt = boot_listening(Profile::WIN11);
    let (booted, later) = BOOT_ATTEMPTS.split_at(7);
    let results = nt.replay(later.iter().map(Attempt::from));
    assert_eq!(booted.len() + results.len(), 76);
    for (row, result) in later.iter().zip(&results) {
        let expected = match row.verdict {
            Verdict::Created => CreateOutcome::Created,
            Verdict::Opened => CreateOutcome::Opened,
            Verdict::Failed => CreateOutcome::Failed,
            Verdict::Unnamed => CreateOutcome::Unnamed,
        };
        assert_eq!(result.outcome, expected, "row {}: {:?} {}", row.number, row.name, result.status);
        if row.name == Some("\\Callback\\AcpiSimulator") {
            assert_eq!(result.status.0, 0xC000_0034);
        }
    }
    // The breakpoint's view: one attempt per row, boot included, in the recorded order.
    let attempts: Vec<Option<String>> = nt
        .platform()
        .take_events()
        .into_iter()
        .filter_map(|what| match what {
            What::CreateAttempt { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    let recorded: Vec<Option<String>> = BOOT_ATTEMPTS.iter().map(|row| row.name.map(str::to_owned)).collect();
    assert_eq!(attempts, recorded);
    // Unnamed objects are on the list and in no directory.
    let unnamed: Vec<Object> = results
        .iter()
        .filter(|result| result.outcome == CreateOutcome::Unnamed)
        .map(|result| result.object)
        .collect();
    assert_eq!(unnamed.len(), 5);
    let objects = listed(&nt);
    for entry in entries(find(&nt, "\\Callback").expect("the directory")) {
        assert!(!unnamed.contains(&entry.object.cast()));
    }
    assert!(unnamed.iter().all(|object| objects.contains(object)));

    // Without tdx's creation, afd's later open fails.
    let nt = boot(Profile::WIN11);
    let creation = later.iter().find(|row| row.name == Some("\\Callback\\AfdTdxCallback")).expect("tdx");
    let without = later.iter().filter(|row| row.number != creation.number);
    nt.replay(without.map(Attempt::from));
    assert_eq!(ask("\\Callback\\AfdTdxCallback", 0x40).open().status(&nt), 0xC000_0034);
}
