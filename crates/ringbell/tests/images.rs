//! Files that are no driver for this machine, each with its words and exit code. Every one is the bundled listener with a few
//! bytes changed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that goes away with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listener() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/listener.sys")).unwrap()
}

fn write(name: &str, bytes: &[u8]) -> Scratch {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    Scratch(path)
}

/// Where the PE signature lies.
fn pe(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[0x3C..0x40].try_into().unwrap()) as usize
}

/// Runs `imports` on the file and returns exit code, stdout and stderr.
fn imports(file: &Scratch) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringbell")).arg("imports").arg(&file.0).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Asserts that the file is refused with these words and a hint, and with nothing on stdout.
fn refused(file: &Scratch, words: &str) {
    let (code, stdout, stderr) = imports(file);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let mut lines = stderr.lines();
    let sentence = lines.next().unwrap();
    let shown = file.0.to_str().unwrap();
    assert!(sentence.starts_with(&format!("error: `{shown}`: ")), "{sentence}");
    assert!(sentence.contains(words), "{sentence}");
    assert!(!sentence.ends_with('.'), "{sentence}");
    assert!(lines.next().unwrap().starts_with("hint: "), "{stderr}");
    assert_eq!(lines.next(), None);
}

#[test]
fn an_empty_file_is_refused() {
    refused(&write("empty.sys", b""), "the file is empty");
}

#[test]
fn a_file_without_a_pe_header_is_refused() {
    refused(&write("text.sys", b"hello\n"), "not a PE image");
    refused(&write("elf.sys", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), "ELF");
}

#[test]
fn a_truncated_file_is_refused() {
    let bytes = listener();
    refused(&write("headers.sys", &bytes[..pe(&bytes) + 30]), "truncated");
    let (code, _, stderr) = imports(&write("half.sys", &bytes[..bytes.len() / 4]));
    assert_eq!(code, 2);
    assert!(stderr.contains("beyond the end of the file") || stderr.contains("truncated"), "{stderr}");
}

#[test]
fn other_machines_are_refused_by_name() {
    for (machine, words) in [(0x14Cu16, "32-bit x86"), (0xAA64, "ARM64"), (0x1C4, "machine `0x1c4`")] {
        let mut bytes = listener();
        let at = pe(&bytes) + 4;
        bytes[at..at + 2].copy_from_slice(&machine.to_le_bytes());
        refused(&write(&format!("machine-{machine:x}.sys"), &bytes), words);
    }
}

#[test]
fn a_user_mode_program_is_refused() {
    let mut bytes = listener();
    let at = pe(&bytes) + 24 + 68;
    bytes[at..at + 2].copy_from_slice(&3u16.to_le_bytes());
    refused(&write("console.sys", &bytes), "user-mode program");
}

#[test]
fn imports_from_another_module_are_named() {
    let mut bytes = listener();
    let at = bytes.windows(13).position(|window| window == b"ntoskrnl.exe\0").unwrap();
    bytes[at..at + 13].copy_from_slice(b"WDFLDR.SYS\0\0\0");
    let (code, stdout, stderr) = imports(&write("framework.sys", &bytes));
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert!(stdout.contains("WDFLDR.SYS is "), "{stdout}");
    assert!(stdout.contains("KMDF"), "{stdout}");
    assert!(stdout.contains("from other modules"), "{stdout}");
}

#[test]
fn a_readable_driver_is_told_although_another_is_refused() {
    let (good, bad) = (write("good.sys", &listener()), write("bad.sys", b"?"));
    let output =
        Command::new(env!("CARGO_BIN_EXE_ringbell")).arg("imports").args([&good.0, &bad.0]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("good.sys  "));
    assert!(String::from_utf8(output.stderr).unwrap().contains("bad.sys`: not a PE image"));
}

#[test]
fn every_import_of_every_bundled_driver_has_a_state() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin");
    let output = Command::new(env!("CARGO_BIN_EXE_ringbell"))
        .arg("imports")
        .arg(&folder)
        .args(["--format", "json"])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let drivers = answer["drivers"].as_array().unwrap();
    assert_eq!(drivers.len(), std::fs::read_dir(&folder).unwrap().count());
    let listener = drivers.iter().find(|driver| driver["name"] == "listener.sys").unwrap();
    let names: Vec<_> =
        listener["imports"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"ntoskrnl.exe!ExCreateCallback"), "{names:?}");
    let missing = answer["missing"].as_array().unwrap();
    for driver in drivers {
        for import in driver["imports"].as_array().unwrap() {
            let (name, state) = (import["name"].as_str().unwrap(), import["state"].as_str().unwrap());
            assert!(["full", "partial", "stub", "absent"].contains(&state), "{name}");
            assert_eq!(state != "full", missing.iter().any(|it| it["name"] == name), "{name}");
        }
    }
    let incomplete = drivers.iter().any(|driver| driver["complete"] == false);
    assert_eq!(output.status.code(), Some(i32::from(incomplete)));
}
