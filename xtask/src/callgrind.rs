//! Instructions that a notify takes, counted by valgrind and compared with what is committed.
//!
//! Times are noise on a shared machine; the number of instructions is the same each time. It depends on the compiler, so it may differ by
//! [`TOLERANCE`] percent before it counts as a change.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, read, root, write};

/// Percent by which a count may be above or below the committed one.
pub const TOLERANCE: u64 = 10;
/// Notifies of the longer of two runs; the shorter has half as many, and what both have in common does not count.
const TIMES: u64 = 4000;
/// What is counted: protocol and number of routines.
const CASES: [(&str, u64); 4] = [("Reference", 1), ("Reference", 16), ("Swift", 1), ("Swift", 16)];

/// Instructions of one notify, for a protocol and a number of routines.
pub type Counts = Vec<(String, u64, u64)>;

fn file() -> PathBuf {
    root().join("benches/callgrind.txt")
}

/// Counts, and compares with the committed numbers or replaces them. Returns what it found, a line for each case.
///
/// # Errors
/// When a tool is missing or fails, and where a count is out of tolerance.
pub fn run(update: bool) -> Result<String, Failure> {
    let program = build()?;
    let mut counts = Counts::new();
    for (protocol, routines) in CASES {
        let [half, whole] = [TIMES / 2, TIMES].map(|times| count(&program, protocol, routines, times));
        counts.push((protocol.into(), routines, (whole? - half?) / (TIMES / 2)));
    }
    if update {
        write(&file(), render(&counts).as_bytes())?;
        return Ok(render(&counts));
    }
    let committed = String::from_utf8_lossy(&read(&file())?).into_owned();
    compare(&parse(&committed)?, &counts)
}

/// Compares counts with the committed ones.
///
/// # Errors
/// Where a count is out of tolerance, or is not committed.
pub fn compare(committed: &Counts, counts: &Counts) -> Result<String, Failure> {
    let mut lines = String::new();
    let mut wrong = Vec::new();
    for (protocol, routines, now) in counts {
        let before = committed.iter().find(|(known, number, _)| known == protocol && number == routines);
        let Some((_, _, before)) = before else {
            wrong.push(format!("{protocol} with {routines} routines is not committed"));
            continue;
        };
        let _ = writeln!(lines, "{protocol} {routines} {now} (committed {before})");
        if now.abs_diff(*before) * 100 > before * TOLERANCE {
            wrong.push(format!(
                "a notify of {routines} routines under {protocol} takes {now} instructions, and took {before}"
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(lines);
    }
    Err(Failure::new(wrong.join("\nxtask: ")).hint(
        "run `cargo run -p xtask -- callgrind --update` if that is meant, and commit `benches/callgrind.txt`",
    ))
}

/// Reads committed counts: lines of protocol, routines and instructions; others begin with `#`.
///
/// # Errors
/// Where a line is none of these.
pub fn parse(text: &str) -> Result<Counts, Failure> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [protocol, routines, count] = words[..]
                && let (Ok(routines), Ok(count)) = (routines.parse(), count.parse())
            {
                return Ok((protocol.to_owned(), routines, count));
            }
            Err(Failure::new(format!("`{line}` in `benches/callgrind.txt` is no count")))
        })
        .collect()
}

fn render(counts: &Counts) -> String {
    let mut text = format!(
        "# Instructions of one notify: protocol, routines, count. Written by `cargo run -p xtask -- callgrind --update`;\n\
         # without `--update` a count may differ by {TOLERANCE} percent.\n"
    );
    for (protocol, routines, count) in counts {
        let _ = writeln!(text, "{protocol} {routines} {count}");
    }
    text
}

/// Builds the program that notifies.
fn build() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args([
        "build",
        "--release",
        "-p",
        "ringbell-executive",
        "--example",
        "instructions",
    ]);
    let status = command.status().map_err(|error| Failure::new(format!("cannot run cargo: {error}")))?;
    if !status.success() {
        return Err(Failure::new("the program to count does not build"));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/examples/instructions"))
}

/// Returns the instructions of one whole run.
fn count(program: &PathBuf, protocol: &str, routines: u64, times: u64) -> Result<u64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args([protocol, &routines.to_string(), &times.to_string()]);
    let output = command.output().map_err(|error| {
        Failure::new(format!("cannot run valgrind: {error}")).hint("install the package `valgrind`")
    })?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(Failure::new(format!("valgrind did not count:\n{told}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outside_of_the_tolerance_are_told() {
        let committed = parse("# a comment\nSwift 1 100\nReference 1 200\n").expect("counts");
        let now =
            |swift, reference| vec![("Swift".to_owned(), 1, swift), ("Reference".to_owned(), 1, reference)];
        assert!(compare(&committed, &now(110, 180)).is_ok());
        let failure = compare(&committed, &now(111, 200)).expect_err("too many").to_string();
        assert!(failure.contains("under Swift takes 111 instructions, and took 100"), "{failure}");
        assert!(compare(&committed, &now(100, 179)).is_err(), "too few: the numbers are to be updated");
        assert!(compare(&committed, &vec![("Swift".to_owned(), 4, 1)]).is_err());
        assert!(parse("Swift one 100").is_err());
    }

    #[test]
    fn what_is_committed_covers_every_case() {
        let text = String::from_utf8(read(&file()).expect("committed counts")).expect("text");
        let committed = parse(&text).expect("counts");
        for (protocol, routines) in CASES {
            assert!(committed.iter().any(|(known, number, _)| known == protocol && *number == routines));
        }
    }
}
