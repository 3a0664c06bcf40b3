//! The machine as the state file of a VMware machine that holds its memory, as ESX writes it.
//!
//! Written from the public descriptions of the format (Volatility's wiki on VMware snapshot files): 12 bytes of header, 80 for each
//! group, then the tags of the groups; a tag is flags (indices in bits 6 and 7, the size of the value below, 63 for a block and 62 for a
//! compressed one), the length of its name, the name, the indices, the value. A block has its size in the file, its size in memory and
//! two bytes that count the padding before it.

use crate::memory::PAGE;
use crate::world::World;

/// How a state file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// Sizes have 64 bits (version 2), not 32 (version 0).
    pub wide: bool,
    /// The memory is in two regions whose pages stand in the file in the wrong order, not in one piece.
    pub regions: bool,
    /// The memory's block is marked as compressed.
    pub compressed: bool,
}

/// A file under construction.
struct Tags {
    bytes: Vec<u8>,
    wide: bool,
}

impl Tags {
    fn tag(&mut self, size: u8, name: &str, indices: &[u32]) {
        self.bytes.extend([(indices.len() as u8) << 6 | size, name.len() as u8]);
        self.bytes.extend(name.as_bytes());
        for index in indices {
            self.bytes.extend(index.to_le_bytes());
        }
    }

    fn number(&mut self, name: &str, indices: &[u32], value: u64) {
        self.tag(4, name, indices);
        self.bytes.extend(&value.to_le_bytes()[..4]);
    }

    fn size(&mut self, size: u64) {
        let bytes = size.to_le_bytes();
        self.bytes.extend(if self.wide { &bytes[..] } else { &bytes[..4] });
    }

    /// Writes a block whose bytes begin at a multiple of `align`.
    fn block(&mut self, mark: u8, name: &str, content: &[u8], in_memory: u64, align: usize) {
        self.tag(mark, name, &[0, 0]);
        self.size(content.len() as u64);
        self.size(in_memory);
        let padding = (self.bytes.len() + 2).next_multiple_of(align) - self.bytes.len() - 2;
        self.bytes.extend((padding as u16).to_le_bytes());
        self.bytes.extend(vec![0x5A; padding]);
        self.bytes.extend(content);
    }

    fn end(&mut self) {
        self.bytes.extend([0, 0]);
    }
}

impl World {
    /// Gives the machine as a VMware state file with its memory inside.
    #[must_use]
    pub fn vmware_state(&self, how: StateFile) -> Vec<u8> {
        let raw = self.raw();
        let pages = raw.len() as u64 / PAGE;
        let mark: u32 = if how.wide { 0xBED2_BED2 } else { 0xBED2_BED0 };
        let mut file = Tags { bytes: Vec::new(), wide: how.wide };
        for word in [mark, 8, 2] {
            file.bytes.extend(word.to_le_bytes());
        }
        file.bytes.resize(0x200, 0);
        let mut groups = Vec::new();
        groups.push(("cpu", file.bytes.len()));
        // Smaller in the file than in memory: who skips by the wrong size is lost.
        file.block(62, "thumbnail", &[0x78, 0x9C, 3, 0, 0, 0, 0, 1], 0x4000, 1);
        file.tag(8, "CR64", &[0, 3]);
        file.bytes.extend(self.memory.root().to_le_bytes());
        file.end();
        groups.push(("memory", file.bytes.len()));
        let half = pages / 2;
        let content = if how.regions {
            // First page of physical memory, first page of the block, pages.
            let regions = [(0, pages - half, half), (half, 0, pages - half)];
            file.number("regionsCount", &[], regions.len() as u64);
            for (index, (first, at, count)) in regions.into_iter().enumerate() {
                file.number("regionPPN", &[index as u32], first);
                file.number("regionPageNum", &[index as u32], at);
                file.number("regionSize", &[index as u32], count);
            }
            let (low, high) = raw.split_at((half * PAGE) as usize);
            [high, low].concat()
        } else {
            file.number("regionsCount", &[], 0);
            raw
        };
        let size = content.len() as u64;
        file.block(if how.compressed { 62 } else { 63 }, "Memory", &content, size, 0x1000);
        file.end();
        for (index, (name, at)) in groups.into_iter().enumerate() {
            let group = 12 + index * 80;
            file.bytes[group..group + name.len()].copy_from_slice(name.as_bytes());
            file.bytes[group + 64..group + 72].copy_from_slice(&(at as u64).to_le_bytes());
        }
        file.bytes
    }
}
