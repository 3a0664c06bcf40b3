//! Base relocations: the addresses inside an image that must follow it when it moves.
//!
//! The table is a sequence of blocks, one per page, of 16-bit entries: a type and an offset. On x64 only `DIR64` has
//! a meaning, and `ABSOLUTE` is padding.

use object::LittleEndian as LE;
use object::pe;

use crate::error::{ImageError, RelocationFault};
use crate::image::Image;

/// Bytes of a block's header.
const BLOCK_HEADER: u32 = size_of::<pe::ImageBaseRelocation>() as u32;

impl Image<'_> {
    /// Whether the linker removed the relocations, so that the image loads at its preferred base only.
    ///
    /// An image without a relocation table that does not say so has simply nothing to relocate.
    pub fn relocations_stripped(&self) -> bool {
        self.headers().characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED.0 != 0
    }

    /// Returns the RVAs of all 64-bit addresses to relocate, in the order of the table.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when the table is not in the file, [`ImageError::Relocation`] for a bad block or
    /// entry.
    pub fn relocations(&self) -> Result<Vec<u32>, ImageError> {
        let mut targets = Vec::new();
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) else { return Ok(targets) };
        let outside =
            ImageError::Directory { what: "relocation table", rva: directory.rva, size: directory.size };
        let mut table = self.file_bytes(directory.rva, directory.size).ok_or(outside)?;
        while let Ok((header, _)) = object::pod::from_bytes::<pe::ImageBaseRelocation>(table) {
            let (page, size) = (header.virtual_address.get(LE), header.size_of_block.get(LE));
            if page == 0 && size == 0 {
                // Padding up to the directory's rounded size.
                break;
            }
            let block = (size >= BLOCK_HEADER && size.is_multiple_of(2))
                .then(|| table.split_at_checked(size as usize))
                .flatten();
            let Some((block, rest)) = block else {
                return Err(ImageError::Relocation { rva: page, fault: RelocationFault::BlockSize(size) });
            };
            for entry in block[BLOCK_HEADER as usize..].chunks_exact(2) {
                let entry = u16::from_le_bytes([entry[0], entry[1]]);
                let rva = page.saturating_add(u32::from(entry & 0xfff));
                if self.needs_patch(rva, pe::BaseRelocationType(entry >> 12))? {
                    targets.push(rva);
                }
            }
            table = rest;
        }
        Ok(targets)
    }

    /// Judges one entry: `true` for an address to patch, `false` for padding.
    fn needs_patch(&self, rva: u32, kind: pe::BaseRelocationType) -> Result<bool, ImageError> {
        let fail = |fault| Err(ImageError::Relocation { rva, fault });
        match kind {
            pe::IMAGE_REL_BASED_ABSOLUTE => Ok(false),
            pe::IMAGE_REL_BASED_DIR64 => {
                match self.section_at(rva).is_some_and(|section| section.end() - rva >= 8) {
                    true => Ok(true),
                    false => fail(RelocationFault::Target),
                }
            }
            pe::IMAGE_REL_BASED_HIGH => fail(RelocationFault::Narrow("HIGH")),
            pe::IMAGE_REL_BASED_LOW => fail(RelocationFault::Narrow("LOW")),
            pe::IMAGE_REL_BASED_HIGHLOW => fail(RelocationFault::Narrow("HIGHLOW")),
            pe::IMAGE_REL_BASED_HIGHADJ => fail(RelocationFault::Narrow("HIGHADJ")),
            other => fail(RelocationFault::Unknown(other.0)),
        }
    }
}
