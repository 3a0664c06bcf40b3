//! Imports that are not there.
//!
//! Each gets an address of its own in a region that nobody can access. A driver that never touches it is none the
//! wiser, as on a Windows where the path is never taken; one that does traps, and the address says which import it was
//! and whether it was called, read or written.

use std::cell::RefCell;

use crate::plan::{ABSENT, SLOT};

/// The imports that have an address, in the order of the addresses.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    names: RefCell<Vec<(String, String)>>,
}

impl Absent {
    /// Returns the address that stands for `name` of `module`. Imports of two drivers share it.
    pub(crate) fn address(&self, module: &str, name: &str) -> u64 {
        let mut names = self.names.borrow_mut();
        let found = names.iter().position(|(m, n)| m.eq_ignore_ascii_case(module) && n == name);
        let index = found.unwrap_or_else(|| {
            names.push((module.to_owned(), name.to_owned()));
            names.len() - 1
        });
        // More than the region holds share the last slot, whose name then is a guess; an image has at most 16384 imports.
        ABSENT.base + (index as u64).min(ABSENT.size / SLOT - 1) * SLOT
    }

    /// Returns module and name of the import that `address` stands for.
    pub(crate) fn at(&self, address: u64) -> Option<(String, String)> {
        let index = ABSENT.contains(address).then(|| (address - ABSENT.base) / SLOT)?;
        self.names.borrow().get(usize::try_from(index).ok()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_absent_import_has_one_address_and_keeps_it() {
        let absent = Absent::default();
        let first = absent.address("ntoskrnl.exe", "NtFoo");
        let second = absent.address("ntoskrnl.exe", "NtBar");
        assert_eq!(second - first, SLOT);
        assert_eq!(absent.address("NTOSKRNL.EXE", "NtFoo"), first);
        assert_eq!(absent.at(second + 7), Some(("ntoskrnl.exe".into(), "NtBar".into())));
        assert_eq!(absent.at(second + SLOT), None);
        assert_eq!(absent.at(0x1000), None);
    }
}
