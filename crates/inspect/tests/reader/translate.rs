//! Page tables: the processor's entries, the memory manager's, and tables that refer to themselves.

use std::collections::BTreeSet;

use ringbell_inspect::{
    AddressSpace, KernelRange, Level, Memory as _, MemoryExt as _, Missing, PageSize, Paging, Physical, Why,
};

use crate::sparse::Sparse;

/// 0xFFFFF800_00000000: PXE 0x1F0, everything else 0.
const KERNEL: u64 = 0xFFFF_F800_0000_0000;

/// A root at 0x1000, PPEs at 0x2000, PDEs at 0x3000, PTEs at 0x4000, data from 0x5000.
fn machine() -> Sparse {
    let mut memory = Sparse::default();
    memory.put(0x1000 + 0x1F0 * 8, 0x2063);
    memory.put(0x1000 + 0x1ED * 8, 0x1063); // the self-map
    memory.put(0x2000, 0x3063);
    memory.put(0x2000 + 8, 0x8000_0000_4000_00E3); // 1 GiB at 0x40000000, no execute
    memory.put(0x3000, 0x4063);
    memory.put(0x3000 + 8, 0x0060_00E1); // 2 MiB at 0x600000, read-only
    memory.put(0x4000, 0x5063);
    memory.put(0x4000 + 8, 0x6880 | 0x10); // transition, not swizzled
    memory.put(0x4000 + 2 * 8, 0x2000_0000_6880); // transition, bit 45 flipped
    memory.put(0x4000 + 3 * 8, 0x1234_0000_0080); // in the paging file
    memory.put(0x4000 + 4 * 8, 0x80); // demand zero
    memory.put(0x4000 + 5 * 8, 0xFFFF_8A00_1234_0400); // prototype
    // Prototype entries at 0xFFFFF800_0000_8000: in transition, in a file, in the paging file; and two that are not there.
    memory.put(0x4000 + 8 * 8, 0x8063);
    for (page, prototype) in [(9, 0x00), (10, 0x08), (11, 0x10)] {
        memory.put(0x4000 + page * 8, ((KERNEL + 0x8000 + prototype) << 16) | 0x400);
    }
    memory.put(0x4000 + 12 * 8, ((KERNEL + 0x3000) << 16) | 0x400);
    memory.put(0x4000 + 13 * 8, 0xFFFF_FFFF_0000_0400); // known to the VAD only
    memory.put(0x4000 + 14 * 8, ((KERNEL + 0xF000) << 16) | 0x400); // behind itself
    memory.put(0x4000 + 15 * 8, ((KERNEL + 0xF000) << 16) | 0x400);
    memory.put(0x8000, 0x6880 | 0x10);
    memory.put(0x8008, 0xFFFF_8A00_1234_0400);
    memory.put(0x8010, 0x1234_0000_0080);
    memory.put(0x4000 + 7 * 8, 0x0077_7063); // valid, the page not in the image
    memory.fill(0x5000, 0x55);
    memory.fill(0x6000, 0x66);
    memory.fill(0x60_1000, 0x77);
    memory.fill(0x4000_2000, 0x88);
    memory
}

fn space(memory: &dyn Physical) -> AddressSpace<'_> {
    // PCID bits in CR3 are no part of the address.
    AddressSpace::new(memory, 0x1000 | 0x002, Paging::FourLevels, KernelRange::UPPER_HALF)
}

#[test]
fn pages_of_every_size_translate() {
    let memory = machine();
    let space = space(&memory);
    let small = space.translate(KERNEL + 0x123).unwrap();
    assert_eq!((small.physical, small.page, small.writable), (0x5123, PageSize::Small, true));
    let large = space.translate(KERNEL + 0x20_1010).unwrap();
    assert_eq!((large.physical, large.page, large.writable), (0x60_1010, PageSize::Large, false));
    assert!(large.executable);
    let huge = space.translate(KERNEL + 0x4000_2010).unwrap();
    assert_eq!((huge.physical, huge.page, huge.executable), (0x4000_2010, PageSize::Huge, false));
    assert_eq!(space.u64(KERNEL + 0x20_1010), Ok(0x7777_7777_7777_7777));
    assert_eq!(space.u8(KERNEL + 0x4000_2FFF), Ok(0x88));
}

#[test]
fn transition_pages_are_read() {
    let memory = machine();
    let space = space(&memory);
    for page in [KERNEL + 0x1000, KERNEL + 0x2000] {
        assert!(space.translate(page).unwrap().transition);
        assert_eq!(space.u32(page + 4), Ok(0x6666_6666), "{page:#x}");
    }
}

#[test]
fn prototype_entries_are_followed_once() {
    let memory = machine();
    let space = space(&memory);
    assert_eq!(space.u32(KERNEL + 0x9010), Ok(0x6666_6666));
    assert!(space.translate(KERNEL + 0x9010).unwrap().transition);
    let why = |address| space.u8(address).unwrap_err().why;
    assert_eq!(why(KERNEL + 0xA000), Why::InFile);
    assert_eq!(why(KERNEL + 0xB000), Why::PagedOut);
    assert_eq!(why(KERNEL + 0xC000), Why::PrototypeMissing);
    assert_eq!(why(KERNEL + 0xD000), Why::Prototype);
    assert_eq!(why(KERNEL + 0xE000), Why::PrototypeMissing);
    assert_eq!(why(KERNEL + 0xF000), Why::PrototypeMissing);
}

#[test]
fn five_levels_translate_as_four_below_the_top() {
    let mut memory = machine();
    // With five levels the top table maps itself, and the one below does not.
    memory.put(0x1000 + 0x1ED * 8, 0);
    memory.put(0x9000 + 0x1FF * 8, 0x1063);
    memory.put(0x9000 + 0x100 * 8, 0x1063);
    let top = AddressSpace::new(&memory, 0x9000, Paging::FiveLevels, Paging::FiveLevels.upper_half());
    assert_eq!(top.translate(KERNEL + 0x123).unwrap().physical, 0x5123);
    // An address of 57 bits that is none of 48.
    let wide = 0xFF00_F800_0000_0123;
    assert_eq!(top.translate(wide).unwrap().physical, 0x5123);
    assert_eq!(space(&memory).translate(wide).unwrap_err().why, Why::NotCanonical);
    assert_eq!(top.u8(1 << 60).unwrap_err().why, Why::NotCanonical);
    assert_eq!(top.u8(0).unwrap_err().why, Why::NotPresent { level: Level::Top5 });
    let mut lowest = None;
    top.mappings(0xFF00_0000_0000_0000..=u64::MAX, &mut |address, _| {
        lowest.get_or_insert(address);
    });
    assert_eq!(lowest, Some(wide & !0xFFF));
}

#[test]
fn an_absent_page_says_why() {
    let memory = machine();
    let space = space(&memory);
    let why = |address| space.u8(address).unwrap_err().why;
    assert_eq!(why(KERNEL + 0x3000), Why::PagedOut);
    assert_eq!(why(KERNEL + 0x4000), Why::DemandZero);
    // Its address is no multiple of 8, so no entry lies there.
    assert_eq!(why(KERNEL + 0x5000), Why::Prototype);
    assert_eq!(why(KERNEL + 0x6000), Why::NotPresent { level: Level::Pte });
    assert_eq!(why(KERNEL + 0x7000), Why::NotInImage);
    assert_eq!(why(KERNEL + 0x40_0000), Why::NotPresent { level: Level::Pde });
    assert_eq!(why(KERNEL + 0x8000_0000), Why::NotPresent { level: Level::Ppe });
    assert_eq!(why(0), Why::NotPresent { level: Level::Pxe });
    assert_eq!(why(0x0000_8000_0000_0000), Why::NotCanonical);
    assert_eq!(why(u64::MAX), Why::NotPresent { level: Level::Pxe });
}

#[test]
fn a_partial_read_says_how_far_it_came() {
    let memory = machine();
    let space = space(&memory);
    let mut buffer = [0; 0x20];
    let partial = space.read(KERNEL + 0x2FF0, &mut buffer).unwrap_err();
    assert_eq!(partial.read, 0x10);
    assert_eq!(partial.missing, Missing { address: KERNEL + 0x3000, why: Why::PagedOut });
    assert_eq!(buffer[..0x10], [0x66; 0x10]);
    assert_eq!(partial.to_string(), "read 0x10 bytes, then 0xfffff80000003000: paged out");
    let (bytes, missing) = space.bytes(KERNEL + 0x7FF0, usize::MAX);
    assert!(bytes.is_empty());
    assert_eq!(missing, Some(Missing { address: KERNEL + 0x7FF0, why: Why::NotInImage }));
}

#[test]
fn physical_pages_find_their_addresses() {
    let memory = machine();
    let space = space(&memory);
    let pages = BTreeSet::from([0x5000, 0x60_1000, 0x4000_2000, 0x9999_9000]);
    let found: Vec<_> = space.virtual_of(&pages).into_iter().collect();
    assert_eq!(
        found,
        [(0x5000, KERNEL), (0x60_1000, KERNEL + 0x20_1000), (0x4000_2000, KERNEL + 0x4000_2000)]
    );
}

#[test]
fn tables_that_refer_to_each_other_end() {
    let mut memory = Sparse::default();
    // Every entry of every table is the same table.
    for index in 0..512 {
        memory.put(0x1000 + index * 8, 0x2063);
        memory.put(0x2000 + index * 8, 0x2063);
    }
    let space = space(&memory);
    let mut visits = 0_u32;
    assert!(space.mappings(0..=u64::MAX, &mut |_, _| visits += 1));
    assert_eq!(visits, 512, "one table per level is read once");
    assert_eq!(space.translate(KERNEL).unwrap().physical, 0x2000);
}

#[test]
fn a_missing_table_makes_the_walk_incomplete() {
    let mut memory = machine();
    memory.put(0x3000 + 9 * 8, 0x9_9063);
    let space = space(&memory);
    assert!(!space.mappings(0..=u64::MAX, &mut |_, _| ()));
    let why = space.u8(KERNEL + 9 * 0x20_0000).unwrap_err().why;
    assert_eq!(why, Why::TableNotInImage { level: Level::Pte });
}
