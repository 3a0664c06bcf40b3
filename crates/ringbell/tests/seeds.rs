//! Schedules: a seed decides one, the same every time, and no schedule breaks a driver that is right.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use record::{Ending, Report};
use ringbell::{Config, Play, Stopped};

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"))
}

fn with(name: &str, config: Config) -> Result<Report, Stopped> {
    let path = driver(name);
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Play { config, drivers: vec![(format!("{name}.sys"), image)], ..Play::default() }.run()
}

fn play(name: &str, seed: u64) -> Report {
    with(name, Config { seed, ..Config::default() }).unwrap()
}

const THREADED: [&str; 3] = ["exports-threads", "exports-callbacks-threads", "exports-locks"];

#[test]
fn a_seed_gives_the_same_stream_every_time() {
    for name in THREADED {
        for seed in [0, 1, 2, 3, 12_345] {
            let first = play(name, seed);
            for _ in 0..4 {
                assert_eq!(play(name, seed).events, first.events, "{name}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_schedule_gives_the_stream_of_the_seed_that_it_came_from() {
    for name in THREADED {
        for seed in [0, 1, 2, 5, 9, 12_345] {
            let first = play(name, seed);
            let schedule = first.schedule.clone().expect("short enough");
            assert!(seed != 0 || schedule.switches.is_empty(), "{name}: {schedule}");
            // Through its text, as people pass it.
            let config =
                Config { seed, schedule: Some(schedule.to_string().parse().unwrap()), ..Config::default() };
            let again = with(name, config).unwrap();
            assert_eq!(again.events, first.events, "{name}, seed {seed}: {schedule}");
            assert_eq!(again.schedule, Some(schedule), "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_schedule_that_does_not_fit_is_said_so_and_the_run_told_all_the_same() {
    for text in ["s2:1=4000000", "s2:60000000000=256", "s2:0=step", "s2:1=clock"] {
        let config = Config { schedule: Some(text.parse().unwrap()), ..Config::default() };
        let stopped = with("exports-threads", config).unwrap_err();
        let said = stopped.to_string();
        assert!(said.contains("the schedule does not fit this run: "), "{said}");
        let report = stopped.report.unwrap();
        assert_eq!(report.ending, Ending::Finished);
        assert_eq!(ringbell::verdict(&report), "the schedule does not fit");
        assert!(!report.reproducible.yes && report.reproducible.because[0].contains("does not fit"));
    }
}

#[test]
fn seeds_and_schedules_that_are_none_are_refused_in_one_line() {
    let cases = [
        ["--seed", "many", "error: `many` is no seed"],
        ["--seed", "-1", "error: `-1` is no seed"],
        ["--seed", "7@1", "error: the seed is of scheduler version 1, and this is version 2"],
        ["--schedule", "s0:1=8", "error: the schedule is of scheduler version 0, and this is version 2"],
        ["--schedule", "1=8", "error: `1=8` is no part of a schedule"],
        ["--schedule", "s2:9=8,3=8", "error: point 3 of the schedule does not come after the one before it"],
        [
            "--schedule",
            "s2:9=4000000",
            "error: the schedule does not fit this run: thread 4000000 was to run at point 9",
        ],
    ];
    for [option, value, expected] in cases {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
            .args(["run", driver("exports-threads").to_str().unwrap(), option, value])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(expected), "{option} {value}: {said}");
        assert_eq!(said.lines().count(), 2, "{option} {value}: {said}");
        assert!(said.contains("\nhint: "), "{option} {value}: {said}");
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
    }
}

#[test]
fn seeds_lead_to_different_schedules() {
    let threads = |report: Report| report.events.iter().map(|event| event.thread).collect::<Vec<_>>();
    let schedules: std::collections::BTreeSet<_> =
        (0..20).map(|seed| threads(play("exports-callbacks-threads", seed))).collect();
    assert!(schedules.len() >= 3, "{}", schedules.len());
}

#[test]
fn no_schedule_breaks_a_driver_that_is_right() {
    for name in THREADED.into_iter().chain(["exports-events", "exports-timers", "exports-irps", "listener"]) {
        for seed in 1..=20 {
            let report = play(name, seed);
            let story = ringbell::story(&report);
            assert_eq!(report.ending, Ending::Finished, "{name}, seed {seed}\n{story}");
            assert!(!report.debug_output().any(|text| text.contains("FAIL")), "{name}, seed {seed}\n{story}");
            assert!(report.findings.is_empty(), "{name}, seed {seed}\n{story}");
        }
    }
}
