//! Schedules: a seed decides one, the same every time, and no schedule breaks a driver that is right.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use record::{Ending, Report};
use ringbell::{Config, Play};

fn play(name: &str, seed: u64) -> Report {
    let file = format!("{name}.sys");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(&file);
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config = Config { seed, ..Config::default() };
    Play { config, drivers: vec![(file, image)], ..Play::default() }.run().unwrap()
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
