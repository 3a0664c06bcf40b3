//! Names for addresses.

use crate::builder::{CODE, DATA, INIT, Pe, RDATA};
use crate::image::{Image, SymbolSource, Symbols};
use crate::tables::{export_table, function_table};

pub(crate) fn named() -> Pe {
    let mut pe = Pe::new();
    pe.push(".data", DATA, vec![0; 0x20]);
    pe.push("INIT", INIT, vec![0xc3; 0x40]);
    let function = 0x20;
    pe.symbols = vec![
        (".file".into(), 0, 0xfffe, 0, 103, 1),
        ("DriverEntry".into(), 0, 1, function, 2, 0),
        (".text".into(), 0, 1, 0, 3, 1),
        ("helper_with_a_long_name".into(), 0x10, 1, function, 3, 0),
        ("asm_part".into(), 0x20, 1, 0, 2, 0),
        ("label".into(), 0x28, 1, 0, 6, 0),
        ("fthunk".into(), 8, 2, 0, 3, 0),
        ("gState".into(), 8, 2, 0, 2, 0),
        ("absolute".into(), 0x1234, 0xffff, 0, 2, 0),
        ("beyond".into(), 0x9_0000, 1, function, 2, 0),
    ];
    pe
}

#[test]
fn the_nearest_symbol_before_names_an_address() {
    let bytes = named().build();
    let symbols = Symbols::of(&Image::parse(&bytes).unwrap());
    let shown: Vec<_> = symbols.iter().map(|symbol| (symbol.rva, symbol.name, symbol.source)).collect();
    assert_eq!(
        shown,
        [
            (0x1000, "DriverEntry", SymbolSource::Coff),
            (0x1010, "helper_with_a_long_name", SymbolSource::Coff),
            (0x1020, "asm_part", SymbolSource::Coff),
            (0x2008, "gState", SymbolSource::Coff),
        ]
    );
    let say = |rva| symbols.describe("driver.sys", rva).to_string();
    assert_eq!(say(0x1000), "driver.sys+0x1000 (DriverEntry)");
    assert_eq!(say(0x101c), "driver.sys+0x101c (helper_with_a_long_name+0xc)");
    assert_eq!(say(0x102a), "driver.sys+0x102a (asm_part+0xa)");
    assert_eq!(say(0x200c), "driver.sys+0x200c (gState+0x4)");
    assert_eq!(say(0x2004), "driver.sys+0x2004", "a name does not reach into the next section");
    assert_eq!(say(0x3004), "driver.sys+0x3004");
    assert_eq!(say(0x10), "driver.sys+0x10");
    assert_eq!(say(0x9999), "driver.sys+0x9999");
    assert_eq!(symbols.find("gState"), Some(0x2008));
    assert!(symbols.is_complete());
}

#[test]
fn stripped_drivers_are_named_by_entry_exports_and_functions() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    pe.push(".pdata", RDATA, function_table(rva));
    pe.directory(3, rva, 36);
    pe.entry = 0x1010;
    let bytes = pe.build();
    let symbols = Symbols::of(&Image::parse(&bytes).unwrap());
    let say = |rva| symbols.describe("x.sys", rva).to_string();
    assert_eq!(say(0x1004), "x.sys+0x1004 (sub_1000+0x4)");
    assert_eq!(say(0x1014), "x.sys+0x1014 (EntryPoint+0x4)");

    let rva = pe.next_rva();
    pe.push(".edata", RDATA, export_table(rva));
    pe.directory(0, rva, 0xc0);
    let bytes = pe.build();
    let symbols = Symbols::of(&Image::parse(&bytes).unwrap());
    assert_eq!(symbols.name(0x1001).map(|(symbol, offset)| (symbol.name, offset)), Some(("Alpha", 1)));
}

#[test]
fn broken_symbol_tables_name_less_but_do_not_fail() {
    let bytes = named().build();
    // The file header's table pointer and count, at 0x8c and 0x90.
    for (pointer, count) in [(0xffff_fff0_u32, 9_u32), (0x400, u32::MAX), (0, 9)] {
        let mut bytes = bytes.clone();
        bytes[0x8c..0x90].copy_from_slice(&pointer.to_le_bytes());
        bytes[0x90..0x94].copy_from_slice(&count.to_le_bytes());
        let symbols = Symbols::of(&Image::parse(&bytes).unwrap());
        assert_eq!(symbols.describe("x.sys", 0x1000).to_string(), "x.sys+0x1000 (EntryPoint)");
    }
}

#[test]
fn long_section_names_come_from_the_string_table() {
    let mut pe = named();
    // The string table holds `DriverEntry` at 4 and the long helper behind it.
    pe.push("/16", CODE, vec![0; 8]);
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().sections()[3].name, "helper_with_a_long_name");
    pe.parts[3].name = *b"/9999\0\0\0";
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().sections()[3].name, "/9999");
}

#[test]
fn many_long_names_stop_at_the_limit() {
    let mut pe = Pe::new();
    let long = "n".repeat(500);
    pe.parts[0].virtual_size = 0x1_0000;
    // The first puts its name into the string table at offset 4; the others point to the same one.
    pe.symbols = vec![(long, 0, 1, 0x20, 2, 0)];
    let mut bytes = pe.build();
    let strings = bytes.split_off(bytes.len() - 4 - 501);
    let record = bytes[bytes.len() - 18..].to_vec();
    let count = 40_000_u32;
    for index in 1..count {
        let mut record = record.clone();
        record[8..12].copy_from_slice(&index.to_le_bytes());
        bytes.extend(record);
    }
    bytes.extend(strings);
    bytes[0x90..0x94].copy_from_slice(&count.to_le_bytes());
    let symbols = Symbols::of(&Image::parse(&bytes).unwrap());
    assert!(!symbols.is_complete());
    assert_eq!(symbols.len(), (16 << 20) / 500);
}
