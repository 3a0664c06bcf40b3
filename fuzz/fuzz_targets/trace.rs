//! Debugger logs, in any encoding, compared with the recorded boot.
#![no_main]

use ringbell_inspect::trace::{compare, decode, read};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = decode(data);
    let log = read("fuzz", &text);
    let lines = text.lines().count();
    assert!(log.attempts.len() + log.listed.len() + log.skipped_lines() as usize <= lines);
    for attempt in &log.attempts {
        assert!(attempt.line as usize <= lines && !attempt.why.is_empty());
        assert!(attempt.same_slot_as.is_none_or(|earlier| earlier < attempt.number));
    }
    let other = read("boot", nt::catalog::boot_trace());
    let comparison = compare(&[log, other]);
    assert!(comparison.names.iter().all(|row| row.attempts.iter().any(|count| *count > 0)));
});
