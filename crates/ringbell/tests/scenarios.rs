//! Scenario files: the one in the book, what is expected and comes, what does not come, and what is refused.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use record::{Ending, Report, UnloadOutcome};
use ringbell::Scenario;

fn bin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin")
}

/// Reads a scenario. Its steps may take long, because other tests run at the same time.
fn scenario(text: &str) -> Scenario {
    let mut scenario = Scenario::parse(text, "s.toml", &bin(), Vec::new())
        .unwrap_or_else(|mistake| panic!("{mistake}\n{}", mistake.hint()));
    if !text.contains("timeout") {
        scenario.config.timeout = std::time::Duration::from_secs(600);
    }
    scenario
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
    assert!(
        book.contains(include_str!("../../../drivers/samples/ring-and-unload.toml")),
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
        (
            "drivers = ['bugcheck.sys']\n[expect]\nending = 'bugcheck'",
            "bugcheck MANUALLY_INITIATED_CRASH (0xE2) as expected",
        ),
        (
            "drivers = ['rb015-overrun.sys']\n[expect]\nending = 'bugcheck 0xC1'",
            "bugcheck SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION (0xC1) as expected",
        ),
        (
            "drivers = ['unregister-null.sys']\n[expect]\nending = 'bugcheck'",
            "bugcheck SYSTEM_THREAD_EXCEPTION_NOT_HANDLED (0x7E) as expected",
        ),
        (
            "drivers = ['wait-forever.sys']\n[expect]\nending = 'deadlock'\nfindings = ['RB018']",
            "deadlock as expected",
        ),
        (
            "drivers = ['wait-forever.sys']\n[expect]\nending = 'hang'\nfindings = ['RB018']",
            "deadlock as expected",
        ),
        ("drivers = ['wait-forever.sys']\n[expect]\nending = 'hang'", "deadlock as expected"),
        (
            "drivers = ['entry-not-connected.sys']\n[[step]]\nexpect = { driver = 'entry-not-connected.sys', status = \
             'failure' }\n[[step]]\nunload = 'entry-not-connected.sys'",
            "as expected",
        ),
        (
            "drivers = ['absent-call.sys']\n[expect]\nending = 'absent-export'",
            "stopped at the absent export `FsRtlRegisterFileSystemFilterCallbacks` as expected",
        ),
        (
            "event-limit = 40\ndrivers = ['listener.sys']\n[expect]\nending = 'event-limit'",
            "event limit as expected",
        ),
        ("drivers = ['listener.sys']\n[expect]\nending = 'finished'\nfindings = []", "clean"),
    ] {
        let report = run(text);
        assert_eq!(ringbell::verdict(&report), ending, "{text}\n{}", ringbell::story(&report));
        assert_eq!(missed(&report), [], "{text}");
    }
}

#[test]
fn a_departure_audit_counts_what_the_verdict_counts() {
    let left = "drivers = ['rb001-registration-left.sys']\n";
    for (more, audit, verdict) in [
        ("", "1 finding", "1 error"),
        ("[expect]\nfindings = ['RB001']", "1 expected", "as expected"),
        ("[rules]\nRB001 = 'note'", "1 note", "clean"),
    ] {
        let report = run(&format!("{left}{more}"));
        let story = ringbell::story(&report);
        let line = format!("departure audit of rb001-registration-left.sys: {audit}\n");
        assert!(story.contains(&line), "{story}");
        assert!(ringbell::verdict(&report).starts_with(verdict), "{story}");
    }
}

#[test]
fn what_was_expected_and_did_not_come_is_told_with_what_came() {
    let report = run("drivers = ['listener.sys']\n\
         [[step]]\nring = 'callbackbopin'\n\
         [[step]]\nexpect = { object = 'callbackbopin', deliveries = 3, exists = false }\n\
         [[step]]\nexpect = { object = 'callbackbopin', listeners = 2 }\n\
         [[step]]\nexpect = { object = 'callbackbopim', listeners = 1 }\n\
         [[step]]\nexpect = { driver = 'listener.sys', status = 0xC0000001 }\n\
         [[step]]\nexpect = { print = 'never said' }\n\
         [[step]]\nexpect = { print = 'rung', count = 0 }\n\
         [expect]\nending = 'bugcheck 0xC4'\nfindings = ['RB001', { rule = 'RB014', count = 2 }]\n");
    let expected = [
        (5, "no callback object \\Callback\\callbackbopin", "one"),
        (5, "3 deliveries of \\Callback\\callbackbopin", "1"),
        (7, "2 listeners on \\Callback\\callbackbopin", "1"),
        (
            9,
            "1 listener on \\Callback\\callbackbopim",
            "none of this name, but one `\\Callback\\callbackbopin`",
        ),
        (
            11,
            "STATUS_UNSUCCESSFUL (0xC0000001) from `DriverEntry` of listener.sys",
            "STATUS_SUCCESS (0x00000000)",
        ),
    ];
    let missed = missed(&report);
    assert_eq!(missed[..5], expected);
    assert_eq!(missed[5].1, "`never said` printed");
    assert!(missed[5].2.starts_with("other output, last `listener: rung"), "{missed:?}");
    assert_eq!(missed[6], (15, "`rung` printed never", "1 time"));
    assert_eq!(missed[7], (18, "a finding of RB001", "no finding at all"));
    assert_eq!(missed[8], (18, "2 findings of RB014", "no finding at all"));
    assert_eq!((missed[9].0, missed[9].2), (17, "a run that finished"));
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

/// An expected ending covers what tells of it, and nothing else.
#[test]
fn what_an_expected_ending_did_not_come_of_counts_as_ever() {
    for (text, rest) in [
        ("drivers = ['rb020-work-item-left.sys']\n[expect]\nending = 'bugcheck 0xCE'", &[14][..]),
        ("drivers = ['rb005-self-unregister.sys']\n[expect]\nending = 'deadlock'", &[5]),
        ("drivers = ['rb015-overrun.sys']\n[expect]\nending = 'bugcheck 0xC4'", &[15]),
        ("drivers = ['wait-forever.sys']\n[expect]\nending = 'finished'", &[18]),
    ] {
        let left: Vec<u16> = run(text).unexpected().map(|finding| finding.rule.0).collect();
        assert_eq!(left, rest, "{text}");
    }
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
    let report = stopped.report.unwrap();
    assert_eq!(report.drivers[0].unload, UnloadOutcome::Unloaded);
    assert_eq!(ringbell::verdict(&report), "a step was refused");
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

/// The threads in which members began, and which ended, in stream order.
fn order(report: &Report) -> Vec<String> {
    let note = |event: &record::Event| match &event.what {
        record::What::Note { text, .. } => Some(text.clone()),
        _ => None,
    };
    report
        .events
        .iter()
        .filter_map(note)
        .filter(|text| text.starts_with("begin ") || text.starts_with("end "))
        .collect()
}

const GROUP: &str = "drivers = ['listener.sys']\n\
    [[step]]\nparallel = [{ ring = 'callbackbopin=1' }, { wait = '5s' }, { event = 'power.ac' },\n\
    { load = 'rb014-near-freed-at-unload.sys', as = 'late' }, { unload = 'listener.sys' }]\n\
    [[step]]\nexpect = { object = 'callbackbopin', exists = false }\n\
    [[step]]\nexpect = { driver = 'late', status = 'success' }\n";

#[test]
fn with_seed_0_members_of_a_group_take_turns_and_all_end() {
    let report = run(GROUP);
    assert_eq!(ringbell::verdict(&report), "clean", "{}", ringbell::story(&report));
    let order = order(&report);
    let ring = r"ring \Callback\callbackbopin (0x1, 0x0)";
    let begun = [ring, "wait 5s", "event power.ac", "load late", "unload listener.sys"];
    let ended = [ring, "event power.ac", "load late", "unload listener.sys", "wait 5s"];
    let only = |word: &str| -> Vec<String> {
        order.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
    };
    assert_eq!(only("begin "), begun, "{order:?}");
    assert_eq!(only("end "), ended, "{order:?}");
}

#[test]
fn a_seed_decides_how_a_group_is_interleaved_and_seeds_differ() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 1..30 {
        let play = || {
            let mut scenario = scenario(GROUP);
            scenario.config.seed = seed;
            scenario.run().unwrap()
        };
        let report = play();
        assert_eq!(ringbell::verdict(&report), "clean", "seed {seed}\n{}", ringbell::story(&report));
        assert_eq!(order(&report).len(), 10, "seed {seed}");
        assert_eq!(play().events, report.events, "seed {seed}");
        orders.insert(order(&report));
    }
    assert!(orders.len() > 10, "{} orders", orders.len());
}

/// With seed 0 the ring and the unload take turns. A driver that frees what its routine works on before it unregisters dies
/// in some other schedule, and dies again with the same seed; one that does it in the right order survives all.
#[test]
fn a_race_of_a_ring_with_an_unload_is_found_and_played_again() {
    let text = include_str!("../../../drivers/samples/ring-and-unload.toml");
    let folder = bin().join("../samples");
    let play = |text: &str, seed| {
        let mut scenario = Scenario::parse(text, "ring-and-unload.toml", &folder, Vec::new()).unwrap();
        scenario.config.seed = seed;
        scenario.run().unwrap()
    };
    assert_eq!(ringbell::verdict(&play(text, 0)), "clean");
    let died = |seed: &u64| matches!(play(text, *seed).ending, Ending::Bugcheck(_));
    let seed = (1..1000).find(died).expect("the race is found");
    assert_eq!(play(text, seed).events, play(text, seed).events);

    let right = text.replace("hasty-listener.sys", "listener.sys");
    for seed in 0..60 {
        let report = play(&right, seed);
        assert_eq!(ringbell::verdict(&report), "clean", "seed {seed}\n{}", ringbell::story(&report));
    }
}

#[test]
fn what_is_not_there_keeps_a_group_from_beginning_and_is_told_with_its_line() {
    let text = "drivers = ['listener.sys']\n[[step]]\nparallel = [\n{ unload = 'listener.sys' },\n{ ring = 'Nobody' },\n]\n";
    let stopped = scenario(text).run().unwrap_err();
    assert!(stopped.to_string().starts_with(r"s.toml:5: cannot ring `\Callback\Nobody`"), "{stopped}");
    let report = stopped.report.unwrap();
    assert_eq!(order(&report), [""; 0]);
    assert_eq!(report.drivers[0].unload, UnloadOutcome::Unloaded);
}

#[test]
fn an_object_that_goes_while_a_group_is_under_way_is_no_mistake() {
    let text = "drivers = ['listener.sys']\n[[step]]\nparallel = [{ unload = 'listener.sys' }, { ring = 'callbackbopin' }]\n";
    let report = run(text);
    assert_eq!(ringbell::verdict(&report), "clean");
    let story = ringbell::story(&report);
    assert!(
        story.contains(r"nothing to ring \Callback\callbackbopin (0x0, 0x0): the object is gone"),
        "{story}"
    );
}

#[test]
fn a_driver_that_is_refused_in_a_group_is_told_and_the_others_are_done() {
    let image = std::fs::read(bin().join("listener.sys")).unwrap();
    let mut machine = ringbell::Machine::boot(ringbell::Config::default()).unwrap();
    let first = machine.load("listener.sys", &image).unwrap();
    let done = machine
        .parallel(&[
            ringbell::Member::Load { name: "broken.sys", image: b"MZ" },
            ringbell::Member::Unload { driver: &first.name },
        ])
        .unwrap();
    assert!(matches!(&done[0], ringbell::Done::Refused(why) if why.contains("broken.sys")), "{done:?}");
    assert_eq!(done[1], ringbell::Done::Unloaded(UnloadOutcome::Unloaded));
    let gone = machine.parallel(&[ringbell::Member::Unload { driver: &first.name }]).unwrap();
    assert!(matches!(&gone[0], ringbell::Done::Refused(why) if why.contains("no driver")), "{gone:?}");
    let report = machine.finish();
    assert_eq!((report.ending, report.drivers.len()), (Ending::Finished, 1));
}

#[test]
fn a_thousand_things_at_once_are_done() {
    let rings = "{ ring = 'callbackbopin' }, ".repeat(1000);
    let report = run(&format!(
        "drivers = ['listener.sys']\n[[step]]\nparallel = [{rings}]\n[[step]]\nexpect = {{ deliveries = 1000 }}"
    ));
    assert_eq!(missed(&report), []);
    assert_eq!(ringbell::verdict(&report), "clean");
}

/// Runs the command on a scenario of `tests/data/scenarios`. Returns exit code, stdout and stderr.
fn command(file: &str) -> (i32, String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios").join(file);
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_ringbell")).arg("run").arg(path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_code_says_whether_what_was_expected_came() {
    for (file, code, stdout, stderr) in [
        ("expected-finding.toml", 0, "verdict: as expected", ""),
        ("endless.toml", 0, "verdict: hang as expected", ""),
        ("missed.toml", 1, "2 of 5 expectations met", ""),
        ("unknown-object.toml", 2, "verdict: a step was refused", "unknown-object.toml:6: cannot ring"),
    ] {
        let (actual, out, err) = command(file);
        assert!(out.contains(stdout) && err.contains(stderr), "{file}\n{out}\n{err}");
        assert_eq!(actual, code, "{file}\n{out}\n{err}");
    }
}

#[test]
fn ten_thousand_steps_are_played() {
    let step = "[[step]]\nring = 'callbackbopin=1,2'\n[[step]]\nexpect = { deliveries = 1 }\n";
    let report = run(&format!("drivers = ['listener.sys']\n{}", step.repeat(5000)));
    assert_eq!(missed(&report), []);
    assert_eq!(report.expectations.checks.len(), 5000);
    assert_eq!(ringbell::verdict(&report), "clean");
}

#[test]
fn ten_thousand_loads_are_refused_at_the_one_that_is_too_many() {
    let stopped = scenario(&format!("drivers = [{}]", "'rb014-near-freed-at-unload.sys',\n".repeat(10_000)))
        .run()
        .unwrap_err();
    assert!(stopped.to_string().contains("512 images are the limit"), "{stopped}");
    assert_eq!(stopped.place.unwrap().line, 513);
}

/// The command line and the file say the same things: whoever adds an option adds a key.
#[test]
fn every_option_of_run_has_a_key() {
    let help =
        std::process::Command::new(env!("CARGO_BIN_EXE_ringbell")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("-h, ").strip_prefix("--"))
        .filter_map(|line| line.split([' ', '=', '[']).next())
        .collect();
    assert!(options.contains(&"timeout") && options.contains(&"notify"), "{options:?}");
    let reference = ringbell::scenario::reference();
    for option in options {
        let key = match option {
            // They concern the answer, the file itself and this text.
            "format" | "scenario" | "help" => continue,
            "notify" => "ring",
            "parallel" => "parallel-processors",
            "allow" | "deny" => "rules",
            other => other,
        };
        assert!(reference.contains(&format!("| `{key}` |")), "`--{option}` has no key in a scenario file");
    }
}

/// Whatever a file holds, it is read or refused.
#[test]
fn no_text_breaks_the_reader() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/samples");
    let sample = include_str!("../../../drivers/samples/listener.toml");
    let words = [
        "[",
        "]",
        "{",
        "}",
        "=",
        "'",
        "\"",
        "\\",
        ",",
        "\n",
        "-1",
        "9e9",
        "\u{0}",
        "ä",
        "[[step]]",
        "parallel",
        "1979-05-27",
    ];
    let mut refused = 0;
    for at in (0..sample.len()).step_by(3).filter(|at| sample.is_char_boundary(*at)) {
        let word = words[at % words.len()];
        let mut mutants = vec![sample[..at].to_owned(), format!("{}{word}{}", &sample[..at], &sample[at..])];
        mutants.extend(
            sample[at..]
                .char_indices()
                .nth(at % 7 + 1)
                .map(|(next, _)| format!("{}{}", &sample[..at], &sample[at + next..])),
        );
        for text in mutants {
            if let Err(mistake) = Scenario::parse(&text, "s.toml", &folder, Vec::new()) {
                assert!(!mistake.hint().is_empty() && mistake.message().lines().count() == 1, "{mistake}");
                refused += 1;
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn what_contradicts_itself_is_refused_at_its_line() {
    for (step, expected) in [
        (
            "expect = { object = 'X', exists = false, listeners = 1 }",
            "an object that must not exist has no listeners to count",
        ),
        ("ring = 'X=1,2'\narguments = [1]", "`ring` says more than a name, and `arguments` stands beside it"),
        ("ring = 'X=1'\nirql = 'apc'", "`ring` says more than a name, and `irql` stands beside it"),
        ("ring = 'X@apc'\nirql = 'apc'", "`ring` says more than a name, and `irql` stands beside it"),
    ] {
        let text = format!("[[step]]\n{step}");
        let mistake = Scenario::parse(&text, "s.toml", &bin(), Vec::new()).unwrap_err();
        assert_eq!(mistake.message(), expected);
        assert!(mistake.to_string().contains("--> s.toml:2:"), "{mistake}");
    }
    // A name may hold the sign where nothing else makes an argument of what follows.
    let named = "[[step]]\nring = 'a=b'\narguments = [1]";
    assert!(Scenario::parse(named, "s.toml", &bin(), Vec::new()).is_ok());
}
