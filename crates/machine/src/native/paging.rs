//! Pageable memory: what driver code cannot touch while its IRQL is `DISPATCH_LEVEL` or above.
//!
//! On Windows a page of paged pool, or of a section whose name begins with `PAGE`, may be out at any moment, and at
//! `DISPATCH_LEVEL` it cannot be brought in: a touch is a bugcheck when it is out, and goes unnoticed when it is not. Driver Verifier
//! takes the pages out whenever the IRQL rises (Microsoft, "Force IRQL Checking"). So does this: before control goes to driver code at
//! `DISPATCH_LEVEL` pageable memory is shut, and before it goes to driver code below that it is opened again. In between host
//! code runs, which may touch paged objects of its own: the first touch of shut memory by host code opens it. What an export touches
//! because a driver passed it is looked at where it is passed.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use nt::Irql;
use record::{PageableSection, What};

use super::sys::Access;
use super::world::World;
use super::{giant, memory, processor};
use crate::plan;

/// Position of paged pool among the pools.
const PAGED: usize = 2;

/// A section of an image that may be paged out.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) range: Range<u64>,
    pub(super) access: Access,
    /// Whether its name or `MmPageEntireDriver` makes it pageable, at first and now.
    pub(super) pageable: [bool; 2],
    pub(super) locks: u32,
}

impl Section {
    fn may_go(&self) -> bool {
        self.pageable[1] && self.locks == 0
    }
}

/// What is shut, and what could be.
#[derive(Debug, Default)]
pub(super) struct Paging {
    shut: Cell<bool>,
    /// Sections of whole pages of all loaded images, with image name and base.
    images: RefCell<Vec<(String, u64, Vec<Section>)>>,
}

impl World {
    /// Shuts or opens pageable memory as the IRQL of driver code that runs next demands.
    ///
    /// Does nothing with `--parallel`: other processors run driver code meanwhile, at IRQLs of their own.
    pub(super) fn before_driver(&self) {
        if giant::is_on() {
            return;
        }
        let raised = processor::irql() >= Irql::DISPATCH;
        if raised != self.paging.shut.get() {
            self.set_paged(!raised);
        }
    }

    /// Opens pageable memory for host code. Returns whether it was shut. Callable from a signal handler.
    pub(super) fn open_paged(&self) -> bool {
        self.paging.shut.get() && self.set_paged(true)
    }

    /// Whether `address` is shut at this moment.
    pub(super) fn is_shut(&self, address: u64) -> bool {
        self.paging.shut.get() && self.is_pageable(address)
    }

    /// Whether `address` lies in paged pool, or in a section that may be paged out.
    pub(super) fn is_pageable(&self, address: u64) -> bool {
        plan::PAGED_POOL.contains(address) || self.pageable_section(address).is_some()
    }

    /// Returns the name of the section at `address` that may be paged out.
    pub(super) fn pageable_section(&self, address: u64) -> Option<String> {
        let images = self.paging.images.try_borrow().ok()?;
        let mut sections = images.iter().flat_map(|(_, _, sections)| sections);
        let found = sections.find(|section| section.may_go() && section.range.contains(&address))?;
        Some(found.name.clone())
    }

    /// Returns whether it could be done: not while the bookkeeping is in use.
    fn set_paged(&self, open: bool) -> bool {
        let (Ok(pools), Ok(pages), Ok(images)) =
            (self.pools.try_borrow(), self.pages.try_borrow(), self.paging.images.try_borrow())
        else {
            return false;
        };
        let set = |range: Range<u64>, access| {
            if !range.is_empty() {
                // SAFETY: paged pool or a section of an image: guest memory that no Rust reference leads to, because driver code
                // is about to run, or has just been running.
                unsafe { memory::set_access(range.start, range.end - range.start, access) };
            }
        };
        if open {
            set(pools[PAGED].committed(), Access::ReadWrite);
            pages[PAGED].live().for_each(|range| set(range, Access::ReadWrite));
        } else {
            // One call for all of it: what was never accessible stays so.
            let end = pages[PAGED].end().max(pools[PAGED].committed().end);
            set(plan::PAGED_POOL.base..end, Access::None);
        }
        for section in images.iter().flat_map(|(_, _, sections)| sections).filter(|section| section.may_go())
        {
            set(section.range.clone(), if open { section.access } else { Access::None });
        }
        self.paging.shut.set(!open);
        true
    }

    /// Enters the sections of an image, of which some may be paged out.
    pub(super) fn add_sections(&self, name: &str, base: u64, sections: Vec<Section>) {
        self.paging.images.borrow_mut().push((name.into(), base, sections));
        if self.pageable_of(base).is_some_and(|(_, sections)| !sections.is_empty()) {
            self.tell_sections(base);
        }
    }

    /// Forgets the sections of the image at `base`.
    pub(super) fn remove_sections(&self, base: u64) {
        self.paging.images.borrow_mut().retain(|(_, known, _)| *known != base);
    }

    fn pageable_of(&self, base: u64) -> Option<(String, Vec<PageableSection>)> {
        let images = self.paging.images.borrow();
        let (name, _, sections) = images.iter().find(|(_, known, _)| *known == base)?;
        let pageable = sections.iter().filter(|section| section.pageable[1]);
        let described = pageable.map(|section| PageableSection {
            name: section.name.clone(),
            address: section.range.start,
            size: section.range.end - section.range.start,
        });
        Some((name.clone(), described.collect()))
    }

    fn tell_sections(&self, base: u64) {
        if let Some((name, sections)) = self.pageable_of(base) {
            self.record(What::PageableSections { name, base, sections });
        }
    }

    /// Locks the section that `address` lies in, or unlocks it. Returns where it begins.
    pub(super) fn change_locks(&self, address: u64, lock: bool) -> Option<u64> {
        self.open_paged();
        let told = {
            let mut images = self.paging.images.borrow_mut();
            let mut sections = images.iter_mut().flat_map(|(_, _, sections)| sections);
            let section = sections.find(|section| section.range.contains(&address))?;
            section.locks = if lock { section.locks + 1 } else { section.locks.saturating_sub(1) };
            section.pageable[1]
                .then_some(section.locks)
                .map(|locks| (section.range.start, locks))
                .ok_or(section.range.start)
        };
        match told {
            Ok((address, locks)) => {
                self.record(What::SectionLocked { address, locks });
                Some(address)
            }
            Err(address) => Some(address),
        }
    }

    /// Makes every section of the image at `base` pageable, or as pageable as it was.
    pub(super) fn page_driver(&self, base: u64, entire: bool) {
        self.open_paged();
        for (_, known, sections) in self.paging.images.borrow_mut().iter_mut() {
            if *known == base {
                sections.iter_mut().for_each(|section| section.pageable[1] = entire || section.pageable[0]);
            }
        }
        self.tell_sections(base);
    }
}
