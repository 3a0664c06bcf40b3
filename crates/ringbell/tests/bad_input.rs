//! What cannot be meant is said in one clear line with the next step, and nothing hangs on it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;

fn bin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").canonicalize().unwrap()
}

/// Runs the command. Returns exit code, stdout and stderr.
fn ringbell(words: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ringbell")).args(words).current_dir(bin()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The command refuses, and says `expected` and a hint. The line of a file may be shown in between.
fn refuses(words: &[&str], expected: &str) {
    for command in ["run", "explore"] {
        let (code, _, said) = ringbell(&[&[command], words].concat());
        assert_eq!(code, 2, "{command} {words:?}: {said}");
        let (first, last) = (said.lines().next().unwrap(), said.lines().last().unwrap());
        assert!(first.starts_with("error: ") && first.contains(expected), "{command} {words:?}: {said}");
        assert!(last.starts_with("hint: "), "{command} {words:?}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{command} {words:?}: {said}");
        assert!(said.lines().count() <= 6, "{command} {words:?}: {said}");
    }
}

/// A scenario file that lasts as long as the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringbell-{}-{name}.toml", std::process::id()));
        let text = text.replace("BIN", bin().to_str().unwrap());
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn an_unknown_rule() {
    refuses(&["listener.sys", "--allow", "RB099"], "unknown rule `RB099`");
    refuses(&["listener.sys", "--deny", "name-vanishd"], "unknown rule `name-vanishd`");
    let file = File::new("rule", "drivers = ['BIN/listener.sys']\nrules = { RB099 = 'allow' }\n");
    refuses(&[file.path()], "unknown rule `RB099`");
    let file = File::new("finding", "drivers = ['BIN/listener.sys']\n[expect]\nfindings = ['RB099']\n");
    refuses(&[file.path()], "unknown rule `RB099`");
}

#[test]
fn a_seed_or_schedule_of_another_version() {
    let seed = "the seed is of scheduler version 1, and this is version 2";
    let schedule = "the schedule is of scheduler version 7, and this is version 2";
    let file = File::new("seed", "drivers = ['BIN/listener.sys']\nseed = '42@1'\n");
    refuses(&[file.path()], seed);
    let file = File::new("schedule", "drivers = ['BIN/listener.sys']\nschedule = 's7:1=8'\n");
    refuses(&[file.path()], schedule);
    for (words, expected) in [(["--seed", "42@1"], seed), (["--schedule", "s7:1=8"], schedule)] {
        let (code, _, said) = ringbell(&[&["run", "listener.sys"], &words[..]].concat());
        assert_eq!((code, said.lines().count()), (2, 2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_scenario_that_names_an_object_that_is_not_there() {
    let file = File::new("object", "drivers = ['BIN/listener.sys']\n[[step]]\nring = 'Nobody'\n");
    refuses(&[file.path()], r"object.toml:3: cannot ring `\Callback\Nobody`");
    let (_, told, _) = ringbell(&["run", file.path()]);
    assert!(told.ends_with("\nverdict: a step was refused\n"), "{told}");
}

#[test]
fn a_scenario_that_names_a_driver_that_is_not_there() {
    let file = File::new("file", "drivers = ['BIN/no-such.sys']\n");
    refuses(&[file.path()], "no-such.sys` does not exist");
    let file = File::new("unload", "drivers = ['BIN/listener.sys']\n[[step]]\nunload = 'listner.sys'\n");
    refuses(&[file.path()], "`listner.sys`");
    let look = "drivers = ['BIN/listener.sys']\n[[step]]\nexpect = { driver = 'b.sys', deliveries = 1 }\n";
    let file = File::new("look", look);
    refuses(&[file.path()], "`b.sys`");
}

#[test]
fn a_scenario_of_ten_thousand_steps() {
    let text =
        format!("drivers = ['BIN/listener.sys']\n{}", "[[step]]\nring = 'callbackbopin'\n".repeat(10_000));
    let file = File::new("long", &text);
    let (code, told, said) = ringbell(&["run", file.path(), "--timeout", "600s"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(told.ends_with("\nverdict: clean\n"), "{}", &told[told.len().saturating_sub(400)..]);
    // The last one is wrong: it is the last that is told.
    let file = File::new("wrong", &format!("{text}[[step]]\nring = 'a/b'\n"));
    refuses(&[file.path()], "the name `a/b` holds a `/`");
}

#[test]
fn an_endless_scenario() {
    // One that never ends by itself, and one that is no file with an end.
    let file = File::new("loop", "timeout = '1s'\ndrivers = ['BIN/endless-loop.sys']\n");
    let (code, told, said) = ringbell(&["run", file.path()]);
    assert_eq!((code, said.as_str()), (4, ""), "{told}");
    assert!(told.contains("\n*** hang: time limit of 1000 ms reached\n"), "{told}");
    let file = File::new("calls", "event-limit = 5000\ndrivers = ['BIN/endless-calls.sys']\ntrace = true\n");
    let (code, told, said) = ringbell(&["run", file.path(), "--timeout", "600s"]);
    assert_eq!((code, said.as_str()), (1, ""), "{told}");
    assert!(told.ends_with("\nverdict: event limit\n"), "{told}");
    for command in ["run", "explore"] {
        let (code, _, said) = ringbell(&[command, "--scenario", "/dev/zero"]);
        assert_eq!((code, said.lines().count()), (2, 2), "{said}");
        assert!(said.starts_with("error: `/dev/zero` ") && said.contains("\nhint: "), "{said}");
    }
}
