//! Binding: writing the addresses of imports into their slots, and judging where imports come from.

use crate::error::ImageError;
use crate::import::Import;
use crate::modules::{ModuleClass, classify_module};

/// Writes into each import's slot the address that `resolver` gives for it.
///
/// `memory` begins at the image's base. The resolver is asked once per import, in the order of the image, and decides
/// what an unknown name gets.
///
/// # Errors
///
/// [`ImageError::Memory`] when a slot lies outside `memory`; the slots before it are written.
pub fn bind(
    memory: &mut [u8],
    imports: &[Import],
    mut resolver: impl FnMut(&Import) -> u64,
) -> Result<(), ImageError> {
    for import in imports {
        write_u64(memory, import.slot_rva, resolver(import))?;
    }
    Ok(())
}

/// Writes a little-endian 64-bit number at an RVA of a loaded image.
pub(crate) fn write_u64(memory: &mut [u8], rva: u32, value: u64) -> Result<(), ImageError> {
    let given = memory.len() as u64;
    let slot = memory.get_mut(rva as usize..).and_then(|tail| tail.first_chunk_mut::<8>());
    match slot {
        Some(slot) => {
            *slot = value.to_le_bytes();
            Ok(())
        }
        None => Err(ImageError::Memory { needed: u64::from(rva) + 8, given }),
    }
}

/// A module other than the kernel that an image imports from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignModule {
    /// The module, as the image spells it.
    pub module: String,
    /// How many functions come from it.
    pub count: usize,
    /// What it is.
    pub what: &'static str,
    /// What the user can do.
    pub hint: &'static str,
}

/// Returns the modules other than the kernel that the imports come from, in order of first appearance.
pub fn foreign_modules(imports: &[Import]) -> Vec<ForeignModule> {
    let mut found: Vec<ForeignModule> = Vec::new();
    for import in imports {
        let ModuleClass::Foreign { what, hint } = classify_module(&import.module) else { continue };
        match found.iter_mut().find(|foreign| foreign.module.eq_ignore_ascii_case(&import.module)) {
            Some(foreign) => foreign.count += 1,
            None => found.push(ForeignModule { module: import.module.clone(), count: 1, what, hint }),
        }
    }
    found
}

/// Checks that all imports come from the kernel.
///
/// # Errors
///
/// [`ImageError::ForeignImports`] with the first other module and what it is.
pub fn require_kernel_imports(imports: &[Import]) -> Result<(), ImageError> {
    match foreign_modules(imports).into_iter().next() {
        None => Ok(()),
        Some(ForeignModule { module, count, what, hint }) => {
            Err(ImageError::ForeignImports { module, count, what, hint })
        }
    }
}
