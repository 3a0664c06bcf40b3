//! What the host does not give: a file that shrinks under the reader; and memory that is no file at all.

use std::fs::OpenOptions;

use ringbell_inspect::{Chunk, Memory as _, MemoryImage, Missing, Physical, Piece, ScanOptions, Why, scan};

use crate::files;
use crate::folder::Folder;
use crate::guest::{Guest, KERNEL, ROOT};
use crate::sparse::Sparse;

#[test]
fn a_file_that_shrinks_is_unreadable_where_it_was() {
    let folder = Folder::new("shrinks");
    let bytes = files::full(&Guest::new()).0;
    let path = folder.file("memory.dmp", 0, &[(0, &bytes)]);
    let image = MemoryImage::open(&path).unwrap();
    let physical = image.physical().unwrap();
    // The last two pages go: 0x9000 and the high one.
    let length = bytes.len() as u64 - 0x2000;
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    let mut byte = [0];
    physical.read(0x8FFF, &mut byte).unwrap();
    let partial = physical.read(0x9000, &mut byte).unwrap_err();
    let why = Why::Unreadable(std::io::ErrorKind::UnexpectedEof);
    assert_eq!(partial.missing, Missing { address: 0x9000, why });
    assert_eq!(partial.missing.to_string(), "0x9000: unreadable: the host says `unexpected end of file`");
    // The scan leaves out the pages it cannot read, and only these.
    let look =
        |chunk: Chunk<'_>, found: &mut Vec<(u64, usize)>| found.push((chunk.physical, chunk.bytes.len()));
    let scanned = scan(physical, &ScanOptions::default(), &|_| (), &look);
    let bytes: usize = scanned.found.iter().map(|(_, length)| length).sum();
    assert_eq!((bytes, scanned.scanned, scanned.unreadable), (0x8000, 0x8000, 0x2000));
    assert!(scanned.found.iter().all(|(at, _)| *at < 0x9000));
}

#[test]
fn memory_that_is_no_file_is_gathered_alike() {
    let guest = Guest::new();
    let mut sparse = Sparse::default();
    for (&page, bytes) in &guest.0 {
        for (index, word) in bytes.chunks_exact(8).enumerate() {
            sparse.put(page + index as u64 * 8, u64::from_le_bytes(word.try_into().unwrap()));
        }
    }
    let image = MemoryImage::from_bytes(files::full(&guest).0).unwrap();
    for size in [0x1000, 0x1800, 0x10_0000] {
        let gathered = |physical: &dyn Physical| {
            let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
            let (mut buffer, mut pieces) = (vec![0; size], Vec::new());
            let mut next = Some(0x1800);
            while let Some(from) = next {
                pieces.clear();
                next = physical.gather(from..0x0123_4800, &mut buffer, &mut pieces);
                for &Piece { physical, offset, length } in &pieces {
                    let bytes = &buffer[offset..offset + length];
                    match all.last_mut() {
                        Some((first, last)) if *first + last.len() as u64 == physical => last.extend(bytes),
                        _ => all.push((physical, bytes.to_vec())),
                    }
                }
            }
            all
        };
        let of_file = gathered(image.physical().unwrap());
        assert!(of_file == gathered(&sparse));
        let places: Vec<_> = of_file.iter().map(|(first, bytes)| (*first, bytes.len())).collect();
        assert_eq!(places, [(0x1800, 0x8800), (0x0123_4000, 0x800)]);
    }
    let space = ringbell_inspect::AddressSpace::new(
        &sparse,
        ROOT,
        ringbell_inspect::Paging::FourLevels,
        ringbell_inspect::KernelRange::UPPER_HALF,
    );
    assert_eq!(space.physical_of(KERNEL + 0x1234), Some(0x6234));
}
