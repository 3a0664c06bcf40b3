//! Full dumps: runs in the header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringbell_fuzz::dump(data, 1, &[]));
