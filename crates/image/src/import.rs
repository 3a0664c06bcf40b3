//! What a driver imports: functions and data of other modules, one address slot each.
//!
//! The import table is an array of descriptors, one per module, or several for one module: GNU ld writes one per
//! import library. A descriptor names a lookup table (what is wanted) and an address table (the slots); old linkers
//! leave the lookup table out and keep the wishes in the slots themselves.

use core::fmt;

use object::LittleEndian as LE;
use object::pe;

use crate::error::{ImageError, ImportFault};
use crate::image::Image;

/// The most import descriptors read from an image.
pub const MAX_IMPORT_DESCRIPTORS: usize = 1024;
/// The most imports read from an image. `ntoskrnl.exe` exports about three thousand names.
pub const MAX_IMPORTS: usize = 16_384;
/// The longest name of a function or module, in bytes.
pub const MAX_NAME: usize = 512;

/// What an import asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportSymbol {
    /// By name.
    Name {
        /// Where the linker guesses it in the exporter's name table.
        hint: u16,
        /// The exported name.
        name: String,
    },
    /// By ordinal number.
    Ordinal(u16),
}

impl fmt::Display for ImportSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportSymbol::Name { name, .. } => f.write_str(name),
            ImportSymbol::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// One import: what is wanted from which module, and the slot its address goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module, as the image spells it (`ntoskrnl.exe`).
    pub module: String,
    /// The function or variable.
    pub symbol: ImportSymbol,
    /// The RVA of the 8-byte slot that receives the address.
    pub slot_rva: u32,
}

impl Import {
    /// Returns the name, or `None` for an import by ordinal.
    pub fn name(&self) -> Option<&str> {
        match &self.symbol {
            ImportSymbol::Name { name, .. } => Some(name),
            ImportSymbol::Ordinal(_) => None,
        }
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.module, self.symbol)
    }
}

impl Image<'_> {
    /// Returns all imports, in the order of the image.
    ///
    /// # Errors
    ///
    /// [`ImageError::Import`] with the descriptor and the reason.
    pub fn imports(&self) -> Result<Vec<Import>, ImageError> {
        let mut imports = Vec::new();
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else { return Ok(imports) };
        for index in 0..=MAX_IMPORT_DESCRIPTORS {
            let fail = |rva, fault| ImageError::Import { index, rva, fault };
            let at =
                directory.rva.saturating_add(index as u32 * size_of::<pe::ImageImportDescriptor>() as u32);
            let descriptor: pe::ImageImportDescriptor =
                self.structure(at).ok_or_else(|| fail(at, ImportFault::Descriptor))?;
            let (name, lookup, slots) = (
                descriptor.name.get(LE),
                descriptor.original_first_thunk.get(LE),
                descriptor.first_thunk.get(LE),
            );
            // The loader's end mark: no name or no slots; the directory's size is not looked at.
            if name == 0 || slots == 0 {
                return Ok(imports);
            }
            if index == MAX_IMPORT_DESCRIPTORS {
                return Err(fail(at, ImportFault::TooMany));
            }
            let module = self.name_at(name, MAX_NAME).ok_or_else(|| fail(name, ImportFault::ModuleName))?;
            let lookup = if lookup == 0 { slots } else { lookup };
            self.thunks(module, lookup, slots, &mut imports).map_err(|(rva, fault)| fail(rva, fault))?;
        }
        Ok(imports)
    }

    /// Returns the modules whose functions are loaded on first use. Kernel drivers cannot do that below Windows 10;
    /// it is recognized here, not carried out.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when the table is broken.
    pub fn delay_imports(&self) -> Result<Vec<String>, ImageError> {
        let mut modules = Vec::new();
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT) else {
            return Ok(modules);
        };
        let fail = |rva| ImageError::Directory { what: "delay import table", rva, size: directory.size };
        for index in 0..MAX_IMPORT_DESCRIPTORS as u32 {
            let at = directory.rva.saturating_add(index * size_of::<pe::ImageDelayloadDescriptor>() as u32);
            let descriptor: pe::ImageDelayloadDescriptor = self.structure(at).ok_or_else(|| fail(at))?;
            let name = descriptor.dll_name_rva.get(LE);
            if name == 0 {
                return Ok(modules);
            }
            modules.push(self.name_at(name, MAX_NAME).ok_or_else(|| fail(name))?.to_owned());
        }
        Err(fail(directory.rva))
    }

    /// Reads one descriptor's lookup table.
    fn thunks(
        &self,
        module: &str,
        lookup: u32,
        slots: u32,
        imports: &mut Vec<Import>,
    ) -> Result<(), (u32, ImportFault)> {
        for index in 0..=MAX_IMPORTS as u32 {
            let at = lookup.saturating_add(index * 8);
            let thunk = self.read_u64(at).ok_or((at, ImportFault::Lookup))?;
            if thunk == 0 {
                return Ok(());
            }
            if imports.len() == MAX_IMPORTS {
                return Err((at, ImportFault::TooMany));
            }
            let slot_rva = slots.saturating_add(index * 8);
            if self.section_at(slot_rva).is_none_or(|section| section.end() - slot_rva < 8) {
                return Err((slot_rva, ImportFault::Slot));
            }
            let symbol = if thunk & pe::IMAGE_ORDINAL_FLAG64 != 0 {
                ImportSymbol::Ordinal((thunk & 0xffff) as u16)
            } else {
                self.import_name(thunk).ok_or((at, ImportFault::SymbolName))?
            };
            imports.push(Import { module: module.to_owned(), symbol, slot_rva });
        }
        Err((lookup, ImportFault::TooMany))
    }

    fn import_name(&self, thunk: u64) -> Option<ImportSymbol> {
        let rva = u32::try_from(thunk).ok().filter(|rva| *rva < 0x8000_0000)?;
        let hint = self.structure::<pe::ImageImportByName>(rva)?.hint.get(LE);
        Some(ImportSymbol::Name { hint, name: self.name_at(rva + 2, MAX_NAME)?.to_owned() })
    }
}
