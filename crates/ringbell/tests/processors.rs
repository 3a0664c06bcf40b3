//! Several virtual processors: they are there, they contend, their DPCs are their own, and what they cannot get out of is said.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use record::{Ending, Report, What};
use ringbell::{Config, Play};

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"))
}

fn with(name: &str, config: Config) -> Report {
    let path = driver(name);
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Play { config, drivers: vec![(format!("{name}.sys"), image)], ..Play::default() }.run().unwrap()
}

fn on(name: &str, processors: u8, seed: u64) -> Report {
    with(name, Config { processors, seed, ..Config::default() })
}

fn survives(report: &Report) {
    let story = ringbell::story(report);
    assert_eq!(report.ending, Ending::Finished, "{story}");
    assert!(!report.debug_output().any(|text| text.contains("FAIL")), "{story}");
    assert!(report.findings.is_empty(), "{story}");
}

#[test]
fn a_driver_finds_as_many_processors_as_there_are_and_they_contend() {
    for (processors, seeds) in [(1, 0..3), (2, 0..12), (3, 0..12), (64, 0..2)] {
        for seed in seeds {
            let report = on("exports-processors", processors, seed);
            survives(&report);
            let said = format!("processors: {processors}\n");
            assert!(report.debug_output().any(|text| text == said), "{}", ringbell::story(&report));
            let made = if processors == 1 { 14 } else { 20 };
            let closing = format!("exports-processors: {made} checks, 0 failed\n");
            assert!(report.debug_output().any(|text| text == closing), "{}", ringbell::story(&report));
        }
    }
}

#[test]
fn events_tell_the_processor_that_they_happened_on() {
    let report = on("exports-processors", 4, 0);
    let seen: BTreeSet<u8> = report.events.iter().map(|event| event.processor).collect();
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
    // A thread that is bound to a processor returns there.
    let returned: BTreeSet<u8> = report
        .events
        .iter()
        .filter(|event| matches!(&event.what, What::EntryReturned { entry: record::EntryPoint::Thread, .. }))
        .map(|event| event.processor)
        .collect();
    assert_eq!(returned, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn no_number_of_processors_breaks_a_driver_that_is_right() {
    let names = [
        "exports-threads",
        "exports-callbacks-threads",
        "exports-locks",
        "exports-events",
        "exports-timers",
        "exports-irps",
        "exports-pool",
        "exports-objects",
        "listener",
    ];
    for name in names {
        for (processors, seed) in [(2, 0), (2, 1), (4, 2), (4, 5), (8, 9)] {
            survives(&on(name, processors, seed));
        }
    }
}

#[test]
fn a_schedule_of_several_processors_can_be_had_again() {
    for name in ["exports-processors", "exports-callbacks-threads", "exports-threads"] {
        for (processors, seed) in [(2, 0), (2, 3), (3, 1), (4, 6)] {
            let first = on(name, processors, seed);
            assert_eq!(on(name, processors, seed).events, first.events, "{name}, seed {seed}");
            let schedule = first.schedule.clone().unwrap();
            assert!(seed != 0 || schedule.switches.is_empty(), "{schedule}");
            let config = Config { seed, processors, schedule: Some(schedule), ..Config::default() };
            assert_eq!(with(name, config).events, first.events, "{name}, seed {seed}");
        }
    }
}

fn deadlock(report: &Report) -> String {
    let Ending::Hang(hang) = &report.ending else { panic!("{}", ringbell::story(report)) };
    assert!(hang.deadlock, "{hang:?}");
    hang.details.join("\n")
}

#[test]
fn locks_taken_crosswise_are_a_deadlock_that_names_all_of_it() {
    survives(&on("deadlock-crossed", 1, 0));
    let details = deadlock(&on("deadlock-crossed", 2, 0));
    for thread in [256, 260] {
        let spins = details
            .lines()
            .find(|line| line.starts_with(&format!("thread {thread} at deadlock-crossed.sys+")));
        let spins = spins.unwrap_or_else(|| panic!("{details}"));
        assert!(
            spins.contains("(Cross+") && spins.contains("spins for the spin lock deadlock-crossed.sys+"),
            "{spins}"
        );
        assert!(spins.contains(&format!("which thread {} has held since", 516 - thread)), "{spins}");
    }
    assert!(details.contains("threads 256 and 260 wait for each other"), "{details}");
}

#[test]
fn a_lock_whose_holder_has_ended_is_a_deadlock_on_any_number_of_processors() {
    for processors in [1, 2, 64] {
        let details = deadlock(&on("deadlock-abandoned", processors, 0));
        assert!(details.contains("spins for the spin lock deadlock-abandoned.sys+"), "{details}");
        assert!(details.contains("which thread 256, which has ended, has held since"), "{details}");
    }
}

#[test]
fn numbers_of_processors_that_cannot_be_are_refused() {
    for value in ["0", "65", "-1", "many", ""] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
            .args(["run", driver("listener").to_str().unwrap(), "--cpus", value])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said,
            format!("error: `{value}` is no number of processors\nhint: a machine has 1 to 64 of them\n")
        );
        assert_eq!(output.status.code(), Some(2));
    }
}
