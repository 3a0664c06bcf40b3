//! Scenario files: the one in the book, what is expected and comes, what does not come, and what is refused.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use record::{Ending, Report, UnloadOutcome};
use ringbell::Scenario;

fn bin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin")
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text, "s.toml", &bin(), Vec::new())
        .unwrap_or_else(|mistake| panic!("{mistake}\n{}", mistake.hint()))
}

fn run(text: &str) -> Report {
    scenario(text).run().unwrap()
}

/// What was expected and did not come: line, expectation, what came.
fn missed(report: &Report) -> Vec<(u32, &str, &str)> {
    report
        .expectations
        .failed()
        .map(|check| (check.line.unwrap(), check.expected.as_str(), check.got.as_deref().unwrap()))
        .collect()
}

#[test]
fn the_sample_of_the_book_is_played_and_meets_what_it_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/samples");
    let report = Scenario::load(&folder.join("listener.toml")).unwrap().run().unwrap();
    let story = ringbell::story(&report);
    assert_eq!(ringbell::verdict(&report), "clean", "{story}");
    assert!(story.contains("9 of 9 expectations met"), "{story}");
    let book = include_str!("../../../docs/src/scenarios.md");
    assert!(
        book.contains(include_str!("../../../drivers/samples/listener.toml")),
        "the book shows another file"
    );
}

#[test]
fn what_was_expected_and_came_is_all_right() {
    for (text, ending) in [
        ("drivers = ['rb001-registration-left.sys']\n[expect]\nfindings = ['RB001']", "as expected"),
        (
            "drivers = ['rb001-registration-left.sys']\n[expect]\nfindings = [{ rule = 'registration-left-at-unload', \
             driver = 'rb001-registration-left.sys', count = 1 }]",
            "as expected",
        ),
        ("drivers = ['bugcheck.sys']\n[expect]\nending = 'bugcheck'", "as expected"),
        (
            "drivers = ['wait-forever.sys']\n[expect]\nending = 'deadlock'\nfindings = ['RB018']",
            "as expected",
        ),
        ("drivers = ['wait-forever.sys']\n[expect]\nending = 'hang'\nfindings = ['RB018']", "as expected"),
        (
            "drivers = ['entry-not-connected.sys']\n[[step]]\nexpect = { driver = 'entry-not-connected.sys', status = \
             'failure' }\n[[step]]\nunload = 'entry-not-connected.sys'",
            "as expected",
        ),
        ("drivers = ['absent-call.sys']\n[expect]\nending = 'absent-export'", "as expected"),
        ("event-limit = 40\ndrivers = ['listener.sys']\n[expect]\nending = 'event-limit'", "as expected"),
        ("drivers = ['listener.sys']\n[expect]\nending = 'finished'\nfindings = []", "clean"),
    ] {
        let report = run(text);
        assert_eq!(ringbell::verdict(&report), ending, "{text}\n{}", ringbell::story(&report));
        assert_eq!(missed(&report), [], "{text}");
    }
}

#[test]
fn what_was_expected_and_did_not_come_is_told_with_what_came() {
    let report = run("drivers = ['listener.sys']\n\
         [[step]]\nring = 'callbackbopin'\n\
         [[step]]\nexpect = { object = 'callbackbopin', listeners = 2, deliveries = 3, exists = false }\n\
         [[step]]\nexpect = { object = 'callbackbopim', listeners = 1 }\n\
         [[step]]\nexpect = { driver = 'listener.sys', status = 0xC0000001 }\n\
         [[step]]\nexpect = { print = 'never said' }\n\
         [[step]]\nexpect = { print = 'rung', count = 0 }\n\
         [expect]\nending = 'bugcheck 0xC4'\nfindings = ['RB001', { rule = 'RB014', count = 2 }]\n");
    let expected = [
        (5, "no callback object \\Callback\\callbackbopin", "one"),
        (5, "2 listeners on \\Callback\\callbackbopin", "1"),
        (5, "3 deliveries of \\Callback\\callbackbopin", "1"),
        (
            7,
            "1 listener on \\Callback\\callbackbopim",
            "none of this name, but one `\\Callback\\callbackbopin`",
        ),
        (
            9,
            "STATUS_UNSUCCESSFUL (0xC0000001) from `DriverEntry` of listener.sys",
            "STATUS_SUCCESS (0x00000000)",
        ),
    ];
    let missed = missed(&report);
    assert_eq!(missed[..5], expected);
    assert_eq!(missed[5].1, "`never said` printed");
    assert!(missed[5].2.starts_with("other output, last `listener: rung"), "{missed:?}");
    assert_eq!(missed[6], (13, "`rung` printed never", "1 time"));
    assert_eq!(missed[7], (16, "a finding of RB001", "no finding at all"));
    assert_eq!(missed[8], (16, "2 findings of RB014", "no finding at all"));
    assert_eq!((missed[9].0, missed[9].2), (15, "a run that finished"));
    assert_eq!(missed.len(), 10);
    assert_eq!(ringbell::verdict(&report), "10 expectations not met");
}

#[test]
fn a_finding_that_nobody_expected_counts_as_ever() {
    let report = run(
        "drivers = ['rb001-registration-left.sys', 'rb014-pool-leak.sys']\n[expect]\nfindings = ['RB001']",
    );
    assert_eq!(missed(&report), []);
    let left: Vec<u16> = report.unexpected().map(|finding| finding.rule.0).collect();
    assert_eq!(left, [14]);
}

#[test]
fn levels_of_rules_come_before_what_is_expected() {
    let text = "drivers = ['rb014-pool-leak.sys']\n[rules]\npool-leak = 'allow'\n";
    let report = run(text);
    assert_eq!((report.allowed, report.findings.len()), (1, 0));
    let report = run(&format!("{text}[expect]\nfindings = ['RB014']"));
    assert_eq!(missed(&report).len(), 1);
    let report = run(&text.replace("allow", "note"));
    assert_eq!(ringbell::verdict(&report), "clean, 1 note");
}

#[test]
fn looks_that_a_dead_machine_never_came_to_are_not_met() {
    let report = run(
        "drivers = ['bugcheck.sys']\n[[step]]\nexpect = { object = 'PowerState' }\n[expect]\nending = 'bugcheck'\n",
    );
    assert!(matches!(report.ending, Ending::Bugcheck(_)));
    let missed = missed(&report);
    assert_eq!(missed.len(), 1);
    assert!(missed[0].2.ends_with("before it came to this"), "{missed:?}");
}

#[test]
fn drivers_come_and_go_under_the_names_they_are_given() {
    let report = run("drivers = ['listener.sys']\n\
         [[step]]\nunload = 'listener.sys'\n\
         [[step]]\nload = 'listener.sys'\n\
         [[step]]\nunload = 'listener.sys#2'\n\
         [[step]]\nload = 'listener.sys'\nas = 'third'\n\
         [[step]]\nexpect = { object = 'callbackbopin', listeners = 1, driver = 'third' }\n\
         [[step]]\nring = 'callbackbopin'\narguments = [1, 0xffffffffffffffff]\nirql = 'dispatch'\n\
         [[step]]\nexpect = { deliveries = 1, driver = 'third', print = 'FFFFFFFFFFFFFFFF' }\n");
    assert_eq!(missed(&report), []);
    let names: Vec<_> = report.drivers.iter().map(|driver| (driver.name.as_str(), driver.unload)).collect();
    let left = UnloadOutcome::Unloaded;
    assert_eq!(names, [("listener.sys", left), ("listener.sys#2", left), ("third", left)]);
}

#[test]
fn an_object_that_is_not_there_stops_the_run_at_its_line() {
    let stopped =
        scenario("drivers = ['listener.sys']\n[[step]]\nring = 'calbackbopin'\n").run().unwrap_err();
    let text = stopped.to_string();
    assert!(text.starts_with("s.toml:3: cannot ring `\\Callback\\calbackbopin`"), "{text}");
    assert!(text.contains("hint: did you mean `\\Callback\\callbackbopin`?"), "{text}");
    assert_eq!(stopped.report.unwrap().drivers[0].unload, UnloadOutcome::Unloaded);
}

#[test]
fn settings_reach_the_machine() {
    let scenario = scenario(
        "os = 'win8'\nseed = 0xffffffffffffffff\ntimeout = '1500ms'\nevent-limit = 77\nkernel-listeners = false\ntrace = true\n\
         keep-loaded = true\ndump = 'x.dmp'",
    );
    let config = &scenario.config;
    assert_eq!((config.profile.as_str(), config.seed, config.timeout.as_millis()), ("win8", u64::MAX, 1500));
    assert_eq!((config.event_limit, config.kernel_listeners, config.trace_exports), (77, false, true));
    assert!(scenario.keep_loaded);
    assert_eq!(scenario.dump, Some(bin().join("x.dmp")));
}
