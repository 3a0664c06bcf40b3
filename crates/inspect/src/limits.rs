//! Limits on work, which are smaller where a fuzzer is the one who waits.

/// Picks a limit: the usual one, or a smaller one when the crate is built for a fuzzer (`--cfg fuzzing`, as `cargo fuzz` does), whose
/// inputs soon run into every limit there is and would spend all their time on the way.
pub(crate) const fn limit(usual: u64, fuzzing: u64) -> u64 {
    if cfg!(fuzzing) { fuzzing } else { usual }
}
