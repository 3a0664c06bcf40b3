//! Bitmap dumps.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringbell_fuzz::dump(data, 5, &[(0x2000, b"SDMPDUMP")]));
