//! Pool and paged memory: blocks left behind, and what was done to memory that must not be done.

use alloc::string::String;
use core::fmt;

use crate::{Access, Made};

/// A pool block that outlives its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolBlockLeft {
    /// Address of the block.
    pub address: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Tag, first character lowest.
    pub tag: u32,
    /// Where and when it was allocated.
    pub made: Made,
}

/// What was done to pool that must not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum PoolWrong {
    /// Memory behind a block was touched or written.
    Overrun,
    /// Memory before a block was touched or written: its header, or what lies before that.
    Underrun,
    /// A block was touched or written after it had been freed.
    Freed,
    /// A block was freed that had been freed already.
    DoubleFree,
    /// A block was freed with another tag than it was allocated with.
    WrongTag,
    /// An address was freed that is no block.
    NoBlock,
    /// A block was freed at an IRQL too high for its pool.
    FreeIrql,
    /// Pool was asked for at an IRQL too high for it.
    AllocateIrql,
    /// Paged pool was touched at `DISPATCH_LEVEL` or above.
    Paged,
    /// A block was executed that is not executable.
    Execute,
}

impl fmt::Display for PoolWrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Overrun => "pool overrun",
            Self::Underrun => "pool underrun",
            Self::Freed => "freed pool used",
            Self::DoubleFree => "pool freed twice",
            Self::WrongTag => "pool freed with another tag",
            Self::NoBlock => "freed what is no pool block",
            Self::FreeIrql => "pool freed at too high an IRQL",
            Self::AllocateIrql => "pool allocated at too high an IRQL",
            Self::Paged => "paged pool touched at too high an IRQL",
            Self::Execute => "pool executed that is not executable",
        })
    }
}

/// When it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum PoolNoticed {
    /// In the act: the instruction or the call is the one to blame.
    Act,
    /// When the damaged block was freed.
    Free,
    /// When freed memory was about to be used again.
    Reuse,
    /// When a driver had left.
    Unload,
    /// At the end of the run.
    End,
}

/// A pool block, live or freed, as a finding needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolBlockRecord {
    /// Address of the block.
    pub address: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Tag, first character lowest.
    pub tag: u32,
    /// Whether it is paged pool.
    pub paged: bool,
    /// Address in driver code that asked for it, 0 where the kernel did by itself.
    pub allocated_by: u64,
    /// Address in driver code that freed it, 0 where the kernel did; `None` while it lives.
    pub freed_by: Option<u64>,
}

/// One misuse of pool. Where Windows would have crashed, the bugcheck follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolMisuse {
    /// What was done.
    pub wrong: PoolWrong,
    /// When it was noticed.
    pub noticed: PoolNoticed,
    /// Address that was touched, found damaged, or freed.
    pub address: u64,
    /// How it was touched, where that is known.
    pub access: Option<Access>,
    /// Code that did it; `None` for damage that was found later.
    pub at: Option<u64>,
    /// Tag that was given when freeing, 0 for none.
    pub tag: u32,
    /// The block concerned, where there is one.
    pub block: Option<PoolBlockRecord>,
}

/// A section of a driver image that may be paged out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PageableSection {
    /// Its name, `PAGE`.
    pub name: String,
    /// Where it begins.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}
