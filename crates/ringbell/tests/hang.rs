//! Deadlocks: what a report says about who waits for whom, word by word.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use record::{Ending, HangRecord, Report, WaitKind};
use ringbell::{Config, Play};

fn play(name: &str, seed: u64) -> Report {
    let file = format!("{name}.sys");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(&file);
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config = Config { seed, ..Config::default() };
    Play { config, drivers: vec![(file, image)], ..Play::default() }.run().unwrap()
}

fn hang(report: &Report) -> &HangRecord {
    match &report.ending {
        Ending::Hang(hang) if hang.deadlock => hang,
        other => panic!("no deadlock: {other:?}"),
    }
}

/// What the story says of threads between the deadlock and the findings, with what differs between builds of a driver taken out.
fn told(report: &Report) -> Vec<String> {
    let story = ringbell::story(report);
    let start = story.find("*** deadlock").unwrap_or_else(|| panic!("no deadlock\n{story}"));
    let block = story[start..].split("\n\n").next().unwrap();
    let lines = block.lines().map(str::trim).filter(|line| line.starts_with("thread"));
    lines.map(symbols_only).collect()
}

/// Replaces `driver.sys+0x1a2c (Routine+0x1c)` by `Routine`: what the compiler made of the code is not the point.
fn symbols_only(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match word.strip_prefix('(') {
            Some(symbol) if words.last().is_some_and(|last| last.contains(".sys+0x")) => {
                let (symbol, after) = symbol.split_once(')').unwrap();
                let name = symbol.split_once('+').map_or(symbol, |(name, _)| name);
                *words.last_mut().unwrap() = format!("{name}{after}");
            }
            _ => words.push(word.into()),
        }
    }
    words.join(" ")
}

fn check(report: &Report, expected: &[&str]) {
    assert_eq!(told(report), expected, "{}", ringbell::story(report));
    let message = symbols_only(&report.findings[0].message);
    for cycle in expected.iter().filter(|line| line.contains("each other")) {
        assert!(message.contains(cycle), "{message}");
    }
}

#[test]
fn two_threads_and_two_mutexes_crossed() {
    let report = play("rb018-crossed-mutexes", 0);
    check(
        &report,
        &[
            "thread 8 at DriverUnload waits for the end of thread 256",
            "thread 256 at FirstThenSecond waits for the mutex Second, which thread 260 has held since SecondThenFirst",
            "thread 260 at SecondThenFirst waits for the mutex First, which thread 256 has held since FirstThenSecond",
            "threads 256 and 260 wait for each other",
        ],
    );
    assert_eq!(hang(&report).cycles, [[256, 260]]);
}

#[test]
fn three_threads_and_three_kinds_of_lock() {
    let report = play("rb018-crossed-kinds", 0);
    check(
        &report,
        &[
            "thread 8 at DriverUnload waits for the end of thread 256",
            "thread 256 at BooksThenTill waits for the fast mutex Till, which thread 260 has held since TillThenGuests",
            "thread 260 at TillThenGuests waits for the last user of the rundown reference Guests, which thread 264 has held \
             since GuestThenBooks",
            "thread 264 at GuestThenBooks waits for the resource Books, which thread 256 has held since BooksThenTill",
            "thread 256 waits for thread 260, which waits for thread 264, which waits for thread 256 again",
        ],
    );
}

#[test]
fn an_unregistration_that_waits_for_who_waits_for_it() {
    let report = play("rb018-unregister-waits-for-waiter", 0);
    check(
        &report,
        &[
            "thread 8 at DriverUnload waits for the end of thread 260",
            "thread 256 at LeavingThread waits for the return of PatientRoutine, which thread 260 is running",
            "thread 260 at PatientRoutine waits for the end of thread 256",
            "threads 256 and 260 wait for each other",
        ],
    );
    let kinds: Vec<WaitKind> = hang(&report).waits.iter().map(|wait| wait.on[0].kind).collect();
    assert_eq!(kinds, [WaitKind::Thread, WaitKind::Routine, WaitKind::Thread]);
}

#[test]
fn an_unregistration_under_the_lock_that_the_routine_takes() {
    let deadlock = (1..1000).map(|seed| play("race-unregister-under-lock", seed));
    let report = deadlock.into_iter().find(|report| matches!(report.ending, Ending::Hang(_))).unwrap();
    check(
        &report,
        &[
            "thread 8 at DriverUnload waits for the return of OnRing, which thread 256 is running",
            "thread 256 at OnRing waits for the fast mutex Lock, which thread 8 has held since DriverUnload",
            "threads 8 and 256 wait for each other",
        ],
    );
}

#[test]
fn a_routine_that_waits_for_its_own_return() {
    let report = play("rb005-self-unregister", 0);
    let expected = [
        "thread 8 at SelfRoutine waits for the return of SelfRoutine, which it is running itself",
        "thread 8 waits for itself",
    ];
    assert_eq!(told(&report), expected);
}

#[test]
fn a_lock_is_told_by_its_kind() {
    let report = play("rb006-dispatch-self-deadlock", 0);
    let told = told(&report);
    assert!(told[0].starts_with("thread 8 at LockedRoutine spins for the spin lock 0x"), "{told:?}");
    assert!(told[0].contains(" of the unnamed callback object 0x"), "{told:?}");
    assert!(hang(&report).waits[0].spins);
}

#[test]
fn a_lock_that_an_exception_left_held_is_told_by_its_object() {
    let report = play("exception-keeps-lock", 0);
    let told = told(&report);
    assert!(told[0].starts_with("thread 8 at RingTwice spins for the spin lock 0x"), "{told:?}");
    assert!(told[0].contains(" of the unnamed callback object 0x"), "{told:?}");
}

#[test]
fn json_has_it_as_data() {
    let report = play("rb018-crossed-mutexes", 0);
    let json: serde_json::Value = serde_json::from_str(&view::json::report(&report).unwrap()).unwrap();
    let hang = json.pointer("/ending/hang").unwrap_or_else(|| panic!("{json}"));
    assert_eq!(hang["cycles"], serde_json::json!([[256, 260]]));
    let second = &hang["waits"][1];
    assert_eq!(second["thread"], 256);
    assert_eq!(second["on"][0]["kind"], "mutex");
    assert_eq!(second["on"][0]["holders"][0]["thread"], 260);
    assert!(second["on"][0]["name"].as_str().unwrap().contains("(Second)"), "{second}");
}
