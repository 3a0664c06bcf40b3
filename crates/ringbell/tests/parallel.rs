//! Processors that run at the same time: driver code really does, the kernel stays as it is, and nothing is claimed that does not hold.
//!
//! How long anything takes is the host's affair, so time limits are generous and nothing is measured.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use record::{Ending, Report, What};
use ringbell::{Config, Play};

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"))
}

fn play(names: &[&str], config: Config) -> Report {
    let image = |name: &&str| {
        let path = driver(name);
        let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (format!("{name}.sys"), image)
    };
    Play { config, drivers: names.iter().map(image).collect(), ..Play::default() }.run().unwrap()
}

fn parallel(processors: u8) -> Config {
    Config { processors, parallel: true, timeout: Duration::from_secs(120), ..Config::default() }
}

fn survives(report: &Report) {
    let story = ringbell::story(report);
    assert_eq!(report.ending, Ending::Finished, "{story}");
    assert!(!report.debug_output().any(|text| text.contains("FAIL")), "{story}");
    assert!(report.findings.is_empty(), "{story}");
    assert!(report.tainted.is_empty(), "{story}");
    assert!(report.failed_drivers().next().is_none(), "{story}");
}

/// Two threads pass a turn through plain memory a thousand times. Nobody can do that in turns.
#[test]
fn driver_code_of_two_processors_runs_at_the_same_time() {
    for _ in 0..3 {
        let report = play(&["parallel-meeting"], parallel(2));
        survives(&report);
        // No seed orders them.
        let story = ringbell::story(&report);
        let head = story.lines().next().unwrap();
        assert!(head.ends_with("), 2 processors at the same time"), "{head}");
        let played = "parallel-meeting: 4 checks, 0 failed\n";
        assert!(report.debug_output().any(|text| text == played), "{}", ringbell::story(&report));
    }
    // The same driver where processors take turns, so that the above shows something.
    let turns = Config { processors: 2, timeout: Duration::from_secs(1), ..Config::default() };
    let report = play(&["parallel-meeting"], turns);
    let Ending::Hang(hang) = &report.ending else { panic!("{}", ringbell::story(&report)) };
    assert!(
        !hang.deadlock && hang.details.concat().contains("runs driver code and does not come back"),
        "{hang:?}"
    );
}

#[test]
fn the_demo_pair_is_as_well_off() {
    for processors in [1, 2, 2, 2, 4] {
        let report = play(&["listener", "ringer"], parallel(processors));
        survives(&report);
        let heard =
            report.events.iter().filter(|event| matches!(event.what, What::DeliveryBegin { .. })).count();
        assert_eq!(heard, 1, "{}", ringbell::story(&report));
    }
}

/// Each thread finds its own routine called once per ring and never outside of its registration.
#[test]
fn thousands_of_registrations_from_several_processors_leave_nothing_behind() {
    for processors in [2, 2, 4] {
        survives(&play(&["parallel-callbacks"], parallel(processors)));
    }
}

#[test]
fn drivers_that_check_what_the_kernel_gives_them_find_no_difference() {
    let names = [
        "exports-processors",
        "exports-threads",
        "exports-callbacks-threads",
        "exports-locks",
        "exports-events",
        "exports-timers",
        "exports-irps",
        "exports-pool",
        "exports-objects",
        "exports-devices",
        "habits-clock",
        "habits-gs",
        "habits-identity",
        "habits-privileged",
        "habits-shared-data",
    ];
    for name in names {
        for processors in [2, 2, 4] {
            survives(&play(&[name], parallel(processors)));
        }
    }
}

fn deadlock(name: &str, processors: u8) -> String {
    let report = play(&[name], parallel(processors));
    let Ending::Hang(hang) = &report.ending else { panic!("{}", ringbell::story(&report)) };
    assert!(hang.deadlock, "{hang:?}");
    hang.details.join("\n")
}

#[test]
fn a_deadlock_is_recognized_and_not_waited_out() {
    let details = deadlock("parallel-deadlock", 2);
    for thread in [256, 260] {
        let holds = format!("which thread {} has held since", 516 - thread);
        let line = details.lines().find(|line| line.starts_with(&format!("thread {thread} at ")));
        assert!(
            line.is_some_and(|line| line.contains("spins for the spin lock") && line.contains(&holds)),
            "{details}"
        );
    }
    assert!(details.contains("wait for each other"), "{details}");
    for processors in [1, 2, 4] {
        let details = deadlock("deadlock-abandoned", processors);
        assert!(details.contains("which thread 256, which has ended, has held since"), "{details}");
    }
    assert!(deadlock("rb018-unregister-waits-for-waiter", 2).contains("wait for each other"));
}

#[test]
fn what_a_driver_dies_of_is_told_as_ever() {
    for name in ["write-code", "divide-by-zero", "stack-overflow", "raw-syscall", "fastfail", "corrupt-event"]
    {
        let ending = |config| match play(&[name], config).ending {
            Ending::Bugcheck(record) => (record.code, record.parameters, record.at, record.reason),
            other => panic!("{name}: {other:?}"),
        };
        let turns = Config { processors: 2, ..Config::default() };
        assert_eq!(ending(parallel(2)), ending(turns), "{name}");
    }
    let limit = Duration::from_secs(1);
    let report = play(&["endless-loop"], Config { timeout: limit, ..parallel(2) });
    let Ending::Hang(hang) = &report.ending else { panic!("{}", ringbell::story(&report)) };
    assert!(
        hang.at.is_some_and(|at| report.modules.locate(at).to_string().contains("EndlessLoop")),
        "{hang:?}"
    );
}

#[test]
fn the_report_says_what_does_not_hold() {
    let report = play(&["rb009-pageable-data"], parallel(2));
    // Which is not found here.
    survives(&report);
    assert!(!report.reproducible.yes);
    assert!(report.reproducible.because[0].contains("`--parallel`"), "{:?}", report.reproducible);
    assert_eq!(report.schedule, None);
    let story = ringbell::story(&report);
    assert!(story.contains("2 processors at the same time\n"), "{story}");
    assert!(story.contains("pageable memory stays accessible at DISPATCH_LEVEL\n"), "{story}");
    assert!(story.contains("no schedule: processors ran at the same time"), "{story}");
    assert!(!story.contains("not reproducible: "), "{story}");
    let turns = Config { timeout: Duration::from_secs(1), ..Config::default() };
    let story = ringbell::story(&play(&["endless-loop"], turns));
    assert!(story.contains("\nnot reproducible: the time limit ended the run\n"), "{story}");
    let story = ringbell::story(&play(&["listener"], Config::default()));
    assert!(!story.contains("not reproducible"), "{story}");
}

fn ringbell(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringbell")).args(arguments).output().unwrap();
    let text = if output.status.code() == Some(2) { output.stderr } else { output.stdout };
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn what_orders_threads_is_refused_beside_it() {
    let file = driver("listener");
    let file = file.to_str().unwrap();
    for (option, value) in [("--seed", "0"), ("--seed", "7"), ("--schedule", "s2:1=8")] {
        let (code, said) = ringbell(&["run", file, "--parallel", option, value]);
        assert_eq!(code, Some(2));
        let first = format!("error: `{option}` cannot order processors that run at the same time\nhint: ");
        assert!(said.starts_with(&first) && said.lines().count() == 2, "{said}");
    }
    let (code, said) = ringbell(&["explore", file, "--parallel"]);
    assert_eq!((code, said.lines().count()), (Some(2), 2), "{said}");
    assert!(said.contains("nothing orders processors that run at the same time"), "{said}");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parallel");
    std::fs::create_dir_all(&folder).unwrap();
    let scenario = |text: &str| {
        let path = folder.join("scenario.toml");
        std::fs::write(&path, format!("drivers = ['{file}']\n{text}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let path = scenario("seed = 1\nparallel-processors = true\n");
    let (code, said) = ringbell(&["run", &path]);
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: `seed` cannot order processors") && said.contains("scenario.toml:3:23\n"),
        "{said}"
    );
    let path = scenario("seed = 1\n");
    assert_eq!(ringbell(&["run", &path, "--parallel"]).0, Some(2));
    let path = scenario("parallel-processors = true\n");
    assert_eq!(ringbell(&["explore", &path]).0, Some(2));
    let (code, story) = ringbell(&["run", &path]);
    assert!(code == Some(0) && story.contains("2 processors at the same time"), "{story}");
    let (_, story) = ringbell(&["run", file, "--parallel", "--cpus", "3"]);
    assert!(story.contains("3 processors at the same time"), "{story}");
}
