//! Physical pages and the page tables over them.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a page.
pub(crate) const PAGE: u64 = 0x1000;

/// Size of the page that maps an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Large,
    /// 1 GiB.
    Huge,
    /// 4 KiB whose entry is in transition: not valid, though the page is still in memory.
    Transition,
}

/// Physical memory, sparse, and one address space over it.
#[derive(Clone, Debug)]
pub struct Memory {
    pages: BTreeMap<u64, Box<[u8; 0x1000]>>,
    forgotten: BTreeSet<u64>,
    next: u64,
    root: u64,
    /// The table with 512 GiB per entry: the root, or with five levels the one below.
    pml4: u64,
}

impl Memory {
    /// Starts with an empty address space whose root table lies where Windows 10 often has it, mapped into itself.
    #[must_use]
    pub fn new() -> Self {
        let root = 0x1A_D000;
        let mut memory =
            Self { pages: BTreeMap::new(), forgotten: BTreeSet::new(), next: 0x400, root, pml4: root };
        // Entry 0x1ED maps the tables themselves, as Windows did before it began to choose the place at random.
        memory.write_physical(root + 8 * 0x1ED, &(root | 0x8000_0000_0000_0063).to_le_bytes());
        memory
    }

    /// Gives the physical address of the root table.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Puts a table on top, as with five-level paging: everything so far lies below its last entry, and it maps itself.
    pub fn add_fifth_level(&mut self) {
        let top = self.take(1);
        self.write_physical(top + 8 * 0x1FF, &(self.pml4 | 0x63).to_le_bytes());
        self.write_physical(top + 8 * 0x1ED, &(top | 0x8000_0000_0000_0063).to_le_bytes());
        self.write_physical(self.pml4 + 8 * 0x1ED, &[0; 8]);
        self.root = top;
    }

    /// Lists the physical pages that hold something, by frame number.
    pub fn frames(&self) -> impl Iterator<Item = (u64, &[u8; 0x1000])> {
        self.pages
            .iter()
            .filter(|(frame, _)| !self.forgotten.contains(frame))
            .map(|(frame, page)| (*frame, &**page))
    }

    /// Takes `count` free frames in a row and gives the first one's physical address.
    pub fn take(&mut self, count: u64) -> u64 {
        let first = self.next;
        self.next += count;
        first * PAGE
    }

    /// Makes sure that frames are taken from `physical` on.
    pub fn skip_to(&mut self, physical: u64) {
        self.next = self.next.max(physical / PAGE);
    }

    /// Removes a frame from memory, as if it had not been captured.
    pub fn forget(&mut self, physical: u64) {
        self.forgotten.insert(physical / PAGE);
    }

    /// Lists the frames that are left out, in order.
    pub fn forgotten(&self) -> impl Iterator<Item = u64> {
        self.forgotten.iter().copied()
    }

    /// Gives the number of the first frame that nobody has taken.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.pages.keys().next_back().map_or(0, |last| last + 1).max(self.next)
    }

    fn page(&mut self, frame: u64) -> &mut [u8; 0x1000] {
        self.pages.entry(frame).or_insert_with(|| Box::new([0; 0x1000]))
    }

    /// Writes physical memory.
    pub fn write_physical(&mut self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = (at % PAGE) as usize;
            let length = bytes.len().min(PAGE as usize - offset);
            self.page(at / PAGE)[offset..offset + length].copy_from_slice(&bytes[..length]);
            at += length as u64;
            bytes = &bytes[length..];
        }
    }

    /// Reads physical memory; what nobody wrote is zero.
    #[must_use]
    pub fn read_physical(&self, mut at: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let offset = (at % PAGE) as usize;
            let length = rest.len().min(PAGE as usize - offset);
            let (head, tail) = rest.split_at_mut(length);
            if let Some(page) = self.pages.get(&(at / PAGE)) {
                head.copy_from_slice(&page[offset..offset + length]);
            }
            at += length as u64;
            rest = tail;
        }
        bytes
    }

    fn entry_at(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.read_physical(at, 8).try_into().expect("eight bytes"))
    }

    /// Finds or makes the table below the entry at `at`.
    fn below(&mut self, at: u64) -> u64 {
        let entry = self.entry_at(at);
        if entry & 1 != 0 {
            return entry & 0xF_FFFF_FFFF_F000;
        }
        let table = self.take(1);
        self.page(table / PAGE);
        self.write_physical(at, &(table | 0x63).to_le_bytes());
        table
    }

    /// Maps one page of the given size. Both addresses are multiples of it.
    pub fn map(&mut self, va: u64, physical: u64, page: Page) {
        let index = |level: u32| (va >> (12 + 9 * level)) & 0x1FF;
        let directory_pointers = self.below(self.pml4 + 8 * index(3));
        let at = directory_pointers + 8 * index(2);
        if page == Page::Huge {
            assert_eq!((va | physical) & 0x3FFF_FFFF, 0);
            return self.write_physical(at, &(physical | 0xE3).to_le_bytes());
        }
        let directory = self.below(at);
        let at = directory + 8 * index(1);
        if page == Page::Large {
            assert_eq!((va | physical) & 0x1F_FFFF, 0);
            return self.write_physical(at, &(physical | 0xE3).to_le_bytes());
        }
        let table = self.below(at);
        // In transition: bit 0 clear, bit 10 (prototype) clear, bit 11 set; bits 5 to 9 are the protection.
        let bits = if page == Page::Transition { 0x880 } else { 0x63 };
        self.write_physical(table + 8 * index(0), &(physical | bits).to_le_bytes());
    }

    /// Maps fresh 4 KiB pages over a range.
    pub fn map_fresh(&mut self, va: u64, pages: u64) {
        for index in 0..pages {
            let physical = self.take(1);
            self.page(physical / PAGE);
            self.map(va + index * PAGE, physical, Page::Small);
        }
    }

    /// Changes the page that holds `va`, mapped by a 4 KiB page, to be in transition.
    pub fn put_in_transition(&mut self, va: u64) {
        let physical = self.translate(va).expect("mapped") & !(PAGE - 1);
        self.map(va & !(PAGE - 1), physical, Page::Transition);
    }

    /// Replaces the page-table entry of `va` (4 KiB pages) by raw bits.
    pub fn set_entry(&mut self, va: u64, raw: u64) {
        let index = |level: u32| (va >> (12 + 9 * level)) & 0x1FF;
        let directory_pointers = self.below(self.pml4 + 8 * index(3));
        let directory = self.below(directory_pointers + 8 * index(2));
        let table = self.below(directory + 8 * index(1));
        self.write_physical(table + 8 * index(0), &raw.to_le_bytes());
    }

    /// Translates an address.
    #[must_use]
    pub fn translate(&self, va: u64) -> Option<u64> {
        let index = |level: u32| (va >> (12 + 9 * level)) & 0x1FF;
        let mut table = self.pml4;
        for level in [3, 2, 1] {
            let entry = self.entry_at(table + 8 * index(level));
            if entry & 1 == 0 {
                return None;
            }
            let size = 1_u64 << (12 + 9 * level);
            if level < 3 && entry & 0x80 != 0 {
                return Some((entry & 0xF_FFFF_FFFF_F000 & !(size - 1)) + (va & (size - 1)));
            }
            table = entry & 0xF_FFFF_FFFF_F000;
        }
        let entry = self.entry_at(table + 8 * index(0));
        let there = entry & 1 != 0 || entry & 0xC00 == 0x800;
        there.then_some((entry & 0xF_FFFF_FFFF_F000) + (va & (PAGE - 1)))
    }

    /// Writes virtual memory.
    ///
    /// # Panics
    ///
    /// Panics where it is not mapped.
    pub fn write(&mut self, mut va: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let physical = self.translate(va).unwrap_or_else(|| panic!("{va:#x} is not mapped"));
            let length = bytes.len().min((PAGE - va % PAGE) as usize);
            self.write_physical(physical, &bytes[..length]);
            va += length as u64;
            bytes = &bytes[length..];
        }
    }

    /// Writes eight bytes.
    pub fn put64(&mut self, va: u64, value: u64) {
        self.write(va, &value.to_le_bytes());
    }

    /// Writes four bytes.
    pub fn put32(&mut self, va: u64, value: u32) {
        self.write(va, &value.to_le_bytes());
    }

    /// Writes two bytes.
    pub fn put16(&mut self, va: u64, value: u16) {
        self.write(va, &value.to_le_bytes());
    }

    /// Writes one byte.
    pub fn put8(&mut self, va: u64, value: u8) {
        self.write(va, &[value]);
    }

    /// Reads virtual memory.
    ///
    /// # Panics
    ///
    /// Panics where it is not mapped.
    #[must_use]
    pub fn read(&self, va: u64, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let at = va + bytes.len() as u64;
            let physical = self.translate(at).unwrap_or_else(|| panic!("{at:#x} is not mapped"));
            let length = (count - bytes.len()).min((PAGE - at % PAGE) as usize);
            bytes.extend(self.read_physical(physical, length));
        }
        bytes
    }

    /// Reads eight bytes.
    #[must_use]
    pub fn get64(&self, va: u64) -> u64 {
        u64::from_le_bytes(self.read(va, 8).try_into().expect("eight bytes"))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
