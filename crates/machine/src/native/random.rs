//! Numbers that follow from a seed and from how many were drawn before.

use std::cell::Cell;

/// Splitmix64, which every seed starts well.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// Starts at `state`.
    pub(crate) const fn new(state: u64) -> Self {
        Self(Cell::new(state))
    }

    /// Starts anew at `state`.
    pub(crate) fn restart(&self, state: u64) {
        self.0.set(state);
    }

    /// Draws the next number.
    pub(crate) fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Draws a number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }
}
