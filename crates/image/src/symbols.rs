//! Names for addresses: exports, the COFF symbol table, the entry point, and function starts.

use core::cmp::Ordering;

use crate::address::AddressName;
use crate::export::ExportTarget;
use crate::image::Image;

/// The most bytes of names kept: a hostile table can name one long string many times.
const MAX_NAME_BYTES: usize = 16 << 20;

/// Where a name comes from; the earlier one wins where several name one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SymbolSource {
    /// The export table.
    Export,
    /// The COFF symbol table.
    Coff,
    /// The entry point in the header, where nothing else names it.
    Entry,
    /// The start of a function in the function table, which has no name of its own.
    Function,
}

/// A named place in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name; `EntryPoint` and `sub_1a2c` are made up for [`SymbolSource::Entry`] and [`SymbolSource::Function`].
    pub name: &'a str,
    /// Where it begins.
    pub rva: u32,
    /// Where the name comes from.
    pub source: SymbolSource,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    rva: u32,
    source: SymbolSource,
    /// Where the name lies in `Symbols::names`.
    start: u32,
    length: u32,
}

/// The names of one image. It owns them: it outlives the image's bytes.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    names: String,
    /// Sorted by address; one per address.
    records: Vec<Record>,
    /// Address ranges of the sections: a name does not reach beyond its own.
    sections: Vec<(u32, u32)>,
    complete: bool,
}

impl Symbols {
    /// Collects the names of an image. Tables that are broken contribute nothing: names never make a driver fail.
    pub fn of(image: &Image<'_>) -> Symbols {
        let mut symbols = Symbols { complete: true, ..Symbols::default() };
        symbols.sections = image.sections().iter().map(|section| (section.rva, section.end())).collect();
        for export in image.exports().unwrap_or_default() {
            if let (ExportTarget::Rva(rva), Some(name)) = (&export.target, export.names.first()) {
                symbols.add(*rva, name, SymbolSource::Export);
            }
        }
        // External names first: GNU's import libraries put `__imp_DbgPrint` and a static `fthunk` on one slot. The linker's own
        // marks, such as `__bss_start__`, last: a variable may be the first of its section.
        let mark = |name: &str| name.starts_with("__") && name.ends_with("__");
        let mut coff = image.coff_symbols();
        coff.sort_by_key(|symbol| (mark(symbol.name), !symbol.external));
        for symbol in coff {
            symbols.add(symbol.rva, symbol.name, SymbolSource::Coff);
        }
        symbols.add(image.entry(), "EntryPoint", SymbolSource::Entry);
        if let Ok(functions) = image.functions() {
            for function in functions.iter() {
                if functions.primary(function) == function {
                    let name = format!("sub_{:x}", function.begin);
                    symbols.add(function.begin, &name, SymbolSource::Function);
                }
            }
        }
        // Stable: of equal sources the first one added stays.
        symbols.records.sort_by_key(|record| (record.rva, record.source));
        symbols.records.dedup_by_key(|record| record.rva);
        symbols
    }

    fn add(&mut self, rva: u32, name: &str, source: SymbolSource) {
        if self.names.len() + name.len() > MAX_NAME_BYTES {
            self.complete = false;
            return;
        }
        // Both fit: the arena is capped far below 4 GiB.
        let (start, length) = (self.names.len() as u32, name.len() as u32);
        self.names.push_str(name);
        self.records.push(Record { rva, source, start, length });
    }

    /// Returns the number of named places.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether all names were kept; `false` when the image has more of them than the limit of 16 MiB.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the named places, by ascending address.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.records.iter().map(|record| self.symbol(record))
    }

    /// Returns the nearest named place at or before an RVA in the same section, and the distance in bytes.
    pub fn name(&self, rva: u32) -> Option<(Symbol<'_>, u32)> {
        let index = self.records.partition_point(|record| record.rva <= rva).checked_sub(1)?;
        let record = self.records.get(index)?;
        let (start, _) = self.section(rva)?;
        (record.rva >= start).then(|| (self.symbol(record), rva - record.rva))
    }

    /// Returns the RVA of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.rva)
    }

    /// Names an RVA for people: `driver.sys+0x1a2c (DriverEntry+0x1c)`.
    pub fn describe(&self, module: &str, rva: u32) -> AddressName {
        let symbol = self.name(rva).map(|(symbol, offset)| (symbol.name.to_owned(), offset));
        AddressName { module: module.to_owned(), rva, symbol }
    }

    fn section(&self, rva: u32) -> Option<(u32, u32)> {
        let place = |&(start, end): &(u32, u32)| match (rva < start, rva < end) {
            (true, _) => Ordering::Greater,
            (false, true) => Ordering::Equal,
            (false, false) => Ordering::Less,
        };
        self.sections.binary_search_by(place).ok().and_then(|index| self.sections.get(index).copied())
    }

    fn symbol(&self, record: &Record) -> Symbol<'_> {
        let (start, end) = (record.start as usize, (record.start + record.length) as usize);
        Symbol { name: &self.names[start..end], rva: record.rva, source: record.source }
    }
}
