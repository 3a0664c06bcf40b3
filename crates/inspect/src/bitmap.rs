//! Which physical page lies where in the file: a bit per page, pages packed in the order of their bits.
//!
//! The bitmap stays a bitmap: 16 GiB of memory take 512 KiB of it. A running count every 512 bits makes "where is
//! page n" one short count of bits.

use crate::runs::Run;

/// The largest bitmap kept: 4 TiB of physical address space.
pub(crate) const MAX_BITMAP_BYTES: u64 = 128 << 20;

/// Words between two running counts.
const STRIDE: usize = 8;
/// Pages a search for the end of a run looks at; longer runs are handed out in pieces.
const MAX_PIECE: u64 = 1 << 16;

/// Present pages.
#[derive(Debug)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    /// Set bits before each group of [`STRIDE`] words.
    before: Vec<u64>,
    /// Where page zero of the packed pages lies in the file.
    base: u64,
    /// How many packed pages the file holds.
    available: u64,
    /// How many bits are set.
    total: u64,
}

impl Bitmap {
    /// Takes the words of the bitmap, of which `bits` count, for packed pages of which the file holds `in_file`.
    pub(crate) fn new(mut words: Vec<u64>, bits: u64, base: u64, in_file: u64) -> Self {
        let whole = usize::try_from(bits / 64).unwrap_or(usize::MAX);
        if whole < words.len() {
            words[whole] &= (1_u64 << (bits % 64)) - 1;
            words[whole + 1..].fill(0);
        }
        let mut total = 0;
        let before = words
            .chunks(STRIDE)
            .map(|group| {
                let here = total;
                total += group.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
                here
            })
            .collect();
        Self { words, before, base, available: total.min(in_file), total }
    }

    /// Returns how many pages the bitmap names.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many of them the file holds.
    pub(crate) fn available(&self) -> u64 {
        self.available
    }

    fn word(&self, index: u64) -> u64 {
        usize::try_from(index).ok().and_then(|index| self.words.get(index)).copied().unwrap_or(0)
    }

    /// Returns whether the bitmap names a page.
    pub(crate) fn names(&self, page: u64) -> bool {
        self.word(page / 64) >> (page % 64) & 1 == 1
    }

    /// Returns how many named pages precede one.
    fn rank(&self, page: u64) -> u64 {
        let word = (page / 64) as usize;
        let group = word / STRIDE;
        let full = &self.words[group * STRIDE..word.min(self.words.len())];
        let partial = self.word(page / 64) & ((1_u64 << (page % 64)) - 1);
        self.before[group]
            + full.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
            + u64::from(partial.count_ones())
    }

    /// Returns the page with a given count of named pages before it.
    pub(crate) fn page_of_rank(&self, rank: u64) -> Option<u64> {
        let group = self.before.partition_point(|&before| before <= rank).checked_sub(1)?;
        let mut left = rank - self.before[group];
        for (index, &word) in self.words.iter().enumerate().skip(group * STRIDE) {
            let here = u64::from(word.count_ones());
            if left < here {
                let mut word = word;
                for _ in 0..left {
                    word &= word - 1;
                }
                return Some(index as u64 * 64 + u64::from(word.trailing_zeros()));
            }
            left -= here;
        }
        None
    }

    /// Returns the run that begins exactly at an address. Not more than `most` bytes of it are counted, up to the end of a
    /// page: a read of eight bytes need not know how far memory goes on.
    pub(crate) fn at(&self, address: u64, most: u64) -> Option<Run> {
        let page = address >> 12;
        if !self.names(page) {
            return None;
        }
        let rank = self.rank(page);
        let left = self.available.checked_sub(rank).filter(|&left| left > 0)?;
        let skip = address & 0xFFF;
        let pages = self.ones_from(page, skip.saturating_add(most).div_ceil(0x1000).min(MAX_PIECE)).min(left);
        Some(Run { first: address, length: pages * 0x1000 - skip, offset: self.base + rank * 0x1000 + skip })
    }

    /// Returns the run that holds an address, cut to begin there, or the next one behind it.
    pub(crate) fn at_or_after(&self, address: u64) -> Option<Run> {
        let page = address >> 12;
        let mut index = page / 64;
        let mut word = self.word(index) & (u64::MAX << (page % 64));
        while word == 0 {
            index += 1;
            if index >= self.words.len() as u64 {
                return None;
            }
            word = self.word(index);
        }
        let found = index * 64 + u64::from(word.trailing_zeros());
        self.at((found << 12).max(address), u64::MAX)
    }

    /// Returns how many set bits follow each other from one on, up to `most` or a few more.
    fn ones_from(&self, page: u64, most: u64) -> u64 {
        let mut count = 0;
        while count < most {
            let at = page + count;
            let ones = u64::from((self.word(at / 64) >> (at % 64)).trailing_ones());
            count += ones;
            if ones < 64 - at % 64 {
                break;
            }
        }
        count
    }

    /// Returns the first address behind the last page in the file.
    pub(crate) fn end(&self) -> u64 {
        self.available
            .checked_sub(1)
            .and_then(|last| self.page_of_rank(last))
            .map_or(0, |page| (page + 1) << 12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_read_does_not_count_how_far_memory_goes_on() {
        let bitmap = Bitmap::new(vec![u64::MAX; 2048], 2048 * 64, 0x4000, u64::MAX);
        let lengths =
            [1, 8, 0xFFF, 0x1000, 0x1001, u64::MAX].map(|most| bitmap.at(0x3008, most).unwrap().length);
        let near = (64 - 3) * 0x1000 - 8;
        assert_eq!(lengths, [near, near, near, near, near, (64 * 1024 + 61) * 0x1000 - 8]);
        assert_eq!(bitmap.at(0x3008, 62 * 0x1000).unwrap().length, near + 64 * 0x1000);
        assert_eq!(bitmap.at_or_after(0).unwrap().length, 64 * 1024 * 0x1000);
    }

    #[test]
    fn what_the_file_lacks_ends_a_run_however_much_is_asked_for() {
        let bitmap = Bitmap::new(vec![0b0111_0111], 64, 0x4000, 4);
        for most in [1, 0x1000, u64::MAX] {
            let run = bitmap.at(0x4010, most).unwrap();
            assert_eq!((run.first, run.length, run.offset), (0x4010, 0xFF0, 0x7010));
            assert_eq!(bitmap.at(0x5000, most), None, "the file ends");
            assert_eq!(bitmap.at(0x3000, most), None, "no bit");
        }
    }
}
