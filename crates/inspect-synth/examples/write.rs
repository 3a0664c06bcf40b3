//! Writes a machine after an ordinary boot as a sparse crash dump: `write FILE GIBIBYTES`.

use std::path::Path;

use ringbell_inspect_synth::{Dump, Era, World};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(size)) = (arguments.next(), arguments.next().and_then(|it| it.parse::<u64>().ok()))
    else {
        eprintln!("usage: write FILE GIBIBYTES");
        std::process::exit(2);
    };
    World::booted(Era::TwentyFourH2).write_dump(Path::new(&path), Dump::Full, size << 30)
}
