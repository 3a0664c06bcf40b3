//! State files of VMware: next to a little memory, and as images that hold the memory themselves.
#![no_main]

use ringbell_inspect::MemoryImage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let memory = vec![0x11; 0x4000];
    if let Ok(image) = MemoryImage::from_vmware_bytes(memory, data.to_vec()) {
        ringbell_fuzz::read(&image, 0x4000);
    }
    ringbell_fuzz::open(data.to_vec());
});
