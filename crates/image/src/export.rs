//! What an image exports: used to name addresses, and for drivers that other drivers link against.

use object::LittleEndian as LE;
use object::pe;

use crate::error::ImageError;
use crate::headers::Directory;
use crate::image::Image;
use crate::import::MAX_NAME;

/// The most exports read: ordinals are 16 bits.
pub const MAX_EXPORTS: u32 = 0x1_0000;

/// Where an export leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTarget {
    /// To a place in this image.
    Rva(u32),
    /// To another module's export, as `MODULE.Name` or `MODULE.#ordinal`.
    Forwarder(String),
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its ordinal, the directory's base included.
    pub ordinal: u32,
    /// Its names: none for an export by ordinal only.
    pub names: Vec<String>,
    /// Where it leads.
    pub target: ExportTarget,
}

impl Image<'_> {
    /// Returns the exports, in order of their ordinals. Unused ordinals are left out.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when a table or a name lies outside the image.
    pub fn exports(&self) -> Result<Vec<Export>, ImageError> {
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else { return Ok(Vec::new()) };
        let outside = |what, rva, size| ImageError::Directory { what, rva, size };
        let table: pe::ImageExportDirectory = self
            .structure(directory.rva)
            .ok_or_else(|| outside("export directory", directory.rva, directory.size))?;
        let functions = self.export_table(
            "export address table",
            &table.address_of_functions,
            &table.number_of_functions,
            4,
        )?;
        let names =
            self.export_table("export name table", &table.address_of_names, &table.number_of_names, 4)?;
        let ordinals = self.export_table(
            "export ordinal table",
            &table.address_of_name_ordinals,
            &table.number_of_names,
            2,
        )?;

        let base = table.base.get(LE);
        let mut exports: Vec<Export> = Vec::new();
        // Index of a function to its place among the exports that are used.
        let mut places: Vec<Option<usize>> = Vec::new();
        for (index, rva) in (0_u32..).zip(functions.chunks_exact(4)) {
            let rva = u32::from_le_bytes([rva[0], rva[1], rva[2], rva[3]]);
            places.push((rva != 0).then_some(exports.len()));
            if rva != 0 {
                let target = self.export_target(directory, rva)?;
                exports.push(Export { ordinal: base.wrapping_add(index), names: Vec::new(), target });
            }
        }
        for (name, ordinal) in names.chunks_exact(4).zip(ordinals.chunks_exact(2)) {
            let name = u32::from_le_bytes([name[0], name[1], name[2], name[3]]);
            let index = u16::from_le_bytes([ordinal[0], ordinal[1]]);
            let text = self.name_at(name, MAX_NAME).ok_or_else(|| outside("export name", name, 1))?;
            if let Some(place) = places.get(usize::from(index)).copied().flatten() {
                exports[place].names.push(text.to_owned());
            }
        }
        Ok(exports)
    }

    /// Returns one of the export tables, wholly in the file.
    fn export_table(
        &self,
        what: &'static str,
        rva: &object::U32<LE>,
        count: &object::U32<LE>,
        stride: u32,
    ) -> Result<&[u8], ImageError> {
        let (rva, count) = (rva.get(LE), count.get(LE));
        if count == 0 {
            return Ok(&[]);
        }
        let size = count.saturating_mul(stride);
        let table = self.file_bytes(rva, size).filter(|_| count <= MAX_EXPORTS);
        table.ok_or(ImageError::Directory { what, rva, size })
    }

    /// A target inside the export directory is the text of a forwarder.
    fn export_target(&self, directory: Directory, rva: u32) -> Result<ExportTarget, ImageError> {
        let inside = rva.checked_sub(directory.rva).is_some_and(|offset| offset < directory.size);
        if !inside {
            return Ok(ExportTarget::Rva(rva));
        }
        let outside = ImageError::Directory { what: "export forwarder", rva, size: 1 };
        let text = self.name_at(rva, MAX_NAME).ok_or(outside)?;
        Ok(ExportTarget::Forwarder(text.to_owned()))
    }
}
