//! Carving a memory image against `cat IMAGE > /dev/null`.
//!
//! The image is a full crash dump that consists of holes, so that its size costs no disk; both sides read it from the
//! page cache. Aims: no slower than `cat`, time linear in size, at most 256 MiB resident, the dump opened in well under
//! 100 ms whatever its size.
//!
//! Run with `cargo bench -p ringbell-benches --bench scan`, and with `-- 1 4 16` for other sizes in GiB. The page cache
//! has to hold the largest.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use inspect::{MemoryImage, Needle, ScanOptions, scan_needles};
use ringbell_benches::{compare, processor};

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1, 4] } else { sizes };
    println!("scan: four needles in every 16 bytes against `cat`, {}", processor());
    println!("gigabytes per second; median of pairs\n");
    println!(
        "{:>6} {:>10} {:>8} {:>8} {:>8}   ratio of times 10 - 90 %",
        "GiB", "open", "cat", "scan", "ratio"
    );
    for size in sizes {
        let image = Image::new(size);
        measure(&image.0, size);
    }
    if let Some(peak) = peak() {
        println!("\npeak resident memory: {peak}");
    }
}

fn measure(path: &Path, size: u64) {
    let started = Instant::now();
    let image = open(path);
    let opened = started.elapsed();
    let needles = [(*b"Call", 0), (*b"Call", 4), (*b"Cal\xEC", 4), (*b"CBRe", 4)]
        .map(|(value, at)| Needle { value: u32::from_le_bytes(value), at });
    let scan = || {
        let physical = image.physical().expect("a full dump holds physical memory");
        let scanned = scan_needles(physical, &ScanOptions::default(), &|_| (), &needles);
        assert_eq!(scanned.scanned, size << 30);
    };
    let comparison = compare(
        if size > 4 { 3 } else { 9 },
        Duration::ZERO,
        |times| (0..times).for_each(|_| cat(path)),
        |times| (0..times).for_each(|_| scan()),
    );
    let speed = |nanoseconds: f64| (size << 30) as f64 / nanoseconds;
    println!(
        "{size:>6} {opened:>10.1?} {:>8.2} {:>8.2} {:>8.2}   {:.2} - {:.2}",
        speed(comparison.base.nanoseconds),
        speed(comparison.other.nanoseconds),
        comparison.ratio,
        comparison.band.0,
        comparison.band.1
    );
}

fn open(path: &Path) -> MemoryImage {
    MemoryImage::open(path).expect("the image was just written")
}

fn cat(path: &Path) {
    let status = Command::new("cat").arg(path).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "`cat` failed");
}

/// The peak of this process, as the host prints it.
fn peak() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().to_owned())
}

/// A dump of memory that is all zeros, removed at the end.
struct Image(PathBuf);

impl Image {
    fn new(size: u64) -> Self {
        let pages = (size << 30) / 0x1000;
        let mut header = vec![0; 0x2000];
        let mut field = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        field(0, b"PAGEDU64");
        field(0x30, &0x8664_u32.to_le_bytes());
        field(0xF98, &1_u32.to_le_bytes());
        // One run, from page 1 on.
        field(0x88, &1_u32.to_le_bytes());
        field(0x90, &pages.to_le_bytes());
        field(0x98, &1_u64.to_le_bytes());
        field(0xA0, &pages.to_le_bytes());
        let path = std::env::temp_dir().join(format!("ringbell-scan-{size}-{}.dmp", std::process::id()));
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&header)?;
            file.set_len(0x2000 + (size << 30))
        });
        assert!(written.is_ok(), "cannot write to the temporary directory: {written:?}");
        Self(path)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // What is left in the temporary directory costs no disk.
        let _ = fs::remove_file(&self.0);
    }
}
