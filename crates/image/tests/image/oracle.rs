//! Our reader against the one of the `object` crate, which shares nothing with ours but the raw structures.

use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::{Import, PeFile64};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::image::{ExportTarget, Image, Symbols};
use crate::mutants::everything;
use crate::real::drivers;

fn imports_of(file: &PeFile64<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let Some(table) = file.import_table().unwrap() else { return found };
    let mut descriptors = table.descriptors().unwrap();
    while let Some(descriptor) = descriptors.next().unwrap() {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE)).unwrap());
        let slots = descriptor.first_thunk.get(LE);
        let lookup = descriptor.original_first_thunk.get(LE);
        let mut thunks = table.thunks(if lookup == 0 { slots } else { lookup }).unwrap();
        let mut slot = slots;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>().unwrap() {
            let symbol = match table.import::<ImageNtHeaders64>(thunk).unwrap() {
                Import::Ordinal(ordinal) => format!("#{ordinal}"),
                Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
            };
            found.push(format!("{module}!{symbol} at {slot:#x}"));
            slot += 8;
        }
    }
    found
}

fn relocations_of(file: &PeFile64<'_>) -> Vec<u32> {
    let mut found = Vec::new();
    let directories = file.data_directories();
    let Some(mut blocks) = directories.relocation_blocks(file.data(), &file.section_table()).unwrap() else {
        return found;
    };
    while let Some(block) = blocks.next().unwrap() {
        found.extend(
            block.filter(|entry| entry.typ == pe::IMAGE_REL_BASED_DIR64).map(|entry| entry.virtual_address),
        );
    }
    found
}

#[test]
fn object_reads_the_same() {
    let mut images = drivers();
    images.push(("synthetic".into(), everything().build()));
    let (mut imports, mut relocations, mut functions) = (0, 0, 0);
    for (name, bytes) in images {
        let image = Image::parse(&bytes).unwrap();
        let file = PeFile64::parse(&bytes[..]).unwrap();
        let base = image.headers().preferred_base;
        assert_eq!(file.relative_address_base(), base, "{name}");
        assert_eq!(file.entry() - base, u64::from(image.entry()), "{name}");

        let sections =
            file.sections().map(|section| (section.name().unwrap().to_owned(), section.address() - base));
        let ours = image.sections().iter().map(|section| (section.name.clone(), u64::from(section.rva)));
        assert!(sections.eq(ours), "{name}");

        let ours: Vec<_> = image.imports().unwrap();
        let ours: Vec<_> = ours.iter().map(|import| format!("{import} at {:#x}", import.slot_rva)).collect();
        assert_eq!(ours, imports_of(&file), "{name}");
        imports += ours.len();

        let ours = image.relocations().unwrap();
        assert_eq!(ours, relocations_of(&file), "{name}");
        relocations += ours.len();

        let theirs = file.export_table().unwrap().map(|table| table.exports().unwrap()).unwrap_or_default();
        let ours = image.exports().unwrap();
        let rvas = ours.iter().filter(|export| matches!(export.target, ExportTarget::Rva(_)));
        let names: usize = ours.iter().map(|export| export.names.len()).sum();
        assert!(theirs.len() >= names && rvas.count() <= theirs.len(), "{name}");

        let symbols = Symbols::of(&image);
        for symbol in
            file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
        {
            let rva = u32::try_from(symbol.address() - base).unwrap();
            // The synthetic table holds a place outside its section, which we leave out.
            if image.section_at(rva).is_some() && !symbol.name().unwrap().starts_with('.') {
                let (ours, offset) = symbols.name(rva).unwrap();
                assert_eq!(offset, 0, "{name}: {} is before {}", ours.name, symbol.name().unwrap());
                functions += 1;
            }
        }
    }
    assert!(imports > 100 && relocations > 2 && functions > 100, "{imports} {relocations} {functions}");
}
