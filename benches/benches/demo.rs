//! `ringbell demo` as a whole process against a process that does nothing.
//!
//! The demo starts a kernel process, boots the executive, loads two drivers, rings, unloads, audits and reports. The yardstick is
//! `/bin/true`: what starting any process costs here. Aim: at most 5 ms above it.
//!
//! Run with `cargo bench -p ringbell-benches --bench demo` after `cargo build --release`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ringbell_benches::{compare, processor};

fn main() {
    let Some(ringbell) = binary() else {
        eprintln!("error: there is no release build of the command");
        eprintln!("hint: run `cargo build --release` first");
        std::process::exit(2);
    };
    let empty = || run(Path::new("/bin/true"), &[]);
    let demo = || run(&ringbell, &["demo"]);
    let comparison = compare(
        101,
        Duration::ZERO,
        |times| (0..times).for_each(|_| empty()),
        |times| (0..times).for_each(|_| demo()),
    );
    println!("demo: whole process against /bin/true, {}", processor());
    println!("milliseconds; median of {} pairs\n", comparison.pairs);
    println!("{:>10} {:>10} {:>10}   ratio 10 - 90 %", "/bin/true", "demo", "above");
    let (base, other) = (comparison.base.nanoseconds / 1e6, comparison.other.nanoseconds / 1e6);
    println!(
        "{base:>10.2} {other:>10.2} {:>10.2}   {:.2} - {:.2}",
        other - base,
        comparison.band.0,
        comparison.band.1
    );
}

/// Finds the release build beside this program: `target/release/deps/demo-…` and `target/release/ringbell`.
fn binary() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let path = program.parent()?.parent()?.join("ringbell");
    path.is_file().then_some(path)
}

fn run(program: &Path, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{} failed", program.display());
}
