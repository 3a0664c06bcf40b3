//! Every reason to refuse a file, with its exact words.

use crate::builder::{CODE, DATA, Pe, put};
use crate::image::{Image, ImageError, Likeness};

#[track_caller]
fn refused(bytes: &[u8]) -> ImageError {
    let error = Image::parse(bytes).expect_err("the image must be refused");
    let words = error.to_string();
    assert!(!words.ends_with('.') && !words.contains('\n'), "{words}");
    assert!(!error.hint().is_empty() && !error.hint().ends_with('.'), "{}", error.hint());
    error
}

#[track_caller]
fn says(pe: &Pe, words: &str) -> ImageError {
    let error = refused(&pe.build());
    assert_eq!(error.to_string(), words);
    error
}

fn with(change: impl FnOnce(&mut Pe)) -> Pe {
    let mut pe = Pe::new();
    change(&mut pe);
    pe
}

#[test]
fn a_plain_driver_is_accepted() {
    let bytes = Pe::new().build();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(
        (image.entry(), image.size(), image.headers().preferred_base),
        (0x1000, 0x2000, 0x1_4000_0000)
    );
    assert_eq!((image.headers().machine, image.headers().subsystem), (0x8664, 1));
    assert_eq!(image.headers().timestamp, 0x5f00_0000);
    assert!(!image.is_dll());
}

#[test]
fn what_is_not_pe_is_named() {
    assert_eq!(refused(b""), ImageError::Empty);
    assert_eq!(refused(b"").to_string(), "the file is empty");
    let likenesses: &[(&[u8], Likeness, &str)] = &[
        (b"\x7fELF\x02\x01\x01", Likeness::Elf, "an ELF file"),
        (b"PK\x03\x04....", Likeness::Zip, "a ZIP archive"),
        (b"MSCF\0\0", Likeness::Cabinet, "a cabinet"),
        (b"hello, this is a text\n", Likeness::Text, "a text file"),
        (b"#!/bin/sh\n", Likeness::Script, "a script"),
        (b"\x64\x86\x03\0", Likeness::CoffObject, "a COFF object file, not yet linked"),
        (b"!<arch>\n/", Likeness::Archive, "a static library"),
        (b"PAGEDU64\x0f", Likeness::CrashDump, "a crash dump"),
        (b"\xcf\xfa\xed\xfe", Likeness::MachO, "a Mach-O file"),
        (b"\x1f\x8b\x08", Likeness::Compressed, "a compressed file"),
        (b"Microsoft C/C++ MSF 7.00", Likeness::Pdb, "a program database (PDB)"),
        (&[0; 64], Likeness::Zeros, "a file of zeros"),
        (&[1, 2, 3, 4, 5], Likeness::Unknown, "no kind of file known here"),
    ];
    for (bytes, likeness, words) in likenesses {
        let error = refused(bytes);
        assert_eq!(error, ImageError::NotPe(*likeness));
        assert_eq!(error.to_string(), format!("not a PE image: it looks like {words}"));
    }
    let mut dos = Pe::new().build();
    put(&mut dos, 0x80, b"NE\0\0");
    assert_eq!(refused(&dos), ImageError::NotPe(Likeness::Dos));
}

#[test]
fn every_truncation_says_what_is_missing() {
    let bytes = Pe::new().build();
    assert_eq!(
        refused(&bytes[..0x20]).to_string(),
        "truncated: the DOS header at offset 0x0 needs 0x40 bytes and 0x20 of them are missing"
    );
    assert_eq!(
        refused(&bytes[..0x82]).to_string(),
        "truncated: the PE signature at offset 0x80 needs 0x4 bytes and 0x2 of them are missing"
    );
    assert_eq!(
        refused(&bytes[..0x90]).to_string(),
        "truncated: the file header at offset 0x84 needs 0x14 bytes and 0x8 of them are missing"
    );
    assert_eq!(
        refused(&bytes[..0xa0]).to_string(),
        "truncated: the optional header at offset 0x98 needs 0x70 bytes and 0x68 of them are missing"
    );
    assert_eq!(
        refused(&bytes[..0x18c]).to_string(),
        "truncated: the section table at offset 0x188 needs 0x28 bytes and 0x24 of them are missing"
    );
    assert_eq!(
        refused(&bytes[..0x3ff]).to_string(),
        "truncated: the header area at offset 0x0 needs 0x400 bytes and 0x1 of them are missing"
    );
    for length in 0..bytes.len() {
        refused(&bytes[..length]);
    }
}

#[test]
fn other_machines_are_named() {
    says(
        &with(|pe| (pe.machine, pe.magic) = (0x14c, 0x10b)),
        "a 32-bit x86 image (machine `0x14c`); only x64 drivers run here",
    );
    let arm =
        says(&with(|pe| pe.machine = 0xaa64), "an ARM64 image (machine `0xaa64`); only x64 drivers run here");
    assert_eq!(arm.hint(), "build the driver for x64 (amd64)");
    says(
        &with(|pe| pe.machine = 0x200),
        "an image for machine `0x200`; only x64 drivers (`0x8664`) run here",
    );
    says(&with(|pe| pe.magic = 0x10b), "the optional header is PE32 (`0x10b`), although the machine is x64");
    says(&with(|pe| pe.magic = 0x107), "the optional header has the unknown magic `0x107`");
}

#[test]
fn user_mode_programs_are_named() {
    let error = says(
        &with(|pe| pe.subsystem = 3),
        "a user-mode program (subsystem `windows console`), not a driver (subsystem `native`)",
    );
    assert!(error.hint().contains("native"), "{}", error.hint());
    says(
        &with(|pe| pe.subsystem = 2),
        "a user-mode program (subsystem `windows gui`), not a driver (subsystem `native`)",
    );
    says(&with(|pe| pe.subsystem = 11), "an image for subsystem 11, not a driver (subsystem `native`, 1)");
    says(
        &with(|pe| pe.characteristics = 0x20),
        "the image is marked as not executable (characteristics `0x20`)",
    );
}

#[test]
fn the_entry_point_is_checked() {
    says(
        &with(|pe| (pe.entry, pe.characteristics) = (0, 0x2022)),
        "the image has no entry point, so there is no `DriverEntry` to call",
    );
    says(&with(|pe| pe.entry = 0x10), "the entry point at RVA 0x10 is not inside an executable section");
    says(
        &with(|pe| {
            pe.push(".data", DATA, vec![0; 16]);
            pe.entry = 0x2000;
        }),
        "the entry point at RVA 0x2000 is not inside an executable section",
    );
}

#[test]
fn header_numbers_are_checked() {
    says(
        &with(|pe| pe.section_alignment = 0x1800),
        "section alignment 0x1800 and file alignment 0x200 do not go together",
    );
    says(
        &with(|pe| pe.file_alignment = 0x2000),
        "section alignment 0x1000 and file alignment 0x2000 do not go together",
    );
    says(
        &with(|pe| pe.file_alignment = 0x10),
        "section alignment 0x1000 and file alignment 0x10 do not go together",
    );
    says(&with(|pe| pe.base = 0x1_4000_1000), "the preferred base 0x140001000 is not a multiple of 0x10000");
    says(
        &with(|pe| pe.optional_size = 0xa0),
        "the optional header has 0xa0 bytes; PE32+ needs at least 0xf0",
    );
    says(&with(|pe| pe.section_count = Some(0)), "the image has 0 sections; the loader takes 1 to 96");
    says(&with(|pe| pe.section_count = Some(97)), "the image has 97 sections; the loader takes 1 to 96");
    says(
        &with(|pe| pe.size_of_headers = Some(0x180)),
        "headers of 0x180 bytes cannot hold the section table, which ends at 0x1b0, within the image",
    );
    says(
        &with(|pe| pe.size_of_image = Some(0)),
        "SizeOfImage 0x0 does not agree with the sections, which end at 0x0",
    );
    says(
        &with(|pe| pe.size_of_image = Some(0x9000)),
        "SizeOfImage 0x9000 does not agree with the sections, which end at 0x2000",
    );
    says(
        &with(|pe| pe.size_of_image = Some(0x3000_0000)),
        "SizeOfImage 0x30000000 is above the limit of 0x20000000 bytes",
    );
}

#[test]
fn sections_are_checked() {
    says(
        &with(|pe| pe.parts[0].raw = Some((0x400, 0x1000))),
        "section `.text` has its data at offset 0x400, and 0xe00 of 0x1000 bytes are beyond the end of the file",
    );
    says(
        &with(|pe| pe.parts[0].raw = Some((0xffff_fe00, 0x200))),
        "section `.text` has its data at offset 0xfffffe00, and 0x200 of 0x200 bytes are beyond the end of the file",
    );
    says(
        &with(|pe| (pe.parts[0].virtual_size, pe.size_of_image) = (0xffff_f800, Some(0x2000))),
        "section `.text` at RVA 0x1000 with 0xfffff800 bytes wraps around",
    );
    says(
        &with(|pe| {
            pe.push(".data", DATA, vec![0; 16]);
            pe.parts[1].rva = 0x1000;
        }),
        "section `.data` at RVA 0x1000 overlaps what ends at 0x2000, or is not aligned",
    );
    says(
        &with(|pe| pe.parts[0].rva = 0),
        "section `.text` at RVA 0x0 overlaps what ends at 0x1000, or is not aligned",
    );
    says(
        &with(|pe| {
            pe.push(".data", DATA, vec![0; 16]);
            pe.parts[1].rva = 0x5000;
        }),
        "section `.data` at RVA 0x5000 leaves a hole: the sections before it end at 0x2000",
    );
    says(
        &with(|pe| {
            pe.push(".data", DATA, vec![0; 16]);
            pe.size_of_image = Some(0x2000);
        }),
        "section `.data` ends at RVA 0x3000, beyond the image of 0x2000 bytes",
    );
}

#[test]
fn a_name_with_control_bytes_is_escaped() {
    let mut pe = Pe::new();
    pe.push("\x01bad\n", CODE, vec![0; 16]);
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().sections()[1].name, "\\x01bad\\n");
}
