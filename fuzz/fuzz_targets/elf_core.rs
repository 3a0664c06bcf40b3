//! ELF cores.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if bytes.len() >= 0x40 {
        bytes[..7].copy_from_slice(b"\x7FELF\x02\x01\x01");
        bytes[16..20].copy_from_slice(&[4, 0, 62, 0]);
    }
    ringbell_fuzz::open(bytes);
});
