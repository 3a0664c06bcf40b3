//! The catalog's tables agree with each other, with the profiles and with the recorded boot.

use std::collections::BTreeSet;

use ringbell_nt::Profile;
use ringbell_nt::catalog::{
    Argument, BOOT_ATTEMPTS, Condition, EVENTS, Gathered, Name, Permanence, Presence, Shape, Structure,
    Verdict, boot_trace, entries, events_of, find, find_event, leaf,
};

/// The names of the log in order, without the debugger's noise.
fn recorded() -> Vec<(Option<String>, u64)> {
    boot_trace()
        .lines()
        .filter_map(|line| line.strip_prefix("   +0x010 ObjectName : "))
        .map(|rest| match rest.split_once(" _UNICODE_STRING ") {
            Some((address, name)) => {
                let digits = address.strip_prefix("0x").unwrap().replace('`', "");
                (Some(name.trim_matches('"').to_owned()), u64::from_str_radix(&digits, 16).unwrap())
            }
            None => {
                assert_eq!(rest, "(null) ");
                (None, 0)
            }
        })
        .collect()
}

#[test]
fn the_boot_table_repeats_the_log_line_by_line() {
    let log = recorded();
    assert_eq!(log.len(), 76);
    assert_eq!(BOOT_ATTEMPTS.len(), log.len());
    for (index, ((name, address), attempt)) in log.iter().zip(BOOT_ATTEMPTS).enumerate() {
        assert_eq!(usize::from(attempt.number), index + 1);
        assert_eq!(attempt.name, name.as_deref(), "attempt {}", attempt.number);
        assert_eq!(attempt.recorded_at, *address, "attempt {}", attempt.number);
    }
    assert_eq!(log.iter().filter(|(name, _)| name.is_none()).count(), 5);
    let distinct: BTreeSet<_> = log.iter().filter_map(|(name, _)| name.as_deref()).collect();
    assert_eq!(distinct.len(), 26);
}

#[test]
fn the_verdicts_follow_from_the_arguments() {
    let mut there = BTreeSet::new();
    for attempt in BOOT_ATTEMPTS {
        let expected = match attempt.name.map(str::to_ascii_lowercase) {
            None => Verdict::Unnamed,
            Some(name) if there.contains(&name) => Verdict::Opened,
            Some(name) if attempt.create => {
                assert!(
                    attempt.attributes & 0x10 != 0,
                    "attempt {}: its name would not stay",
                    attempt.number
                );
                there.insert(name);
                Verdict::Created
            }
            Some(_) => Verdict::Failed,
        };
        assert_eq!(attempt.verdict, expected, "attempt {}", attempt.number);
    }
    let failed: Vec<_> = BOOT_ATTEMPTS.iter().filter(|it| it.verdict == Verdict::Failed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].name, Some("\\Callback\\AcpiSimulator"));
}

#[test]
fn the_boot_table_begins_with_the_built_ins_of_the_recorded_kernel() {
    let built_in: Vec<_> =
        BOOT_ATTEMPTS.iter().take_while(|it| it.is_built_in()).map(|it| leaf(it.name.unwrap())).collect();
    assert_eq!(built_in, Profile::WIN11.builtin_names.value);
    assert!(BOOT_ATTEMPTS[built_in.len()..].iter().all(|it| !it.is_built_in()));
}

#[test]
fn every_name_of_the_boot_is_in_the_catalog() {
    for attempt in BOOT_ATTEMPTS {
        let Some(name) = attempt.name else { continue };
        let entry = find(name).unwrap_or_else(|| panic!("{name} is not in the catalog"));
        if let (Some(creator), Verdict::Created) = (entry.creator, attempt.verdict)
            && let Some(attributes) = creator.attributes
        {
            assert_eq!(attempt.attributes, attributes, "{name}");
        }
    }
}

#[test]
fn every_event_rings_what_the_catalog_announces() {
    let mut names = BTreeSet::new();
    for event in EVENTS {
        assert!(names.insert(event.name), "{} stands twice", event.name);
        let entry = event.entry();
        assert_eq!(entry.key, event.object);
        assert_eq!(event.is_delivered(), entry.trigger.is_some(), "{}", event.name);
        if let Some((irql, _)) = entry.irql {
            assert_eq!(event.irql, irql, "{}", event.name);
        }
        for call in event.calls {
            for (argument, parameter) in [call.argument1, call.argument2].into_iter().zip(entry.arguments) {
                match (argument, parameter.shape) {
                    (Argument::Null, Shape::Null)
                    | (Argument::Value(_) | Argument::PortHandle, Shape::Number) => {}
                    (Argument::Structure(given, values), Shape::Pointer(announced)) => {
                        assert!(given.fits(announced), "{}: {given:?} for {announced:?}", event.name);
                        for (member, value) in values {
                            let member = given.member(member).expect(member);
                            assert!(member.size == 8 || value >> (8 * member.size) == 0, "{}", event.name);
                        }
                    }
                    (given, announced) => panic!("{}: {given:?} for {announced:?}", event.name),
                }
            }
            if call.when != Condition::Always {
                assert!(matches!(call.argument2, Argument::Structure(Structure::InOutStatus, _)));
            }
        }
    }
}

#[test]
fn every_trigger_of_the_kernel_has_an_event() {
    for entry in entries().filter(|entry| entry.gathered != Gathered::Driver) {
        let events: Vec<_> = events_of(entry).collect();
        assert!(!events.is_empty(), "{} has no event", entry.key);
        if entry.trigger.is_none() {
            assert!(events.iter().all(|event| event.summary.contains("no notifier")), "{}", entry.key);
        }
    }
    assert!(!find_event("state.set").unwrap().is_delivered());
    assert_eq!(
        entries().filter(|entry| entry.trigger.is_none() && entry.gathered != Gathered::Driver).count(),
        1
    );
}

#[test]
fn members_lie_inside_their_structures() {
    for structure in [
        Structure::ProcessorChange,
        Structure::InOutStatus,
        Structure::SessionEvent,
        Structure::BootDriverStatus,
        Structure::BootDriverImage,
    ] {
        for member in structure.members() {
            assert!(member.offset + member.size <= structure.size(), "{}.{}", structure.name(), member.name);
            assert_eq!(member.offset % member.size, 0, "{}.{}", structure.name(), member.name);
        }
    }
}

#[test]
fn the_built_in_entries_are_the_profiles_names_in_order() {
    let keys: Vec<_> = entries().filter(|it| it.presence == Presence::BuiltIn).map(|it| it.key).collect();
    assert_eq!(keys, Profile::WIN11_24H2.builtin_names.value);
    for profile in Profile::ALL {
        let names: Vec<_> =
            keys.iter().copied().filter(|key| find(key).unwrap().exists_in(profile) == Some(true)).collect();
        assert_eq!(names, profile.builtin_names.value, "{}", profile.name);
    }
    for entry in entries() {
        if let Presence::Profiles(names) = entry.presence {
            assert!(names.iter().all(|name| Profile::by_name(name).is_some()), "{}", entry.key);
        }
    }
}

#[test]
fn attributes_and_permanence_agree() {
    let mut keys = BTreeSet::new();
    for entry in entries() {
        assert!(keys.insert(entry.key.to_ascii_lowercase()), "{} stands twice", entry.key);
        match entry.name {
            Name::Path(path) | Name::Numbered { prefix: path, .. } => {
                assert_eq!(leaf(path), entry.key);
                let permanent = entry.creator.and_then(|it| it.attributes).map(|bits| bits & 0x10 != 0);
                match entry.permanence {
                    Permanence::Permanent => assert_eq!(permanent, Some(true), "{}", entry.key),
                    Permanence::Temporary => assert_eq!(permanent, Some(false), "{}", entry.key),
                    Permanence::Unknown => assert_eq!(permanent, None, "{}", entry.key),
                    Permanence::Unnamed => panic!("{} has a name", entry.key),
                }
            }
            Name::Unnamed { port } => {
                assert_eq!(leaf(port), entry.key);
                assert_eq!(entry.permanence, Permanence::Unnamed);
            }
        }
    }
}

#[test]
fn an_entry_is_found_by_any_of_its_names() {
    for name in [
        "PowerState",
        "powerstate",
        "\\Callback\\PowerState",
        "\\CALLBACK\\powerstate",
        "Callback\\PowerState",
        "ExCbPowerState",
        "nt!ExCbPowerState",
        "EtwpPowerStateCallback",
    ] {
        assert_eq!(find(name).map(|entry| entry.key), Some("PowerState"), "{name}");
    }
    for name in ["PowerPort", "\\PowerPort", "\\Callback\\PowerPort", "nt!PopUmpoMessageCallback"] {
        assert_eq!(find(name).map(|entry| entry.key), Some("PowerPort"), "{name}");
    }
    assert_eq!(find("\\CallBack\\NdisBindUnbind").map(|entry| entry.key), Some("NdisBindUnbind"));
    assert_eq!(
        find("\\Callback\\LLTDCallbackMapper0006008007000000").map(|entry| entry.key),
        Some("LLTDCallbackMapper")
    );
    for name in [
        "",
        "\\",
        "Callback",
        "\\Callback",
        "\\Callback\\",
        "LLTDCallbackMapper00",
        "PowerStat",
        "\\Device\\X",
    ] {
        assert_eq!(find(name).map(|entry| entry.key), None, "{name:?}");
    }
}
