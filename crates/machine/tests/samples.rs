//! The sample drivers and the self-checking fixtures, run as they are.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{driver, machine, printed, run, run_all};
use record::{Ending, UnloadOutcome, What};

const BELL: &str = "\\Callback\\callbackbopin";

#[test]
fn one_driver_rings_and_another_listens() {
    let outcome = run_all(&["listener", "ringer"]);
    assert_eq!(outcome.ending, Ending::Finished, "{:#?}", outcome.events.last());
    assert!(outcome.drivers.iter().all(|driver| driver.unload == UnloadOutcome::Unloaded));

    let deliveries: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::DeliveryBegin { routine, .. } => Some((event.caller, outcome.modules.locate(*routine))),
            _ => None,
        })
        .collect();
    let [(caller, routine)] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert_eq!(routine.module.map(|module| module.name.as_str()), Some("listener.sys"));
    let caller = outcome.modules.locate(caller.expect("a ringer"));
    assert_eq!(caller.module.map(|module| module.name.as_str()), Some("ringer.sys"));
    let lines = printed(&outcome);
    assert!(lines.iter().any(|line| line.to_lowercase().contains("c0ffee")), "{lines:?}");

    let last = outcome.last.expect("a machine that lived");
    assert!(!last.objects.iter().any(|object| object.name.as_deref() == Some(BELL)), "nothing is left");
}

#[test]
fn a_ringer_alone_finds_no_bell() {
    let outcome = run("ringer");
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(outcome.drivers[0].entry_status, Some(0xC000_0034));
}

#[test]
fn the_published_sample_leaves_its_object_and_the_second_one_is_deaf() {
    let outcome = run_all(&["listener-as-published", "listener-as-published"]);
    assert_eq!(outcome.ending, Ending::Finished);
    let refused = outcome.events.iter().filter(|event| matches!(event.what, What::RegisterRefused { .. }));
    assert_eq!(refused.count(), 1);
    let last = outcome.last.expect("a machine that lived");
    let object =
        last.objects.iter().find(|object| object.name.as_deref() == Some(BELL)).expect("left behind");
    assert!(object.permanent && !object.allow_multiple);
}

#[test]
fn the_parent_rings_a_drivers_bell_at_every_level() {
    let mut machine = machine();
    let (name, status) = machine.load("listener.sys", &driver("listener")).unwrap();
    assert_eq!(status, 0);
    for irql in [0, 1, 2] {
        machine.notify("callbackbopin", 0x11, 0x22, irql).unwrap();
    }
    machine.unload(&name).unwrap();
    machine.notify(BELL, 0, 0, 0).unwrap_err();
    let outcome = machine.finish();
    let levels: Vec<_> = outcome
        .events
        .iter()
        .filter(|event| matches!(event.what, What::DeliveryBegin { .. }))
        .map(|event| event.irql)
        .collect();
    assert_eq!(levels, [0, 1, 2]);
}

#[test]
fn every_fixture_that_checks_itself_is_content() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/fixtures");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".c").map(str::to_owned))
        .filter(|name| name.starts_with("exports-") || name.starts_with("habits-"))
        // Counts events of the kernel's other doors, which somebody has to tell of: `ringbell`'s own tests do.
        .filter(|name| name != "exports-doors")
        .collect();
    names.sort();
    assert!(names.len() > 15, "{names:?}");
    let mut complaints = Vec::new();
    for name in &names {
        let outcome = run(name);
        let lines = printed(&outcome);
        let failed: Vec<_> = lines.iter().filter(|line| line.starts_with("FAIL")).collect();
        if outcome.ending != Ending::Finished
            || !failed.is_empty()
            || outcome.drivers[0].entry_status != Some(0)
        {
            complaints.push(format!("{name}: {:?} {failed:?}", outcome.ending));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn two_runs_of_the_same_drivers_are_the_same() {
    let stream = || run_all(&["listener", "ringer", "exports-timers"]).events;
    let (first, second) = (stream(), stream());
    assert_eq!(first.len(), second.len());
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one, other);
    }
}
