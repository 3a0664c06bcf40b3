//! A small PE writer: a valid x64 driver by default, with every field open to be set wrong.

pub(crate) const CODE: u32 = 0x6800_0020;
pub(crate) const RDATA: u32 = 0x4800_0040;
pub(crate) const DATA: u32 = 0xc800_0040;
pub(crate) const INIT: u32 = 0xe200_0020;
pub(crate) const DISCARDABLE: u32 = 0x4200_0040;

pub(crate) const BASE: u64 = 0x1_4000_0000;

/// One section to write.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: [u8; 8],
    pub(crate) flags: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) rva: u32,
    pub(crate) virtual_size: u32,
    /// Overrides `PointerToRawData` and `SizeOfRawData` in the header.
    pub(crate) raw: Option<(u32, u32)>,
}

/// An image to write.
#[derive(Clone)]
pub(crate) struct Pe {
    pub(crate) machine: u16,
    pub(crate) characteristics: u16,
    pub(crate) magic: u16,
    pub(crate) optional_size: u16,
    pub(crate) subsystem: u16,
    pub(crate) entry: u32,
    pub(crate) base: u64,
    pub(crate) section_alignment: u32,
    pub(crate) file_alignment: u32,
    pub(crate) size_of_image: Option<u32>,
    pub(crate) size_of_headers: Option<u32>,
    pub(crate) checksum: u32,
    pub(crate) directories: [(u32, u32); 16],
    pub(crate) directory_count: u32,
    pub(crate) section_count: Option<u16>,
    pub(crate) parts: Vec<Part>,
    /// Symbols: name, value, section number (from 1), type, class, auxiliary records.
    pub(crate) symbols: Vec<(String, u32, u16, u16, u8, u8)>,
}

pub(crate) fn align(value: u32, alignment: u32) -> u32 {
    value.div_ceil(alignment) * alignment
}

impl Pe {
    /// A driver with nothing but code: `ret` at RVA 0x1000.
    pub(crate) fn new() -> Pe {
        let mut pe = Pe::empty(0x1000, 0x200);
        pe.push(".text", CODE, vec![0xc3; 0x40]);
        pe
    }

    pub(crate) fn empty(section_alignment: u32, file_alignment: u32) -> Pe {
        Pe {
            machine: 0x8664,
            characteristics: 0x22,
            magic: 0x20b,
            optional_size: 240,
            subsystem: 1,
            entry: align(0x400, section_alignment),
            base: BASE,
            section_alignment,
            file_alignment,
            size_of_image: None,
            size_of_headers: None,
            checksum: 0,
            directories: [(0, 0); 16],
            directory_count: 16,
            section_count: None,
            parts: Vec::new(),
            symbols: Vec::new(),
        }
    }

    /// The RVA that the next section gets.
    pub(crate) fn next_rva(&self) -> u32 {
        match self.parts.last() {
            None => align(0x400, self.section_alignment),
            Some(part) => align(part.rva + part.virtual_size.max(1), self.section_alignment),
        }
    }

    /// Adds a section behind the others and returns its RVA.
    pub(crate) fn push(&mut self, name: &str, flags: u32, data: Vec<u8>) -> u32 {
        let rva = self.next_rva();
        let mut short = [0; 8];
        short[..name.len()].copy_from_slice(name.as_bytes());
        let virtual_size = data.len() as u32;
        self.parts.push(Part { name: short, flags, data, rva, virtual_size, raw: None });
        rva
    }

    pub(crate) fn directory(&mut self, index: usize, rva: u32, size: u32) {
        self.directories[index] = (rva, size);
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = vec![0; 0x80];
        out[..2].copy_from_slice(b"MZ");
        out[0x3c..0x40].copy_from_slice(&0x80_u32.to_le_bytes());
        out.extend(b"PE\0\0");
        let headers = self.size_of_headers.unwrap_or(0x400);

        // Where each section's data and the symbol table go.
        let mut cursor = 0x400;
        let mut placed = Vec::new();
        for part in &self.parts {
            let size = align(part.data.len() as u32, self.file_alignment);
            placed.push(if size == 0 { (0, 0) } else { (cursor, size) });
            cursor += size;
        }
        let symbol_records: u32 = self.symbols.iter().map(|symbol| 1 + u32::from(symbol.5)).sum();

        out.extend(self.machine.to_le_bytes());
        let sections = self.section_count.unwrap_or(self.parts.len() as u16);
        out.extend(sections.to_le_bytes());
        out.extend(0x5f00_0000_u32.to_le_bytes());
        out.extend(if symbol_records == 0 { 0 } else { cursor }.to_le_bytes());
        out.extend(symbol_records.to_le_bytes());
        out.extend(self.optional_size.to_le_bytes());
        out.extend(self.characteristics.to_le_bytes());

        out.extend(self.magic.to_le_bytes());
        out.extend([14, 0]);
        out.extend([0; 12]);
        out.extend(self.entry.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.base.to_le_bytes());
        out.extend(self.section_alignment.to_le_bytes());
        out.extend(self.file_alignment.to_le_bytes());
        for version in [10_u16, 0, 0, 0, 10, 0, 0, 0] {
            out.extend(version.to_le_bytes());
        }
        let size = self.size_of_image.unwrap_or_else(|| self.next_rva());
        out.extend(size.to_le_bytes());
        out.extend(headers.to_le_bytes());
        out.extend(self.checksum.to_le_bytes());
        out.extend(self.subsystem.to_le_bytes());
        out.extend(0x160_u16.to_le_bytes());
        out.extend([0; 36]);
        out.extend(self.directory_count.to_le_bytes());
        for (rva, size) in self.directories {
            out.extend(rva.to_le_bytes());
            out.extend(size.to_le_bytes());
        }
        out.resize(0x98 + usize::from(self.optional_size), 0);
        for (part, place) in self.parts.iter().zip(&placed) {
            let (pointer, size) = part.raw.unwrap_or(*place);
            out.extend(part.name);
            for field in [part.virtual_size, part.rva, size, pointer, 0, 0, 0, part.flags] {
                out.extend(field.to_le_bytes());
            }
        }
        out.resize(0x400.max(out.len()), 0);
        for (part, (pointer, size)) in self.parts.iter().zip(&placed) {
            if *size != 0 {
                out.resize(*pointer as usize, 0);
                out.extend(&part.data);
                out.resize((pointer + size) as usize, 0);
            }
        }
        self.write_symbols(&mut out);
        out
    }

    fn write_symbols(&self, out: &mut Vec<u8>) {
        let mut strings = vec![0; 4];
        for (name, value, section, kind, class, auxiliary) in &self.symbols {
            let mut short = [0; 8];
            if name.len() <= 8 {
                short[..name.len()].copy_from_slice(name.as_bytes());
            } else {
                short[4..].copy_from_slice(&(strings.len() as u32).to_le_bytes());
                strings.extend(name.as_bytes());
                strings.push(0);
            }
            out.extend(short);
            out.extend(value.to_le_bytes());
            out.extend(section.to_le_bytes());
            out.extend(kind.to_le_bytes());
            out.extend([*class, *auxiliary]);
            out.extend(std::iter::repeat_n(0, 18 * usize::from(*auxiliary)));
        }
        if !self.symbols.is_empty() {
            let length = strings.len() as u32;
            strings[..4].copy_from_slice(&length.to_le_bytes());
            out.extend(strings);
        }
    }
}

/// What an import table asks for.
pub(crate) enum Want {
    Name(&'static str),
    Ordinal(u16),
}

/// Writes an import table to be placed at `rva`; each entry: module, wishes, whether it has a lookup table of its
/// own. The slots of the first descriptor follow the descriptors.
pub(crate) fn import_table(rva: u32, modules: &[(&str, &[Want], bool)]) -> Vec<u8> {
    let descriptors = (modules.len() + 1) * 20;
    let mut out = vec![0; descriptors.next_multiple_of(8)];
    for (index, (module, wants, has_lookup)) in modules.iter().enumerate() {
        let slots = out.len();
        out.resize(slots + (wants.len() + 1) * 8, 0);
        let lookup = if *has_lookup { out.len() } else { slots };
        if *has_lookup {
            out.resize(lookup + (wants.len() + 1) * 8, 0);
        }
        for (want, place) in wants.iter().zip(0..) {
            let value = match want {
                Want::Ordinal(ordinal) => 1 << 63 | u64::from(*ordinal),
                Want::Name(name) => {
                    let at = u64::from(rva) + out.len() as u64;
                    out.extend([7, 0]);
                    out.extend(name.as_bytes());
                    out.push(0);
                    out.resize(out.len().next_multiple_of(8), 0);
                    at
                }
            };
            for table in [slots, lookup] {
                put(&mut out, table + place * 8, &value.to_le_bytes());
            }
        }
        let name = rva + out.len() as u32;
        out.extend(module.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(8), 0);
        let original = if *has_lookup { rva + lookup as u32 } else { 0 };
        for (field, value) in [(0, original), (12, name), (16, rva + slots as u32)] {
            put(&mut out, index * 20 + field, &value.to_le_bytes());
        }
    }
    out
}

/// Writes one relocation block.
pub(crate) fn relocation_block(page: u32, entries: &[(u16, u16)]) -> Vec<u8> {
    let mut out = page.to_le_bytes().to_vec();
    out.extend((8 + 2 * entries.len() as u32).to_le_bytes());
    for (kind, offset) in entries {
        out.extend((kind << 12 | offset).to_le_bytes());
    }
    out
}

pub(crate) fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}
