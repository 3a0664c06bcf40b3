//! Virtual to physical: the page tables of x64, and what Windows writes into entries that are not valid.
//!
//! Valid entries are the processor's (Intel SDM, volume 3, chapter "Paging"): four levels, pages of 4 KiB, 2 MiB and
//! 1 GiB. Invalid ones are the memory manager's (public PDB, `_MMPTE_TRANSITION`, `_MMPTE_SOFTWARE`,
//! `_MMPTE_PROTOTYPE`): a *transition* page is on the standby or modified list and still holds its content, which is
//! how names in paged pool survive in an image. A *prototype* entry holds the virtual address of the entry that all views of
//! a section share, which is read in its place. With five levels (`LA57`) there is one more table on top; no dump header
//! holds CR4, so how many levels there are is found out by what they lead to. Deliberately missing: the prototype entries
//! that only a VAD names, which belong to processes.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet};

use crate::limits::limit;
use crate::memory::{KernelRange, Level, Memory, Missing, PAGE_SIZE, PartialRead, Physical, Why};

/// Bits 12 to 51 of an entry: a physical page.
const FRAME: u64 = 0x000F_FFFF_FFFF_F000;
/// Bits 12 to 47: the page of a transition entry (`PageFrameNumber : 36`).
const TRANSITION_FRAME: u64 = 0x0000_FFFF_FFFF_F000;
/// The entry is the processor's.
const VALID: u64 = 1;
/// `ProtoAddress` of an entry whose prototype entry only the VAD tree of the process knows.
const PROTOTYPE_IN_VAD: u64 = 0xFFFF_FFFF_0000;
/// The entry maps a page larger than 4 KiB.
const LARGE: u64 = 1 << 7;
/// An invalid entry refers to a prototype entry.
const PROTOTYPE: u64 = 1 << 10;
/// An invalid entry's page still holds its content.
const TRANSITION: u64 = 1 << 11;
/// Clear: the memory manager has flipped high bits of the frame (the mitigation of L1 terminal fault).
const SWIZZLE: u64 = 1 << 4;
/// The page must not be executed.
const NO_EXECUTE: u64 = 1 << 63;
/// Bits 32 to 63 of a software entry: where in the paging file.
const PAGE_FILE_HIGH: u64 = 0xFFFF_FFFF_0000_0000;

/// The most page table pages that one walk over a whole address space reads: 1 GiB of tables.
const MAX_TABLES: usize = limit(1 << 18, 1 << 8) as usize;

/// How large the mapped page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSize {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Large,
    /// 1 GiB.
    Huge,
}

impl PageSize {
    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Small => PAGE_SIZE,
            Self::Large => 0x20_0000,
            Self::Huge => 0x4000_0000,
        }
    }
}

/// Where a virtual address lies, and how it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// The physical address.
    pub physical: u64,
    /// The page it was found in.
    pub page: PageSize,
    /// Whether every level lets the page be written.
    pub writable: bool,
    /// Whether every level lets the page be executed.
    pub executable: bool,
    /// Whether the page was no longer valid but still held its content.
    pub transition: bool,
}

/// How many levels the page tables have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paging {
    /// Four: addresses of 48 bits.
    #[default]
    FourLevels,
    /// Five: addresses of 57 bits (`CR4.LA57`).
    FiveLevels,
}

impl Paging {
    /// Returns the levels from the top down, each with the lowest bit of the address that selects its entry.
    const fn levels(self) -> &'static [(Level, u32)] {
        const ALL: &[(Level, u32)] =
            &[(Level::Top5, 48), (Level::Pxe, 39), (Level::Ppe, 30), (Level::Pde, 21), (Level::Pte, 12)];
        match self {
            Self::FourLevels => ALL.split_at(1).1,
            Self::FiveLevels => ALL,
        }
    }

    /// Returns how many bits of an address are translated.
    const fn bits(self) -> u32 {
        match self {
            Self::FourLevels => 48,
            Self::FiveLevels => 57,
        }
    }

    /// Returns the upper half of the addresses.
    pub const fn upper_half(self) -> KernelRange {
        match self {
            Self::FourLevels => KernelRange::UPPER_HALF,
            Self::FiveLevels => KernelRange { first: 0xFF00_0000_0000_0000, last: u64::MAX },
        }
    }

    /// Returns whether all bits above the translated ones equal the highest of these.
    pub(crate) const fn is_canonical(self, address: u64) -> bool {
        let top = (address as i64) >> (self.bits() - 1);
        top == 0 || top == -1
    }
}

/// An entry of the page tables, read.
enum Entry {
    /// The next table, or the page itself.
    Frame { base: u64, transition: bool },
    /// A page larger than 4 KiB.
    Large(u64),
    /// The entry at this virtual address counts instead.
    Prototype(u64),
    /// Nothing to read, and why.
    Absent(Why),
}

/// One address space of the captured machine.
pub struct AddressSpace<'p> {
    physical: &'p dyn Physical,
    root: u64,
    paging: Paging,
    kernel: KernelRange,
}

impl<'p> AddressSpace<'p> {
    /// Returns the address space below a page-table root. The low 12 bits of CR3 (PCID and cache bits) are ignored.
    pub fn new(physical: &'p dyn Physical, cr3: u64, paging: Paging, kernel: KernelRange) -> Self {
        Self { physical, root: cr3 & FRAME, paging, kernel }
    }

    /// Returns how many levels the page tables have.
    pub fn paging(&self) -> Paging {
        self.paging
    }

    /// Returns the physical address of the top table.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Returns the physical memory beneath.
    pub fn physical(&self) -> &'p dyn Physical {
        self.physical
    }

    /// Returns where a virtual address lies.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the reason the page tables give. Whether the image holds the page is not asked.
    pub fn translate(&self, address: u64) -> Result<Translation, Missing> {
        self.walk(address, true)
    }

    fn walk(&self, address: u64, follow: bool) -> Result<Translation, Missing> {
        let missing = |why| Missing { address, why };
        if !self.paging.is_canonical(address) {
            return Err(missing(Why::NotCanonical));
        }
        let mut table = self.root;
        let mut writable = true;
        let mut executable = true;
        let mut transition = false;
        for &(level, shift) in self.paging.levels() {
            let index = (address >> shift) & 0x1FF;
            let mut raw = [0; 8];
            self.physical
                .read(table + index * 8, &mut raw)
                .map_err(|_| missing(Why::TableNotInImage { level }))?;
            let raw = u64::from_le_bytes(raw);
            if raw & VALID != 0 {
                writable &= raw & 2 != 0;
                executable &= raw & NO_EXECUTE == 0;
            }
            match self.decode(raw, level) {
                Entry::Absent(why) => return Err(missing(why)),
                Entry::Prototype(at) => {
                    let (base, is) = self.prototype(at, follow).map_err(missing)?;
                    transition |= is;
                    table = base;
                }
                Entry::Large(base) => {
                    let page = if level == Level::Ppe { PageSize::Huge } else { PageSize::Large };
                    let physical = base + (address & (page.bytes() - 1));
                    return Ok(Translation { physical, page, writable, executable, transition });
                }
                Entry::Frame { base, transition: is } => {
                    transition |= is;
                    table = base;
                }
            }
        }
        let physical = table + (address & (PAGE_SIZE - 1));
        Ok(Translation { physical, page: PageSize::Small, writable, executable, transition })
    }

    /// Reads a prototype entry: the page that it names, and whether that is in transition.
    ///
    /// Prototype entries lie in paged pool, which may itself be paged out, but never behind another prototype entry; so one
    /// that does is not followed, and the walk ends.
    fn prototype(&self, at: u64, follow: bool) -> Result<(u64, bool), Why> {
        if !follow || !self.paging.is_canonical(at) || !at.is_multiple_of(8) {
            return Err(Why::Prototype);
        }
        let place = self.walk(at, false).map_err(|_| Why::PrototypeMissing)?;
        let mut raw = [0; 8];
        self.physical.read(place.physical, &mut raw).map_err(|_| Why::PrototypeMissing)?;
        match self.decode(u64::from_le_bytes(raw), Level::Pte) {
            Entry::Frame { base, transition } => Ok((base, transition)),
            // In a prototype entry the same bit means that the content is in a mapped file (`_MMPTE_SUBSECTION`).
            Entry::Prototype(_) | Entry::Absent(Why::Prototype) => Err(Why::InFile),
            Entry::Absent(why) => Err(why),
            Entry::Large(_) => Err(Why::Prototype),
        }
    }

    /// Reads the meaning of an entry at a level.
    fn decode(&self, raw: u64, level: Level) -> Entry {
        if raw & VALID != 0 {
            return match level {
                Level::Ppe if raw & LARGE != 0 => Entry::Large(raw & FRAME & !(PageSize::Huge.bytes() - 1)),
                Level::Pde if raw & LARGE != 0 => Entry::Large(raw & FRAME & !(PageSize::Large.bytes() - 1)),
                _ => Entry::Frame { base: raw & FRAME, transition: false },
            };
        }
        // The memory manager keeps the kernel's top tables valid; an invalid entry there is no software entry.
        if raw == 0 || matches!(level, Level::Top5 | Level::Pxe) {
            return Entry::Absent(Why::NotPresent { level });
        }
        if raw & PROTOTYPE != 0 {
            // `ProtoAddress`: the upper 48 bits, signed.
            let at = ((raw as i64) >> 16) as u64;
            let known = level == Level::Pte && at & 0xFFFF_FFFF_FFFF != PROTOTYPE_IN_VAD;
            return if known { Entry::Prototype(at) } else { Entry::Absent(Why::Prototype) };
        }
        if raw & TRANSITION != 0 {
            return Entry::Frame { base: self.unswizzle(raw), transition: true };
        }
        // `PageFileHigh`: a page of zeros that nobody touched has no place in a paging file.
        let place = raw & PAGE_FILE_HIGH;
        Entry::Absent(if place == 0 { Why::DemandZero } else { Why::PagedOut })
    }

    /// Returns the page of a transition entry, without the bits the memory manager may have flipped.
    ///
    /// The flipped bits lie above all memory the machine has, so where the frame as written is not in the image, they
    /// are those behind its end.
    fn unswizzle(&self, raw: u64) -> u64 {
        let base = raw & TRANSITION_FRAME;
        if raw & SWIZZLE != 0 || base < self.physical.end() {
            return base;
        }
        let bits = u64::BITS - self.physical.end().leading_zeros();
        base & ((1_u64 << bits.min(63)) - 1)
    }

    /// Calls `visit` with every page mapped in a range of addresses: virtual address and translation, in order.
    ///
    /// The self-map is skipped, and each table is read once, so that tables that refer to each other end the walk.
    /// Returns whether the walk was complete; it is not when the image lacks a table or holds more than a bound.
    pub fn mappings(&self, range: RangeInclusive<u64>, visit: &mut dyn FnMut(u64, Translation)) -> bool {
        let mut walk = Walk { space: self, range, seen: BTreeSet::new(), complete: true, visit };
        let start = Translation {
            physical: self.root,
            page: PageSize::Small,
            writable: true,
            executable: true,
            transition: false,
        };
        walk.table(0, start, 0);
        walk.complete
    }

    /// Returns at which kernel addresses some physical pages are mapped; pages that are not are left out.
    ///
    /// `pages` and the keys of the result are page-aligned physical addresses. At most one address per page is
    /// returned: the lowest.
    pub fn virtual_of(&self, pages: &BTreeSet<u64>) -> BTreeMap<u64, u64> {
        let mut found = BTreeMap::new();
        // Pages found are taken out, so that tables that map one page a million times cost a look each.
        let mut left = pages.clone();
        if left.is_empty() {
            return found;
        }
        self.mappings(self.kernel.first..=self.kernel.last, &mut |address, translation| {
            let first = translation.physical;
            let end = first.saturating_add(translation.page.bytes());
            while let Some(&page) = left.range(first..end).next() {
                left.remove(&page);
                found.insert(page, address + (page - first));
            }
        });
        found
    }
}

/// A walk over all tables of an address space.
struct Walk<'w, 'p> {
    space: &'w AddressSpace<'p>,
    range: RangeInclusive<u64>,
    seen: BTreeSet<(usize, u64)>,
    complete: bool,
    visit: &'w mut dyn FnMut(u64, Translation),
}

impl Walk<'_, '_> {
    /// Visits the pages below the table at `so_far.physical`, whose first entry maps `base`.
    fn table(&mut self, depth: usize, so_far: Translation, base: u64) {
        let (level, shift) = self.space.paging.levels()[depth];
        if self.seen.len() >= MAX_TABLES {
            self.complete = false;
            return;
        }
        if !self.seen.insert((depth, so_far.physical)) {
            return;
        }
        let mut table = [0; PAGE_SIZE as usize];
        if self.space.physical.read(so_far.physical, &mut table).is_err() {
            self.complete = false;
            return;
        }
        for (index, raw) in table.chunks_exact(8).enumerate() {
            let raw = u64::from_le_bytes(raw.try_into().unwrap_or_default());
            if raw == 0 {
                continue;
            }
            let mut address = base | (index as u64) << shift;
            let unused = u64::BITS - self.space.paging.bits();
            address = (((address << unused) as i64) >> unused) as u64;
            if address > *self.range.end() || address + ((1 << shift) - 1) < *self.range.start() {
                continue;
            }
            let mut here = so_far;
            if raw & VALID != 0 {
                here.writable &= raw & 2 != 0;
                here.executable &= raw & NO_EXECUTE == 0;
            }
            match self.space.decode(raw, level) {
                // A view of a section holds no pool and no image of the boot.
                Entry::Absent(_) | Entry::Prototype(_) => {}
                Entry::Large(physical) => {
                    let page = if level == Level::Ppe { PageSize::Huge } else { PageSize::Large };
                    (self.visit)(address, Translation { physical, page, ..here });
                }
                // The self-map: the tables seen as pages.
                Entry::Frame { base, .. } if depth == 0 && base == self.space.root => {}
                Entry::Frame { base, transition } => {
                    let next =
                        Translation { physical: base, transition: here.transition | transition, ..here };
                    if level == Level::Pte {
                        (self.visit)(address, next);
                    } else {
                        self.table(depth + 1, next, address);
                    }
                }
            }
        }
    }
}

impl Memory for AddressSpace<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.wrapping_add(done as u64);
            let translation = self.translate(at).map_err(|missing| PartialRead { read: done, missing })?;
            let in_page = translation.page.bytes() - (translation.physical & (translation.page.bytes() - 1));
            let length = ((buffer.len() - done) as u64).min(in_page) as usize;
            if let Err(partial) = self.physical.read(translation.physical, &mut buffer[done..done + length]) {
                let read = done + partial.read;
                let address = address.wrapping_add(read as u64);
                return Err(PartialRead { read, missing: Missing { address, why: partial.missing.why } });
            }
            done += length;
        }
        Ok(())
    }

    fn kernel_range(&self) -> KernelRange {
        self.kernel
    }

    fn physical_of(&self, address: u64) -> Option<u64> {
        self.translate(address).ok().map(|translation| translation.physical)
    }
}
