//! Program databases in folders: found, refused when they belong to another build, and asked for when missing.

use std::fs;
use std::path::PathBuf;

use ringbell_inspect::{
    FindOptions, Kernel, MemoryImage, PdbFault, PdbId, PdbSymbols, SymbolFiles, SymbolPath, Symbols as _,
};

use crate::files::{self, File};
use crate::folder::Folder;
use crate::guest::{Guest, KERNEL};

const GUID: [u8; 16] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 9, 10, 11, 12, 13, 14, 15, 16];

fn id() -> PdbId {
    PdbId { name: "ntkrnlmp.pdb".to_owned(), guid: GUID, age: 1 }
}

/// A database with two sections and three public symbols, in the layout of Microsoft's published `microsoft-pdb`
/// sources: an MSF file of 4 KiB pages with the streams 1 (information), 3 (debug), 4 (symbols), 5 (sections).
fn pdb() -> File {
    let mut file = File::default();
    file.write(0, b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0");
    // Page size, free map, pages, bytes of the directory, 0, the page that lists the directory's pages.
    file.u32(32, 0x1000).u32(36, 1).u32(40, 8).u32(44, 0x34).u32(48, 0).u32(52, 2);
    file.u32(0x2000, 3);
    // The directory: six streams, their sizes, their pages.
    let sizes = [0, 0x20, 0, 0x4C, 0x60, 0x50];
    file.u32(0x3000, 6);
    for (index, size) in sizes.into_iter().enumerate() {
        file.u32(0x3004 + index * 4, size);
    }
    for (index, page) in [4, 5, 6, 7].into_iter().enumerate() {
        file.u32(0x301C + index * 4, page);
    }
    // Stream 1: version VC70, a time, the age, the GUID, no names.
    file.u32(0x4000, 20_000_404).u32(0x4004, 0).u32(0x4008, 1).write(0x400C, &GUID).u32(0x401C, 0);
    // Stream 3: the header, then which stream holds the section headers.
    file.u32(0x5000, u32::MAX).u32(0x5004, 19_990_903).u32(0x5008, 1);
    file.u16(0x500C, 0xFFFF).u16(0x5010, 0xFFFF).u16(0x5014, 4);
    file.u32(0x5030, 12).u16(0x503A, 0x8664);
    file.write(0x5040, &[0xFF; 12]).u16(0x5040 + 10, 5);
    // Stream 4: `S_PUB32`: length, kind, flags, offset, section, name.
    let mut at = 0x6000;
    for (name, section, offset) in
        [("ExpCallbackListHead", 2_u16, 0x230_u32), ("ExCreateCallback", 1, 0x40), ("ExAlias", 1, 0x40)]
    {
        let length = (2 + 4 + 4 + 2 + name.len() + 1 + 2).next_multiple_of(4);
        file.u16(at, length as u16 - 2).u16(at + 2, 0x110E).u32(at + 4, 0).u32(at + 8, offset);
        file.u16(at + 12, section).write(at + 14, name.as_bytes());
        at += length;
    }
    file.0.resize(0x7000, 0);
    file.u32(0x3004 + 4 * 4, at as u32 - 0x6000);
    // Stream 5: `IMAGE_SECTION_HEADER`s.
    file.write(0x7000, b".text").u32(0x7008, 0x1000).u32(0x700C, 0x1000);
    file.write(0x7028, b".data").u32(0x7030, 0x1000).u32(0x7034, 0x5000);
    file.0.resize(0x8000, 0);
    file
}

fn store(folder: &Folder, place: &str, file: &File) -> PathBuf {
    let path = folder.0.join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &file.0).unwrap();
    path
}

fn path(folder: &Folder) -> SymbolPath {
    SymbolPath::parse(&format!("/nowhere;srv*{}*https://example.org", folder.0.display()))
}

#[test]
fn a_database_in_a_symbol_store_is_read() {
    let folder = Folder::new("pdb-store");
    let place = store(&folder, &format!("ntkrnlmp.pdb/{}/ntkrnlmp.pdb", id().key()), &pdb());
    let symbols = path(&folder).load(&id()).unwrap();
    assert_eq!(symbols.len(), 3);
    assert_eq!(symbols.rva_of("ExpCallbackListHead"), Some(0x5230));
    assert_eq!(symbols.rva_of("ExpCallbackListLock"), None);
    assert_eq!(symbols.nearest(0x1045), Some(("ExAlias", 5)));
    assert_eq!(symbols.nearest(0x103F), None);
    assert_eq!(symbols.path(), place);
}

#[test]
fn a_database_beside_others_is_read_if_it_is_the_right_one() {
    let folder = Folder::new("pdb-flat");
    store(&folder, "ntkrnlmp.pdb", &pdb());
    assert_eq!(path(&folder).load(&id()).unwrap().rva_of("ExCreateCallback"), Some(0x1040));
    let other = PdbId { guid: [7; 16], ..id() };
    let missing = path(&folder).load(&other).unwrap_err();
    assert!(
        missing.to_string().ends_with("but it belongs to another build (4433221166558877090A0B0C0D0E0F101)")
    );
    let older = PdbId { age: 2, ..id() };
    assert!(path(&folder).load(&older).is_err());
}

#[test]
fn a_missing_database_is_asked_for_by_its_address() {
    let folder = Folder::new("pdb-none");
    let missing = SymbolPath::parse(&folder.0.display().to_string()).load(&id()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no symbols: `ntkrnlmp.pdb`, GUID 44332211-6655-8877-090A-0B0C0D0E0F10, age 1, is in none of the folders of \
         the symbol path"
    );
    let key = "4433221166558877090A0B0C0D0E0F101";
    assert_eq!(
        missing.hint(),
        format!(
            "fetch https://msdl.microsoft.com/download/symbols/ntkrnlmp.pdb/{key}/ntkrnlmp.pdb and put it at \
             `{}/ntkrnlmp.pdb/{key}/ntkrnlmp.pdb`",
            folder.0.display()
        )
    );
    let nowhere = SymbolPath::default().load(&id()).unwrap_err();
    assert!(nowhere.to_string().ends_with("and no folder to look in was given"));
    assert!(nowhere.hint().contains("`SYMBOLS/ntkrnlmp.pdb/"));
    store(&folder, &format!("ntkrnlmp.pdb/{key}/ntkrnlmp.pd_"), &pdb());
    let missing = path(&folder).load(&id()).unwrap_err();
    assert!(missing.hint().starts_with("expand `"));
}

#[test]
fn symbols_name_addresses_of_an_image() {
    let folder = Folder::new("pdb-image");
    let image = MemoryImage::from_bytes(files::full(&Guest::new()).0).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let (none, missing) = SymbolFiles::load(&kernel, &path(&folder));
    assert_eq!(missing.unwrap().id(), &id());
    assert_eq!(none.global("ExCreateCallback"), None);
    let place = store(&folder, "ntkrnlmp.pdb", &pdb());
    let (files, missing) = SymbolFiles::load(&kernel, &path(&folder));
    assert_eq!(missing, None);
    assert_eq!(files.files().collect::<Vec<_>>(), [(KERNEL, place.as_path())]);
    assert_eq!(files.global("ExCreateCallback"), Some(KERNEL + 0x1040));
    assert_eq!(files.routine(KERNEL + 0x1040).as_deref(), Some("ExAlias"));
    assert_eq!(files.routine(KERNEL + 0x1044).as_deref(), Some("ExAlias+0x4"));
    // Outside of the image (its size is 0x2000) nothing has a name.
    assert_eq!(files.routine(KERNEL + 0x2000), None);
    assert_eq!(files.routine(KERNEL - 1), None);
}

#[test]
fn a_name_that_leads_elsewhere_is_not_followed() {
    for name in ["", "..", ".hidden", "a/b.pdb", "a\\b.pdb", "c:x.pdb"] {
        let missing = SymbolPath::parse("/").load(&PdbId { name: name.to_owned(), ..id() }).unwrap_err();
        assert!(missing.to_string().ends_with("which is no file name"), "{name}");
    }
}

#[test]
fn a_damaged_database_is_an_answer() {
    let folder = Folder::new("pdb-bad");
    let good = pdb();
    let place = folder.0.join("bad.pdb");
    for at in (0..0x8000).step_by(4).filter(|at| at % 0x1000 < 0x60) {
        for value in [0, u32::MAX, 0x7FFF_FFFF] {
            let mut bad = good.clone();
            bad.u32(at, value);
            fs::write(&place, &bad.0).unwrap();
            // Whatever it says: it ends, and what is found lies within the sections.
            match PdbSymbols::read(&place, &id()) {
                Ok(symbols) => assert!(symbols.len() <= 3),
                Err(PdbFault::OtherBuild(_) | PdbFault::Unreadable(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_part_larger_than_the_database_is_refused_before_it_takes_memory() {
    let symbols = PdbSymbols::from_bytes(pdb().0, &id()).unwrap();
    assert_eq!((symbols.len(), symbols.path().as_os_str().len()), (3, 0));
    // The directory: one page again and again. It says that the symbols take as many pages as it has entries.
    let mut file = pdb();
    file.u32(44, 0x4_0000).u32(0x3004 + 4 * 4, 0x0F00_0000);
    for entry in 0..0x40 {
        file.u32(0x2000 + entry * 4, 3);
    }
    let fault = PdbSymbols::from_bytes(file.0, &id()).unwrap_err();
    assert_eq!(
        fault,
        PdbFault::Unreadable("IO error while reading PDB: a part of it is larger than the whole".to_owned())
    );
}

#[test]
fn a_count_in_another_kind_of_symbol_takes_no_memory() {
    // The first symbol, with 38 bytes behind its length, becomes `S_CALLEES` of 256 Mi functions, 1 GiB of them.
    let mut file = pdb();
    file.u16(0x6002, 0x115A).u32(0x6004, 0x1000_0000);
    let before = peak();
    let symbols = PdbSymbols::from_bytes(file.0, &id()).unwrap();
    assert_eq!((symbols.len(), symbols.rva_of("ExCallbackListHead")), (2, None));
    assert!(peak() - before < 512 << 10, "{} KiB more", peak() - before);
}

/// Gives the most memory that the process had, in KiB; zero where the host does not tell.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
