//! Lines that say nothing about callback objects.

use std::collections::BTreeMap;

/// Counts them by kind.
#[derive(Debug, Default)]
pub(super) struct Noise(BTreeMap<&'static str, u32>);

impl Noise {
    pub(super) fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Vec<(String, u32)> {
        self.0.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }
}

/// Beginnings of lines and what they are.
const KINDS: &[(&str, &str)] = &[
    ("Unable to load image ", "symbols not found"),
    ("*** ", "debugger message"),
    ("KDTARGET:", "debugger message"),
    ("Opened log file", "debugger message"),
    ("Closing open log file", "debugger message"),
    ("Breakpoint ", "breakpoint hit"),
    ("ModLoad:", "module loaded"),
    ("DriverEntry failed ", "driver failed to load"),
];

/// Tells what a line is.
pub(super) fn kind(line: &str) -> &'static str {
    let line = line.trim_start();
    KINDS.iter().find(|(start, _)| line.starts_with(start)).map_or("other text", |(_, kind)| kind)
}

/// Names the module whose symbols the debugger did not find: `Unable to load image vmci.sys, Win32 error 0n2`.
pub(super) fn missing_symbols(line: &str) -> Option<&str> {
    let (path, _) = line.trim_start().strip_prefix("Unable to load image ")?.split_once(',')?;
    path.rsplit('\\').next()
}
