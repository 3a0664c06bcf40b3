//! The parsed image: its facts, and reading by relative virtual address (RVA).

use object::pe;
use object::pod::Pod;

use crate::checksum::Checksum;
use crate::error::ImageError;
use crate::headers::{Directory, Headers};
use crate::raw;
use crate::section::Section;

/// A Windows x64 kernel-driver image over the bytes of its file.
///
/// Its headers and section table are checked: each section's data lies in the file, each section's range in the
/// image, and no two overlap. The directories are checked when they are asked for.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    bytes: &'a [u8],
    headers: Headers,
    sections: Vec<Section>,
}

/// A run of addresses that one part of the file backs: the headers, or a section.
struct Region {
    /// Bytes from the address asked for to the end of the run.
    span: u32,
    /// Where the address lies in the file.
    file_offset: u64,
    /// Bytes from there that are in the file; zeros follow.
    file_size: u32,
}

impl<'a> Image<'a> {
    /// Parses an image and checks that it is an x64 kernel driver.
    ///
    /// # Errors
    ///
    /// One variant of [`ImageError`] per reason, from "not a PE image" to an entry point outside the code.
    pub fn parse(bytes: &'a [u8]) -> Result<Image<'a>, ImageError> {
        let (headers, sections) = Headers::parse(bytes)?;
        Ok(Image { bytes, headers, sections })
    }

    /// Returns the bytes of the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the facts of the headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the sections, in ascending order of address.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the section that an RVA lies in.
    pub fn section_at(&self, rva: u32) -> Option<&Section> {
        let index = self.sections.partition_point(|section| section.rva <= rva).checked_sub(1)?;
        self.sections.get(index).filter(|section| section.contains(rva))
    }

    /// Returns the bytes the image takes in memory, a multiple of a page.
    pub fn size(&self) -> u32 {
        self.headers.size_of_image
    }

    /// Returns the RVA of the entry point.
    pub fn entry(&self) -> u32 {
        self.headers.entry
    }

    /// Whether the image is a DLL by its header: an export driver, or one linked with `-shared`.
    pub fn is_dll(&self) -> bool {
        self.headers.characteristics & pe::IMAGE_FILE_DLL.0 != 0
    }

    /// Returns what the image's checksum says about the file.
    pub fn checksum(&self) -> Checksum {
        Checksum::of(self.bytes, self.headers.checksum_offset, self.headers.checksum)
    }

    /// Returns a data directory (`IMAGE_DIRECTORY_ENTRY_*`) if the image has it.
    pub fn directory(&self, index: usize) -> Option<Directory> {
        self.headers.directories.get(index).copied().filter(|directory| directory.rva != 0)
    }

    /// Reads `out.len()` bytes at an RVA as they will be in memory before relocation, zero-filled parts included.
    ///
    /// Returns `None`, with `out` zeroed or untouched, when they do not lie inside the headers or one section.
    pub fn read(&self, rva: u32, out: &mut [u8]) -> Option<()> {
        let region = self.region(rva)?;
        if out.len() as u64 > u64::from(region.span) {
            return None;
        }
        let backed = out.len().min(region.file_size as usize);
        let start = usize::try_from(region.file_offset).ok()?;
        let data = self.bytes.get(start..start.checked_add(backed)?)?;
        out[..backed].copy_from_slice(data);
        out[backed..].fill(0);
        Some(())
    }

    /// Reads the structure `T` at an RVA.
    pub(crate) fn structure<T: Pod + Copy>(&self, rva: u32) -> Option<T> {
        raw::read_with(|buffer| self.read(rva, buffer))
    }

    /// Reads a little-endian 32-bit number at an RVA.
    pub fn read_u32(&self, rva: u32) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(rva, &mut bytes)?;
        Some(u32::from_le_bytes(bytes))
    }

    /// Reads a little-endian 64-bit number at an RVA.
    pub fn read_u64(&self, rva: u32) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(rva, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Returns `size` bytes of the file at an RVA, if the file holds them all.
    pub fn file_bytes(&self, rva: u32, size: u32) -> Option<&'a [u8]> {
        let region = self.region(rva).filter(|region| region.file_size >= size)?;
        let start = usize::try_from(region.file_offset).ok()?;
        self.bytes.get(start..start.checked_add(size as usize)?)
    }

    /// Returns the text before the first NUL at an RVA, if it ends within `max` bytes and reads as a name.
    pub(crate) fn name_at(&self, rva: u32, max: usize) -> Option<&'a str> {
        let region = self.region(rva)?;
        let data = self.file_bytes(rva, region.file_size)?;
        raw::name(raw::c_string(data, max, region.span > region.file_size)?)
    }

    /// Returns the RVA of `size` bytes at a virtual address, as the file spells addresses (at the preferred base).
    pub(crate) fn rva_of(&self, va: u64, size: u32) -> Option<u32> {
        let rva = u32::try_from(va.checked_sub(self.headers.preferred_base)?).ok()?;
        let section = self.section_at(rva)?;
        (section.end() - rva >= size).then_some(rva)
    }

    fn region(&self, rva: u32) -> Option<Region> {
        if let Some(section) = self.section_at(rva) {
            let inside = rva - section.rva;
            let file_size = section.file_size.saturating_sub(inside);
            // Where nothing is in the file the offset must not point past its end.
            let file_offset =
                if file_size == 0 { 0 } else { u64::from(section.file_offset) + u64::from(inside) };
            return Some(Region { span: section.span - inside, file_offset, file_size });
        }
        let size = self.headers.size_of_headers.checked_sub(rva).filter(|size| *size != 0)?;
        Some(Region { span: size, file_offset: u64::from(rva), file_size: size })
    }
}
