//! Planning, filling, relocating and binding.

use crate::builder::{
    BASE, CODE, DATA, DISCARDABLE, INIT, Pe, RDATA, Want, import_table, put, relocation_block,
};
use crate::image::{self, Image, ImageError, Note, RelocationFault};

const RELOC: usize = 5;

/// A driver with a pointer at 0x2008 to 0x1010, and the given relocation table.
pub(crate) fn relocatable(table: Vec<u8>) -> Pe {
    let mut pe = Pe::new();
    let mut data = vec![0; 0x20];
    put(&mut data, 8, &(BASE + 0x1010).to_le_bytes());
    assert_eq!(pe.push(".data", DATA, data), 0x2000);
    let size = table.len() as u32;
    let rva = pe.push(".reloc", DISCARDABLE, table);
    pe.directory(RELOC, rva, size);
    pe
}

fn load(bytes: &[u8], base: u64) -> Result<Vec<u8>, ImageError> {
    let plan = Image::parse(bytes).unwrap().plan(base)?;
    let mut memory = vec![0; plan.size() as usize];
    plan.apply(&mut memory)?;
    Ok(memory)
}

fn u64_at(memory: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(memory[at..at + 8].try_into().unwrap())
}

#[test]
fn pointers_follow_the_image() {
    let bytes = relocatable(relocation_block(0x2000, &[(10, 8), (0, 0)])).build();
    assert_eq!(u64_at(&load(&bytes, BASE).unwrap(), 0x2008), BASE + 0x1010);
    assert_eq!(u64_at(&load(&bytes, 0x7_0000_0000).unwrap(), 0x2008), 0x7_0000_1010);
    assert_eq!(u64_at(&load(&bytes, 0x1_0000).unwrap(), 0x2008), 0x1_1010);
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.relocations().unwrap(), [0x2008]);
    assert_eq!(image.plan(0x1_0000).unwrap().relocation_count(), 1);
    assert_eq!(image.plan(0x1_0000).unwrap().entry(), 0x1_1000);
}

#[test]
fn headers_and_sections_are_where_they_belong() {
    let bytes = relocatable(relocation_block(0x2000, &[(0, 0)])).build();
    let memory = load(&bytes, BASE).unwrap();
    assert_eq!(memory[..0x400], bytes[..0x400]);
    assert!(memory[0x400..0x1000].iter().all(|&byte| byte == 0));
    assert_eq!(memory[0x1000..0x1040], [0xc3; 0x40]);
    assert!(memory[0x1040..0x2000].iter().all(|&byte| byte == 0));
}

#[test]
fn uninitialized_data_is_zero_and_excess_data_is_cut() {
    let mut pe = Pe::new();
    pe.push(".bss", DATA, Vec::new());
    pe.parts[1].virtual_size = 0x1800;
    pe.push(".data", DATA, vec![0xaa; 0x1200]);
    pe.parts[2].virtual_size = 0x10;
    let bytes = pe.build();
    let memory = load(&bytes, BASE).unwrap();
    assert_eq!(memory.len(), 0x5000);
    assert!(memory[0x2000..0x4000].iter().all(|&byte| byte == 0));
    assert!(memory[0x4000..].iter().all(|&byte| byte == 0xaa), "the rest of the last page is file data");
}

#[test]
fn section_data_begins_at_a_sector() {
    let mut pe = Pe::new();
    pe.parts[0].raw = Some((0x410, 0x1f0));
    let bytes = pe.build();
    assert_eq!(load(&bytes, BASE).unwrap()[0x1000], 0xc3);
}

#[test]
fn small_memory_is_refused_untouched() {
    let bytes = Pe::new().build();
    let image = Image::parse(&bytes).unwrap();
    let mut memory = vec![0; 0x1fff];
    let error = image.plan(BASE).unwrap().apply(&mut memory).unwrap_err();
    assert_eq!(error.to_string(), "the image needs 0x2000 bytes of memory and got 0x1fff");
    assert!(memory.iter().all(|&byte| byte == 0));
}

#[test]
fn impossible_bases_are_refused() {
    let bytes = Pe::new().build();
    let image = Image::parse(&bytes).unwrap();
    for base in [0x1_0001, !0xfff] {
        let error = image.plan(base).unwrap_err();
        assert_eq!(error, ImageError::LoadBase { base, size: 0x2000 });
    }
}

#[test]
fn stripped_relocations_pin_the_image() {
    let mut pe = Pe::new();
    pe.characteristics |= 1;
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    assert!(image.plan(BASE).is_ok());
    let error = image.plan(0x1_0000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "relocations are stripped, so the image loads at 0x140000000 only, not at 0x10000"
    );
    let bytes = Pe::new().build();
    assert!(Image::parse(&bytes).unwrap().plan(0x1_0000).is_ok(), "nothing to relocate is not stripped");
}

#[test]
fn bad_relocations_are_refused() {
    let refused = |table: Vec<u8>| load(&relocatable(table).build(), 0x1_0000).unwrap_err();
    let narrow = [(1, "HIGH"), (2, "LOW"), (3, "HIGHLOW"), (4, "HIGHADJ")];
    for (kind, name) in narrow {
        let error = refused(relocation_block(0x2000, &[(kind, 8)]));
        assert_eq!(error, ImageError::Relocation { rva: 0x2008, fault: RelocationFault::Narrow(name) });
        let words = format!(
            "bad base relocation for RVA 0x2008: a relocation of kind `{name}` cannot hold a 64-bit address"
        );
        assert_eq!(error.to_string(), words);
    }
    let unknown = refused(relocation_block(0x2000, &[(9, 8)]));
    assert_eq!(unknown, ImageError::Relocation { rva: 0x2008, fault: RelocationFault::Unknown(9) });
    for (page, offset) in [(0x3000, 0xffc), (0x9000, 0), (0xffff_f000, 0xfff), (0, 0x10)] {
        let error = refused(relocation_block(page, &[(10, offset)]));
        let rva = page + u32::from(offset);
        assert_eq!(error, ImageError::Relocation { rva, fault: RelocationFault::Target });
    }
    for size in [1, 7, 9, 11, 0x100, u32::MAX] {
        let mut table = relocation_block(0x2000, &[(10, 8)]);
        put(&mut table, 4, &size.to_le_bytes());
        let fault = RelocationFault::BlockSize(size);
        assert_eq!(refused(table), ImageError::Relocation { rva: 0x2000, fault });
    }
    let mut outside = relocatable(relocation_block(0x2000, &[(10, 8)]));
    outside.directories[RELOC] = (0x3000, 0x10_0000);
    let error = load(&outside.build(), 0x1_0000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the relocation table at RVA 0x3000 with 0x100000 bytes is not inside the image"
    );
}

#[test]
fn padding_ends_the_relocation_table() {
    let mut table = relocation_block(0x2000, &[(10, 8), (0, 0)]);
    table.resize(0x40, 0);
    let bytes = relocatable(table).build();
    assert_eq!(Image::parse(&bytes).unwrap().relocations().unwrap(), [0x2008]);
}

#[test]
fn no_page_stays_writable_and_executable() {
    let mut pe = relocatable(relocation_block(0x2000, &[(10, 8), (0, 0)]));
    pe.push("PAGE", CODE & !0x0800_0000, vec![0xc3; 8]);
    pe.push("INIT", INIT, vec![0xc3; 0x1100]);
    pe.push(".rdata", RDATA, vec![1; 8]);
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    let plan = image.plan(BASE).unwrap();
    let shown: Vec<_> = plan
        .ranges()
        .iter()
        .map(|range| format!("{:x}+{:x} {}", range.rva, range.size, range.protection))
        .collect();
    assert_eq!(
        shown,
        [
            "0+1000 r--",
            "1000+1000 r-x",
            "2000+1000 rw-",
            "3000+1000 r--",
            "4000+1000 r-x",
            "5000+2000 r-x",
            "7000+1000 r--"
        ]
    );
    assert_eq!(plan.notes(), [Note::WriteDropped { section: "INIT".into() }]);
    assert_eq!(
        plan.notes()[0].to_string(),
        "section `INIT` asks for write and execute; it is loaded without write"
    );
    let init: Vec<_> = plan.init_ranges().map(|range| (range.rva, range.size)).collect();
    assert_eq!(init, [(0x5000, 0x2000)]);
    let discardable: Vec<_> =
        plan.ranges().iter().filter(|range| range.discardable).map(|range| range.rva).collect();
    assert_eq!(discardable, [0x3000, 0x5000]);
    let pageable: Vec<_> = image
        .sections()
        .iter()
        .filter(|section| section.pageable())
        .map(|section| &section.name[..])
        .collect();
    assert_eq!(pageable, ["PAGE"]);
}

#[test]
fn low_alignment_sections_share_pages_and_are_reported() {
    let mut pe = Pe::empty(0x200, 0x200);
    assert_eq!(pe.push(".text", CODE, vec![0xc3; 0x40]), 0x400);
    assert_eq!(pe.push(".data", DATA, vec![0x11; 0x40]), 0x600);
    assert_eq!(pe.push("INIT", INIT, vec![0x22; 0xc00]), 0x800);
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    assert!(image.headers().is_low_alignment());
    assert_eq!(image.size(), 0x2000);
    let plan = image.plan(0x1_0000).unwrap();
    let ranges: Vec<_> = plan
        .ranges()
        .iter()
        .map(|range| (range.rva, range.size, range.protection.to_string(), range.init))
        .collect();
    assert_eq!(ranges, [(0, 0x1000, "rwx".into(), false), (0x1000, 0x1000, "r-x".into(), true)]);
    let words: Vec<_> = plan.notes().iter().map(Note::to_string).collect();
    assert_eq!(
        words,
        [
            "low alignment: `.text`, `.data`, `INIT` share the pages at RVA 0x0 (0x1000 bytes), which get all their \
             rights together: `rwx`",
            "section `INIT` asks for write and execute; it is loaded without write",
        ]
    );
    let memory = load(&bytes, 0x1_0000).unwrap();
    assert_eq!((memory[0x400], memory[0x600], memory[0x800], memory[0x13ff]), (0xc3, 0x11, 0x22, 0x22));
}

#[test]
fn low_alignment_off_its_file_offset_is_reported() {
    let mut pe = Pe::empty(0x200, 0x200);
    pe.push(".text", CODE, vec![0xc3; 0x40]);
    pe.push(".bss", DATA, Vec::new());
    pe.parts[1].virtual_size = 0x200;
    pe.push(".data", DATA, vec![0x11; 0x40]);
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    let plan = image.plan(0x1_0000).unwrap();
    let moved = Note::NotFlat { section: ".data".into(), rva: 0x800, file_offset: 0x600 };
    assert!(plan.notes().contains(&moved), "{:?}", plan.notes());
}

#[test]
fn imports_are_bound_into_their_slots() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    let table = import_table(
        rva,
        &[
            ("ntoskrnl.exe", &[Want::Name("DbgPrint"), Want::Ordinal(5)], true),
            ("HAL.dll", &[Want::Name("x")], true),
        ],
    );
    pe.push(".idata", DATA, table);
    pe.directory(1, rva, 0x28);
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    let imports = image.imports().unwrap();
    let mut memory = load(&bytes, BASE).unwrap();
    let mut asked = Vec::new();
    image::bind(&mut memory, &imports, |import| {
        asked.push(import.to_string());
        0x1000 + asked.len() as u64
    })
    .unwrap();
    assert_eq!(asked, ["ntoskrnl.exe!DbgPrint", "ntoskrnl.exe!#5", "HAL.dll!x"]);
    for (import, address) in imports.iter().zip(0x1001..) {
        assert_eq!(u64_at(&memory, import.slot_rva as usize), address);
    }
    let error = image::bind(&mut memory[..0x2000], &imports, |_| 0).unwrap_err();
    assert!(matches!(error, ImageError::Memory { given: 0x2000, .. }), "{error}");
}
