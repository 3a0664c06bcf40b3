//! Physical memory made by hand, page by page.

use std::collections::BTreeMap;
use std::ops::Range;

use ringbell_inspect::{Missing, PartialRead, Physical, Why};

/// Pages by physical address.
#[derive(Default)]
pub(crate) struct Sparse {
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    /// Writes a 64-bit value, adding the page.
    pub(crate) fn put(&mut self, address: u64, value: u64) {
        let page = self.pages.entry(address & !0xFFF).or_insert_with(|| vec![0; 0x1000]);
        let at = (address & 0xFFF) as usize;
        page[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Adds a page whose every byte is `fill`.
    pub(crate) fn fill(&mut self, address: u64, fill: u8) {
        self.pages.insert(address, vec![fill; 0x1000]);
    }
}

impl Physical for Sparse {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead> {
        for (read, byte) in buffer.iter_mut().enumerate() {
            let address = address + read as u64;
            match self.pages.get(&(address & !0xFFF)) {
                Some(page) => *byte = page[(address & 0xFFF) as usize],
                None => {
                    return Err(PartialRead { read, missing: Missing { address, why: Why::NotInImage } });
                }
            }
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> Option<Range<u64>> {
        let (&page, _) = self.pages.range(from & !0xFFF..).next()?;
        Some(page.max(from)..page + 0x1000)
    }

    fn end(&self) -> u64 {
        self.pages.last_key_value().map_or(0, |(page, _)| page + 0x1000)
    }

    fn present_bytes(&self) -> u64 {
        self.pages.len() as u64 * 0x1000
    }
}
