//! The bundled drivers, which GNU ld linked from the C sources of this repository.

use std::fs;
use std::path::PathBuf;

use crate::image::{self, Image, Symbols};

/// Returns name and bytes of every bundled driver, in order of their names.
pub(crate) fn drivers() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the bundled drivers are part of the repository") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sys") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() >= 3, "listener, ringer and listener-as-published at least");
    found
}

fn driver(name: &str) -> Vec<u8> {
    drivers().into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn every_bundled_driver_loads_somewhere_else() {
    for (name, bytes) in drivers() {
        let image = Image::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let plan = image.plan(0x1_8000_0000).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut memory = vec![0; plan.size() as usize];
        plan.apply(&mut memory).unwrap();
        let imports = image.imports().unwrap();
        image::require_kernel_imports(&imports).unwrap_or_else(|error| panic!("{name}: {error}"));
        image::bind(&mut memory, &imports, |_| 0x1234_5678).unwrap();
        for import in &imports {
            let slot = import.slot_rva as usize;
            assert_eq!(memory[slot..slot + 8], 0x1234_5678_u64.to_le_bytes(), "{name}: {import}");
        }
        // The one whose sections share pages is the one that cannot keep them apart.
        let mixed = plan.ranges().iter().any(|range| range.protection.write_execute());
        assert_eq!(mixed, name == "habits-low-alignment.sys", "{name}");
        let total: u32 = plan.ranges().iter().map(|range| range.size).sum();
        assert_eq!(total, plan.size(), "{name}");
        let symbols = Symbols::of(&image);
        let entry = symbols.describe(&name, image.entry()).to_string();
        assert_eq!(entry, format!("{name}+{:#x} (DriverEntry)", image.entry()));
    }
}

#[test]
fn the_listener_imports_the_callback_routines() {
    let bytes = driver("listener.sys");
    let image = Image::parse(&bytes).unwrap();
    let imports = image.imports().unwrap();
    let has = |name| imports.iter().any(|import| import.name() == Some(name));
    assert!(has("ExCreateCallback") && has("ExRegisterCallback") && has("ExUnregisterCallback"));
    let functions = image.functions().unwrap();
    assert!(functions.is_sorted() && functions.lookup(image.entry()).is_some());
}
