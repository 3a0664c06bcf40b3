//! Where formatted text goes: a buffer with a limit that counts on past it.

use crate::guest::Unit;

/// A unit of the output: a byte of code page 1252 or a UTF-16 unit.
pub(crate) trait OutputUnit: Unit {
    /// Converts a byte of narrow text.
    fn from_narrow(byte: u8) -> Self;
    /// Converts a unit of wide text.
    fn from_wide(unit: u16) -> Self;
    /// Whether `%s` and `%c` without a size mean wide text, as in the wide functions.
    const WIDE: bool;
}

impl OutputUnit for u8 {
    const WIDE: bool = false;

    fn from_narrow(byte: u8) -> Self {
        byte
    }

    fn from_wide(unit: u16) -> Self {
        super::encode(unit)
    }
}

impl OutputUnit for u16 {
    const WIDE: bool = true;

    fn from_narrow(byte: u8) -> Self {
        super::decode(byte)
    }

    fn from_wide(unit: u16) -> Self {
        unit
    }
}

/// Keeps the first `limit` units and counts all.
#[derive(Debug)]
pub(crate) struct Sink<U> {
    units: Vec<U>,
    limit: usize,
    written: usize,
}

impl<U: OutputUnit> Sink<U> {
    /// Makes an empty one.
    pub(crate) fn new(limit: usize) -> Self {
        Self { units: Vec::new(), limit, written: 0 }
    }

    pub(crate) fn push(&mut self, unit: U) {
        if self.units.len() < self.limit {
            self.units.push(unit);
        }
        self.written = self.written.saturating_add(1);
    }

    /// Repeats a padding character. Takes no longer than the limit, however large the width is.
    pub(crate) fn repeat(&mut self, character: u8, times: usize) {
        let kept = times.min(self.limit - self.units.len());
        self.units.extend(core::iter::repeat_n(U::from_narrow(character), kept));
        self.written = self.written.saturating_add(times);
    }

    /// Returns what was kept, and how long the whole was.
    pub(crate) fn finish(self) -> (Vec<U>, usize) {
        (self.units, self.written)
    }
}
