//! The bundled fixture drivers, run for real: each checks what the kernel gives it, and says so line by line.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use record::{Ending, Report, Severity, UnloadOutcome};
use ringbell::{Action, Play, Ring};

fn bin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin")
}

fn play(drivers: &[&str], rings: &[&str]) -> Report {
    let drivers = drivers
        .iter()
        .map(|name| {
            let file = format!("{name}.sys");
            let image = std::fs::read(bin().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            (file, image)
        })
        .collect();
    let actions = rings.iter().map(|ring| Action::Ring(ring.parse::<Ring>().unwrap())).collect();
    // Other tests run at the same time.
    let config =
        ringbell::Config { timeout: std::time::Duration::from_secs(120), ..ringbell::Config::default() };
    Play { config, drivers, actions, ..Play::default() }.run().unwrap()
}

/// Runs a driver that checks itself. It must say how many checks it made, and that none failed.
fn checks_itself(name: &str) -> Report {
    let report = play(&[name], &[]);
    holds_its_checks(name, &report);
    report
}

fn holds_its_checks(name: &str, report: &Report) {
    let story = ringbell::story(report);
    assert_eq!(report.ending, Ending::Finished, "{story}");
    assert!(report.tainted.is_empty(), "{story}");
    assert_eq!(report.drivers[0].unload, UnloadOutcome::Unloaded, "{story}");
    let lines: Vec<&str> = report.debug_output().flat_map(str::lines).collect();
    assert!(!lines.iter().any(|line| line.contains("FAIL")), "{story}");
    let made = lines.iter().filter(|line| line.contains("ok: ")).count();
    let closing = format!("{name}: {made} checks, 0 failed");
    assert!(made > 0 && lines.iter().any(|line| line.trim() == closing), "no line `{closing}`\n{story}");
}

/// Runs one and demands that no rule finds anything.
fn checks_itself_cleanly(name: &str) {
    let report = checks_itself(name);
    assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
    assert!(report.stubs_called.is_empty(), "{:?}", report.stubs_called);
}

macro_rules! clean {
    ($($test:ident = $name:literal),+ $(,)?) => {
        $( #[test] fn $test() { checks_itself_cleanly($name); } )+

        /// The drivers that this list covers.
        const CLEAN: &[&str] = &[$($name),+];
    };
}

clean! {
    exports_rtl = "exports-rtl",
    exports_pool = "exports-pool",
    exports_locks = "exports-locks",
    exports_processors = "exports-processors",
    exports_events = "exports-events",
    exports_timers = "exports-timers",
    exports_threads = "exports-threads",
    exports_objects = "exports-objects",
    exports_devices = "exports-devices",
    exports_irps = "exports-irps",
    exports_exceptions = "exports-exceptions",
    exports_callbacks_threads = "exports-callbacks-threads",
    habits_clock = "habits-clock",
    habits_gs = "habits-gs",
    habits_hal = "habits-hal",
    habits_identity = "habits-identity",
    habits_low_alignment = "habits-low-alignment",
    habits_privileged = "habits-privileged",
    habits_relocations = "habits-relocations",
    habits_shared_data = "habits-shared-data",
}

/// It creates temporary names on purpose, which RB004 reports, and unregisters once at DISPATCH_LEVEL, which RB007 does;
/// nothing else may be found.
#[test]
fn exports_callbacks() {
    let report = checks_itself("exports-callbacks");
    let mut rules: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
    rules.sort_unstable();
    assert_eq!(rules, [4, 4, 7], "{}", ringbell::story(&report));
}

/// What it registers is rung by events; its unload routine says how many checks it made.
#[test]
fn exports_doors() {
    let event = |name| Action::Event(nt::catalog::find_event(name).unwrap_or_else(|| panic!("{name}")));
    let events = ["session.logon", "session.logoff", "image.verify-driver", "boot-driver.status"];
    let image = std::fs::read(bin().join("exports-doors.sys")).unwrap();
    let drivers = vec![("exports-doors.sys".to_owned(), image)];
    let actions = events.into_iter().map(event).collect();
    let report = Play { drivers, actions, ..Play::default() }.run().unwrap();
    holds_its_checks("exports-doors", &report);
    assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
}

/// The text of all its `print:` calls, joined, is a committed file.
#[test]
fn exports_print() {
    let report = checks_itself("exports-print");
    let own = |text: &&str| !text.starts_with("exports-print: ") && !text.contains("ok: ");
    let printed: String = report.debug_output().filter(own).collect();
    let expected = std::fs::read_to_string(bin().join("../fixtures/exports-print.txt")).unwrap();
    for (number, (actual, expected)) in printed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(actual, expected, "line {}", number + 1);
    }
    assert_eq!(printed, expected);
}

#[test]
fn a_run_is_reproducible_where_the_clock_is_all_that_a_driver_reads() {
    for name in ["listener", "habits-clock", "habits-privileged", "habits-shared-data", "exports-timers"] {
        let reproducible = play(&[name], &[]).reproducible;
        assert!(reproducible.yes && reproducible.because.is_empty(), "{name}: {reproducible:?}");
    }
}

/// `rdrand` traps nowhere; `cpuid` does on some processors, and is told on the others.
#[test]
fn a_driver_that_can_see_the_host_is_told_with_the_place() {
    let report = play(&["habits-identity"], &[]);
    assert!(!report.reproducible.yes);
    let place = "`habits-identity.sys+0x";
    let told = |instruction: &str| {
        let reason = format!("is `{instruction}`");
        report.reproducible.because.iter().find(|because| because.contains(&reason))
    };
    let random = told("rdrand").unwrap();
    assert!(random.starts_with(place), "{random}");
    assert!(random.ends_with(", which cannot be trapped here and shows the host"), "{random}");
    let trapped = report
        .events
        .iter()
        .any(|event| matches!(&event.what, record::What::Emulated { what, .. } if what == "cpuid"));
    match told("cpuid") {
        Some(cpuid) => {
            assert!(!trapped && cpuid.starts_with(place) && cpuid.contains("(and 3 more)"), "{cpuid}")
        }
        None => assert!(trapped),
    }
    assert!(report.reproducible.because.len() <= 2, "{:?}", report.reproducible);
}

#[test]
fn every_checking_fixture_has_a_test() {
    let mut names: Vec<String> = std::fs::read_dir(bin())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".sys")?.to_owned()))
        .filter(|name| name.starts_with("exports-") || name.starts_with("habits-"))
        .collect();
    names.sort();
    for name in names {
        let covered = CLEAN.contains(&&*name)
            || ["exports-callbacks", "exports-doors", "exports-print"].contains(&&*name);
        assert!(covered, "{name}.sys is run by no test here");
    }
}

#[test]
fn the_demo_pair_meets_and_leaves_nothing() {
    let report = play(&["listener", "ringer"], &[]);
    let story = ringbell::story(&report);
    assert_eq!(ringbell::verdict(&report), "clean", "{story}");
    let output: String = report.debug_output().collect();
    assert!(output.contains("arguments 1122334455667788 and 0000000000C0FFEE, ring 1"), "{story}");
    assert!(
        !report.last.unwrap().objects.iter().any(|object| object.display_name().contains("callbackbopin"))
    );
}

/// What the README shows is what the command prints. A line `…` stands for lines left out; addresses may differ.
#[test]
fn the_readme_shows_what_the_demo_prints() {
    let readme = include_str!("../../../README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let told = ringbell::story(&play(&["listener", "ringer"], &[]));
    let mut lines = told.lines();
    for line in shown.lines().filter(|line| line.trim() != "…") {
        assert!(
            lines.any(|told| without_addresses(told) == without_addresses(line)),
            "the demo does not print `{line}` there any more\n{told}"
        );
    }
}

/// Replaces hexadecimal numbers of five digits and more.
fn without_addresses(line: &str) -> String {
    let digits = |word: &str| word.strip_prefix("0x").map_or(0, |digits| digits.trim_end_matches(',').len());
    line.split(' ').map(|word| if digits(word) >= 5 { "0x…" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_ring_from_the_command_line_reaches_the_listener_at_its_irql() {
    let report = play(&["listener"], &["callbackbopin=5,6", "callbackbopin=7,8@dispatch"]);
    let rings: Vec<(u64, u8, record::Mode)> = report
        .events
        .iter()
        .filter_map(|event| match event.what {
            record::What::NotifyBegin { argument1, mode, .. } => Some((argument1, event.irql, mode)),
            _ => None,
        })
        .collect();
    assert_eq!(rings, [(5, 0, record::Mode::Dropped), (7, 2, record::Mode::Held)]);
    assert_eq!(ringbell::verdict(&report), "clean", "{}", ringbell::story(&report));
}

#[test]
fn the_published_listener_leaves_a_reference_and_a_permanent_object() {
    let report = play(&["listener-as-published", "listener-as-published"], &[]);
    let rules: Vec<(u16, &str)> =
        report.findings.iter().map(|finding| (finding.rule.0, finding.driver.as_deref().unwrap())).collect();
    for expected in [
        (2, "listener-as-published.sys"),
        (3, "listener-as-published.sys"),
        (2, "listener-as-published.sys#2"),
        (19, "listener-as-published.sys#2"),
    ] {
        assert!(rules.contains(&expected), "{expected:?} is missing\n{}", ringbell::story(&report));
    }
    assert_eq!(rules.len(), 4, "{}", ringbell::story(&report));
}

#[test]
fn a_driver_that_stays_is_told_and_not_called_audited() {
    let report = play(&["no-unload"], &[]);
    assert_eq!(report.drivers[0].unload, UnloadOutcome::NotUnloadable);
    assert_eq!(ringbell::verdict(&report), "clean, 1 driver not audited");

    let image = std::fs::read(bin().join("listener.sys")).unwrap();
    let drivers = vec![("listener.sys".to_owned(), image)];
    let report = Play { drivers, keep_loaded: true, ..Play::default() }.run().unwrap();
    assert_eq!(report.drivers[0].unload, UnloadOutcome::Kept);
    assert_eq!(ringbell::verdict(&report), "clean, 1 driver not audited");
    assert!(ringbell::story(&report).contains("listener.sys was kept loaded"));
}

/// The rule of a culprit must be found, and nothing worse than a note in its near miss.
#[test]
fn rb001_rb002_rb003_rb004_rb019_catch_the_culprit_and_spare_the_near_miss() {
    for (rule, culprit, near) in [
        (1, "rb001-registration-left", "rb001-near-two-registrations"),
        (2, "rb002-reference-leaked", "rb002-near-referenced-twice"),
        (3, "rb003-permanent-left", "rb003-near-opened-system-object"),
        (4, "rb004-name-vanished", "rb004-near-unnamed"),
        (19, "rb019-refusal-ignored", "rb019-near-refusal-reported"),
    ] {
        let report = play(&[culprit], &[]);
        let found: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
        assert_eq!(found, [rule], "{}", ringbell::story(&report));
        assert!(report.worst() >= Some(Severity::Warning));
        let report = play(&[near], &[]);
        assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
    }
}

/// Each way of misusing pool: the bugcheck, and what the finding says of the block.
#[test]
fn rb015_each_misuse_of_pool_is_caught_and_the_near_miss_is_spared() {
    for (culprit, code, said) in [
        ("rb015-overrun", 0xC1, "somebody wrote past the end of a pool block, at offset 45"),
        ("rb015-overrun-page", 0xD6, "(OverrunPage+0x1f) wrote past the end of a pool block, at offset 48"),
        ("rb015-underrun", 0xC1, "somebody wrote before a pool block, at offset -20"),
        ("rb015-underrun-byte", 0xC1, "somebody wrote before a pool block, at offset -1, found when"),
        ("rb015-lookaside-use-after-free", 0xD5, "wrote to a freed pool block, at offset 40"),
        ("rb015-lookaside-double-free", 0xC2, "freed a pool block that had been freed already"),
        ("rb015-free-with-timer", 0xC7, "freed a pool block while in it the timer at 0x"),
        ("rb015-free-with-dpc", 0xC7, "was queued, to call rb015-free-with-dpc.sys+0x"),
        ("rb015-free-with-work-item", 0xE4, "was queued, to call rb015-free-with-work-item.sys+0x"),
        ("rb015-free-with-resource", 0xC4, "was not deleted (initialized by rb015-free-with-resource.sys+0x"),
        ("rb015-use-after-free", 0xD5, "(UseAfterFree+0x38) read a freed pool block, at offset 8"),
        ("rb015-wrong-tag", 0xC2, "freed a pool block with the tag `Rng2`"),
        ("rb015-free-inside", 0xC2, "freed an address inside of or beside a pool block, at offset 16"),
        ("rb015-free-paged-at-dispatch", 0xC2, "freed pool at an IRQL too high for it"),
        ("rb015-execute-nx", 0xFC, "jumped into pool that is not executable"),
        ("double-free", 0xC2, "freed a pool block that had been freed already"),
        ("free-nonsense", 0xC2, "which is no pool block"),
    ] {
        let report = play(&[culprit], &[]);
        let story = ringbell::story(&report);
        let Ending::Bugcheck(record) = &report.ending else { panic!("{story}") };
        assert_eq!(record.code, code, "{story}");
        assert!(!report.debug_output().any(|text| text.contains("survived")), "{story}");
        let rules: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
        assert_eq!(rules, [15], "{story}");
        let message = &report.findings[0].message;
        assert!(message.contains(said), "{story}");
        let file = format!("{culprit}.sys");
        assert_eq!(report.findings[0].driver.as_deref(), Some(&*file), "{story}");
        if culprit != "free-nonsense" {
            for text in [message, &record.reason] {
                assert!(
                    text.contains("pool tagged `") && text.contains(&format!("allocated by {file}+0x")),
                    "{text}"
                );
            }
        }
    }
    let report = play(&["rb015-near-edges"], &[]);
    assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
    assert_eq!(report.drivers[0].entry_status, Some(0));
}

/// Timers that go while they are set: what the bugcheck says of them.
#[test]
fn a_timer_that_is_lost_while_set_is_named_with_who_set_it() {
    for (culprit, code, said) in [
        (
            "timer-initialized-while-set",
            0xC7,
            "the timer at timer-initialized-while-set.sys+0x5000 (Timer) was initialized again while it was set, by timer-initialized-while-set.sys+0x",
        ),
        ("timer-in-dead-frame", 0x139, "in the kernel stacks, set by timer-in-dead-frame.sys+0x"),
    ] {
        let report = play(&[culprit], &[]);
        let story = ringbell::story(&report);
        let Ending::Bugcheck(record) = &report.ending else { panic!("{story}") };
        assert_eq!(record.code, code, "{story}");
        assert!(record.reason.contains(said), "{story}");
        // The one on the stack is come across later.
        let survived = report.debug_output().any(|text| text.contains("survived"));
        assert!(!survived || code == 0x139, "{story}");
    }
}

/// Pageable code, data and pool at DISPATCH_LEVEL, each with its bugcheck.
#[test]
fn rb009_rb013_pageable_memory_at_dispatch_level_is_caught_and_the_near_miss_is_spared() {
    for (rule, culprit, code, said) in [
        (9, "rb009-pageable-routine", 0xD3, "(OnRing) lies in the pageable section `PAGE` and was called at"),
        (9, "rb009-pageable-data", 0xD3, "in the pageable section `PAGEDATA` at DISPATCH_LEVEL"),
        (13, "rb013-paged-context", 0xD1, "(OnRing), registered by rb013-paged-context.sys+0x"),
        (
            13,
            "rb013-paged-argument",
            0xA,
            "read the first argument of the ring by rb013-paged-argument.sys+0x",
        ),
    ] {
        let report = play(&[culprit], &[]);
        let story = ringbell::story(&report);
        let Ending::Bugcheck(record) = &report.ending else { panic!("{story}") };
        assert_eq!(record.code, code, "{story}");
        assert!(
            !report.debug_output().any(|text| text.contains("survived") && !text.contains("survived, 1")),
            "{story}"
        );
        let rules: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
        assert_eq!(rules, [rule], "{story}");
        assert!(report.findings[0].message.contains(said), "{story}");
    }
    for (near, said) in
        [("rb009-near-locked", "rb009-near-locked: rung at 2"), ("rb013-near-passive", "touched 2 times")]
    {
        let report = play(&[near], &[]);
        let story = ringbell::story(&report);
        assert_eq!(ringbell::verdict(&report), "clean", "{story}");
        assert!(report.debug_output().any(|text| text.contains(said)), "{story}");
    }
}

#[test]
fn rb009_locks_on_a_section_are_counted() {
    let report = play(&["rb009-near-locked"], &[]);
    let locks: Vec<u32> = report
        .events
        .iter()
        .filter_map(|event| match event.what {
            record::What::SectionLocked { locks, .. } => Some(locks),
            _ => None,
        })
        .collect();
    assert_eq!(locks, [1, 2, 1, 0], "{}", ringbell::story(&report));
}

#[test]
fn rb014_lookaside_lists_mdls_and_contiguous_memory_are_audited() {
    let report = play(&["rb014-lists-and-pages-left"], &[]);
    let story = ringbell::story(&report);
    assert!(
        report.findings.len() == 4 && report.findings.iter().all(|finding| finding.rule.0 == 14),
        "{story}"
    );
    for what in [
        "1 lookaside list behind",
        "1 pool block behind, 48",
        "1 memory descriptor list",
        "1 block of contiguous",
    ] {
        assert!(report.findings.iter().any(|finding| finding.message.contains(what)), "{what}\n{story}");
    }
    let report = play(&["rb014-near-lists-and-pages-freed"], &[]);
    assert_eq!(ringbell::verdict(&report), "clean", "{}", ringbell::story(&report));
}

#[test]
fn rb015_damage_to_a_block_that_is_never_freed_is_found_when_its_driver_has_left() {
    let report = play(&["rb015-damaged-at-unload"], &[]);
    let story = ringbell::story(&report);
    let rules: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
    assert_eq!(rules, [15, 14], "{story}");
    assert!(report.findings[0].message.contains("at offset 21, found when a driver had left"), "{story}");
    assert_eq!(report.ending, Ending::Finished, "{story}");
}

#[test]
fn a_refused_action_loses_nothing_of_what_happened_before() {
    let image = std::fs::read(bin().join("listener.sys")).unwrap();
    let drivers = vec![("listener.sys".to_owned(), image)];
    let actions = vec![Action::Ring("Nobody".parse().unwrap())];
    let stopped = Play { drivers, actions, ..Play::default() }.run().unwrap_err();
    assert!(stopped.to_string().contains(r"\Callback\Nobody"), "{stopped}");
    let report = stopped.report.unwrap();
    assert_eq!(report.drivers[0].unload, UnloadOutcome::Unloaded);
    assert!(report.findings.is_empty());
}

/// As above, for culprits that take more than one driver or end the machine.
#[test]
fn rb005_to_rb021_catch_the_culprit_and_spare_the_near_miss() {
    for (rule, culprits, near) in [
        (5, &["rb005-self-unregister"][..], &["rb001-near-two-registrations"][..]),
        (6, &["rb006-dispatch-self-deadlock"], &["rb008-near-lock-released"]),
        (7, &["rb007-irql-contract"], &["rb007-near-apc-level"]),
        (8, &["rb008-irql-left"], &["rb008-near-lock-released"]),
        (10, &["rb010-routine-outside"], &["rb010-near-kernel-routine"]),
        (11, &["rb011-system-object-rung"], &["rb011-near-own-object"]),
        (12, &["unregister-null"], &["rb001-near-two-registrations"]),
        (12, &["unregister-twice"], &["rb001-near-two-registrations"]),
        (14, &["rb014-pool-leak"], &["rb014-near-freed-at-unload"]),
        (17, &["rb017-apc-disable-left"], &["rb017-near-region-left"]),
        (18, &["wait-forever"], &["exports-events"]),
        (18, &["rb018-crossed-mutexes"], &["rb018-near-same-order"]),
        (18, &["rb018-crossed-kinds"], &["exports-locks"]),
        (18, &["rb018-unregister-waits-for-waiter"], &["exports-callbacks-threads"]),
        (20, &["entry-fails-registered", "ringer"], &["listener", "ringer"]),
        (21, &["rb021-wait-at-dispatch"], &["rb021-near-poll-at-dispatch"]),
    ] {
        let report = play(culprits, &[]);
        let found: Vec<u16> = report.findings.iter().map(|finding| finding.rule.0).collect();
        // A `DriverEntry` that fails is audited like an unload, which finds the cause before its effect.
        let before: &[u16] = if culprits[0] == "entry-fails-registered" { &[3, 1] } else { &[] };
        assert_eq!(found, [before, &[rule]].concat(), "{}", ringbell::story(&report));
        assert!(report.worst() >= Some(Severity::Warning));
        let report = play(near, &[]);
        assert!(report.findings.is_empty(), "{}", ringbell::story(&report));
    }
}
