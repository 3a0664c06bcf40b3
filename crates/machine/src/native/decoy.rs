//! The kernel image in guest memory: mapped, and asked for addresses.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::kernel_image::{Built, ROUTINES, put};
use super::sys::Access;
use super::{context, memory};
use crate::plan::{KERNEL_IMAGE, PAGE, SLOT};

impl Built {
    /// Maps the image at its place.
    pub(crate) fn map(self) -> Option<Decoy> {
        let base = KERNEL_IMAGE.base;
        memory::commit(base, self.size)?;
        // SAFETY: just committed; no driver runs yet and nothing else refers to the range.
        let memory = unsafe { memory::slice(base, self.size as usize) };
        memory.copy_from_slice(&self.bytes);
        put(memory, self.entry_slot, (context::export_entry as *const () as u64).to_le_bytes());
        // SAFETY: the slice is not used any more.
        unsafe { memory::set_access(base, PAGE, Access::Read) }.then_some(())?;
        for section in &self.sections {
            // SAFETY: as above.
            unsafe { memory::set_access(base + section.offset, section.size, section.access) }
                .then_some(())?;
        }
        Some(Decoy {
            size: self.size,
            exports: self.exports,
            guard: self.guard.map(|offset| base + offset),
            routines: (base + self.routines)..(base + self.routines + ROUTINES),
            data: (base + self.free_data)..(base + self.size),
        })
    }
}

/// The mapped image.
#[derive(Debug)]
pub(crate) struct Decoy {
    pub(crate) size: u64,
    exports: BTreeMap<String, u64>,
    /// Addresses of the guard's check and dispatch routines.
    pub(crate) guard: [u64; 2],
    routines: std::ops::Range<u64>,
    data: std::ops::Range<u64>,
}

fn take(range: &mut std::ops::Range<u64>, bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let start = range.start.next_multiple_of(align as u64);
    let end = start.checked_add(bytes as u64).filter(|end| *end <= range.end)?;
    range.start = end;
    NonNull::new(std::ptr::with_exposed_provenance_mut(start as usize))
}

impl Decoy {
    /// Returns the address of an export.
    pub(crate) fn export(&self, name: &str) -> Option<u64> {
        self.exports.get(name).map(|offset| KERNEL_IMAGE.base + offset)
    }

    /// Returns names and offsets, in the order of the offsets.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut symbols: Vec<_> =
            self.exports.iter().map(|(name, offset)| (name.as_str(), *offset)).collect();
        symbols.sort_by_key(|(_, offset)| *offset);
        symbols.into_iter()
    }

    /// Takes addresses for routines of the executive.
    pub(crate) fn take_text(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        take(&mut self.routines, bytes, SLOT as usize)
    }

    /// Takes zeroed memory for variables of the executive.
    pub(crate) fn take_data(&mut self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        take(&mut self.data, bytes, align)
    }
}
