//! Signals from other processes: to the kernel process, and to the command itself.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn driver(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"));
    path.to_str().unwrap().to_owned()
}

fn start(words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ringbell"))
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // As a shell does, so that a signal to all of them is what Ctrl-C sends.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Returns the processes whose parent is `parent` and that are at work, not dead.
fn children(parent: u32) -> Vec<u32> {
    let parent_of = |id: u32| -> Option<u32> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        (words.next()? != "Z").then(|| words.next()?.parse().ok())?
    };
    let all = std::fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// Waits until the command has at least one kernel process.
fn wait_for_children(child: &mut Child) -> Vec<u32> {
    loop {
        let found = children(child.id());
        if !found.is_empty() {
            return found;
        }
        assert!(child.try_wait().unwrap().is_none(), "the command ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

fn texts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn who_ends_a_kernel_process_from_outside_blames_no_driver() {
    for (name, number) in [("-KILL", 9), ("-TERM", 15)] {
        let pair = [driver("listener"), driver("ringer")];
        let explore = ["explore", &pair[0], &pair[1], "--schedules", "1000000000"];
        let endless = driver("endless-loop");
        for words in [&["run", &endless, "--timeout", "600s"][..], &explore] {
            let mut child = start(words);
            // The oldest one boots, or is what the others are forked from.
            let victim = wait_for_children(&mut child)[0];
            signal(name, victim);
            let (code, _, said) = texts(child.wait_with_output().unwrap());
            assert_eq!(code, Some(2), "{words:?} {name}: {said}");
            let told = said.starts_with(&format!(
                "error: the kernel process was ended from outside, by signal {number}\nhint: "
            ));
            assert!(told || said.contains(&format!("did not boot: ended by signal {number}")), "{said}");
            assert_eq!(said.lines().count(), 2, "{said}");
        }
    }
}

/// Returns the processor time of a process in units of 10 ms.
fn time(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// Waits until `id` has worked for a while.
fn wait_for_work(child: &mut Child, id: u32) {
    while time(id) < 30 {
        assert!(child.try_wait().unwrap().is_none(), "the command ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Waits until `all` are gone: whoever is interrupted leaves nobody behind.
fn wait_until_gone(all: &[u32]) {
    let there = |id: &u32| std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty());
    while all.iter().any(there) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_ends_a_run_with_its_story_so_far() {
    for (name, number, code) in [("-INT", 2, 130), ("-TERM", 15, 143)] {
        let mut child = start(&["run", &driver("endless-loop"), "--timeout", "600s"]);
        let kernel = wait_for_children(&mut child);
        wait_for_work(&mut child, kernel[0]);
        if name == "-INT" {
            assert!(
                Command::new("kill")
                    .args([name, "--", &format!("-{}", child.id())])
                    .status()
                    .unwrap()
                    .success()
            );
        } else {
            signal(name, child.id());
        }
        let (actual, told, said) = texts(child.wait_with_output().unwrap());
        assert_eq!((actual, said.as_str()), (Some(code), ""), "{told}");
        assert!(told.contains("\nload endless-loop.sys\n"), "{told}");
        let ending = format!("\n*** interrupted by signal {number}\n    at endless-loop.sys+0x");
        assert!(told.contains(&ending), "{told}");
        assert!(told.ends_with("\nverdict: interrupted\n"), "{told}");
        wait_until_gone(&kernel);
    }
}

#[test]
fn ctrl_c_ends_a_search_with_its_finds_so_far_and_where_to_go_on() {
    for format in ["text", "json"] {
        let race = driver("race-two-registrants");
        let mut child = start(&[
            "explore",
            &race,
            "--first-seed=3",
            "--schedules",
            "1000000",
            "--keep-going",
            "--jobs",
            "3",
            "--format",
            format,
        ]);
        let id = child.id();
        wait_for_work(&mut child, id);
        let kernels = children(id);
        assert!(Command::new("kill").args(["-INT", "--", &format!("-{id}")]).status().unwrap().success());
        let (code, told, said) = texts(child.wait_with_output().unwrap());
        assert_eq!((code, said.as_str()), (Some(130), ""), "{told}");
        assert!(told.contains("RB012 bad-registration"), "{told}");
        let number = |before: &str| -> u64 {
            let rest = told.split_once(before).unwrap_or_else(|| panic!("{before}: {told}")).1;
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        };
        let (played, next) = if format == "text" {
            let command = format!(
                "interrupted; go on with: ringbell explore {race} --keep-going --jobs 3 --format text"
            );
            assert!(told.contains(&command), "{told}");
            assert_eq!(number("--first-seed ") - 3 + number("--schedules "), 1_000_000, "{told}");
            (number("explored "), number("--first-seed "))
        } else {
            (number("\"schedules\": "), number("\"go_on\": "))
        };
        assert!(played > 0 && next == 3 + played, "{told}");
        wait_until_gone(&kernels);
    }
}

#[test]
fn ctrl_c_ends_a_fault_search_in_its_first_run_and_it_says_so() {
    for format in ["text", "json"] {
        let endless = driver("endless-loop");
        let mut child = start(&["explore", "--faults", &endless, "--timeout", "600s", "--format", format]);
        let id = child.id();
        // The machine that is forked, and the fork that loops.
        let kernels = loop {
            let found = children(id).into_iter().flat_map(|kernel| [vec![kernel], children(kernel)].concat());
            let found: Vec<u32> = found.collect();
            if found.iter().any(|kernel| time(*kernel) >= 30) {
                break found;
            }
            assert!(child.try_wait().unwrap().is_none(), "the command ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(Command::new("kill").args(["-INT", "--", &format!("-{id}")]).status().unwrap().success());
        let (code, told, said) = texts(child.wait_with_output().unwrap());
        assert_eq!((code, said.as_str()), (Some(130), ""), "{told}");
        let expected = if format == "text" {
            "interrupted in the run that fails nothing, before any call was made to fail: nothing found\n"
        } else {
            "\"interrupted\": true,"
        };
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("without any failure"), "{told}");
        wait_until_gone(&kernels);
    }
}
