//! What kind of file an image is, by its first bytes; names and extensions decide nothing.

use core::fmt;
use std::io;

use crate::error::Unsupported;
use crate::fields::{u16_at, u32_at, u64_at};
use crate::source::Source;
use crate::vmware;

/// Bytes from the start that [`detect`] looks at.
pub(crate) const HEAD: usize = 0x40;

/// `PAGEDU64`: a crash dump of 64-bit Windows.
const PAGE_DU64: &[u8] = b"PAGEDU64";

/// A kind of memory image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A crash dump of Windows x64, of a type.
    Dump(DumpType),
    /// Physical memory byte by byte.
    Raw,
    /// A core of a virtual machine: QEMU, libvirt, VirtualBox.
    ElfCore,
    /// A `.vmem` of VMware.
    Vmware,
}

/// A type of Windows crash dump (`DUMP_HEADER64.DumpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpType {
    /// 1: all of physical memory, as runs.
    Full,
    /// 4: a small memory dump; ranges of virtual memory.
    Triage,
    /// 5, and 2 and 7 where they carry the same header: present pages as a bitmap.
    Bitmap,
    /// 6: a live kernel dump, as a bitmap.
    LiveKernel,
    /// 8: kernel memory, as ranges of pages.
    Kernel,
    /// 9: kernel and user memory, as ranges of pages.
    KernelAndUser,
    /// 0xA: complete memory, as ranges of pages.
    Complete,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dump(DumpType::Full) => "Windows crash dump, full (type 1)",
            Self::Dump(DumpType::Triage) => "Windows crash dump, triage (type 4)",
            Self::Dump(DumpType::Bitmap) => "Windows crash dump, bitmap (type 5)",
            Self::Dump(DumpType::LiveKernel) => "Windows live kernel dump (type 6)",
            Self::Dump(DumpType::Kernel) => "Windows crash dump, kernel memory (type 8)",
            Self::Dump(DumpType::KernelAndUser) => "Windows crash dump, kernel and user memory (type 9)",
            Self::Dump(DumpType::Complete) => "Windows crash dump, complete memory (type 0xa)",
            Self::Raw => "raw physical memory",
            Self::ElfCore => "ELF core of a virtual machine",
            Self::Vmware => "VMware memory",
        })
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detected {
    Dump,
    Elf,
    VmwareState,
    Raw,
}

/// Files that begin with a mark and are not read.
const MARKS: &[(&[u8], Unsupported)] = &[
    (b"PAGEDUMP", Unsupported::Bits32),
    (b"MDMP", Unsupported::UserMinidump),
    (b"hibr", Unsupported::Hibernation),
    (b"HIBR", Unsupported::Hibernation),
    (b"wake", Unsupported::Hibernation),
    (b"WAKE", Unsupported::Hibernation),
    (b"RSTR", Unsupported::Hibernation),
    (b"KDUMP   ", Unsupported::Kdump),
    (b"DISKDUMP", Unsupported::Kdump),
    (b"makedumpfile\0", Unsupported::Kdump),
    (b"EMiL", Unsupported::Lime),
    (b"EVF\x09\x0D\x0A\xFF\0", Unsupported::Container("EnCase E01")),
    (b"EVF2\x0D\x0A\x81\0", Unsupported::Container("EnCase Ex01")),
    (b"PK\x03\x04", Unsupported::Compressed("zip")),
    (b"7z\xBC\xAF\x27\x1C", Unsupported::Compressed("7z")),
    (b"\x1F\x8B\x08", Unsupported::Compressed("gzip")),
    (b"\x28\xB5\x2F\xFD", Unsupported::Compressed("zstd")),
    (b"\xFD7zXZ\0", Unsupported::Compressed("xz")),
    (b"Rar!\x1A\x07", Unsupported::Compressed("rar")),
    (b"KDMV", Unsupported::Disk("VMDK")),
    (b"QFI\xFB", Unsupported::Disk("qcow2")),
    (b"vhdxfile", Unsupported::Disk("VHDX")),
];

/// Tells the kind of file from its first [`HEAD`] bytes, or as many as there are.
pub(crate) fn detect(head: &[u8]) -> Result<Detected, Unsupported> {
    if let Some((_, kind)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
        return Err(*kind);
    }
    if head.starts_with(PAGE_DU64) {
        return Ok(Detected::Dump);
    }
    if head.starts_with(b"\x7FELF") {
        return elf(head);
    }
    if head.len() >= 4 && vmware::is_state(u32_at(head, 0)) {
        return Ok(Detected::VmwareState);
    }
    // `MZ` and the small offset of `PE`: the first page of memory holds the real-mode interrupt vectors instead.
    if head.starts_with(b"MZ") && head.len() >= HEAD && (0x40..0x400).contains(&u32_at(head, 0x3C)) {
        return Err(Unsupported::Pe);
    }
    Ok(Detected::Raw)
}

/// Bytes of each place that [`is_text`] looks at.
const SAMPLE: usize = 0x1000;

/// Tells whether a file without a mark is text: UTF-8 or a code page, or UTF-16 behind its mark.
///
/// Several places are looked at, so that text in the first page of a machine does not hide the rest of its memory.
pub(crate) fn is_text(source: &Source) -> io::Result<bool> {
    let wide = source.read_up_to(0, 2)? == b"\xFF\xFE";
    for part in 0..4 {
        let at = source.len().saturating_sub(SAMPLE as u64) / 3 * part;
        let bytes = source.read_up_to(at & !1, SAMPLE)?;
        let text = if wide {
            let (units, _) = bytes.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
            mostly_ascii(units.filter(|unit| *unit != 0xFEFF))
        } else {
            mostly_ascii(bytes.iter().map(|byte| u16::from(*byte)))
        };
        if !text {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells whether units are letters, three of four of them ASCII; control characters are those that texts and terminals use.
fn mostly_ascii(units: impl Iterator<Item = u16>) -> bool {
    let (mut all, mut ascii) = (0_usize, 0_usize);
    for unit in units {
        all += 1;
        match unit {
            0x09..=0x0D | 0x1B | 0x20..=0x7E => ascii += 1,
            0x80.. => {}
            _ => return false,
        }
    }
    ascii * 4 >= all * 3
}

/// Tells whether an ELF file is a core of an x64 machine.
fn elf(head: &[u8]) -> Result<Detected, Unsupported> {
    const CORE: u16 = 4;
    const CLASS_64: u8 = 2;
    const I386: u16 = 3;
    const X86_64: u16 = 62;
    const AARCH64: u16 = 183;
    match (head.get(4).copied().unwrap_or(0), u16_at(head, 18)) {
        (_, AARCH64) => Err(Unsupported::Arm64),
        (CLASS_64, X86_64) if u16_at(head, 16) == CORE && u64_at(head, 32) != 0 => Ok(Detected::Elf),
        (CLASS_64, X86_64) => Err(Unsupported::ElfNotCore),
        (_, I386 | X86_64) => Err(Unsupported::Bits32),
        (_, machine) => Err(Unsupported::Machine(u32::from(machine))),
    }
}

/// Tells the machine of a crash dump (`DUMP_HEADER64.MachineImageType`).
pub(crate) fn check_machine(machine: u32) -> Result<(), Unsupported> {
    match machine {
        0x8664 => Ok(()),
        0xAA64 => Err(Unsupported::Arm64),
        0x14C | 0x1C4 => Err(Unsupported::Bits32),
        other => Err(Unsupported::Machine(other)),
    }
}
