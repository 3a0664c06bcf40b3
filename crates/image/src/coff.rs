//! The COFF symbol table that GNU ld leaves in an image it does not strip.
//!
//! The table lies behind the sections in the file and is not loaded: it is read for names only. Records are 18 bytes;
//! names longer than eight bytes are in the string table that follows. Microsoft deprecates it for images, and a
//! broken one makes no driver fail: what cannot be read is left out.

use object::LittleEndian as LE;
use object::pe;

use crate::image::Image;
use crate::import::MAX_NAME;
use crate::raw;

/// A named place from the symbol table.
pub(crate) struct CoffSymbol<'a> {
    pub(crate) rva: u32,
    pub(crate) name: &'a str,
    /// Whether it is visible to other files: the better name where several share a place.
    pub(crate) external: bool,
}

/// Returns the string table behind the symbol table, its length field included.
pub(crate) fn strings(bytes: &[u8], (pointer, count): (u32, u32)) -> Option<&[u8]> {
    if pointer == 0 {
        return None;
    }
    let size = usize::try_from(u64::from(count) * pe::IMAGE_SIZEOF_SYMBOL as u64).ok()?;
    let table = bytes.get((pointer as usize).checked_add(size)?..)?;
    let length = u32::from_le_bytes(*table.first_chunk::<4>()?) as usize;
    table.get(..length.max(4))
}

impl<'a> Image<'a> {
    /// Returns functions and variables of the COFF symbol table, in its order.
    pub(crate) fn coff_symbols(&self) -> Vec<CoffSymbol<'a>> {
        let (pointer, count) = self.headers().symbol_table;
        let bytes = self.bytes();
        let size = u64::from(count) * pe::IMAGE_SIZEOF_SYMBOL as u64;
        let present = if pointer == 0 { 0 } else { size };
        let table = raw::slice(bytes, u64::from(pointer), present, "the symbol table").unwrap_or(&[]);
        let strings = strings(bytes, (pointer, count)).unwrap_or(&[]);

        let mut records = table.chunks_exact(pe::IMAGE_SIZEOF_SYMBOL);
        core::iter::from_fn(move || {
            let record = records.next()?;
            let symbol = object::pod::from_bytes::<pe::ImageSymbol>(record).ok()?.0;
            if let Some(last) = symbol.number_of_aux_symbols.checked_sub(1) {
                records.nth(usize::from(last));
            }
            Some(symbol)
        })
        .filter_map(move |symbol| {
            let section = usize::from(symbol.section_number.get(LE)).checked_sub(1);
            let section = self.sections().get(section?)?;
            let name = raw::name(symbol_name(&symbol.name, strings)?)?;
            is_place(symbol, name, section.flags.executable())
                .then(|| section.rva.checked_add(symbol.value.get(LE)))
                .flatten()
                .filter(|rva| section.contains(*rva))
                .map(|rva| CoffSymbol { rva, name, external: is_external(symbol) })
        })
        .collect()
    }
}

/// Whether a record names a function (in code) or a variable (elsewhere), and not a section, file or label.
fn is_place(symbol: &pe::ImageSymbol, name: &str, in_code: bool) -> bool {
    let external = is_external(symbol);
    let is_static = symbol.storage_class == pe::IMAGE_SYM_CLASS_STATIC;
    let function = symbol.typ.get(LE).0 >> 4 & 3 == pe::IMAGE_SYM_DTYPE_FUNCTION.0;
    // `.text`, `.rdata$zzz`: GNU's section symbols. Assembly functions are external without a function type.
    !name.starts_with('.') && (external || (is_static && (function || !in_code)))
}

fn is_external(symbol: &pe::ImageSymbol) -> bool {
    symbol.storage_class == pe::IMAGE_SYM_CLASS_EXTERNAL
}

fn symbol_name<'a>(name: &'a [u8; 8], strings: &'a [u8]) -> Option<&'a [u8]> {
    match name {
        [0, 0, 0, 0, offset @ ..] => {
            let tail = strings.get(u32::from_le_bytes(*offset) as usize..)?;
            raw::c_string(tail, MAX_NAME, true)
        }
        short => {
            let end = short.iter().position(|&byte| byte == 0).unwrap_or(short.len());
            Some(&short[..end])
        }
    }
}
