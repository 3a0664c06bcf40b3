//! Triage dumps: ranges by virtual address, and a list of drivers.

use ringbell_inspect::{
    DumpType, FindOptions, Format, Kernel, MemoryExt as _, MemoryImage, Missing, ModulesFoundBy, Note, Why,
};

use crate::files::{self, File};

const POOL: u64 = 0xFFFF_AB00_1234_5000;

/// Two data blocks that overlap, a stack, two drivers.
pub(crate) fn triage() -> File {
    let mut file = files::header(4);
    file.write(0x2000, &[0; 0x100]);
    file.u32(0x2028, 0x3000).u32(0x202C, 0x100).u64(0x2048, 0xFFFF_F800_0BAD_0000);
    file.u32(0x2030, 0x2200).u32(0x2034, 2);
    file.u32(0x2078, 0x2100).u32(0x207C, 2);
    file.u64(0x2100, POOL).u32(0x2108, 0x3100).u32(0x210C, 0x100);
    file.u64(0x2110, POOL + 0x80).u32(0x2118, 0x3200).u32(0x211C, 0x100);
    for (index, (name, base)) in
        [("\\SystemRoot\\ntoskrnl.exe", 0xFFFF_F800_0000_0000_u64), ("ring.sys", 0xFFFF_F800_1000_0000)]
            .into_iter()
            .enumerate()
    {
        let (at, text) = (0x2200 + index * 0xA8, 0x2400 + index * 0x100);
        file.u32(at, text as u32).u64(at + 8 + 0x30, base).u32(at + 8 + 0x40, 0x1_0000);
        file.u32(at + 8 + 0x9C, 0);
        file.u32(text, name.len() as u32);
        for (unit, byte) in name.bytes().enumerate() {
            file.u16(text + 4 + unit * 2, u16::from(byte));
        }
    }
    file.write(0x3000, &[0x55; 0x100]).write(0x3100, &[0x66; 0x100]).write(0x3200, &[0x77; 0x100]);
    file
}

#[test]
fn captured_ranges_are_read_by_their_addresses() {
    let image = MemoryImage::from_bytes(triage().0).unwrap();
    assert_eq!(image.format(), Format::Dump(DumpType::Triage));
    assert!(image.physical().is_none());
    assert_eq!(image.notes(), [Note::Triage { ranges: 3, bytes: 0x280 }]);
    assert!(image.notes()[0].is_partial());
    assert!(image.notes()[0].hint().unwrap().contains("Active memory dump"));
    let kernel = Kernel::find(&image, FindOptions::default());
    let memory = kernel.memory();
    // Across the border of two blocks; what both claim belongs to the lower one.
    assert_eq!(memory.array::<4>(POOL + 0xFE), Ok([0x66, 0x66, 0x77, 0x77]));
    assert_eq!(memory.u8(0xFFFF_F800_0BAD_00FF), Ok(0x55));
    let missing = Missing { address: POOL + 0x180, why: Why::NotInImage };
    assert_eq!(memory.u8(POOL + 0x180), Err(missing));
    // Nothing is read by its place in the file.
    assert!(memory.u8(0x3000).is_err());
}

#[test]
fn drivers_are_modules() {
    let image = MemoryImage::from_bytes(triage().0).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.modules_found_by, Some(ModulesFoundBy::Triage));
    let names: Vec<_> = kernel.modules.iter().map(|module| module.name.clone().unwrap()).collect();
    assert_eq!(names, ["ntoskrnl.exe", "ring.sys"]);
    assert_eq!(kernel.base.unwrap().0, 0xFFFF_F800_0000_0000);
    assert_eq!(kernel.build.unwrap().number, 19045);
}

#[test]
fn blocks_beyond_the_file_are_cut_and_counted() {
    let mut file = triage();
    file.u32(0x211C, 0xFFFF_FFFF).u32(0x210C, 0x40);
    let image = MemoryImage::from_bytes(file.0).unwrap();
    assert_eq!(image.notes()[0], Note::CutOff { bytes: 0xFFFF_FEFF, from: 0 });
    let mut file = triage();
    file.u32(0x207C, u32::MAX).u32(0x2034, u32::MAX);
    let image = MemoryImage::from_bytes(file.0).unwrap();
    assert!(image.notes().iter().any(|note| matches!(note, Note::MapLimit { .. })));
}

#[test]
fn unloaded_drivers_are_listed() {
    let mut file = triage();
    file.u32(0x2018, 0x2800).u64(0x2800, 3);
    for (index, (name, start)) in
        [("dump_disk.sys", 0xFFFF_F800_2000_0000_u64), ("once.sys", 0xFFFF_F800_3000_0000), ("none", 0)]
            .into_iter()
            .enumerate()
    {
        let at = 0x2808 + index * 0x38;
        // The kernel keeps twelve characters.
        let kept = &name[..name.len().min(12)];
        file.u16(at, kept.len() as u16 * 2);
        for (unit, byte) in kept.bytes().enumerate() {
            file.u16(at + 0x10 + unit * 2, u16::from(byte));
        }
        file.u64(at + 0x28, start).u64(at + 0x30, start + 0x8000);
    }
    let image = MemoryImage::from_bytes(file.0.clone()).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let unloaded = kernel.unloaded.unwrap();
    let shown: Vec<_> = unloaded.iter().map(|it| (it.name.clone().unwrap(), it.start, it.end)).collect();
    assert_eq!(
        shown,
        [
            ("dump_disk.sy".to_owned(), 0xFFFF_F800_2000_0000, 0xFFFF_F800_2000_8000),
            ("once.sys".to_owned(), 0xFFFF_F800_3000_0000, 0xFFFF_F800_3000_8000)
        ]
    );
    // A count that cannot be is cut to what the kernel keeps and the file holds; no list at all is said.
    file.u32(0x2800, u32::MAX);
    let image = MemoryImage::from_bytes(file.0.clone()).unwrap();
    assert!(Kernel::find(&image, FindOptions::default()).unloaded.unwrap().len() <= 50);
    let image = MemoryImage::from_bytes(triage().0).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.unloaded, None);
    assert!(kernel.notes.iter().any(|note| note.to_string().contains("unloaded modules are not known")));
}
