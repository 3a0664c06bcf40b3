//! The executive builds with no operating system underneath, and rings.

use std::path::Path;
use std::process::Command;

/// The example is a program for this system: its two system calls and its start are in assembly.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn the_example_without_std_builds_and_rings() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("no-std/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-std"))
        // Flags for the other workspace may ask for things that need std.
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "somebody is at the door\nsomebody is at the door\n\
         the first listener counted 1, and left before the second ring\n"
    );
}
