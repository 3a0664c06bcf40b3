//! What is not read is named, with the next step.

use ringbell_inspect::{MemoryImage, OpenError, Unsupported};

use crate::files::{self, File};
use crate::guest::Guest;

fn refused(bytes: Vec<u8>) -> OpenError {
    MemoryImage::from_bytes(bytes).unwrap_err()
}

#[test]
fn other_kinds_of_files_are_named() {
    for (mark, kind) in [
        (&b"PAGEDUMP"[..], Unsupported::Bits32),
        (b"MDMP", Unsupported::UserMinidump),
        (b"HIBR", Unsupported::Hibernation),
        (b"wake", Unsupported::Hibernation),
        (b"KDUMP   ", Unsupported::Kdump),
        (b"EMiL", Unsupported::Lime),
        (b"EVF\x09\x0D\x0A\xFF\0", Unsupported::Container("EnCase E01")),
        (b"PK\x03\x04", Unsupported::Compressed("zip")),
        (b"\xD2\xBE\xD2\xBE\0\0\0\0\0\0\0\0", Unsupported::VmwareState),
        (b"KDMV", Unsupported::Disk("VMDK")),
    ] {
        let mut bytes = mark.to_vec();
        bytes.resize(0x3000, 0);
        let error = refused(bytes);
        assert_eq!(error, OpenError::Unsupported(kind));
        let text = error.to_string();
        assert!(text.starts_with("a ") || text.starts_with("an ") || text.starts_with("the "), "{text}");
        assert!(!text.ends_with('.'), "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
    let mut pe = File::default();
    pe.write(0, b"MZ").u32(0x3C, 0x80).write(0xFFF, &[0]);
    assert_eq!(refused(pe.0), OpenError::Unsupported(Unsupported::Pe));
    assert_eq!(refused(Vec::new()), OpenError::Empty);
}

#[test]
fn other_machines_are_named() {
    for (machine, kind) in
        [(0xAA64, Unsupported::Arm64), (0x14C, Unsupported::Bits32), (0x200, Unsupported::Machine(0x200))]
    {
        let mut file = files::full(&Guest::new());
        file.u32(0x30, machine);
        assert_eq!(refused(file.0.clone()), OpenError::Unsupported(kind));
        // A file that was cut off still tells its machine.
        file.0.truncate(0x100);
        assert_eq!(refused(file.0), OpenError::Unsupported(kind));
    }
    for (class, machine, kind) in
        [(2, 183, Unsupported::Arm64), (1, 3, Unsupported::Bits32), (2, 243, Unsupported::Machine(243))]
    {
        let mut file = files::elf(&Guest::new());
        file.write(4, &[class]).u16(18, machine);
        assert_eq!(refused(file.0), OpenError::Unsupported(kind));
    }
    let mut program = files::elf(&Guest::new());
    program.u16(16, 2);
    assert_eq!(refused(program.0), OpenError::Unsupported(Unsupported::ElfNotCore));
}

#[test]
fn an_unknown_dump_type_is_named() {
    let error = refused(files::header(0x42).0);
    assert_eq!(error, OpenError::DumpType(0x42));
    assert_eq!(error.to_string(), "a crash dump of the unknown type 0x42");
    // Type 2 whose next header is none that is known.
    assert_eq!(refused(files::header(2).0), OpenError::DumpType(2));
}

#[test]
fn a_missing_file_is_the_hosts_answer() {
    let error = MemoryImage::open("/nonexistent/MEMORY.DMP".as_ref()).unwrap_err();
    assert!(matches!(&error, OpenError::Io(_)));
    assert!(error.to_string().starts_with("cannot read the image: "));
    assert!(matches!(MemoryImage::open(&std::env::temp_dir()), Err(OpenError::Io(_))));
    if cfg!(unix) {
        let error = MemoryImage::open("/dev/zero".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the image: neither a file nor a block device");
    }
}
