//! `.vmem` files: with the state file next to them, and with the PCI hole told by the page tables.

use std::fs;

use ringbell_inspect::{FindOptions, Format, Kernel, MemoryImage, Note, RootFoundBy};

use crate::files::{self, File};
use crate::folder::Folder;
use crate::guest::{Guest, KERNEL, ROOT};

/// The guest with its high page packed right behind the low ones, and the regions that say so.
fn packed() -> (File, Vec<(u64, u64, u64)>) {
    let mut file = File::default();
    file.write(0, &[0; 0x1000]);
    let mut regions = vec![(0, 0, 1)];
    for (first, bytes) in Guest::new().runs() {
        regions.push((first / 0x1000, file.0.len() as u64 / 0x1000, bytes.len() as u64 / 0x1000));
        let end = file.0.len();
        file.write(end, &bytes);
    }
    (file, regions)
}

#[test]
fn a_state_file_gives_regions_and_registers() {
    let folder = Folder::new("state");
    let (memory, regions) = packed();
    let path = folder.file("guest.VMEM", 0, &[(0, &memory.0)]);
    folder.file("guest.vmsn", 0, &[(0, &files::vmss(&regions).0)]);
    let image = MemoryImage::open(&path).unwrap();
    assert_eq!(image.format(), Format::Vmware);
    assert_eq!(image.notes(), [Note::StateFile { name: "guest.vmsn".to_owned() }]);
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.root, Some((ROOT, RootFoundBy::Registers { processor: 0 })));
    assert_eq!(kernel.base.unwrap().0, KERNEL);
    let mut page = vec![0; 0x1000];
    image.physical().unwrap().read(0x0123_4000, &mut page).unwrap();
    assert_eq!(page, [0xA5; 0x1000]);
}

#[test]
fn a_broken_state_file_is_said_and_the_memory_read_as_one_piece() {
    let folder = Folder::new("broken");
    let memory = files::raw(&Guest::new());
    let path = folder.file("guest.vmem", 0, &[(0, &memory.0)]);
    let mut state = files::vmss(&[(0, 0, 1)]);
    state.0.truncate(0x810);
    folder.file("guest.vmss", 0, &[(0, &state.0)]);
    let image = MemoryImage::open(&path).unwrap();
    assert_eq!(image.notes().len(), 1);
    assert_eq!(image.notes()[0].to_string(), "`guest.vmss` was not used: it ends inside a group of tags");
    assert!(image.notes()[0].is_partial());
    assert_eq!(Kernel::find(&image, FindOptions::default()).base.unwrap().0, KERNEL);
}

/// A guest that maps eight pages from a physical address on.
fn high(first: u64) -> Vec<(u64, Vec<u8>)> {
    let mut guest = Guest::new();
    for page in 0..8 {
        guest.u64(0x4000 + (0x20 + page) * 8, first + page * 0x1000 + 0x63);
    }
    guest.runs()
}

#[test]
fn the_hole_is_told_by_the_page_tables() {
    let folder = Folder::new("hole");
    // 3 GiB and 64 KiB of file; the pages above 3 GiB hold 0x77.
    let length = 0xC001_0000;
    for (name, mapped_at, hole) in [
        ("hole.vmem", 0x1_0000_0000, true),
        ("flat.vmem", 0xC000_0000, false),
        ("hole.raw", 0x1_0000_0000, true),
        ("flat.raw", 0xC000_0000, false),
    ] {
        let runs = high(mapped_at);
        let mut pieces: Vec<(u64, &[u8])> = runs.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
        pieces.push((0xC000_0000, &[0x77; 0x1_0000]));
        let path = folder.file(name, length, &pieces);
        let image = MemoryImage::open(&path).unwrap();
        let found = image.notes().iter().find_map(|note| match note {
            Note::PciHole { hole, .. } => Some(*hole),
            _ => None,
        });
        assert_eq!(found, Some(hole), "{name}");
        let kernel = Kernel::find(&image, FindOptions::default());
        let mut byte = [0];
        kernel.memory().read(KERNEL + 0x2_0123, &mut byte).unwrap();
        assert_eq!(byte, [0x77], "{name}");
        let physical = image.physical().unwrap();
        assert_eq!(physical.contains(0xC000_0000), !hole);
        assert_eq!(physical.end(), if hole { 0x1_0001_0000 } else { length });
        fs::remove_file(path).unwrap();
    }
}
