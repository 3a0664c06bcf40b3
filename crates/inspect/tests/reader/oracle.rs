//! The field's crate reads the same pages and the same modules from well-formed dumps.

use std::io::Cursor;

use kdmp_parser::gxa::{Gpa, Gva, Gxa as _};
use kdmp_parser::parse::KernelDumpParser;
use kdmp_parser::{phys, virt};
use ringbell_inspect::{FindOptions, Kernel, MemoryImage};

use crate::files::{self, File};
use crate::guest::{Guest, KERNEL};

/// Guests of a seed: the machine and scattered pages.
fn scattered(seed: u64) -> Guest {
    let mut guest = Guest::new();
    let mut state = seed * 2 + 1;
    for _ in 0..40 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let page = 0x10_0000 + (state >> 40 & 0x7FF) * 0x1000;
        guest.write(page, &state.to_le_bytes().repeat(512));
    }
    // A full dump has room for 42 runs.
    while guest.runs().len() > 42 {
        guest.0.pop_last();
    }
    guest
}

fn compare(file: &File, name: &str) {
    let theirs = KernelDumpParser::with_reader(Cursor::new(file.0.clone())).unwrap();
    let image = MemoryImage::from_bytes(file.0.clone()).unwrap();
    assert_eq!(image.notes(), [], "{name}");
    let ours = image.physical().unwrap();
    let mut pages = 0;
    for (address, _) in theirs.physmem() {
        let address = address.u64();
        let (mut a, mut b) = ([0; 0x1000], [0; 0x1000]);
        phys::Reader::new(&theirs).read_exact(Gpa::new(address), &mut a).unwrap();
        ours.read(address, &mut b).unwrap();
        assert!(a == b, "{name}: {address:#x}");
        pages += 1;
    }
    assert_eq!(ours.present_bytes(), pages * 0x1000, "{name}");
    // Page by page: no page that they do not have.
    let mut from = 0;
    let mut found = 0;
    while let Some(run) = ours.next_run(from) {
        found += (run.end - run.start) / 0x1000;
        from = run.end;
    }
    assert_eq!(found, pages, "{name}");
    let kernel = Kernel::find(&image, FindOptions::default());
    let mut theirs_modules: Vec<_> = theirs
        .kernel_modules()
        .map(|(range, name)| (range.start.u64(), range.end.u64(), name.to_owned()))
        .collect();
    theirs_modules.sort();
    let mut our_modules: Vec<_> = kernel
        .modules
        .iter()
        .map(|module| (module.base, module.base + u64::from(module.size), module.path.clone().unwrap()))
        .collect();
    our_modules.sort();
    assert_eq!(our_modules, theirs_modules, "{name}");
    for page in 0..8 {
        let address = KERNEL + page * 0x1000;
        let theirs =
            virt::Reader::new(&theirs).translate(Gva::new(address)).ok().map(|found| found.gpa().u64());
        assert_eq!(kernel.memory().physical_of(address), theirs, "{name}: {address:#x}");
    }
}

#[test]
fn the_same_pages_and_modules() {
    for seed in 0..20 {
        let guest = scattered(seed);
        compare(&files::full(&guest), "full");
        compare(&files::bitmap(&guest, 5), "bitmap");
        compare(&files::bitmap(&guest, 6), "live kernel");
        for dump_type in [8, 9, 0xA] {
            compare(&files::ranges(&guest, dump_type), "ranges");
        }
    }
}
