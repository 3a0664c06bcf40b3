//! Ledger and code say the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ledger, lookup};
use crate::export::State;
use crate::table::{DATA, EXPORTS};

#[test]
fn the_table_is_sorted_and_has_no_name_twice() {
    for pair in EXPORTS.windows(2) {
        assert!(pair[0].name < pair[1].name, "`{}` stands before `{}`", pair[0].name, pair[1].name);
    }
    for pair in DATA.windows(2) {
        assert!(pair[0].name < pair[1].name, "`{}` stands before `{}`", pair[0].name, pair[1].name);
    }
}

#[test]
fn code_and_ledger_agree() {
    for export in EXPORTS {
        let entry =
            ledger().get(export.name).unwrap_or_else(|| panic!("`{}` is not in the ledger", export.name));
        assert_eq!(entry.state, export.state, "state of `{}`", export.name);
        assert_eq!(entry.irql, Some(export.irql), "irql of `{}`", export.name);
        assert_eq!(entry.lowest.unwrap_or_default(), export.lowest, "lowest IRQL of `{}`", export.name);
        assert_eq!(entry.module, export.module, "module of `{}`", export.name);
        assert!(!entry.data, "`{}` is a routine", export.name);
    }
    for data in DATA {
        let entry = ledger().get(data.name).unwrap_or_else(|| panic!("`{}` is not in the ledger", data.name));
        assert!(entry.data && entry.state != State::Absent, "`{}`", data.name);
    }
    for entry in ledger().entries().filter(|entry| entry.state != State::Absent) {
        let known = if entry.data {
            DATA.iter().any(|data| data.name == entry.name)
        } else {
            EXPORTS.iter().any(|export| export.name == entry.name)
        };
        assert!(known, "`{}` is in the ledger and not in the code", entry.name);
        if entry.state != State::Full {
            assert!(
                entry.note.is_some(),
                "`{}` is {} and does not say what is missing",
                entry.name,
                entry.state.name()
            );
        }
    }
}

#[test]
fn every_family_exists_and_no_name_stands_twice() {
    let text = include_str!("../../exports.toml");
    let mut lines = 0;
    for entry in ledger().entries() {
        assert!(!entry.about.title.is_empty() && !entry.about.takes.is_empty(), "{}", entry.family);
        lines += 1;
    }
    let listed =
        ledger().raw.absent.each().iter().flat_map(|(_, lists)| lists.values()).map(Vec::len).sum::<usize>();
    let there = EXPORTS.len() + DATA.len();
    assert_eq!(lines, listed + there, "a name stands twice");
    assert!(text.is_ascii());
}

fn sources(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).expect("the sources are there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.insert(path, text);
        }
    }
}

/// Returns the body of a test function given as `rtl::tests::memory`.
fn body<'a>(sources: &'a BTreeMap<PathBuf, String>, root: &Path, test: &str) -> Option<&'a str> {
    let (module, function) = test.rsplit_once("::")?;
    let path = root.join(format!("{}.rs", module.replace("::", "/")));
    let text =
        sources.get(&path).or_else(|| sources.get(&root.join(module.replace("::", "/")).join("mod.rs")))?;
    let start = text.find(&format!("#[test]\nfn {function}() {{"))?;
    let length = text[start..].find("\n}\n")?;
    Some(&text[start..start + length])
}

#[test]
fn what_is_full_has_a_test_that_calls_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    sources(&root, &mut found);
    for entry in ledger().entries() {
        match entry.test {
            None => assert_ne!(entry.state, State::Full, "`{}` is full without a test", entry.name),
            Some(test) => {
                let body = body(&found, &root, test);
                let body = body.unwrap_or_else(|| {
                    panic!("`{}` names the test `{test}`, which is not there", entry.name)
                });
                let quoted = format!("\"{}\"", entry.name);
                assert!(body.contains(&quoted), "`{test}` does not call `{}`", entry.name);
            }
        }
    }
}

#[test]
fn lookups_know_the_two_modules() {
    assert_eq!(
        lookup("NtosKrnl.exe", "KeStallExecutionProcessor").map(|entry| entry.state),
        Some(State::Full)
    );
    assert_eq!(lookup("HAL.dll", "KeStallExecutionProcessor").map(|entry| entry.state), Some(State::Full));
    assert_eq!(lookup("hal.dll", "HalGetBusData").map(|entry| entry.state), Some(State::Absent));
    assert!(lookup("ntoskrnl.exe", "NoSuchRoutine").is_none());
    assert!(lookup("FLTMGR.SYS", "DbgPrint").is_none());
}
