//! Whole conversations with the command: what is typed, what stdout and stderr say, which code it exits with.
//!
//! A file of `tests/transcripts` holds any number of `$ ringbell …` lines, each followed by what it prints: stdout as it
//! is, stderr behind `! `, and the exit code behind `? ` unless it is 0. `BLESS=1 cargo test --test transcripts` rewrites the
//! answers; read the difference before you keep it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

#[test]
fn the_command_answers_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut differ = Vec::new();
    for file in files {
        let recorded = std::fs::read_to_string(&file).unwrap();
        let actual = replay(&recorded);
        if actual == recorded {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, actual).unwrap();
        } else {
            differ.push(format!("{}\n{}", file.display(), first_difference(&recorded, &actual)));
        }
    }
    assert!(differ.is_empty(), "\n{}", differ.join("\n"));
}

/// Runs the commands of a transcript again. Lines before the first command are kept: they are comments.
fn replay(recorded: &str) -> String {
    let mut out = String::new();
    let mut commands = 0;
    for line in recorded.lines() {
        if let Some(words) = line.strip_prefix("$ ringbell") {
            let _ = writeln!(out, "{line}");
            run(&split(words), &mut out);
            commands += 1;
        } else if commands == 0 {
            let _ = writeln!(out, "{line}");
        }
    }
    assert!(commands > 0, "a transcript without a command");
    out
}

fn run(arguments: &[String], out: &mut String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringbell"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    out.push_str(std::str::from_utf8(&output.stdout).expect("stdout is UTF-8"));
    for line in std::str::from_utf8(&output.stderr).expect("stderr is UTF-8").lines() {
        let _ = writeln!(out, "! {line}");
    }
    match output.status.code().expect("not ended by a signal") {
        0 => {}
        code => {
            let _ = writeln!(out, "? {code}");
        }
    }
}

/// Splits words at blanks; single quotes keep a word together, nothing else is special (names have backslashes).
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn first_difference(recorded: &str, actual: &str) -> String {
    let (mut old, mut new) = (recorded.lines(), actual.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return "they differ in line ends only".into(),
            (left, right) if left == right => {}
            (left, right) => {
                let show =
                    |line: Option<&str>| line.map_or_else(|| "(end)".into(), |line| format!("{line:?}"));
                return format!("line {number}\n  recorded {}\n  now      {}", show(left), show(right));
            }
        }
    }
}

#[test]
fn words_are_split_at_blanks_outside_quotes() {
    assert_eq!(split(r" explain '\Callback\a b' --x ''"), ["explain", r"\Callback\a b", "--x", ""]);
}
