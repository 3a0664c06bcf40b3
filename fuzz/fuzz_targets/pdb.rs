//! Program databases: the container, the streams that lead to the public symbols, the symbols.
#![no_main]

use ringbell_inspect::{PdbId, PdbSymbols};

/// Most bytes of a database. With pages of 512 bytes everything that is read fits.
const MOST: usize = 0x4000;

libfuzzer_sys::fuzz_target!(
    // The reader catches what the crate beneath it panics at; a panic that it does not catch still ends the process.
    init: std::panic::set_hook(Box::new(|_| ())),
    |data: &[u8]| {
        let id = PdbId { name: "fuzz.pdb".to_owned(), guid: *b"0123456789abcdef", age: 1 };
        let Ok(symbols) = PdbSymbols::from_bytes(data[..data.len().min(MOST)].to_vec(), &id) else { return };
        assert!(symbols.len() <= data.len());
        assert_eq!(symbols.nearest(u32::MAX).is_none(), symbols.is_empty());
        if let Some((name, behind)) = symbols.nearest(u32::MAX) {
            // One name may stand for several places; the first of them in the file counts.
            assert!(symbols.rva_of(name).is_some() && symbols.nearest(u32::MAX - behind).is_some());
        }
    }
);
