//! The walkers over kernel memory: a machine made by hand whose pools, directories and lists the fuzzer rewrites.
//!
//! The first byte picks the version. Each ten bytes behind it are one patch: where, what kind of value, the value. Half of
//! the kinds are pointers into the same memory, because random ones lead nowhere.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use record::Inspection;
use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, diff, inspect};
use synth::{CallbackSpec, Dump, Era, World, plan};

/// Builds a machine with one of each kind of thing and few of them: what a walker meets a second time only takes time.
fn small(era: Era) -> World {
    let mut world = World::bare(era);
    world.driver("acpi.sys");
    world.unload("WdBoot.sys", 0xFFFF_F802_5E00_0000, 0x1_0000);
    let context = world.take(false, 0x100, *b"Vndr").start;
    let power = world.callback(CallbackSpec::named("PowerState"));
    world.register(power.body, world.kernel_routine(0), 0);
    world.register(power.body, world.module("acpi.sys").at(0x1100), context);
    let alone = world.callback(CallbackSpec { multiple: false, ..CallbackSpec::named("LicensingData") });
    world.register(alone.body, world.kernel_routine(1), 0);
    world.callback(CallbackSpec { permanent: false, ..CallbackSpec::named("BootDriver") });
    let unnamed = world.callback(CallbackSpec::unnamed(true));
    world.register(unnamed.body, world.kernel_routine(3), 0);
    world.port("PowerPort", unnamed.body);
    world
}

struct Base {
    dump: Vec<u8>,
    /// Places of the file that hold pool memory and kernel variables, 8 bytes each, with their virtual addresses.
    words: Vec<(usize, u64)>,
    clean: Inspection,
}

/// The newest, one without a list of all objects, and one with plain type indexes and hashes of single characters.
static BASES: LazyLock<[Base; 3]> =
    LazyLock::new(|| [Era::TwentyFourH2, Era::Seven, Era::EightOne].map(|era| base(small(era))));

fn base(mut world: World) -> Base {
    let variables = world.at(plan::rva::MODULES & !0xFFF);
    let patched: BTreeMap<u64, u64> = [(plan::NONPAGED, 8), (plan::PAGED, 4), (variables, 3)]
        .into_iter()
        .flat_map(|(start, pages)| (start..start + pages * 0x1000).step_by(0x1000))
        .filter_map(|page| Some((world.memory.translate(page)? / 0x1000, page)))
        .collect();
    // Pages without content only take time.
    let kept: BTreeSet<u64> = world
        .memory
        .frames()
        .filter(|(frame, bytes)| patched.contains_key(frame) || bytes.iter().any(|byte| *byte != 0))
        .map(|(frame, _)| frame)
        .collect();
    for frame in (0..world.memory.end()).filter(|frame| !kept.contains(frame)) {
        world.memory.forget(frame * 0x1000);
    }
    let dump = world.dump(Dump::Bitmap);
    let first = u64::from_le_bytes(dump[0x2020..0x2028].try_into().expect("eight bytes"));
    let mut words = Vec::new();
    for (rank, frame) in kept.iter().enumerate() {
        if let Some(page) = patched.get(frame) {
            let at = first + rank as u64 * 0x1000;
            words.extend((0..0x1000).step_by(8).map(|offset| ((at + offset) as usize, page + offset)));
        }
    }
    let clean = look(dump.clone());
    assert!(clean.weighty() == 0 && !clean.objects.is_empty() && clean.partial.is_empty());
    Base { dump, words, clean }
}

fn look(bytes: Vec<u8>) -> Inspection {
    let image = MemoryImage::from_bytes(bytes).expect("the header is not touched");
    let kernel = Kernel::find(&image, FindOptions::default());
    inspect("fuzz", &image, &kernel, &Options::default())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((pick, data)) = data.split_first() else { return };
    let base = &BASES[usize::from(*pick) % BASES.len()];
    let mut bytes = base.dump.clone();
    for patch in data.chunks_exact(10).take(64) {
        let pick = |at: usize| usize::from(u16::from_le_bytes([patch[at], patch[at + 1]])) % base.words.len();
        let value = u64::from_le_bytes(patch[2..10].try_into().expect("eight bytes"));
        let (at, own) = base.words[pick(0)];
        let value = match value % 8 {
            0 | 1 => base.words[pick(4)].1,
            2 => base.words[pick(4)].1 & !0xF,
            3 => own,
            _ => value >> 3,
        };
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let found = look(bytes);
    for object in &found.objects {
        assert!(object.evidence.count() > 0);
    }
    let difference = diff(&base.clean, &found);
    let (before, after) = difference.objects;
    assert!(difference.unchanged <= before.min(after));
});
