//! Interrupt request levels, x64 numbering.

use core::fmt;

/// An interrupt request level, the value of CR8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Irql(pub u8);

impl Irql {
    /// Threads run here; anything may be called.
    pub const PASSIVE: Self = Self(0);
    /// Asynchronous procedure calls are held back.
    pub const APC: Self = Self(1);
    /// The scheduler is held back: no waits, no paged memory.
    pub const DISPATCH: Self = Self(2);
    /// Corrected machine checks.
    pub const CMCI: Self = Self(5);
    /// The clock.
    pub const CLOCK: Self = Self(13);
    /// Interrupts between processors.
    pub const IPI: Self = Self(14);
    /// Everything is held back.
    pub const HIGH: Self = Self(15);

    /// Gives the level's name as the driver kit spells it; device levels share one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "PASSIVE_LEVEL",
            1 => "APC_LEVEL",
            2 => "DISPATCH_LEVEL",
            5 => "CMCI_LEVEL",
            13 => "CLOCK_LEVEL",
            14 => "IPI_LEVEL",
            15 => "HIGH_LEVEL",
            3..=12 => "DIRQL",
            _ => "invalid IRQL",
        }
    }

    /// Tells whether the level exists: CR8 has four bits.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 <= Self::HIGH.0
    }
}

/// Prints the name; a device level with its number, `DIRQL 7`.
impl fmt::Display for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            3..=4 | 6..=12 | 16.. => write!(f, "{} {}", self.name(), self.0),
            _ => f.pad(self.name()),
        }
    }
}
