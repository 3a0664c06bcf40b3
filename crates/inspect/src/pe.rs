//! PE images as they lie in memory: headers, sections, exports, and the identity of their symbols.
//!
//! The layout is that of Microsoft's "PE Format" page. Everything is read through [`Memory`], by RVA, because a part of
//! a loaded image may be paged out, discarded or hostile; each table is capped.

use core::fmt::{self, Write as _};

use thiserror::Error;

use crate::fields::{text, u16_at, u32_at};
use crate::limits::limit;
use crate::memory::{Memory, MemoryExt as _, Missing};

/// The most sections, exports and debug entries looked at.
const MAX_SECTIONS: usize = 96;
const MAX_EXPORTS: u32 = limit(1 << 16, 1 << 6) as u32;
const MAX_DEBUG_ENTRIES: u32 = 64;
/// The most bytes of a name.
const MAX_NAME: usize = 256;
/// The largest image that is believed.
const MAX_IMAGE: u32 = 1 << 30;
/// `.reloc`-like sections whose memory is given back after `DriverEntry`: `IMAGE_SCN_MEM_DISCARDABLE`.
const DISCARDABLE: u32 = 0x0200_0000;
const EXECUTE: u32 = 0x2000_0000;
const WRITE: u32 = 0x8000_0000;

/// Why bytes are no image that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeFault {
    /// A part of the headers is not there.
    #[error("{0}")]
    Missing(#[from] Missing),
    /// A mark or size is not that of an x64 image.
    #[error("{0}")]
    Not(&'static str),
}

/// A section of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeSection {
    /// Its name, up to eight characters.
    pub name: String,
    /// Where it begins, relative to the image.
    pub rva: u32,
    /// Bytes in memory.
    pub size: u32,
    /// `Characteristics`.
    pub characteristics: u32,
}

impl PeSection {
    /// Returns whether code may run in it.
    pub fn is_executable(&self) -> bool {
        self.characteristics & EXECUTE != 0
    }

    /// Returns whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.characteristics & WRITE != 0
    }

    /// Returns whether its memory is given back after initialization, as that of `INIT` is.
    pub fn is_discardable(&self) -> bool {
        self.characteristics & DISCARDABLE != 0
    }

    /// Returns whether an RVA lies in it.
    pub fn contains(&self, rva: u32) -> bool {
        rva.checked_sub(self.rva).is_some_and(|offset| offset < self.size)
    }
}

/// The program database of an image by identity, which is what a symbol server is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PdbId {
    /// File name.
    pub name: String,
    /// The GUID in its byte order on disk.
    pub guid: [u8; 16],
    /// The age.
    pub age: u32,
}

impl PdbId {
    /// Returns GUID and age as symbol servers spell them.
    pub fn key(&self) -> String {
        let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = self.guid;
        let mut key = String::new();
        for byte in [a3, a2, a1, a0, b1, b0, c1, c0].into_iter().chain(rest) {
            // Writing to a string cannot fail.
            let _ = write!(key, "{byte:02X}");
        }
        let _ = write!(key, "{:X}", self.age);
        key
    }

    /// Returns the GUID in the usual grouping.
    pub fn guid_text(&self) -> String {
        let key = self.key();
        format!("{}-{}-{}-{}-{}", &key[..8], &key[8..12], &key[12..16], &key[16..20], &key[20..32])
    }

    /// Returns the address that Microsoft's symbol server has the file at, if it has it.
    pub fn url(&self) -> String {
        format!("https://msdl.microsoft.com/download/symbols/{0}/{1}/{0}", self.name, self.key())
    }
}

impl fmt::Display for PdbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.key())
    }
}

/// An image in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pe {
    /// Where it lies.
    pub base: u64,
    /// `SizeOfImage`.
    pub size: u32,
    /// `TimeDateStamp`.
    pub timestamp: u32,
    /// `AddressOfEntryPoint`.
    pub entry_point: u32,
    /// Its sections, in the order of the header.
    pub sections: Vec<PeSection>,
    exports: (u32, u32),
    debug: (u32, u32),
}

impl Pe {
    /// Reads the headers at an address.
    ///
    /// # Errors
    ///
    /// [`PeFault`] when there is no x64 image there, or a part of its headers is missing.
    pub fn read(memory: &dyn Memory, base: u64) -> Result<Self, PeFault> {
        let dos: [u8; 0x40] = memory.array(base)?;
        if !dos.starts_with(b"MZ") {
            return Err(PeFault::Not("no `MZ` header"));
        }
        let headers = u32_at(&dos, 0x3C);
        if !(0x40..0x1000).contains(&headers) {
            return Err(PeFault::Not("the `MZ` header points nowhere"));
        }
        let nt: [u8; 0x108] = memory.array(base.wrapping_add(u64::from(headers)))?;
        if !nt.starts_with(b"PE\0\0") {
            return Err(PeFault::Not("no `PE` header"));
        }
        if u16_at(&nt, 4) != 0x8664 || u16_at(&nt, 0x18) != 0x20B {
            return Err(PeFault::Not("not an x64 image"));
        }
        let size = u32_at(&nt, 0x50);
        if size == 0 || size > MAX_IMAGE {
            return Err(PeFault::Not("an impossible `SizeOfImage`"));
        }
        let directories = u32_at(&nt, 0x84);
        let directory = |index: u32| {
            let at = 0x88 + index as usize * 8;
            let is = index < directories;
            if is { (u32_at(&nt, at), u32_at(&nt, at + 4)) } else { (0, 0) }
        };
        let count = usize::from(u16_at(&nt, 6)).min(MAX_SECTIONS);
        let table = u64::from(headers) + 0x18 + u64::from(u16_at(&nt, 0x14));
        let (bytes, _) = memory.bytes(base.wrapping_add(table), count * 40);
        let sections = bytes
            .chunks_exact(40)
            .map(|section| PeSection {
                name: text(&section[..8]),
                rva: u32_at(section, 12),
                size: u32_at(section, 8),
                characteristics: u32_at(section, 36),
            })
            .collect();
        Ok(Self {
            base,
            size,
            timestamp: u32_at(&nt, 8),
            entry_point: u32_at(&nt, 0x28),
            sections,
            exports: directory(0),
            debug: directory(6),
        })
    }

    /// Returns whether an address lies in the image.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.base).is_some_and(|offset| offset < u64::from(self.size))
    }

    /// Returns the section an RVA lies in.
    pub fn section(&self, rva: u32) -> Option<&PeSection> {
        self.sections.iter().find(|section| section.contains(rva))
    }

    /// Returns the identity of its program database: the `RSDS` record of the debug directory.
    ///
    /// # Errors
    ///
    /// [`Missing`] when the directory or the record is not there; `None` when the image names none.
    pub fn pdb(&self, memory: &dyn Memory) -> Result<Option<PdbId>, Missing> {
        const CODEVIEW: u32 = 2;
        let (rva, size) = self.debug;
        for index in 0..(size / 28).min(MAX_DEBUG_ENTRIES) {
            let entry: [u8; 28] = memory.array(self.at(rva).wrapping_add(u64::from(index) * 28))?;
            if u32_at(&entry, 12) != CODEVIEW {
                continue;
            }
            let at = self.at(u32_at(&entry, 20));
            let head: [u8; 24] = memory.array(at)?;
            if !head.starts_with(b"RSDS") {
                continue;
            }
            let path = name(memory, at.wrapping_add(24))?;
            let file = path.rsplit(['\\', '/']).next().unwrap_or(&path);
            let mut guid = [0; 16];
            guid.copy_from_slice(&head[4..20]);
            return Ok(Some(PdbId { name: file.to_owned(), guid, age: u32_at(&head, 20) }));
        }
        Ok(None)
    }

    /// Returns the name the image exports itself under.
    ///
    /// # Errors
    ///
    /// [`Missing`] when the export directory is not there; `None` when it has none.
    pub fn export_name(&self, memory: &dyn Memory) -> Result<Option<String>, Missing> {
        let (rva, size) = self.exports;
        if rva == 0 || size < 40 {
            return Ok(None);
        }
        let at = memory.u32(self.at(rva).wrapping_add(12))?;
        name(memory, self.at(at)).map(Some)
    }

    /// Returns the exported names with their RVAs, sorted by RVA, then name. Names that are not there are left out.
    ///
    /// # Errors
    ///
    /// [`Missing`] when the export directory itself is not there.
    pub fn exports(&self, memory: &dyn Memory) -> Result<Vec<(u32, String)>, Missing> {
        let (rva, size) = self.exports;
        if rva == 0 || size < 40 {
            return Ok(Vec::new());
        }
        let directory: [u8; 40] = memory.array(self.at(rva))?;
        let count = u32_at(&directory, 24).min(MAX_EXPORTS);
        let [functions, names, ordinals] = [28, 32, 36].map(|at| self.at(u32_at(&directory, at)));
        let mut exports = Vec::new();
        for index in 0..u64::from(count) {
            let entry = memory.u32(names.wrapping_add(index * 4));
            let (Ok(at), Ok(ordinal)) = (entry, memory.u16(ordinals.wrapping_add(index * 2))) else {
                continue;
            };
            let function = memory.u32(functions.wrapping_add(u64::from(ordinal) * 4));
            if let (Ok(name), Ok(function)) = (name(memory, self.at(at)), function) {
                exports.push((function, name));
            }
        }
        exports.sort();
        Ok(exports)
    }

    fn at(&self, rva: u32) -> u64 {
        self.base.wrapping_add(u64::from(rva))
    }
}

/// Reads a name that ends with NUL.
fn name(memory: &dyn Memory, address: u64) -> Result<String, Missing> {
    let (bytes, missing) = memory.bytes(address, MAX_NAME);
    match missing {
        Some(missing) if !bytes.contains(&0) => Err(missing),
        _ => Ok(text(&bytes)),
    }
}
