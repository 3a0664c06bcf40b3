//! Dumps with ranges of pages: the type comes from the data.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let dump_type = if data.first().is_some_and(|byte| byte & 1 == 0) { 8 } else { 0xA };
    ringbell_fuzz::dump(data, dump_type, &[(0x2000, b"\x40\0\0\0RDMPDUMP")]);
});
