//! The reader builds on any platform: only one file knows platforms, and nothing it needs does.
//!
//! Continuous integration compiles the crate for Windows and macOS; this holds what such a check cannot: that nothing depends on the
//! platform without saying so.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that a source which knows platforms contains.
const WORDS: &[&str] = &[
    "std::os::",
    "cfg(unix",
    "cfg(windows",
    "target_os",
    "target_arch",
    "target_family",
    "libc::",
    "extern \"C\"",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn only_the_source_of_bytes_knows_platforms() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut knowing = Vec::new();
    for name in ["inspect", "record", "view"] {
        for path in sources(&crates.join(name).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            if WORDS.iter().any(|word| text.contains(word)) {
                knowing.push(path.strip_prefix(crates).unwrap().to_owned());
            }
        }
    }
    assert_eq!(knowing, [Path::new("inspect").join("src").join("source.rs")]);
    // Every way to read by position that one platform lacks has another.
    let text = fs::read_to_string(crates.join("inspect/src/source.rs")).unwrap();
    for condition in [
        "#[cfg(unix)]\nfn read_exact_at",
        "#[cfg(windows)]\nfn read_exact_at",
        "#[cfg(not(any(unix, windows)))]\nfn read_exact_at",
    ] {
        assert_eq!(text.replace("\r\n", "\n").matches(condition).count(), 1, "{condition}");
    }
}

#[test]
fn no_unsafe_code_and_no_dependency_but_these() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(fs::read_to_string(folder.join("src/lib.rs")).unwrap().contains("#![forbid(unsafe_code)]"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[dependencies]").unwrap();
    let (dependencies, _) = rest.split_once("\n[").unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    assert_eq!(names, ["nt", "record", "pdb2", "thiserror"]);
}
