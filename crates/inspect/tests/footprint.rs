//! What a hostile file may cost: its headers claim terabytes, and opening it must not need megabytes.
//!
//! In a process of its own, because the peak of a process is measured.
#![cfg(target_os = "linux")]

#[path = "reader/files.rs"]
#[expect(dead_code, reason = "shared with the reader tests, which use the rest")]
mod files;
#[path = "reader/guest.rs"]
mod guest;

use std::fs;

use guest::Guest;
use ringbell_inspect::{FindOptions, Kernel, MemoryImage};

/// Returns the peak of resident memory in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn eight_kibibytes_that_claim_everything_cost_nothing() {
    let guest = Guest::new();
    let mut files = Vec::new();
    for pages in [1 << 24, 1 << 32, u64::MAX] {
        let mut full = files::full(&guest);
        full.u64(0xA0, pages).u64(0x90, pages);
        files.push(full);
    }
    let mut bitmap = files::bitmap(&guest, 5);
    bitmap.u64(0x2020, 1 << 40).u64(0x2030, 1 << 42);
    files.push(bitmap);
    let mut ranges = files::ranges(&guest, 8);
    ranges.u64(0x2018, 1 << 40).u64(0x2010, (1 << 40) - 0x2020).u64(0x2038, u64::MAX);
    files.push(ranges);
    let mut triage = files::header(4);
    triage.u32(0x2030, 0x2000).u32(0x2034, u32::MAX).u32(0x2078, 0x2000).u32(0x207C, u32::MAX);
    files.push(triage);
    let mut elf = files::elf(&guest);
    elf.u16(0x38, 0xFFFF).u64(0x28, 0).u64(0x20, 0);
    files.push(elf);
    let before = peak();
    for mut file in files {
        file.0.truncate(0x3000);
        if let Ok(image) = MemoryImage::from_bytes(file.0) {
            let _ = Kernel::find(&image, FindOptions::default());
        }
    }
    // The counter is kept per processor and may seem to shrink by a few pages.
    let grown = peak().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
}
