//! Golden streams: the same drivers, steps and seed give the same events byte for byte, here and everywhere.
//!
//! The digest of each stream is committed in `golden/digests.txt`, and a few streams are committed whole. Each is made by the
//! command in a process of its own, with addresses of the host random and not, in another folder, with another environment, on
//! one core and on all. `BLESS=1 cargo test -p ringbell --test golden` rewrites the files; look at what changed.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Name, drivers, seed and processors of a run.
type Run = (&'static str, &'static [&'static str], u64, u8);

/// One of each family of bundled drivers, and those that care for processors with several.
const RUNS: &[Run] = &[
    ("demo", &["listener", "ringer"], 0, 1),
    ("as-published-twice", &["listener-as-published", "listener-as-published"], 0, 1),
    ("callbacks", &["exports-callbacks"], 0, 1),
    ("callbacks-threads", &["exports-callbacks-threads"], 0, 1),
    ("callbacks-threads-seed-7", &["exports-callbacks-threads"], 7, 1),
    ("threads-seed-3", &["exports-threads"], 3, 1),
    ("timers", &["exports-timers"], 0, 1),
    ("print", &["exports-print"], 0, 1),
    ("clock", &["habits-clock"], 0, 1),
    ("shared-data", &["habits-shared-data"], 0, 1),
    ("gs", &["habits-gs"], 0, 1),
    ("registration-left", &["rb001-registration-left"], 0, 1),
    ("pool-leak", &["rb014-pool-leak"], 0, 1),
    ("write-unmapped", &["write-unmapped"], 0, 1),
    ("stack-overflow", &["stack-overflow"], 0, 1),
    ("wait-forever", &["wait-forever"], 0, 1),
    ("demo-2-processors", &["listener", "ringer"], 0, 2),
    ("processors-2", &["exports-processors"], 0, 2),
    ("processors-2-seed-3", &["exports-processors"], 3, 2),
    ("processors-4", &["exports-processors"], 0, 4),
    ("processors-4-seed-5", &["exports-processors"], 5, 4),
    ("callbacks-threads-4-seed-7", &["exports-callbacks-threads"], 7, 4),
    ("threads-2", &["exports-threads"], 0, 2),
    ("timers-4-seed-2", &["exports-timers"], 2, 4),
    ("irps-4", &["exports-irps"], 0, 4),
    ("deadlock-crossed-2", &["deadlock-crossed"], 0, 2),
    ("deadlock-abandoned-4", &["deadlock-abandoned"], 0, 4),
];

/// Those whose stream is committed as a text.
const WHOLE: [&str; 3] = ["demo", "clock", "write-unmapped"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// How the command is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surroundings {
    Plain,
    FixedAddresses,
    OtherFolder,
    OtherEnvironment,
    OneCore,
}

/// Runs the command and returns its stream, one event a line.
fn stream(run: &Run, surroundings: Surroundings) -> String {
    let (_, drivers, seed, processors) = run;
    let ringbell = env!("CARGO_BIN_EXE_ringbell");
    let mut command = match surroundings {
        Surroundings::FixedAddresses => Command::new("setarch"),
        Surroundings::OneCore => Command::new("taskset"),
        _ => Command::new(ringbell),
    };
    match surroundings {
        Surroundings::Plain => {}
        Surroundings::FixedAddresses => drop(command.args(["x86_64", "-R", ringbell])),
        Surroundings::OneCore => drop(command.args(["-c", "0", ringbell])),
        Surroundings::OtherFolder => drop(command.current_dir("/")),
        Surroundings::OtherEnvironment => {
            command.env_clear().env("PATH", "/nowhere").env("LANG", "tlh").env("X", "x".repeat(5000));
        }
    }
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin");
    command.arg("run").args(drivers.iter().map(|name| bin.join(format!("{name}.sys"))));
    command.args(["--format", "json", "--timeout", "60s", "--seed", &seed.to_string()]);
    command.args(["--cpus", &processors.to_string()]);
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\nhint: util-linux has it"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["reproducible"]["yes"], true, "{}", report["reproducible"]);
    let events = report["events"].as_array().expect("events");
    assert!(!events.is_empty());
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// Enough to notice a difference, which is all that is asked.
fn digest(text: &str) -> String {
    let mut hash = record::Fnv1a::default();
    hash.add(text.as_bytes());
    format!("{:016x}", hash.value())
}

fn first_difference(actual: &str, expected: &str) -> String {
    let pair =
        actual.lines().zip(expected.lines()).enumerate().find(|(_, (actual, expected))| actual != expected);
    match pair {
        Some((line, (actual, expected))) => format!("event {line}:\n  now {actual}\n  was {expected}"),
        None => format!("{} events, {} before", actual.lines().count(), expected.lines().count()),
    }
}

#[test]
fn streams_are_those_that_were_committed() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut table = String::new();
    for run in RUNS {
        let (name, made) = (run.0, stream(run, Surroundings::Plain));
        table += &format!("{name} {} {}\n", made.lines().count(), digest(&made));
        if WHOLE.contains(&name) {
            let path = golden().join(format!("{name}.jsonl"));
            if bless {
                std::fs::write(&path, &made).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(made == expected, "{name}: {}", first_difference(&made, &expected));
        }
    }
    let path = golden().join("digests.txt");
    if bless {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(table, expected, "hint: `BLESS=1 cargo test -p ringbell --test golden` rewrites the files");
}

#[test]
fn no_surroundings_change_a_stream() {
    for run in RUNS {
        let name = run.0;
        let plain = stream(run, Surroundings::Plain);
        for surroundings in [
            Surroundings::FixedAddresses,
            Surroundings::OtherFolder,
            Surroundings::OtherEnvironment,
            Surroundings::OneCore,
        ] {
            let other = stream(run, surroundings);
            assert!(other == plain, "{name}, {surroundings:?}: {}", first_difference(&other, &plain));
        }
    }
}

/// Ten times here; `RINGBELL_TIMES=100` for more.
#[test]
fn a_stream_is_the_same_every_time() {
    let times = std::env::var("RINGBELL_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(10);
    for run in RUNS {
        let name = run.0;
        let first = stream(run, Surroundings::Plain);
        for time in 1..times {
            let again = stream(run, Surroundings::Plain);
            assert!(again == first, "{name}, time {time}: {}", first_difference(&again, &first));
        }
    }
}

#[test]
fn a_stream_holds_no_fact_of_the_host() {
    let made = stream(&RUNS[0], Surroundings::Plain);
    let folder = env!("CARGO_MANIFEST_DIR");
    for fact in [folder, env!("CARGO_BIN_EXE_ringbell"), "wall_us", "pid"] {
        assert!(!made.contains(fact), "{fact}");
    }
}
