//! Asking an image who listens, without looking through all of it.
//!
//! The image is a crash dump of a machine made by hand that seems to have 16 GiB, most of them holes. Measured is what
//! `ringbell inspect --no-carve` does: open the file, find the kernel and its modules, walk the directories and the global list,
//! judge. Aim: an answer in under 100 ms, whatever the size.
//!
//! Run with `cargo bench -p ringbell-benches --bench images`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use inspect::{FindOptions, Kernel, MemoryImage, Options, inspect};
use ringbell_benches::processor;
use synth::{Dump, Era, World};

const ROUNDS: usize = 15;

fn main() {
    println!("images: list and namespace of a 16 GiB dump, {}", processor());
    let world = World::booted(Era::TwentyFourH2);
    for kind in [Dump::Full, Dump::Bitmap] {
        let image = Temporary::new(&world, kind);
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| answer(&image, world.objects.len())).collect();
        times.sort_unstable();
        println!(
            "{:<8} median {:>9.2?}, slowest {:>9.2?}",
            format!("{kind:?}"),
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
    }
}

fn answer(image: &Temporary, expected: usize) -> Duration {
    let started = Instant::now();
    let opened = MemoryImage::open(&image.0).expect("the image was just written");
    let kernel = Kernel::find(&opened, FindOptions::default());
    let found = inspect("bench", &opened, &kernel, &Options { carve: false, ..Options::default() });
    let elapsed = started.elapsed();
    assert_eq!(found.objects.len(), expected);
    assert_eq!(found.weighty(), 0);
    elapsed
}

/// A file that goes away.
struct Temporary(PathBuf);

impl Temporary {
    fn new(world: &World, kind: Dump) -> Self {
        let path = std::env::temp_dir().join(format!("ringbell-bench-{kind:?}-{}", std::process::id()));
        world.write_dump(&path, kind, 16 << 30).expect("a sparse file takes little room");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody is left to tell where this fails.
        let _ = std::fs::remove_file(&self.0);
    }
}
