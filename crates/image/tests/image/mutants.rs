//! Hostile input: seeded mutations of real and synthetic images through the whole pipeline.
//!
//! Nothing may panic (overflow checks are on in test builds), and what comes out stays bounded by the crate's limits.
//! `RINGBELL_MUTANTS` sets another number of mutants.

use std::time::{Duration, Instant};

use crate::builder::{BASE, CODE, DATA, DISCARDABLE, Pe, RDATA, Want, import_table, relocation_block};
use crate::image::unwind::Context;
use crate::image::{
    self, ExportTarget, FunctionTable, Image, ImageError, MAX_EXPORTS, MAX_IMAGE_SIZE, MAX_IMPORTS, MAX_NAME,
    PAGE_SIZE, Symbols,
};
use crate::names::named;
use crate::real::drivers;
use crate::tables::{debug_directory, export_table, function_table, guarded};

/// Mutants by default.
const MUTANTS: usize = 120_000;
/// Images larger than this are planned but not filled: it would measure `memset`.
const LARGEST_FILLED: u32 = 0x10_0000;

/// Marsaglia's xorshift64*: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }
}

/// Numbers that parsers get wrong.
const NASTY: [u64; 16] = [
    0,
    1,
    3,
    7,
    0x10,
    0xfff,
    0x1000,
    0x1001,
    0x2000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    BASE,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Changes a few places of an image. Half of the changes go to headers and tables, where they matter.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, tables: &[(usize, usize)]) {
    for _ in 0..=random.below(4) {
        let length = bytes.len();
        let (start, size) = match random.below(4) {
            0 => (0, length),
            1 => (0x80, 0x190),
            _ if tables.is_empty() => (0, length),
            _ => tables[random.below(tables.len())],
        };
        let at = (start + random.below(size)).min(length.saturating_sub(1));
        let width = [1, 2, 4, 8][random.below(4)];
        let value = match random.below(3) {
            0 => random.next(),
            1 => NASTY[random.below(NASTY.len())],
            // Near what is there: off by one is where checks fail.
            _ => {
                let mut near = [0; 8];
                let have = length.saturating_sub(at).min(8);
                near[..have].copy_from_slice(&bytes[at..at + have]);
                u64::from_le_bytes(near).wrapping_add(random.below(17) as u64).wrapping_sub(8)
            }
        };
        for (offset, byte) in value.to_le_bytes().into_iter().take(width).enumerate() {
            if let Some(place) = bytes.get_mut(at + offset) {
                *place = byte;
            }
        }
    }
    if random.below(16) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
}

/// How far mutants came: a test whose mutants all die in the headers tests nothing.
#[derive(Default, Debug)]
struct Reached {
    parsed: usize,
    planned: usize,
    filled: usize,
    imported: usize,
    exported: usize,
    configured: usize,
    walked: usize,
    unwound: usize,
    named: usize,
}

fn run(bytes: &[u8], memory: &mut [u8], random: &mut Random, reached: &mut Reached) {
    let image = match Image::parse(bytes) {
        Ok(image) => image,
        Err(error) => return bounded(&error),
    };
    reached.parsed += 1;
    assert!(image.size() <= MAX_IMAGE_SIZE && image.size().is_multiple_of(PAGE_SIZE) && image.size() != 0);
    std::hint::black_box((image.checksum(), image.delay_imports().is_ok(), image.pdb().is_ok()));

    let imports = image.imports().inspect_err(bounded).unwrap_or_default();
    assert!(imports.len() <= MAX_IMPORTS);
    assert!(imports.iter().all(|import| import.module.len() <= MAX_NAME && import.slot_rva < image.size()));
    reached.imported += usize::from(!imports.is_empty());
    let _ = image::require_kernel_imports(&imports).inspect_err(bounded);

    let exports = image.exports().inspect_err(bounded).unwrap_or_default();
    assert!(exports.len() <= MAX_EXPORTS as usize);
    reached.exported +=
        usize::from(exports.iter().any(|export| matches!(export.target, ExportTarget::Rva(_))));

    let config = image.load_config().inspect_err(bounded).ok().flatten();
    reached.configured += usize::from(config.is_some());
    if let Some(table) = config.as_ref().and_then(|config| config.guard_table) {
        assert!(table.functions(&image).count() <= image.size() as usize / 4);
    }

    let symbols = Symbols::of(&image);
    assert!(symbols.len() <= bytes.len());
    assert!(symbols.iter().zip(symbols.iter().skip(1)).all(|(left, right)| left.rva < right.rva));
    reached.named += usize::from(symbols.len() > 1);
    for rva in [image.entry(), random.next() as u32, random.below(image.size() as usize) as u32, u32::MAX] {
        assert!(symbols.describe("x.sys", rva).to_string().len() <= 2 * MAX_NAME);
        std::hint::black_box((image.read_u32(rva), image.read_u64(rva)));
        if let Ok(functions) = image.functions() {
            let found = functions.lookup(rva);
            reached.walked += usize::from(found.is_some());
            std::hint::black_box(found.map(|function| functions.primary(function)));
        }
    }
    if let Ok(functions) = image.functions() {
        for (function, index) in functions.iter().zip(0..16) {
            // Alternately anywhere in the function, and right behind its prologue.
            let into = if index % 2 == 0 { random.below(0x80) as u32 } else { 0x20 };
            reached.unwound += usize::from(walk(&functions, function.begin.wrapping_add(into), random));
        }
    }

    for base in [BASE, 0x1_8000_0000] {
        let plan = match image.plan(base) {
            Ok(plan) => plan,
            Err(error) => {
                bounded(&error);
                continue;
            }
        };
        reached.planned += 1;
        let mut end = 0;
        for range in plan.ranges() {
            assert_eq!(range.rva, end, "ranges are adjacent");
            assert!(range.size != 0 && range.size.is_multiple_of(PAGE_SIZE));
            let shared = range.sections.len() > 1 || range.rva < image.headers().size_of_headers;
            assert!(!range.protection.write_execute() || (shared && image.headers().is_low_alignment()));
            end += range.size;
        }
        assert_eq!(end, plan.size());
        assert!(plan.notes().iter().all(|note| note.to_string().len() < 0x4000));
        assert!(plan.relocation_count() <= bytes.len());
        if plan.size() > LARGEST_FILLED {
            continue;
        }
        let memory = &mut memory[..plan.size() as usize];
        memory.fill(0);
        plan.apply(memory).expect("a plan that was made can be applied");
        image::bind(memory, &imports, |import| u64::from(import.slot_rva)).expect("slots lie in the image");
        if let Some(config) = &config {
            config.set_cookie(memory, random.next()).expect("the cookie lies in the image");
            config.set_guard(memory, 1, 2).expect("guard slots lie in the image");
        }
        assert!(matches!(plan.apply(&mut memory[..1]), Err(ImageError::Memory { .. })));
        reached.filled += 1;
    }
}

/// Walks up a stack of hostile words for a while; returns whether the first frame had unwind data that could be used.
fn walk(functions: &FunctionTable<'_>, rva: u32, random: &mut Random) -> bool {
    let seed = random.next();
    let mut context = Context { rip: BASE + u64::from(rva), ..Context::default() };
    context.registers.fill(0x10_0000);
    let mut first = false;
    for depth in 0..8 {
        let (before, mut reads) = (context, 0);
        let step = functions.unwind(BASE, &mut context, |address| {
            reads += 1;
            // A word in four leads back into the image; some of the stack cannot be read.
            let word = address.wrapping_mul(seed | 1);
            (word & 0xf00 != 0).then_some(if word & 3 == 0 { BASE + (word >> 40) } else { word })
        });
        // At most 255 slots each in a chain of 32, and two reads a slot: what a file can cost is bounded.
        assert!(reads <= 2 * 255 * 34, "{reads}");
        match step {
            Ok(frame) if !frame.interrupted => assert!(context.rsp() > before.rsp()),
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().len() < 200);
                assert_eq!(context, before);
                break;
            }
        }
        first |= depth == 0 && step.is_ok_and(|frame| frame.function.is_some());
    }
    first
}

/// Errors are shown to people: whatever the file holds, they stay short and on one line.
fn bounded(error: &ImageError) {
    let words = error.to_string();
    assert!(words.len() < 1024 && !words.chars().any(char::is_control), "{words:?}");
    assert!(!error.hint().is_empty());
}

/// An image with every table there is.
pub(crate) fn everything() -> Pe {
    let mut pe = guarded(0x140, 77);
    let rva = pe.next_rva();
    pe.push(".edata", RDATA, export_table(rva));
    pe.directory(0, rva, 0xc0);
    let rva = pe.next_rva();
    let wants = [Want::Name("DbgPrint"), Want::Ordinal(7), Want::Name("ExCreateCallback")];
    let table = import_table(rva, &[("ntoskrnl.exe", &wants, true), ("hal.dll", &wants[..1], false)]);
    pe.push(".idata", DATA, table);
    pe.directory(1, rva, 0x3c);
    let rva = pe.next_rva();
    pe.push(".pdata", RDATA, function_table(rva));
    pe.directory(3, rva, 36);
    let rva = pe.next_rva();
    pe.push(".debug", DISCARDABLE, debug_directory(rva));
    pe.directory(6, rva, 0x38);
    let rva = pe.next_rva();
    pe.push(".reloc", DISCARDABLE, relocation_block(0x2000, &[(10, 0x58), (10, 0x70), (10, 0x78), (0, 0)]));
    pe.directory(5, rva, 16);
    pe.symbols = named().symbols;
    pe
}

fn low_alignment() -> Pe {
    let mut pe = Pe::empty(0x20, 0x20);
    pe.push(".text", CODE, vec![0xc3; 0x60]);
    pe.push(".data", DATA, vec![0; 0x1100]);
    let rva = pe.next_rva();
    pe.push(".idata", DATA, import_table(rva, &[("ntoskrnl.exe", &[Want::Name("DbgPrint")], true)]));
    pe.directory(1, rva, 0x14);
    let rva = pe.next_rva();
    pe.push(".reloc", DISCARDABLE, relocation_block(0, &[(10, 0x480), (0, 0)]));
    pe.directory(5, rva, 12);
    pe
}

/// Where an image's directories lie in the file, so that mutations can aim at them.
fn tables_of(bytes: &[u8]) -> Vec<(usize, usize)> {
    let image = Image::parse(bytes).unwrap();
    let mut found = Vec::new();
    for directory in (0..16).filter_map(|index| image.directory(index)) {
        if let Some(section) = image.section_at(directory.rva) {
            let at = section.file_offset + (directory.rva - section.rva);
            found.push((at as usize, directory.size.clamp(8, 0x200) as usize));
        }
    }
    found
}

#[test]
fn mutants_neither_panic_nor_grow() {
    let count =
        std::env::var("RINGBELL_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTANTS);
    let mut seeds =
        vec![everything().build(), low_alignment().build(), named().build(), everything().build()];
    // The synthetic ones are the richest: they get every other mutant.
    seeds.extend(drivers().into_iter().map(|(_, bytes)| bytes));
    let tables: Vec<_> = seeds.iter().map(|seed| tables_of(seed)).collect();

    let mut random = Random(0x5eed_0000_0000_0001);
    let (mut memory, mut mutant) = (vec![0; LARGEST_FILLED as usize], Vec::new());
    let mut reached = Reached::default();
    let mut slowest = (Duration::ZERO, 0);
    for number in 0..count {
        let which = if number % 2 == 0 { random.below(4) } else { random.below(seeds.len()) };
        mutant.clone_from(&seeds[which]);
        mutate(&mut random, &mut mutant, &tables[which]);
        let start = Instant::now();
        run(&mutant, &mut memory, &mut random, &mut reached);
        slowest = slowest.max((start.elapsed(), number));
    }
    println!("{count} mutants: {reached:?}, slowest {:?} (number {})", slowest.0, slowest.1);
    // Each stage must have been reached often, or the mutations aim badly.
    let stages = [
        reached.parsed,
        reached.planned,
        reached.filled,
        reached.imported,
        reached.exported,
        reached.configured,
        reached.walked,
        reached.unwound,
        reached.named,
    ];
    assert!(stages.iter().all(|&stage| stage > count / 20), "{reached:?}");
}

#[test]
fn every_prefix_of_a_driver_is_judged() {
    let mut memory = vec![0; LARGEST_FILLED as usize];
    let (mut random, mut reached) = (Random(1), Reached::default());
    for bytes in [everything().build(), low_alignment().build()] {
        for length in 0..bytes.len() {
            run(&bytes[..length], &mut memory, &mut random, &mut reached);
        }
    }
}
