//! Debugger logs, in any encoding, compared with the recorded boot.
#![no_main]

use std::sync::LazyLock;

use ringbell_inspect::trace::{compare, decode, read};

/// Most bytes of a log. Lines are what matters, not how many there are.
const MOST: usize = 0x1800;

/// The names of the recorded boot.
static BOOT: LazyLock<record::TraceLog> = LazyLock::new(|| {
    let mut log = read("boot", nt::catalog::boot_trace());
    log.attempts.truncate(24);
    log
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = decode(&data[..data.len().min(MOST)]);
    let log = read("fuzz", &text);
    let lines = text.lines().count();
    assert!(log.attempts.len() + log.listed.len() + log.skipped_lines() as usize <= lines);
    for attempt in &log.attempts {
        assert!(attempt.line as usize <= lines && !attempt.why.is_empty());
        assert!(attempt.same_slot_as.is_none_or(|earlier| earlier < attempt.number));
    }
    let comparison = compare(&[log, BOOT.clone()]);
    assert!(comparison.names.iter().all(|row| row.attempts.iter().any(|count| *count > 0)));
});
