//! What every fuzz target does with an image: keep the promises of the reader, then look for the kernel.

use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, ScanOptions, inspect, scan};

/// Most bytes of an image; what is behind them is cut off. Everything a reader knows fits, and small images are tried often.
const MOST: usize = 0xA000;

/// Opens bytes as an image and does what `inspect` does with it.
pub fn open(mut bytes: Vec<u8>) {
    bytes.truncate(MOST);
    let length = bytes.len() as u64;
    if let Ok(image) = MemoryImage::from_bytes(bytes) {
        read(&image, length);
    }
}

/// Reads every run of an image and looks for its kernel.
///
/// # Panics
///
/// When the image breaks a promise of the reader: that is what the fuzzer looks for.
pub fn read(image: &MemoryImage, length: u64) {
    if let Some(physical) = image.physical() {
        assert!(physical.present_bytes() <= length);
        let (mut from, mut bytes) = (0, 0);
        while let Some(run) = physical.next_run(from) {
            assert!(from <= run.start && run.start < run.end && run.end <= physical.end());
            assert!(physical.read(run.end - 1, &mut [0]).is_ok());
            bytes += run.end - run.start;
            from = run.end;
        }
        assert_eq!(bytes, physical.present_bytes());
        let one = ScanOptions { threads: core::num::NonZero::new(1), ..ScanOptions::default() };
        let scanned = scan(physical, &one, &|_| (), &|_, _: &mut Vec<()>| ());
        assert_eq!((scanned.scanned, scanned.unreadable), (bytes, 0));
    }
    let kernel = Kernel::find(image, FindOptions::default());
    if let Some(pe) = &kernel.image {
        let _ = pe.exports(kernel.memory());
    }
    if image.physical().is_none() {
        // A triage dump: its carve goes through the captured ranges, and what it leads to is the fuzzer's as well.
        let found = inspect("fuzz", image, &kernel, &Options::default());
        assert!(found.objects.iter().all(|object| object.evidence.count() > 0));
    }
}

/// Opens bytes as a crash dump of a type: the marks that are checked first are set, so that the fuzzer need not guess.
pub fn dump(data: &[u8], dump_type: u32, behind: &[(usize, &[u8])]) {
    let mut bytes = data.to_vec();
    if bytes.len() < 0x2040 {
        bytes.resize(0x2040, 0);
    }
    bytes[..8].copy_from_slice(b"PAGEDU64");
    bytes[0x30..0x34].copy_from_slice(&0x8664_u32.to_le_bytes());
    bytes[0xF98..0xF9C].copy_from_slice(&dump_type.to_le_bytes());
    for (at, mark) in behind {
        bytes[*at..*at + mark.len()].copy_from_slice(mark);
    }
    open(bytes);
}
