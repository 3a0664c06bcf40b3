//! Pools: blocks with a `POOL_HEADER` in front, packed into pages.

use crate::memory::{Memory, PAGE};

/// A pool that grows upward from an address.
#[derive(Clone, Debug)]
pub struct Pool {
    next: u64,
    mapped: u64,
    previous: u8,
    kind: u8,
}

/// A block of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address of the `POOL_HEADER`.
    pub header: u64,
    /// Address of the first byte behind it.
    pub start: u64,
}

impl Pool {
    /// Starts a pool. `kind` is the header's `PoolType` while in use: 2 for nonpaged pool, 3 for paged pool.
    #[must_use]
    pub fn new(start: u64, kind: u8) -> Self {
        Self { next: start, mapped: start, previous: 0, kind }
    }

    /// Starts a pool over memory that is mapped already.
    #[must_use]
    pub fn mapped(start: u64, size: u64, kind: u8) -> Self {
        Self { next: start, mapped: start + size, previous: 0, kind }
    }

    /// Takes a block with room for `size` bytes. A block of a page or more has no header, as on Windows.
    pub fn take(&mut self, memory: &mut Memory, size: u64, tag: [u8; 4]) -> Block {
        let whole = (size + 0x10 + 0xF) & !0xF;
        let left = PAGE - self.next % PAGE;
        if whole > left || whole > PAGE {
            self.next = (self.next + PAGE - 1) & !(PAGE - 1);
            self.previous = 0;
        }
        let at = self.next;
        self.next += whole;
        while self.mapped < self.next {
            memory.map_fresh(self.mapped, 1);
            self.mapped += PAGE;
        }
        if whole > PAGE {
            self.next = (self.next + PAGE - 1) & !(PAGE - 1);
            return Block { header: at, start: at };
        }
        let units = (whole / 0x10) as u8;
        memory.put8(at, self.previous); // PreviousSize
        memory.put8(at + 1, 0); // PoolIndex
        memory.put8(at + 2, units); // BlockSize
        memory.put8(at + 3, self.kind); // PoolType
        memory.write(at + 4, &tag); // PoolTag
        memory.put64(at + 8, 0); // ProcessBilled
        self.previous = units;
        if self.next.is_multiple_of(PAGE) {
            self.previous = 0;
        }
        Block { header: at, start: at + 0x10 }
    }

    /// Goes on at the next page, leaving `room` bytes free at the end of this one.
    pub fn leave(&mut self, memory: &mut Memory, room: u64) {
        let used = PAGE - room - self.next % PAGE;
        if self.next.is_multiple_of(PAGE) || used > PAGE {
            return;
        }
        self.take(memory, used - 0x10, *b"Fill");
    }
}

impl Block {
    /// Marks the block as free, as the pool does; its content stays.
    pub fn free(self, memory: &mut Memory) {
        memory.put8(self.header + 3, 0);
    }
}
