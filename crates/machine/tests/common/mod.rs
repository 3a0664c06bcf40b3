//! Loading the bundled drivers.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::allow_attributes, reason = "which part differs")]

use std::path::Path;
use std::time::Duration;

use record::{BugcheckRecord, Ending, What};
use ringbell_machine::{Config, Machine, Outcome};

/// Returns the bytes of a bundled driver.
pub(crate) fn driver(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Boots a machine whose steps may take two seconds.
pub(crate) fn machine() -> Machine {
    let config = Config { timeout: Duration::from_secs(2), ..Config::default() };
    Machine::boot(config).unwrap_or_else(|error| panic!("{error}"))
}

/// Loads a driver, unloads it if it lives, and returns everything about the run.
pub(crate) fn run(name: &str) -> Outcome {
    run_all(&[name])
}

/// Loads drivers in order, unloads those that live in reverse, and returns everything about the run.
pub(crate) fn run_all(names: &[&str]) -> Outcome {
    let mut machine = machine();
    let mut loaded = Vec::new();
    for name in names {
        match machine.load(&format!("{name}.sys"), &driver(name)) {
            Ok((unique, 0)) => loaded.push(unique),
            Ok(_) => {}
            Err(error) => assert!(machine.has_ended(), "{name}: {error}"),
        }
    }
    for unique in loaded.iter().rev() {
        // Whether the unload kills the machine is in the outcome.
        let _ = machine.unload(unique);
    }
    let outcome = machine.finish();
    assert_eq!(outcome.tainted, Vec::<String>::new(), "{names:?}");
    assert_eq!(outcome.host_output, "", "{names:?}");
    assert!(outcome.events.iter().zip(0..).all(|(event, number)| event.sequence == number), "{names:?}");
    outcome
}

/// Returns the lines that drivers printed.
pub(crate) fn printed(outcome: &Outcome) -> Vec<&str> {
    outcome
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::DebugPrint { text, .. } => Some(text.trim_end()),
            _ => None,
        })
        .collect()
}

/// Runs a victim that must end in a bugcheck; it said what it was about to do and did not survive.
pub(crate) fn bugcheck(name: &str) -> (Outcome, BugcheckRecord) {
    bugcheck_of(name, run(name))
}

/// Takes a run for one of `name`'s that must have ended in a bugcheck.
pub(crate) fn bugcheck_of(name: &str, outcome: Outcome) -> (Outcome, BugcheckRecord) {
    let Ending::Bugcheck(record) = outcome.ending.clone() else { panic!("{name}: {:?}", outcome.ending) };
    let lines = printed(&outcome);
    assert!(!lines.is_empty(), "{name} printed nothing");
    assert!(!lines.iter().any(|line| line.contains("survived")), "{name}: {lines:?}");
    assert!(matches!(outcome.events.last().unwrap().what, What::Bugcheck(_)), "{name}");
    (outcome, *record)
}

/// Symbol that the blamed address lies in.
pub(crate) fn culprit(outcome: &Outcome, record: &BugcheckRecord) -> String {
    let located = outcome.modules.locate(record.at.expect("somebody to blame"));
    located.symbol.map_or_else(|| located.to_string(), |(name, _)| name.to_owned())
}
