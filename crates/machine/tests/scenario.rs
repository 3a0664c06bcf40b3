//! What a machine does without any driver: it boots on every profile, rings, plays events, describes itself.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use nt::catalog::EVENTS;
use record::{Ending, Mode, What};
use ringbell_machine::{Config, Machine, MachineError};

fn machine(config: Config) -> Machine {
    Machine::boot(config).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_profile_boots_with_its_built_in_objects() {
    for profile in nt::Profile::ALL {
        let mut machine = machine(Config { profile: profile.name.into(), ..Config::default() });
        assert_eq!(machine.build(), profile.build);
        let snapshot = machine.snapshot().unwrap();
        for name in profile.builtin_names.value {
            let path = format!("\\Callback\\{name}");
            assert!(
                snapshot.objects.iter().any(|object| object.name.as_deref() == Some(&path)),
                "{}: {path} is missing",
                profile.name
            );
        }
        let outcome = machine.finish();
        assert_eq!(outcome.ending, Ending::Finished, "{}", profile.name);
        let booted = outcome.events.iter().filter(|event| matches!(event.what, What::Booted { .. })).count();
        assert_eq!(booted, 1);
        assert!(outcome.last.is_some());
    }
}

#[test]
fn an_unknown_profile_is_refused_in_one_sentence() {
    let error = Machine::boot(Config { profile: "win95".into(), ..Config::default() }).unwrap_err();
    assert!(matches!(error, MachineError::Boot(_)), "{error:?}");
    assert!(error.to_string().contains("`win95`"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_stream() {
    let stream = || {
        let mut machine = machine(Config { seed: 7, ..Config::default() });
        machine.event("power.ac").unwrap();
        machine.event("processor.add").unwrap();
        machine.advance(1_000_000).unwrap();
        machine.snapshot().unwrap();
        machine.finish().events
    };
    let first = stream();
    assert!(first.len() > 20);
    assert_eq!(first, stream());
}

#[test]
fn every_event_of_the_catalog_rings_the_object_it_names_at_its_irql() {
    let mut machine = machine(Config::default());
    let there = machine.snapshot().unwrap();
    let mut played = 0;
    for event in EVENTS {
        let before = machine.events().len();
        let done = machine.event(event.name);
        let path = event.entry().path();
        let exists = path.is_none() || there.objects.iter().any(|object| object.name.as_deref() == path);
        match done {
            Ok(()) => played += 1,
            Err(MachineError::Refused(why)) => {
                // Objects that drivers create, or that the kernel creates on a condition no fresh machine meets.
                assert!(!exists, "{}: {why}", event.name);
                continue;
            }
            Err(error) => panic!("{}: {error}", event.name),
        }
        let told: Vec<_> = machine.events()[before..].iter().collect();
        let begun: Vec<_> = told
            .iter()
            .filter_map(|told| match &told.what {
                What::NotifyBegin { argument1, mode, .. } => Some((*mode, *argument1)),
                _ => None,
            })
            .collect();
        let always = event.calls.iter().filter(|call| !matches!(call.when, nt::catalog::Condition::Refused));
        assert_eq!(begun.len(), always.count(), "{}", event.name);
        let mode = if event.irql == nt::Irql::DISPATCH { Mode::Held } else { Mode::Dropped };
        assert!(begun.iter().all(|(told, _)| *told == mode), "{}", event.name);
        for told in told.iter().filter(|told| matches!(told.what, What::DeliveryBegin { .. })) {
            assert_eq!(told.irql, event.irql.0, "{}", event.name);
        }
        if let (nt::catalog::Argument::Value(value), Some((_, argument1))) =
            (event.calls.first().map_or(nt::catalog::Argument::Null, |call| call.argument1), begun.first())
        {
            assert_eq!(*argument1, value, "{}", event.name);
        }
        if let Some(nt::catalog::Argument::PortHandle) = event.calls.first().map(|call| call.argument1) {
            let kernels = |handle: u64| handle > 0xFFFF_FFFF_8000_0000 && handle.is_multiple_of(4);
            assert!(begun.first().is_some_and(|(_, handle)| kernels(*handle)), "{}", event.name);
        }
    }
    assert!(played > 20, "{played} of {} events", EVENTS.len());
    assert!(matches!(machine.event("power.nothing"), Err(MachineError::Refused(_))));
    assert_eq!(machine.finish().ending, Ending::Finished);
}

#[test]
fn a_ring_reaches_the_kernels_own_listener() {
    let mut machine = machine(Config::default());
    machine.step("ring").unwrap();
    machine.notify("PowerState", 3, 1, 0).unwrap();
    let outcome = machine.finish();
    let heard = outcome.events.iter().find_map(|event| match &event.what {
        What::KernelListener { routine, arguments, .. } => Some((routine.as_str(), *arguments)),
        _ => None,
    });
    assert_eq!(heard, Some(("nt!EtwpPowerStateCallback", [3, 1])));
}

#[test]
fn a_ring_of_nothing_or_at_an_impossible_level_is_refused_and_the_machine_lives_on() {
    let mut machine = machine(Config::default());
    for (object, irql) in [("NoSuchBell", 0), ("\\Callback", 0), ("PowerState", 13), ("a/b\u{7}", 0), ("", 0)]
    {
        let error = machine.notify(object, 0, 0, irql).unwrap_err();
        assert!(matches!(error, MachineError::Refused(_)), "{object}: {error:?}");
        assert!(
            error.to_string().contains(&format!(
                "cannot ring `{}",
                if object.starts_with('\\') || irql > 2 { object } else { "\\Callback\\" }
            )),
            "{error}"
        );
    }
    machine.notify("powerstate", 0, 0, 2).unwrap();
    assert_eq!(machine.finish().ending, Ending::Finished);
}

#[test]
fn the_kernels_own_routines_have_names() {
    let outcome = machine(Config::default()).finish();
    let kernel = &outcome.modules.0[0];
    assert_eq!(kernel.name, "nt");
    assert!(kernel.symbols.is_sorted());
    let registered: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Registered { routine, .. } => Some(outcome.modules.locate(*routine).to_string()),
            _ => None,
        })
        .collect();
    assert!(registered.iter().any(|name| name == "nt!EtwpPowerStateCallback"), "{registered:?}");
}
