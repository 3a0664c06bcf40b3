//! Names copied out of memory that anybody may be writing.

use alloc::vec::Vec;
use core::ops::Deref;
use core::ptr;

/// How many units need no allocation. Nearly all names are shorter.
const FEW: usize = 40;

/// UTF-16 units, copied.
#[derive(Clone)]
pub(super) struct Units {
    few: [u16; FEW],
    /// How many of `few` count, or more than there are.
    length: usize,
    many: Vec<u16>,
}

impl Units {
    pub(super) const EMPTY: Self = Self { few: [0; FEW], length: 0, many: Vec::new() };

    /// Copies `bytes / 2` units.
    ///
    /// # Safety
    ///
    /// `buffer` points to `bytes` readable bytes, or `bytes` is zero.
    pub(super) unsafe fn copy(buffer: *const u16, bytes: u16) -> Self {
        let mut units = Self { length: usize::from(bytes / 2), ..Self::EMPTY };
        if units.length > FEW {
            // SAFETY: the caller's promise.
            units.many = unsafe { super::capture::copy_units(buffer, bytes) };
        } else {
            let target = units.few.as_mut_ptr().cast::<u8>();
            // SAFETY: inside the range the caller promised, and no more than the array holds. Callers' buffers need not be aligned.
            unsafe { ptr::copy_nonoverlapping(buffer.cast::<u8>(), target, units.length * 2) };
        }
        units
    }
}

impl Deref for Units {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        self.few.get(..self.length).unwrap_or(&self.many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_units_is_copied() {
        let all: Vec<u16> = (1..=200).collect();
        for length in [0, 1, FEW - 1, FEW, FEW + 1, 200] {
            // SAFETY: the vector is at least that long; the odd byte does not count.
            let units = unsafe { Units::copy(all.as_ptr(), length as u16 * 2) };
            assert_eq!(*units, all[..length]);
        }
    }
}
