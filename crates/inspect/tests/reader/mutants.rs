//! A hundred thousand damaged images of every format: each ends in an image that keeps its promises, or in words.

use ringbell_inspect::{Chunk, FindOptions, Kernel, MemoryImage, OpenError, ScanOptions, scan};

use crate::files::{self, File};
use crate::guest::Guest;
use crate::triage::triage;

/// Mutants per format; `RINGBELL_MUTANTS` asks for more.
const MUTANTS: u32 = 12_500;

fn how_many() -> u32 {
    std::env::var("RINGBELL_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTANTS)
}

/// A generator of numbers from a seed (the multiplier and increment are Knuth's).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// Returns a value that tends to break arithmetic.
    fn value(&mut self) -> u64 {
        const EDGES: [u64; 14] = [
            0,
            1,
            7,
            0xFFF,
            0x1000,
            0xFFFF,
            0x7FFF_FFFF,
            0xFFFF_FFFF,
            0x1_0000_0000,
            1 << 40,
            1 << 52,
            i64::MAX as u64,
            0xFFFF_F800_0000_0000,
            u64::MAX,
        ];
        match self.below(4) {
            0 => self.next(),
            1 => 1 << self.below(64),
            2 => self.next() & 0xFFFF,
            _ => EDGES[self.below(EDGES.len())],
        }
    }

    /// Damages a file in one to six places, mostly where headers and tables are.
    fn damage(&mut self, file: &mut Vec<u8>, tables: &[(usize, usize)]) {
        for _ in 0..1 + self.below(6) {
            if file.is_empty() {
                return;
            }
            let at = if self.below(8) == 0 {
                self.below(file.len())
            } else {
                let (start, end) = tables[self.below(tables.len())];
                (start + self.below((end - start) / 4) * 4).min(file.len() - 1)
            };
            let bytes = self.value().to_le_bytes();
            let width = [1, 2, 4, 8][self.below(4)].min(file.len() - at);
            match self.below(40) {
                0 => file.truncate(at),
                1..=6 => file[at] ^= 1 << self.below(8),
                _ => file[at..at + width].copy_from_slice(&bytes[..width]),
            }
        }
    }
}

/// Checks what every opened image promises, and looks for its kernel.
fn keeps_its_promises(image: &MemoryImage, length: u64) {
    if let Some(physical) = image.physical() {
        assert!(physical.present_bytes() <= length);
        let (mut from, mut bytes, mut runs) = (0, 0, 0);
        while let Some(run) = physical.next_run(from) {
            assert!(from <= run.start && run.start < run.end && run.end <= physical.end());
            for at in [run.start, run.end - 1] {
                physical.read(at, &mut [0]).unwrap();
            }
            bytes += run.end - run.start;
            from = run.end;
            runs += 1;
        }
        assert_eq!(bytes, physical.present_bytes());
        assert!(runs <= length);
        let one_thread = ScanOptions { threads: std::num::NonZero::new(1), ..ScanOptions::default() };
        let none = |_: Chunk<'_>, _: &mut Vec<()>| ();
        let scanned = scan(physical, &one_thread, &|_| (), &none);
        assert_eq!((scanned.scanned, scanned.unreadable), (bytes, 0));
    }
    let ranges = image.captured_ranges();
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    let kernel = Kernel::find(image, FindOptions::default());
    if let Some(image) = &kernel.image {
        let _ = image.exports(kernel.memory());
    }
}

/// Opens mutants of a file; `open` is what makes an image of its bytes.
fn mutants(
    seed: u64,
    file: &File,
    tables: &[(usize, usize)],
    open: &dyn Fn(Vec<u8>) -> Result<MemoryImage, OpenError>,
) {
    let mut random = Random(seed);
    let (mut opened, mut refused) = (0_u32, 0_u32);
    for _ in 0..how_many() {
        let mut bytes = file.0.clone();
        random.damage(&mut bytes, tables);
        let length = bytes.len() as u64;
        match open(bytes) {
            Ok(image) => {
                keeps_its_promises(&image, length);
                opened += 1;
            }
            Err(error) => {
                assert!(!error.to_string().ends_with('.'));
                refused += 1;
            }
        }
    }
    // Damage that never got past the first check, or never mattered, would prove nothing.
    assert!(opened > MUTANTS / 20 && refused > MUTANTS / 1000, "{opened} opened, {refused} refused");
}

/// The guest without its high page, so that files stay small.
fn low() -> Guest {
    let mut guest = Guest::new();
    guest.0.pop_last();
    guest
}

/// The header's fields, and what follows it; the page tables and lists of the guest, which follow at `pages`.
fn tables(pages: usize) -> Vec<(usize, usize)> {
    let guest = [(0, 0x1000), (0x2000, 0x2040), (0x3000, 0x3040), (0x4000, 0x4400), (0x5000, 0x6000)];
    let mut all = vec![(0x8, 0x38), (0x80, 0xC8), (0xF98, 0xFA0), (0x2000, 0x2080), (0x2000, 0x2040)];
    all.extend(guest.map(|(start, end)| (pages + start, pages + end)));
    all
}

#[test]
fn full_dumps() {
    mutants(1, &files::full(&low()), &tables(0x2000), &MemoryImage::from_bytes);
}

#[test]
fn bitmap_dumps() {
    mutants(2, &files::bitmap(&low(), 5), &tables(0x3000), &MemoryImage::from_bytes);
}

#[test]
fn range_dumps() {
    mutants(3, &files::ranges(&low(), 8), &tables(0x3000), &MemoryImage::from_bytes);
}

#[test]
fn complete_dumps() {
    mutants(4, &files::ranges(&low(), 0xA), &tables(0x3000), &MemoryImage::from_bytes);
}

#[test]
fn triage_dumps() {
    let places =
        [(0x8, 0x38), (0xF98, 0xFA0), (0x2000, 0x2080), (0x2100, 0x2120), (0x2200, 0x2350), (0x2400, 0x2520)];
    mutants(5, &triage(), &places, &MemoryImage::from_bytes);
}

#[test]
fn elf_cores() {
    let places =
        [(0, 0x40), (0x40, 0xB0), (0x800, 0x9D0), (0x1000, 0x1FF0), (0x2000, 0x2008), (0x4000, 0x4040)];
    mutants(6, &files::elf(&low()), &places, &MemoryImage::from_bytes);
}

#[test]
fn raw_memory() {
    let places = [
        (0, 8),
        (0, 0x40),
        (0x1000, 0x2000),
        (0x4000, 0x4040),
        (0x5000, 0x5200),
        (0x6100, 0x6440),
        (0x9000, 0x90B0),
    ];
    mutants(7, &files::raw(&low()), &places, &MemoryImage::from_bytes);
}

#[test]
fn vmware_states() {
    let memory = files::raw(&low()).0;
    let state = files::vmss(&[(0, 0, 4), (4, 4, 4), (8, 8, 2)]);
    let places = [(0, 0xC), (12, 0xC0), (0x400, 0x418), (0x800, 0x900)];
    let mut random = Random(8);
    let mut used = 0;
    for _ in 0..how_many() {
        let mut bytes = state.0.clone();
        random.damage(&mut bytes, &places);
        let image = MemoryImage::from_vmware_bytes(memory.clone(), bytes);
        if let Ok(image) = image {
            used += u32::from(image.notes().is_empty());
            keeps_its_promises(&image, memory.len() as u64);
        }
    }
    assert!(used > MUTANTS / 20, "{used}");
}

/// Writes the files that fuzzing starts from.
#[test]
#[ignore = "writes to `fuzz/corpus`, on purpose only"]
fn write_the_fuzz_corpora() {
    let mut guest = low();
    guest.0.retain(|&page, _| page < 0x8000);
    for (target, name, file) in [
        ("dump_full", "kernel", files::full(&guest)),
        ("dump_bitmap", "kernel", files::bitmap(&guest, 5)),
        ("dump_ranges", "kernel", files::ranges(&guest, 8)),
        ("dump_ranges", "complete", files::ranges(&guest, 0xA)),
        ("dump_triage", "two-blocks", triage()),
        ("elf_core", "kernel", files::elf(&guest)),
        ("raw", "self-map", files::raw(&guest)),
        ("vmware_state", "two-regions", files::vmss(&[(0, 0, 2), (2, 2, 2)])),
    ] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), file.0).unwrap();
    }
}
