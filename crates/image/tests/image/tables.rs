//! Imports, exports, load configuration, function table, debug directory, checksum.

use crate::builder::{BASE, DATA, Pe, RDATA, Want, import_table, put};
use crate::image::{
    self, Checksum, CookieOutcome, DEFAULT_COOKIE, ExportTarget, Image, ImageError, ImportFault,
    ImportSymbol, ModuleClass, classify_module,
};

pub(crate) fn importing(modules: &[(&str, &[Want], bool)]) -> Pe {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    pe.push(".idata", DATA, import_table(rva, modules));
    pe.directory(1, rva, 20 * modules.len() as u32);
    pe
}

#[test]
fn two_descriptors_for_one_module_are_both_read() {
    let pe = importing(&[
        ("ntoskrnl.exe", &[Want::Name("ExCreateCallback")], true),
        ("NTOSKRNL.EXE", &[Want::Name("ExNotifyCallback"), Want::Ordinal(0x123)], true),
    ]);
    let bytes = pe.build();
    let imports = Image::parse(&bytes).unwrap().imports().unwrap();
    assert_eq!(imports.len(), 3);
    assert_eq!(imports[0].symbol, ImportSymbol::Name { hint: 7, name: "ExCreateCallback".into() });
    assert_eq!(imports[1].name(), Some("ExNotifyCallback"));
    assert_eq!(imports[2].symbol, ImportSymbol::Ordinal(0x123));
    assert_eq!(imports[1].slot_rva + 8, imports[2].slot_rva);
    assert!(image::require_kernel_imports(&imports).is_ok());
}

#[test]
fn descriptors_without_a_lookup_table_are_read_from_their_slots() {
    let pe = importing(&[("hal.dll", &[Want::Name("KeStallExecutionProcessor"), Want::Ordinal(2)], false)]);
    let bytes = pe.build();
    let imports = Image::parse(&bytes).unwrap().imports().unwrap();
    assert_eq!(imports.len(), 2);
    assert_eq!(imports[0].name(), Some("KeStallExecutionProcessor"));
}

#[test]
fn an_image_without_imports_has_none() {
    let bytes = Pe::new().build();
    let image = Image::parse(&bytes).unwrap();
    assert_eq!(image.imports().unwrap(), []);
    assert_eq!(image.exports().unwrap(), []);
    assert_eq!(image.load_config().unwrap(), None);
    assert_eq!(image.pdb().unwrap(), None);
    assert_eq!(image.delay_imports().unwrap(), Vec::<String>::new());
    assert!(image.functions().unwrap().is_empty());
}

#[test]
fn bad_import_tables_are_refused() {
    // The table: two descriptors of 20 bytes, slots at +40, lookup at +56, `hint, name` at +72, the module at +88.
    let good = importing(&[("ntoskrnl.exe", &[Want::Name("DbgPrint")], true)]);
    let broken = |at: usize, value: u64, size: usize| {
        let mut pe = good.clone();
        put(&mut pe.parts[1].data, at, &value.to_le_bytes()[..size]);
        let bytes = pe.build();
        match Image::parse(&bytes).unwrap().imports().unwrap_err() {
            ImageError::Import { index, fault, .. } => (index, fault),
            other => panic!("{other}"),
        }
    };
    assert_eq!(broken(12, 0x9000_0000, 4), (0, ImportFault::ModuleName));
    assert_eq!(broken(0, 0x9000, 4), (0, ImportFault::Lookup));
    assert_eq!(broken(16, 0x10, 4), (0, ImportFault::Slot));
    assert_eq!(broken(16, 0x2ffc, 4), (0, ImportFault::Slot));
    assert_eq!(broken(56, 0x8000_0000, 8), (0, ImportFault::SymbolName));
    assert_eq!(broken(56, 0x7fff_ffff, 8), (0, ImportFault::SymbolName));
    assert_eq!(broken(74, 0x01, 1), (0, ImportFault::SymbolName));
    let mut pe = good.clone();
    pe.directories[1].0 = 0x8000;
    let bytes = pe.build();
    let error = Image::parse(&bytes).unwrap().imports().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad import descriptor 0 at RVA 0x8000: the descriptor lies outside the image"
    );
}

#[test]
fn endless_import_tables_end() {
    // Descriptors that all share one lookup table: few bytes, many imports.
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    let count = 2000;
    let mut data = vec![0; count * 20 + 0x2000];
    let (names, lookup) = (count * 20, count * 20 + 0x20);
    put(&mut data, names, b"ntoskrnl.exe\0");
    for index in 0..count {
        for (field, value) in [(0, lookup), (12, names), (16, lookup)] {
            put(&mut data, index * 20 + field, &(rva + value as u32).to_le_bytes());
        }
    }
    for index in 0..100 {
        put(&mut data, lookup + index * 8, &(1_u64 << 63 | 1).to_le_bytes());
    }
    pe.push(".idata", DATA, data);
    pe.directory(1, rva, 0x28);
    let bytes = pe.build();
    let error = Image::parse(&bytes).unwrap().imports().unwrap_err();
    assert!(matches!(error, ImageError::Import { index: 163, fault: ImportFault::TooMany, .. }), "{error}");
}

#[test]
fn foreign_modules_are_named() {
    let pe = importing(&[
        ("ntoskrnl.exe", &[Want::Name("DbgPrint")], true),
        ("WDFLDR.SYS", &[Want::Name("WdfVersionBind"), Want::Name("WdfVersionUnbind")], true),
        ("FLTMGR.SYS", &[Want::Name("FltRegisterFilter")], true),
        ("acme.sys", &[Want::Ordinal(1)], true),
    ]);
    let bytes = pe.build();
    let imports = Image::parse(&bytes).unwrap().imports().unwrap();
    let error = image::require_kernel_imports(&imports).unwrap_err();
    assert_eq!(
        error.to_string(),
        "imports 2 functions from `WDFLDR.SYS`: the loader of the KMDF framework (`WdfVersionBind`), so this is a \
         KMDF driver, not a WDM one"
    );
    let foreign: Vec<_> =
        image::foreign_modules(&imports).into_iter().map(|foreign| (foreign.module, foreign.count)).collect();
    assert_eq!(foreign, [("WDFLDR.SYS".into(), 2), ("FLTMGR.SYS".into(), 1), ("acme.sys".into(), 1)]);
    assert_eq!(classify_module("NTKRNLMP.exe"), ModuleClass::Kernel);
    for (module, part) in [
        ("ext-ms-win-ntos-foo-l1-1-0.dll", "API set"),
        ("VCRUNTIME140.dll", "C runtime"),
        ("KERNEL32.dll", "user-mode"),
        ("ünknown.sys", "not the kernel"),
    ] {
        let ModuleClass::Foreign { what, hint } = classify_module(module) else { panic!("{module}") };
        assert!(what.contains(part) && !hint.is_empty(), "{module}: {what}");
    }
}

#[test]
fn the_module_table_is_lower_case_and_without_duplicates() {
    let mut seen = std::collections::BTreeSet::new();
    for known in image::KNOWN_MODULES {
        assert_eq!(known.module, known.module.to_lowercase());
        assert!(seen.insert(known.module), "{} is listed twice", known.module);
    }
}

#[test]
fn delay_imports_are_recognized() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    let mut data = vec![0; 0x80];
    put(&mut data, 4, &(rva + 0x60).to_le_bytes());
    put(&mut data, 0x60, b"late.sys\0");
    pe.push(".didat", DATA, data);
    pe.directory(13, rva, 0x40);
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().delay_imports().unwrap(), ["late.sys"]);
    pe.directory(13, 0x7000, 0x40);
    let bytes = pe.build();
    assert!(Image::parse(&bytes).unwrap().delay_imports().is_err());
}

/// An export directory at `rva`: ordinal 10 is `Alpha` and `Also`, 11 unused, 12 forwarded, 13 without a name.
pub(crate) fn export_table(rva: u32) -> Vec<u8> {
    let mut out = vec![0; 0xc0];
    for (field, value) in [(16, 10), (20, 4), (24, 3), (28, rva + 0x28), (32, rva + 0x38), (36, rva + 0x44)] {
        put(&mut out, field, &value.to_le_bytes());
    }
    for (index, target) in [0x1000, 0, rva + 0x60, 0x1008].into_iter().enumerate() {
        put(&mut out, 0x28 + index * 4, &u32::to_le_bytes(target));
    }
    for (index, (text, ordinal)) in [("Alpha", 0_u16), ("Also", 0), ("Far", 2)].into_iter().enumerate() {
        let at = 0x80 + index * 8;
        put(&mut out, at, text.as_bytes());
        put(&mut out, 0x38 + index * 4, &(rva + at as u32).to_le_bytes());
        put(&mut out, 0x44 + index * 2, &ordinal.to_le_bytes());
    }
    put(&mut out, 0x60, b"OTHER.Thing\0");
    out
}

#[test]
fn exports_and_forwarders_are_read() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    pe.push(".edata", RDATA, export_table(rva));
    pe.directory(0, rva, 0xc0);
    let bytes = pe.build();
    let exports = Image::parse(&bytes).unwrap().exports().unwrap();
    let shown: Vec<_> =
        exports.iter().map(|export| (export.ordinal, export.names.join(","), &export.target)).collect();
    assert_eq!(
        shown,
        [
            (10, "Alpha,Also".into(), &ExportTarget::Rva(0x1000)),
            (12, "Far".into(), &ExportTarget::Forwarder("OTHER.Thing".into())),
            (13, String::new(), &ExportTarget::Rva(0x1008)),
        ]
    );
    for (field, value, what) in [
        (20, u32::MAX, "export address table"),
        (24, 0x1_0001, "export name table"),
        (36, 0xffff_fff0, "export ordinal table"),
        (0x38, 0x10_0000, "export name"),
    ] {
        let mut broken = pe.clone();
        put(&mut broken.parts[1].data, field, &value.to_le_bytes());
        let bytes = broken.build();
        let error = Image::parse(&bytes).unwrap().exports().unwrap_err();
        assert!(matches!(error, ImageError::Directory { what: found, .. } if found == what), "{error}");
    }
}

/// A load configuration in `.rdata` at 0x2000, cookie at 0x3000, guard slots at 0x2200 and 0x2208.
pub(crate) fn guarded(size: u32, cookie: u64) -> Pe {
    let mut pe = Pe::new();
    let mut data = vec![0; 0x300];
    put(&mut data, 0, &size.to_le_bytes());
    for (offset, va) in
        [(0x58, 0x3000), (0x70, 0x2200), (0x78, 0x2208), (0x80, 0x2220), (0x118, 0x2210), (0x120, 0x2218)]
    {
        put(&mut data, offset, &(BASE + va).to_le_bytes());
    }
    put(&mut data, 0x88, &2_u64.to_le_bytes());
    put(&mut data, 0x90, &0x1000_0500_u32.to_le_bytes());
    put(&mut data, 0x220, &[0, 0x10, 0, 0, 0, 8, 0x10, 0, 0, 2]);
    assert_eq!(pe.push(".rdata", RDATA, data), 0x2000);
    assert_eq!(pe.push(".data", DATA, cookie.to_le_bytes().to_vec()), 0x3000);
    pe.directory(10, 0x2000, size.min(0x40));
    pe
}

#[test]
fn the_load_configuration_is_read_as_far_as_it_goes() {
    let bytes = guarded(0x140, DEFAULT_COOKIE).build();
    let image = Image::parse(&bytes).unwrap();
    let config = image.load_config().unwrap().unwrap();
    assert_eq!((config.size, config.cookie), (0x140, Some(0x3000)));
    assert_eq!((config.guard_check_slot, config.guard_dispatch_slot), (Some(0x2200), Some(0x2208)));
    assert_eq!(config.xfg_slots, [Some(0x2210), Some(0x2218), None]);
    assert_eq!(config.guard_flags, 0x1000_0500);
    let table = config.guard_table.unwrap();
    assert_eq!((table.rva, table.count, table.stride), (0x2220, 2, 5));
    assert_eq!(table.functions(&image).collect::<Vec<_>>(), [0x1000, 0x1008]);

    let bytes = guarded(0x60, DEFAULT_COOKIE).build();
    let config = Image::parse(&bytes).unwrap().load_config().unwrap().unwrap();
    assert_eq!((config.cookie, config.guard_check_slot, config.guard_flags), (Some(0x3000), None, 0));
    let bytes = guarded(0x5c, DEFAULT_COOKIE).build();
    let config = Image::parse(&bytes).unwrap().load_config();
    assert!(matches!(config, Err(ImageError::LoadConfig { field: "SecurityCookie", .. })), "half a pointer");
}

#[test]
fn bad_load_configuration_pointers_are_refused() {
    for (offset, value, field) in [
        (0x58, 0x1000, "SecurityCookie"),
        (0x58, BASE + 0x3ffc, "SecurityCookie"),
        (0x70, u64::MAX, "GuardCFCheckFunctionPointer"),
        (0x78, BASE + 0x8000, "GuardCFDispatchFunctionPointer"),
        (0x88, u64::MAX, "GuardCFFunctionTable"),
        (0x88, 0x1000, "GuardCFFunctionTable"),
    ] {
        let mut pe = guarded(0x140, 1);
        put(&mut pe.parts[1].data, offset, &value.to_le_bytes());
        let bytes = pe.build();
        let error = Image::parse(&bytes).unwrap().load_config().unwrap_err();
        assert!(matches!(error, ImageError::LoadConfig { field: found, .. } if found == field), "{error}");
    }
    let mut pe = guarded(0x140, 1);
    pe.directories[10].0 = 0x2ff0;
    let bytes = pe.build();
    assert_eq!(
        Image::parse(&bytes).unwrap().load_config().unwrap().unwrap().size,
        0,
        "zero-filled: no field at all"
    );
    pe.directories[10].0 = 0x5000;
    let bytes = pe.build();
    assert!(Image::parse(&bytes).unwrap().load_config().is_err());
}

#[test]
fn the_cookie_is_replaced_only_where_one_is_used() {
    let outcome = |initial: u64, entropy: u64| {
        let bytes = guarded(0x140, initial).build();
        let image = Image::parse(&bytes).unwrap();
        let plan = image.plan(BASE).unwrap();
        let mut memory = vec![0; plan.size() as usize];
        plan.apply(&mut memory).unwrap();
        let config = image.load_config().unwrap().unwrap();
        let outcome = config.set_cookie(&mut memory, entropy).unwrap();
        config.set_guard(&mut memory, 0x1111, 0x2222).unwrap();
        for (slot, routine) in [(0x2200, 0x1111_u64), (0x2208, 0x2222), (0x2210, 0x1111), (0x2218, 0x2222)] {
            assert_eq!(memory[slot..slot + 8], routine.to_le_bytes());
        }
        (outcome, u64::from_le_bytes(memory[0x3000..0x3008].try_into().unwrap()))
    };
    let written = |previous, cookie| (CookieOutcome::Written { previous, cookie }, cookie);
    assert_eq!(outcome(DEFAULT_COOKIE, u64::MAX), written(DEFAULT_COOKIE, 0xffff_ffff_ffff));
    assert_eq!(outcome(5, 0), written(5, DEFAULT_COOKIE + 1));
    assert_eq!(outcome(5, DEFAULT_COOKIE), written(5, DEFAULT_COOKIE + 1));
    assert_eq!(outcome(0, 77), (CookieOutcome::Unused, 0));
    let none = image::LoadConfig::default().set_cookie(&mut [], 1);
    assert_eq!(none, Ok(CookieOutcome::Absent));
}

/// A function table at `rva` over code at 0x1000: two functions, and a third that continues the first.
pub(crate) fn function_table(rva: u32) -> Vec<u8> {
    let unwind = rva + 0x40;
    let mut out = vec![0; 0x80];
    for (index, field) in
        [0x1000, 0x1010, unwind, 0x1010, 0x1018, unwind, 0x1020, 0x1030, unwind + 8].into_iter().enumerate()
    {
        put(&mut out, index * 4, &u32::to_le_bytes(field));
    }
    // Version 1 without codes; version 1 with chain information, one code padded to two, and the first entry.
    put(&mut out, 0x40, &[1, 0, 0, 0]);
    put(&mut out, 0x48, &[1 | 4 << 3, 0, 1, 0]);
    put(&mut out, 0x50, &[0, 0x10, 0, 0, 0x10, 0x10, 0, 0]);
    put(&mut out, 0x58, &unwind.to_le_bytes());
    out
}

#[test]
fn functions_are_looked_up_and_chained() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    pe.push(".pdata", RDATA, function_table(rva));
    pe.directory(3, rva, 36);
    let bytes = pe.build();
    let image = Image::parse(&bytes).unwrap();
    let table = image.functions().unwrap();
    assert_eq!((table.len(), table.is_sorted()), (3, true));
    let begin = |rva| table.lookup(rva).map(|function| function.begin);
    assert_eq!(
        [0xfff, 0x1000, 0x100f, 0x1010, 0x1018, 0x102f, 0x1030].map(begin),
        [None, Some(0x1000), Some(0x1000), Some(0x1010), None, Some(0x1020), None]
    );
    let part = table.lookup(0x1020).unwrap();
    assert_eq!(table.primary(part).begin, 0x1000);
    let whole = table.lookup(0x1010).unwrap();
    assert_eq!(table.primary(whole), whole);

    let mut unsorted = pe.clone();
    put(&mut unsorted.parts[1].data, 12, &[0x38, 0x10, 0, 0, 0x40, 0x10, 0, 0]);
    let bytes = unsorted.build();
    let image = Image::parse(&bytes).unwrap();
    let table = image.functions().unwrap();
    assert!(!table.is_sorted());
    assert_eq!(table.lookup(0x1025).map(|function| function.begin), Some(0x1020));

    // A chain that leads to itself is no chain.
    let mut endless = pe.clone();
    put(&mut endless.parts[1].data, 0x58, &(rva + 0x48).to_le_bytes());
    let bytes = endless.build();
    let image = Image::parse(&bytes).unwrap();
    let table = image.functions().unwrap();
    let part = table.lookup(0x1020).unwrap();
    assert_eq!(table.primary(part), part);

    pe.directory(3, rva, 0x10_0000);
    let bytes = pe.build();
    assert!(Image::parse(&bytes).unwrap().functions().is_err());
}

/// A debug directory at `rva` whose second entry is a CodeView record.
pub(crate) fn debug_directory(rva: u32) -> Vec<u8> {
    let mut out = vec![0; 0x38];
    put(&mut out, 12, &16_u32.to_le_bytes());
    put(&mut out, 28 + 12, &2_u32.to_le_bytes());
    let mut record = b"RSDS".to_vec();
    record.extend(0..16);
    record.extend(3_u32.to_le_bytes());
    record.extend(b"C:\\build\\driver.pdb\0");
    put(&mut out, 28 + 16, &(record.len() as u32).to_le_bytes());
    put(&mut out, 28 + 20, &(rva + 0x38).to_le_bytes());
    out.extend(record);
    out
}

#[test]
fn the_program_database_is_named() {
    let mut pe = Pe::new();
    let rva = pe.next_rva();
    pe.push(".rdata", RDATA, debug_directory(rva));
    pe.directory(6, rva, 0x38);
    let bytes = pe.build();
    let pdb = Image::parse(&bytes).unwrap().pdb().unwrap().unwrap();
    assert_eq!((pdb.path.as_str(), pdb.age), ("C:\\build\\driver.pdb", 3));
    assert_eq!(pdb.to_string(), "driver.pdb/03020100050407060809".to_owned() + "0A0B0C0D0E0F3");
    let mut broken = pe.clone();
    put(&mut broken.parts[1].data, 28 + 20, &0x10_0000_u32.to_le_bytes());
    let bytes = broken.build();
    assert!(Image::parse(&bytes).unwrap().pdb().is_err());
}

#[test]
fn the_checksum_is_verified() {
    let mut pe = Pe::new();
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().checksum(), Checksum::Absent);
    // Words of the file added with carry, then the length: independent of the field's own content.
    let mut sum = 0_u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_le_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let right = sum as u32 + bytes.len() as u32;
    pe.checksum = right;
    let bytes = pe.build();
    assert_eq!(Image::parse(&bytes).unwrap().checksum(), Checksum::Valid(right));
    pe.checksum = 1;
    let bytes = pe.build();
    let mismatch = Checksum::Mismatch { stored: 1, computed: right };
    assert_eq!(Image::parse(&bytes).unwrap().checksum(), mismatch);
}
