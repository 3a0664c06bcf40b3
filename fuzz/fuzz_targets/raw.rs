//! Raw memory: page tables, images and lists are all the fuzzer's.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringbell_fuzz::open(data.to_vec()));
