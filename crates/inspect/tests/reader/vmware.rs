//! `.vmem` files: with the state file next to them, and with the PCI hole told by the page tables. State files that hold the memory.

use std::fs;

use ringbell_inspect::{FindOptions, Format, Kernel, MemoryImage, Note, OpenError, RootFoundBy, Unsupported};
use synth::{Era, StateFile, World};

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

#[test]
fn a_group_that_is_named_again_is_not_read_again() {
    let folder = Folder::new("again");
    let (memory, regions) = packed();
    let path = folder.file("guest.vmem", 0, &[(0, &memory.0)]);
    let mut state = files::vmss(&regions);
    // A third group, whose tags would lie behind the end.
    state.u32(8, 3).write(172, b"memory").u64(172 + 64, 1 << 40);
    folder.file("guest.vmss", 0, &[(0, &state.0)]);
    let image = MemoryImage::open(&path).unwrap();
    assert_eq!(image.notes(), [Note::StateFile { name: "guest.vmss".to_owned() }]);
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

const PLAIN: StateFile = StateFile { wide: true, regions: true, compressed: false };

#[test]
fn a_state_file_may_hold_the_memory_itself() {
    let world = World::booted(Era::Ten);
    let raw = world.raw();
    for (wide, regions) in [(true, true), (true, false), (false, true), (false, false)] {
        let bytes = world.vmware_state(StateFile { wide, regions, ..PLAIN });
        let image = MemoryImage::from_bytes(bytes).unwrap();
        assert_eq!((image.format(), image.notes()), (Format::Vmware, &[][..]), "{wide} {regions}");
        let physical = image.physical().unwrap();
        assert_eq!(physical.present_bytes(), raw.len() as u64);
        let mut read = vec![0; raw.len()];
        physical.read(0, &mut read).unwrap();
        assert!(read == raw, "{wide} {regions}");
        let kernel = Kernel::find(&image, FindOptions::default());
        assert_eq!(kernel.root, Some((world.memory.root(), RootFoundBy::Registers { processor: 0 })));
    }
}

#[test]
fn compressed_memory_in_a_state_file_is_named_and_refused() {
    let bytes = World::booted(Era::Ten).vmware_state(StateFile { compressed: true, ..PLAIN });
    let error = MemoryImage::from_bytes(bytes).unwrap_err();
    assert_eq!(error, OpenError::Unsupported(Unsupported::VmwareCompressed));
    assert!(error.hint().unwrap().contains("vmss2core"));
}

#[test]
fn a_state_file_without_memory_names_the_file_that_has_it() {
    let error = MemoryImage::from_bytes(files::vmss(&[(0, 0, 1)]).0).unwrap_err();
    assert_eq!(error, OpenError::Unsupported(Unsupported::VmwareState));
    assert!(error.hint().unwrap().contains("`.vmem`"));
}

#[test]
fn a_cut_state_file_says_how_much_is_missing() {
    let world = World::booted(Era::Ten);
    let mut bytes = world.vmware_state(PLAIN);
    // The end mark, and the last page of the block: the page before the second half of memory.
    bytes.truncate(bytes.len() - 2 - 0x1000);
    let image = MemoryImage::from_bytes(bytes).unwrap();
    let pages = world.raw().len() as u64 / 0x1000;
    assert_eq!(image.notes(), [Note::CutOff { bytes: 0x1000, from: (pages / 2 - 1) * 0x1000 }]);
    let mut short = world.vmware_state(PLAIN);
    short.truncate(0x208);
    let error = MemoryImage::from_bytes(short).unwrap_err();
    assert!(matches!(error, OpenError::VmwareBroken(_)), "{error:?}");
    assert!(error.hint().is_some());
}

#[test]
fn regions_that_reach_behind_the_block_are_not_read_from_elsewhere() {
    let world = World::booted(Era::Ten);
    let mut bytes = world.vmware_state(PLAIN);
    let name = b"regionSize";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4;
    let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&(size + 1).to_le_bytes());
    bytes.extend([0x66; 0x2000]);
    let image = MemoryImage::from_bytes(bytes).unwrap();
    // The first region claims one page more, which the block does not hold and the second region has.
    assert!(image.notes().iter().any(Note::is_partial), "{:?}", image.notes());
    let physical = image.physical().unwrap();
    let mut page = [0; 0x1000];
    let mut from = 0;
    while let Some(run) = physical.next_run(from) {
        physical.read(run.end - 0x1000, &mut page).unwrap();
        assert_ne!(page, [0x66; 0x1000], "{run:?}");
        from = run.end;
    }
}
