//! Which program database belongs to the image: the CodeView record of the debug directory.

use core::fmt::{self, Write as _};

use object::LittleEndian as LE;
use object::pe;

use crate::error::ImageError;
use crate::image::Image;
use crate::import::MAX_NAME;
use crate::raw;

/// The most debug directory entries looked at; linkers write fewer than ten.
const MAX_ENTRIES: u32 = 64;

/// A program database by identity: what a symbol server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdbInfo {
    /// The GUID in its byte order on disk.
    pub guid: [u8; 16],
    /// How often the database was rewritten since.
    pub age: u32,
    /// The path the linker recorded; empty when it recorded none.
    pub path: String,
}

impl PdbInfo {
    /// Returns the file name without its directories.
    pub fn file_name(&self) -> &str {
        self.path.rsplit(['\\', '/']).next().unwrap_or(&self.path)
    }

    /// Returns GUID and age as symbol servers spell them: 32 hexadecimal digits and the age.
    pub fn symbol_server_id(&self) -> String {
        let mut id = String::new();
        let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = self.guid;
        for byte in [a3, a2, a1, a0, b1, b0, c1, c0].into_iter().chain(rest) {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02X}");
        }
        let _ = write!(id, "{:X}", self.age);
        id
    }
}

impl fmt::Display for PdbInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.file_name(), self.symbol_server_id())
    }
}

impl Image<'_> {
    /// Returns the program database of the image, if a CodeView (`RSDS`) record names one.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when the debug directory or the record is broken.
    pub fn pdb(&self) -> Result<Option<PdbInfo>, ImageError> {
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else { return Ok(None) };
        let entry_size = size_of::<pe::ImageDebugDirectory>() as u32;
        for index in 0..(directory.size / entry_size).min(MAX_ENTRIES) {
            let rva = directory.rva.saturating_add(index * entry_size);
            let entry: pe::ImageDebugDirectory = self.structure(rva).ok_or(ImageError::Directory {
                what: "debug directory",
                rva,
                size: directory.size,
            })?;
            if entry.typ.get(LE) != pe::IMAGE_DEBUG_TYPE_CODEVIEW {
                continue;
            }
            let (at, size) = (entry.address_of_raw_data.get(LE), entry.size_of_data.get(LE));
            let record = if at != 0 {
                self.file_bytes(at, size)
            } else {
                let offset = u64::from(entry.pointer_to_raw_data.get(LE));
                raw::slice(self.bytes(), offset, u64::from(size), "the CodeView record").ok()
            };
            let outside = ImageError::Directory { what: "CodeView record", rva: at, size };
            if let Some(info) = rsds(record.ok_or(outside)?) {
                return Ok(Some(info));
            }
        }
        Ok(None)
    }
}

/// Reads `RSDS`, GUID, age, path; older kinds of records (`NB10`) name no GUID and are skipped.
fn rsds(record: &[u8]) -> Option<PdbInfo> {
    let (guid, rest) = record.strip_prefix(b"RSDS")?.split_first_chunk::<16>()?;
    let (age, path) = rest.split_first_chunk::<4>()?;
    let path = raw::c_string(path, MAX_NAME, true)?;
    Some(PdbInfo {
        guid: *guid,
        age: u32::from_le_bytes(*age),
        path: raw::name(path).unwrap_or_default().to_owned(),
    })
}
