//! The scan sees every byte once, in order, whatever the threads do.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use ringbell_inspect::{Chunk, MemoryImage, Needle, Physical, ScanOptions, scan, scan_needles};

use crate::files;
use crate::guest::Guest;

/// Memory of four kinds with pages scattered over more than one stretch of 64 MiB.
fn images() -> (Guest, Vec<MemoryImage>) {
    let mut guest = Guest::new();
    for page in 0..30_u64 {
        let address = 0x0200_0000 + page * page * 0x6_1000;
        guest.write(address & !0xFFF, &(page + 1).to_le_bytes().repeat(512));
        guest.write((address & !0xFFF) + 0x230 + 16 * page, b"CallXXXX____CBRe");
    }
    let images =
        [files::full(&guest), files::bitmap(&guest, 5), files::ranges(&guest, 8), files::elf(&guest)];
    (guest, images.into_iter().map(|file| MemoryImage::from_bytes(file.0).unwrap()).collect())
}

/// A plain search in the guest itself.
fn expected(guest: &Guest, value: &[u8; 4], at: u64) -> Vec<u64> {
    let mut found = Vec::new();
    for (&page, bytes) in &guest.0 {
        for offset in (at as usize..0x1000).step_by(16) {
            if &bytes[offset..offset + 4] == value {
                found.push(page + offset as u64);
            }
        }
    }
    found
}

fn options(threads: usize) -> ScanOptions {
    ScanOptions { threads: NonZero::new(threads), ..ScanOptions::default() }
}

#[test]
fn needles_are_found_where_a_plain_search_finds_them() {
    let (guest, images) = images();
    let needles = [
        Needle { value: u32::from_le_bytes(*b"Call"), at: 0 },
        Needle { value: u32::from_le_bytes(*b"CBRe"), at: 12 },
        Needle { value: u32::from_le_bytes(*b"Call"), at: 4 },
    ];
    let calls = expected(&guest, b"Call", 0);
    assert_eq!(calls.len(), 30);
    for image in &images {
        for threads in [1, 2, 5] {
            let scanned = scan_needles(image.physical().unwrap(), &options(threads), &|_| (), &needles);
            let of = |needle| -> Vec<u64> {
                scanned.found.iter().filter(|hit| hit.needle == needle).map(|hit| hit.physical).collect()
            };
            assert_eq!(of(0), calls, "{}", image.format());
            assert_eq!(of(1), expected(&guest, b"CBRe", 12));
            assert_eq!(of(2), []);
            assert!(scanned.found.is_sorted());
            assert_eq!((scanned.limited, scanned.unreadable), (false, 0));
            assert_eq!(scanned.scanned, image.physical().unwrap().present_bytes());
        }
    }
}

#[test]
fn every_byte_is_shown_once_and_in_order() {
    let (guest, images) = images();
    for image in &images {
        let last = AtomicU64::new(0);
        let progress = |now: ringbell_inspect::ScanProgress| {
            last.fetch_max(now.scanned, Ordering::Relaxed);
            assert!(now.scanned <= now.total);
        };
        let look = |chunk: Chunk<'_>, found: &mut Vec<(u64, Vec<u8>)>| {
            found.push((chunk.physical, chunk.bytes.to_vec()));
        };
        let physical: &dyn Physical = image.physical().unwrap();
        let scanned = scan(physical, &options(3), &progress, &look);
        let mut joined: Vec<(u64, Vec<u8>)> = Vec::new();
        for (address, bytes) in scanned.found {
            match joined.last_mut() {
                Some((first, all)) if *first + all.len() as u64 == address => all.extend(bytes),
                _ => joined.push((address, bytes)),
            }
        }
        assert!(joined == guest.runs(), "{}", image.format());
        assert_eq!(last.into_inner(), physical.present_bytes());
    }
}

#[test]
fn a_limit_keeps_the_lowest_and_says_so() {
    let (guest, images) = images();
    let needles = [Needle { value: u32::from_le_bytes(*b"Call"), at: 0 }];
    let all = expected(&guest, b"Call", 0);
    for threads in [1, 4] {
        let options = ScanOptions { limit: 7, ..options(threads) };
        let scanned = scan_needles(images[1].physical().unwrap(), &options, &|_| (), &needles);
        let found: Vec<u64> = scanned.found.iter().map(|hit| hit.physical).collect();
        assert_eq!(found, all[..7]);
        assert!(scanned.limited);
    }
    let range = ScanOptions { range: all[3]..all[6], ..options(2) };
    let scanned = scan_needles(images[0].physical().unwrap(), &range, &|_| (), &needles);
    assert_eq!(scanned.found.len(), 3);
}

#[test]
fn a_bitmap_with_every_second_page_is_scanned_in_few_reads() {
    // Packed pages of a fragmented memory lie together in the file: each read takes many of them.
    let mut guest = Guest::default();
    for page in 0..600_u64 {
        guest.write(0x10_0000 + page * 0x2000, &[page as u8; 0x1000]);
    }
    let image = MemoryImage::from_bytes(files::bitmap(&guest, 5).0).unwrap();
    let physical = image.physical().unwrap();
    let mut buffer = vec![0; 256 << 10];
    let mut pieces = Vec::new();
    let next = physical.gather(0..u64::MAX, &mut buffer, &mut pieces);
    assert_eq!(pieces.len(), 64);
    assert_eq!(next, Some(0x10_0000 + 63 * 0x2000 + 0x1000));
    for (page, piece) in pieces.iter().enumerate() {
        assert_eq!(piece.physical, 0x10_0000 + page as u64 * 0x2000);
        assert!(buffer[piece.offset..][..piece.length].iter().all(|&byte| byte == page as u8));
    }
}

#[test]
fn values_with_nothing_in_common_are_all_found() {
    let values = [0_u32, u32::MAX, 0x5555_5555, 0xAAAA_AAAA, 0x0F0F_0F0F, 0xF0F0_F0F0, 0x1234_5678];
    let mut memory = vec![0x11; 0x8000];
    let mut needles = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let at = (index % 4 * 4) as u8;
        needles.push(Needle { value, at });
        let place = index * 0x1010 + usize::from(at);
        memory[place..place + 4].copy_from_slice(&value.to_le_bytes());
        // The same value elsewhere in a granule is none.
        let other = index * 0x1010 + 0x100 + (usize::from(at) + 4) % 16;
        memory[other..other + 4].copy_from_slice(&value.to_le_bytes());
    }
    let image = MemoryImage::from_bytes(memory).unwrap();
    let scanned = scan_needles(image.physical().unwrap(), &options(2), &|_| (), &needles);
    let found: Vec<_> = scanned.found.iter().map(|hit| (hit.physical, hit.needle)).collect();
    let expected: Vec<_> =
        (0..7).map(|index| (index as u64 * 0x1010 + index as u64 % 4 * 4, index)).collect();
    assert_eq!(found, expected);
}
