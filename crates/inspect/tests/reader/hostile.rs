//! Headers that lie: counts beyond the file, runs that overlap, files that end early.

use ringbell_inspect::{
    AddressSpace, FindOptions, Kernel, KernelRange, MemoryImage, Missing, Note, OpenError, Physical, Why,
};

use crate::files::{self, File};
use crate::guest::{Guest, ROOT};

fn open(file: File) -> Result<MemoryImage, OpenError> {
    MemoryImage::from_bytes(file.0)
}

fn why(physical: &dyn Physical, address: u64) -> Why {
    physical.read(address, &mut [0]).unwrap_err().missing.why
}

#[test]
fn a_huge_run_in_a_header_costs_nothing() {
    // What costs the field's crate seconds and hundreds of megabytes.
    for pages in [0x0100_0000_u64, 1 << 40, u64::MAX / 0x1000, u64::MAX] {
        let mut file = files::full(&Guest::new());
        file.u64(0xA0, pages);
        file.0.truncate(0x3000);
        let image = open(file).unwrap();
        let physical = image.physical().unwrap();
        assert_eq!(physical.present_bytes(), 0x1000);
        assert_eq!(why(physical, 0x2000), Why::CutOff);
        assert!(image.notes().iter().any(|note| matches!(note, Note::CutOff { .. })));
    }
}

#[test]
fn a_file_of_nothing_but_a_header_holds_no_memory() {
    let mut file = files::full(&Guest::new());
    file.0.truncate(0x2000);
    assert_eq!(open(file).unwrap_err(), OpenError::NoMemory);
}

#[test]
fn counts_beyond_their_room_are_refused() {
    for count in [0, 43, u32::MAX] {
        let mut file = files::full(&Guest::new());
        file.u32(0x88, count);
        let error = open(file).unwrap_err();
        let header = OpenError::Header {
            what: "the number of runs (`NumberOfRuns`)",
            value: u64::from(count),
            expected: "the header has room for 1 to 42",
        };
        assert_eq!(error, header);
    }
    for bits in [u64::MAX, 1 << 40, 0x4000 * 8] {
        let mut file = files::bitmap(&Guest::new(), 5);
        file.u64(0x2030, bits);
        assert!(matches!(open(file), Err(OpenError::Header { .. })), "{bits:#x}");
    }
    // The first page moved so far that the bitmap would fit: the file does not hold it.
    let mut file = files::bitmap(&Guest::new(), 5);
    file.u64(0x2020, 1 << 60).u64(0x2030, 1 << 62);
    assert!(matches!(open(file), Err(OpenError::Truncated { what: "the bitmap", .. })));
    for first_page in [0, 0x2000, u64::MAX, 1 << 50] {
        let mut file = files::ranges(&Guest::new(), 8);
        file.u64(0x2018, first_page);
        assert!(open(file).is_err(), "{first_page:#x}");
    }
    for (at, value) in [(0x36, 0), (0x36, 0x37), (0x38, 0xFFFE)] {
        let mut file = files::elf(&Guest::new());
        file.u16(at, value);
        assert!(open(file).is_err(), "{at:#x}");
    }
}

#[test]
fn runs_that_overlap_are_said_and_the_lower_one_is_believed() {
    let mut file = files::full(&Guest::new());
    // The second run (one page of 0xA5) claims page 0x5000 of the first.
    file.u64(0xA8, 5);
    let image = open(file).unwrap();
    assert_eq!(image.notes(), [Note::Overlap { bytes: 0x1000, at: 0x5000 }]);
    let mut mark = [0; 2];
    image.physical().unwrap().read(0x5000, &mut mark).unwrap();
    assert_eq!(&mark, b"MZ");
    assert_eq!(
        image.notes()[0].to_string(),
        "0x1000 bytes of physical memory, the first at 0x5000, are claimed by two runs; the run that begins lower \
         was believed"
    );
}

#[test]
fn runs_that_share_the_file_name_no_more_memory_than_it_has() {
    let mut file = files::elf(&Guest::new());
    let length = file.0.len() as u64;
    // Twelve segments of the whole file at twelve places, 1 TiB apart.
    file.u16(0x38, 12);
    for index in 0..12 {
        let at = 0x40 + index * 0x38;
        file.u32(at, 1).u64(at + 8, 0).u64(at + 0x18, (index as u64) << 40).u64(at + 0x20, length);
    }
    let image = open(file).unwrap();
    assert_eq!(image.notes(), [Note::Aliased { bytes: 11 * length }]);
    assert!(image.notes()[0].is_partial());
    assert_eq!(image.physical().unwrap().present_bytes(), length);
    assert_eq!(image.physical().unwrap().end(), length);
}

#[test]
fn a_truncated_file_says_what_is_missing() {
    for (file, name) in [
        (files::full(&Guest::new()), "full"),
        (files::bitmap(&Guest::new(), 5), "bitmap"),
        (files::ranges(&Guest::new(), 9), "ranges"),
    ] {
        let mut file = file;
        // Two pages are missing: the last of the low ones and the high one.
        let length = file.0.len();
        file.0.truncate(length - 0x2000);
        let image = open(file).unwrap();
        assert_eq!(image.notes(), [Note::CutOff { bytes: 0x2000, from: 0x9000 }], "{name}");
        assert!(image.notes()[0].is_partial());
        let physical = image.physical().unwrap();
        assert_eq!((why(physical, 0x9000), why(physical, 0x0123_4000)), (Why::CutOff, Why::CutOff), "{name}");
        assert_eq!(why(physical, 0xA000), Why::NotInImage, "{name}");
        let mut buffer = [0; 0x20];
        let partial = physical.read(0x8FF0, &mut buffer).unwrap_err();
        assert_eq!((partial.read, partial.missing), (0x10, Missing { address: 0x9000, why: Why::CutOff }));
        assert_eq!(physical.present_bytes(), 0x8000);
        // The kernel is all there.
        assert_eq!(Kernel::find(&image, FindOptions::default()).modules.len(), 2, "{name}");
    }
}

#[test]
fn counts_that_contradict_the_map_are_notes() {
    let mut file = files::bitmap(&Guest::new(), 5);
    file.u64(0x2028, 999);
    let note = open(file).unwrap().notes()[0].clone();
    assert_eq!(
        note.to_string(),
        "pages in the bitmap (`TotalPresentPages`): the header says 0x3e7, found 0xa"
    );
    let mut file = files::ranges(&Guest::new(), 0xA);
    file.u64(0x2028, 999);
    assert!(matches!(open(file).unwrap().notes()[0], Note::Contradiction { header: 999, .. }));
    let mut file = files::ranges(&Guest::new(), 0xA);
    // Fewer pages than the ranges have: the rest is not believed.
    file.u64(0x2028, 9);
    let image = open(file).unwrap();
    assert_eq!(image.notes(), []);
    assert!(!image.physical().unwrap().contains(0x0123_4000));
}

#[test]
fn every_truncation_of_every_format_ends() {
    let guest = Guest::new();
    for file in [
        files::full(&guest),
        files::bitmap(&guest, 6),
        files::ranges(&guest, 8),
        files::ranges(&guest, 0xA),
        files::elf(&guest),
    ] {
        let lengths = (0..0x2100).step_by(7).chain((0x2100..file.0.len()).step_by(0x3FF));
        for length in lengths {
            let mut cut = file.clone();
            cut.0.truncate(length);
            if let Ok(image) = open(cut) {
                let _ = Kernel::find(&image, FindOptions::default());
            }
        }
    }
}

#[test]
fn one_page_mapped_everywhere_is_walked_in_bounds() {
    // Every entry of every table maps memory by huge pages that begin at zero.
    let mut guest = Guest::default();
    for index in 0..512 {
        guest.u64(ROOT + index * 8, 0x2063);
        guest.u64(0x2000 + index * 8, 0xE3);
    }
    guest.write(0x3000, b"MZ");
    let image = open(files::full(&guest)).unwrap();
    let physical = image.physical().unwrap();
    let space =
        AddressSpace::new(physical, ROOT, ringbell_inspect::Paging::FourLevels, KernelRange::UPPER_HALF);
    let pages = [0x1000, 0x2000, 0x3000].into();
    assert_eq!(space.virtual_of(&pages).len(), 3);
    assert!(Kernel::find(&image, FindOptions::default()).base.is_none());
}
