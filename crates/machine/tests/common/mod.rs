//! Loading the bundled drivers.

use std::path::Path;
use std::time::Duration;

use record::What;
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
