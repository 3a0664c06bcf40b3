//! Every rule against real drivers: each has a culprit that it catches and a near miss that it spares, and every stream is the same each time.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use record::{Finding, Report};
use ringbell::{Config, Play, Scenario};

/// A culprit of a rule, and its near miss.
struct Case {
    rule: u16,
    /// Drivers to load, and every rule that finds something in them, in order.
    culprit: &'static [&'static str],
    found: &'static [u16],
    near: &'static [&'static str],
    processors: u8,
}

const fn case(
    rule: u16,
    culprit: &'static [&'static str],
    found: &'static [u16],
    near: &'static [&'static str],
) -> Case {
    Case { rule, culprit, found, near, processors: 1 }
}

/// The whole table: what must be caught, and what must not.
const CASES: &[Case] = &[
    case(1, &["rb001-registration-left"], &[1], &["rb001-near-two-registrations"]),
    case(2, &["rb002-reference-leaked"], &[2], &["rb002-near-referenced-twice"]),
    case(2, &["rb002-given-back-twice"], &[2], &["rb002-near-handed-over"]),
    case(2, &["rb002-deleted-and-rung"], &[2, 18], &["rb002-near-handed-over"]),
    case(3, &["rb003-permanent-left"], &[3], &["rb003-near-opened-system-object"]),
    case(3, &["rb003-link-and-device-left"], &[3, 3, 3], &["rb003-near-link-and-device-deleted"]),
    case(4, &["rb004-name-vanished"], &[4], &["rb004-near-unnamed"]),
    case(5, &["rb005-self-unregister"], &[5], &["rb001-near-two-registrations"]),
    case(6, &["rb006-dispatch-self-deadlock"], &[6], &["rb008-near-lock-released"]),
    case(7, &["rb007-irql-contract"], &[7], &["rb007-near-apc-level"]),
    case(8, &["rb008-irql-left"], &[8], &["rb008-near-lock-released"]),
    case(8, &["rb008-lock-at-dispatch-left"], &[8], &["rb008-near-lock-at-dispatch-released"]),
    case(8, &["rb008-lock-held-at-unload"], &[8], &["rb008-near-lock-released"]),
    case(7, &["rb007-spin-lock-at-passive"], &[7, 7, 7], &["rb007-near-spin-lock-at-dispatch"]),
    case(8, &["rb008-lock-not-held"], &[8, 8, 8, 8], &["rb008-near-mutex-released"]),
    case(8, &["rb008-mutex-kept"], &[8, 8, 8, 14], &["rb008-near-mutex-released"]),
    case(9, &["rb009-pageable-routine"], &[9], &["rb009-near-locked"]),
    case(9, &["rb009-pageable-data"], &[9], &["rb009-near-locked"]),
    case(10, &["rb010-routine-outside"], &[10], &["rb010-near-kernel-routine"]),
    case(11, &["rb011-system-object-rung"], &[11], &["rb011-near-own-object"]),
    case(12, &["unregister-null"], &[12], &["rb001-near-two-registrations"]),
    case(12, &["unregister-twice"], &[12], &["rb001-near-two-registrations"]),
    case(13, &["rb013-paged-context"], &[13], &["rb013-near-passive"]),
    case(13, &["rb013-paged-argument"], &[13], &["rb013-near-passive"]),
    case(14, &["rb014-pool-leak"], &[14], &["rb014-near-freed-at-unload"]),
    case(14, &["rb014-leak-on-one-path"], &[14, 14], &["rb014-near-freed-at-unload"]),
    case(14, &["rb014-resource-left"], &[14], &["exports-locks"]),
    case(14, &["rb014-lists-and-pages-left"], &[14, 14, 14, 14], &["rb014-near-lists-and-pages-freed"]),
    case(15, &["rb015-overrun"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-overrun-page"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-underrun"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-underrun-byte"], &[15], &["rb015-near-edges"]),
    case(13, &["rb013-paged-objects"], &[13, 13, 13], &["rb013-near-passive"]),
    case(15, &["rb015-lookaside-use-after-free"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-lookaside-double-free"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-free-with-timer"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-free-with-dpc"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-free-with-work-item"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-free-with-resource"], &[15], &["rb015-near-free-when-idle"]),
    case(15, &["rb015-use-after-free"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-wrong-tag"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-free-inside"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-free-paged-at-dispatch"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-execute-nx"], &[15], &["rb015-near-edges"]),
    case(15, &["rb015-damaged-at-unload"], &[15, 14], &["rb015-near-edges"]),
    case(16, &["rb016-handles-left"], &[16, 16], &["rb016-near-handles-closed"]),
    case(17, &["rb017-apc-disable-left"], &[17], &["rb017-near-region-left"]),
    case(18, &["wait-forever"], &[18], &["exports-events"]),
    case(18, &["rb018-crossed-mutexes"], &[18], &["rb018-near-same-order"]),
    case(18, &["rb018-crossed-kinds"], &[18], &["exports-locks"]),
    case(18, &["rb018-unregister-waits-for-waiter"], &[18], &["exports-callbacks-threads"]),
    case(19, &["rb019-refusal-ignored"], &[19], &["rb019-near-refusal-reported"]),
    // A `DriverEntry` that fails is audited like an unload, which finds the cause before its effect.
    case(20, &["entry-fails-registered", "ringer"], &[3, 1, 20], &["listener", "ringer"]),
    case(20, &["rb020-timer-left"], &[20], &["rb020-near-timer-canceled"]),
    case(20, &["rb020-timer-in-pool-left"], &[14, 20], &["rb020-near-timer-canceled"]),
    Case { processors: 2, ..case(20, &["rb020-dpc-left"], &[20, 20], &["rb020-near-dpc-flushed"]) },
    case(20, &["rb020-work-item-left"], &[14, 20], &["rb020-near-work-item-waited-for"]),
    case(20, &["rb020-thread-left"], &[20], &["rb020-near-thread-joined"]),
    case(21, &["rb021-wait-at-dispatch"], &[21], &["rb021-near-poll-at-dispatch"]),
];

fn bin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin")
}

fn play(drivers: &[&str], processors: u8) -> Report {
    let drivers = drivers
        .iter()
        .map(|name| {
            let file = format!("{name}.sys");
            let image = std::fs::read(bin().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            (file, image)
        })
        .collect();
    let config = Config { processors, timeout: std::time::Duration::from_secs(120), ..Config::default() };
    Play { config, drivers, ..Play::default() }.run().unwrap()
}

#[test]
fn every_rule_catches_its_culprits_and_spares_its_near_misses() {
    let mut spared = BTreeSet::new();
    for Case { rule, culprit, found, near, processors } in CASES {
        let report = play(culprit, *processors);
        let rules: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
        assert_eq!(rules, *found, "{culprit:?}\n{}", ringbell::story(&report));
        assert!(rules.contains(rule), "RB{rule:03}: {culprit:?}");
        if spared.insert((near, processors)) {
            let report = play(near, *processors);
            assert!(report.findings.is_empty(), "RB{rule:03}: {near:?}\n{}", ringbell::story(&report));
        }
    }
}

#[test]
fn every_rule_is_in_the_table_and_so_is_every_driver_that_is_made_for_one() {
    let rules: BTreeSet<u16> = CASES.iter().map(|case| case.rule).collect();
    assert_eq!(rules, rules::RULES.iter().map(|rule| rule.id.0).collect());
    assert_eq!(rules, (1..=21).collect());
    let used: BTreeSet<&str> =
        CASES.iter().flat_map(|case| case.culprit.iter().chain(case.near)).copied().collect();
    for entry in std::fs::read_dir(bin()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".sys").unwrap_or(&name);
        assert!(!name.starts_with("rb0") || used.contains(name), "{name}.sys is in no case");
    }
}

fn first(report: &Report, rule: u16) -> &Finding {
    let found = report.findings.iter().find(|finding| finding.rule.0 == rule);
    found.unwrap_or_else(|| panic!("{}", ringbell::story(report)))
}

/// The functions of the driver in a finding's call stack.
fn stack(report: &Report, finding: &Finding) -> Vec<String> {
    let symbol = |address: &u64| Some(report.modules.locate(*address).symbol?.0.to_owned());
    finding.stack.iter().filter_map(symbol).collect()
}

/// Each kind of thing: what the finding says of it, and the functions on the stack of the call that made it.
#[test]
fn the_departure_audit_tells_what_where_and_when_of_each_thing() {
    for (rule, culprit, processors, said, path) in [
        (3, "rb003-link-and-device-left", 1, "the device `\\Device\\rb003-left` outlives", "DriverEntry"),
        (
            8,
            "rb008-lock-held-at-unload",
            1,
            "the spin lock at rb008-lock-held-at-unload.sys+0x5000 (KeptLock) was held (taken by",
            "",
        ),
        (
            8,
            "rb008-lock-at-dispatch-left",
            1,
            "with the spin lock at rb008-lock-at-dispatch-left.sys+0x5000 (KeptLock) (taken by",
            "",
        ),
        (
            14,
            "rb014-leak-on-one-path",
            1,
            "1 pool block behind, 40 bytes, tag `Rb14` (allocated by",
            "TakeBlock LeakyPath DriverEntry",
        ),
        (16, "rb016-handles-left", 1, " to `\\KernelObjects\\rb016-first` (Event) (opened by", "DriverEntry"),
        (
            20,
            "rb020-timer-left",
            1,
            "the timer at rb020-timer-left.sys+0x5040 (Timer) was set, to call",
            "DriverEntry",
        ),
        (
            20,
            "rb020-thread-left",
            1,
            "its thread 256, rb020-thread-left.sys+0x1000 (SleepingThread), had not ended (created by",
            "DriverEntry",
        ),
        (20, "rb020-work-item-left", 1, "the work item at 0x1090001fe0 was queued (queued by", ""),
        (20, "rb020-dpc-left", 2, "(OnShort) (queued by", ""),
    ] {
        let report = play(&[culprit], processors);
        let finding =
            report.findings.iter().find(|finding| finding.rule.0 == rule && finding.message.contains(said));
        let finding = finding.unwrap_or_else(|| panic!("{culprit}: {said}\n{}", ringbell::story(&report)));
        assert!(rule == 3 || finding.message.contains(" s)"), "no time: {}", finding.message);
        assert_eq!(finding.driver.as_deref(), Some(&*format!("{culprit}.sys")));
        if !path.is_empty() {
            assert_eq!(stack(&report, finding).join(" "), path, "{culprit}");
        }
    }
}

fn later(text: &str) -> Report {
    let mut scenario =
        Scenario::parse(text, "s.toml", &bin(), Vec::new()).unwrap_or_else(|mistake| panic!("{mistake}"));
    scenario.config.timeout = std::time::Duration::from_secs(600);
    scenario.run().unwrap()
}

/// What was left behind calls: the bugcheck, and the cause with where it was made.
#[test]
fn rb020_a_late_call_names_its_cause() {
    for (name, said) in [
        ("rb020-timer-in-pool-left", ": it was still to run (event "),
        ("rb020-timer-in-pool-left", "; when it left, the timer at 0x1090001f80 was set (set by "),
        ("rb020-timer-left", "the kernel touched rb020-timer-left.sys+0x50"),
        ("rb020-timer-left", "when it left, the timer at rb020-timer-left.sys+0x5040 (Timer) was set"),
        ("rb020-thread-left", "(SleepingThread) was still running (event "),
        ("rb020-thread-left", "; when it left, its thread 256 had not ended (created by "),
        ("rb020-work-item-left", "; when it left, the work item at 0x1090001fe0 was queued"),
    ] {
        let text =
            format!("drivers = ['{name}.sys']\n[[step]]\nunload = '{name}.sys'\n[[step]]\nwait = '30s'");
        let report = later(&text);
        let story = ringbell::story(&report);
        assert!(matches!(report.ending, record::Ending::Bugcheck(_)), "{story}");
        assert!(!report.debug_output().any(|text| text.contains("survived")), "{story}");
        let finding = first(&report, 20);
        assert!(finding.message.contains(said), "{said}\n{story}");
        assert!(finding.message.contains(&format!(" by {name}.sys+0x")), "{story}");
        let twice = report.findings.iter().filter(|finding| finding.rule.0 == 20).count();
        assert_eq!(twice, 1, "the cause is told once\n{story}");
    }
}

/// Every driver that is made for a rule or checks the kernel, three times with one seed; `RINGBELL_TIMES=100` for more.
#[test]
fn every_fixture_gives_the_same_stream_every_time() {
    let given = std::env::var("RINGBELL_TIMES").ok().and_then(|times| times.parse().ok());
    let times: u32 = given.unwrap_or(3);
    let two: Vec<&str> = CASES
        .iter()
        .filter(|case| case.processors > 1)
        .flat_map(|case| case.culprit.iter().chain(case.near))
        .copied()
        .collect();
    let mut names: Vec<String> = std::fs::read_dir(bin())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".sys")?.to_owned()))
        .filter(|name| ["rb0", "exports-", "habits-"].iter().any(|kind| name.starts_with(kind)))
        // It takes some seconds, as it allocates 70,000 times.
        .filter(|name| given.is_some() || name != "rb015-near-edges")
        .collect();
    names.sort();
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        let processors = if two.contains(&&*name) { 2 } else { 1 };
        let first = play(&[&name], processors);
        // What a driver reads from `rdrand` is the host's.
        if !first.reproducible.yes {
            assert_eq!(name, "habits-identity", "{:?}", first.reproducible);
            continue;
        }
        for time in 1..times {
            let again = play(&[&name], processors);
            assert!(again.events == first.events, "{name}, time {time}");
            assert!(again.findings == first.findings, "{name}, time {time}");
        }
    }
}
