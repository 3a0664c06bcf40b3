//! What a file that is not a PE image looks like, so that the refusal can say it.

use core::fmt;

/// What the first bytes of a file look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Likeness {
    /// An ELF object or executable (Linux).
    Elf,
    /// A Mach-O object or executable (macOS).
    MachO,
    /// A ZIP archive.
    Zip,
    /// A gzip, xz, zstd or 7z file.
    Compressed,
    /// A Microsoft cabinet.
    Cabinet,
    /// A COFF object file for x64: compiled, not linked.
    CoffObject,
    /// A static library (`ar` archive).
    Archive,
    /// A program database.
    Pdb,
    /// A Windows crash dump or minidump.
    CrashDump,
    /// A script with an interpreter line.
    Script,
    /// Text.
    Text,
    /// Nothing but zeros.
    Zeros,
    /// A DOS program, or a 16-bit Windows or OS/2 executable: `MZ` without `PE`.
    Dos,
    /// Nothing recognized.
    Unknown,
}

/// Magic numbers at offset zero.
const MAGICS: &[(&[u8], Likeness)] = &[
    (b"\x7fELF", Likeness::Elf),
    (b"\xcf\xfa\xed\xfe", Likeness::MachO),
    (b"\xce\xfa\xed\xfe", Likeness::MachO),
    (b"\xca\xfe\xba\xbe", Likeness::MachO),
    (b"PK\x03\x04", Likeness::Zip),
    (b"PK\x05\x06", Likeness::Zip),
    (b"\x1f\x8b", Likeness::Compressed),
    (b"\xfd7zXZ\0", Likeness::Compressed),
    (b"\x28\xb5\x2f\xfd", Likeness::Compressed),
    (b"7z\xbc\xaf\x27\x1c", Likeness::Compressed),
    (b"MSCF", Likeness::Cabinet),
    (b"\x64\x86", Likeness::CoffObject),
    (b"!<arch>\n", Likeness::Archive),
    (b"Microsoft C/C++ MSF", Likeness::Pdb),
    (b"PAGEDU64", Likeness::CrashDump),
    (b"PAGEDUMP", Likeness::CrashDump),
    (b"MDMP", Likeness::CrashDump),
    (b"#!", Likeness::Script),
];

impl Likeness {
    /// Returns what the bytes look like; they do not begin with `MZ`.
    pub(crate) fn of(bytes: &[u8]) -> Likeness {
        if let Some((_, likeness)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return *likeness;
        }
        let head = &bytes[..bytes.len().min(512)];
        let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
        if head.iter().all(|&byte| byte == 0) {
            Likeness::Zeros
        } else if head.starts_with(b"\xff\xfe") || (head.len() >= 4 && head.iter().all(printable)) {
            Likeness::Text
        } else {
            Likeness::Unknown
        }
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Likeness::Elf => "an ELF file",
            Likeness::MachO => "a Mach-O file",
            Likeness::Zip => "a ZIP archive",
            Likeness::Compressed => "a compressed file",
            Likeness::Cabinet => "a cabinet",
            Likeness::CoffObject => "a COFF object file, not yet linked",
            Likeness::Archive => "a static library",
            Likeness::Pdb => "a program database (PDB)",
            Likeness::CrashDump => "a crash dump",
            Likeness::Script => "a script",
            Likeness::Text => "a text file",
            Likeness::Zeros => "a file of zeros",
            Likeness::Dos => "a DOS or 16-bit program",
            Likeness::Unknown => "no kind of file known here",
        })
    }
}
