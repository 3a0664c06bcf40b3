//! Signals from other processes: to the kernel process, and to the command itself.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

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
