//! What a driver leaves behind: where and when it was made, and what becomes of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Where and when a driver made something, or took it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Made {
    /// Address in driver code that asked for it.
    pub caller: u64,
    /// Virtual time since boot, in units of 100 ns.
    pub time: u64,
    /// Call stack of the driver then: where each call returns to, innermost first, which is `caller`.
    pub stack: Vec<u64>,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum LeftKind {
    /// An open handle.
    Handle,
    /// A permanent object with a name: a symbolic link, an event, a directory.
    Name,
    /// A timer that is set.
    Timer,
    /// A DPC that is queued.
    Dpc,
    /// A work item that is queued, or whose routine runs.
    WorkItem,
    /// A thread that has not ended.
    Thread,
    /// A spin lock that is held.
    SpinLock,
    /// A fast or guarded mutex that is held.
    FastMutex,
    /// A resource (`ERESOURCE`) that is held.
    Resource,
    /// A `KMUTEX` that is held.
    Mutex,
    /// A critical region that was entered.
    CriticalRegion,
    /// A guarded region that was entered.
    GuardedRegion,
    /// An IRQL that was raised: the address is the level.
    Irql,
    /// An executive resource (`ERESOURCE`) that was initialized and not deleted.
    LiveResource,
}

impl fmt::Display for LeftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Handle => "handle",
            Self::Name => "named object",
            Self::Timer => "timer",
            Self::Dpc => "DPC",
            Self::WorkItem => "work item",
            Self::Thread => "thread",
            Self::SpinLock => "spin lock",
            Self::FastMutex => "fast mutex",
            Self::Resource => "resource",
            Self::Mutex => "mutex",
            Self::CriticalRegion => "critical region",
            Self::GuardedRegion => "guarded region",
            Self::Irql => "IRQL",
            Self::LiveResource => "executive resource",
        })
    }
}

/// One thing that outlives its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Left {
    /// What it is.
    pub kind: LeftKind,
    /// Value of the handle, or address of the object.
    pub address: u64,
    /// Type of an object behind a handle or name.
    pub object_type: Option<String>,
    /// Name of an object in the namespace.
    pub name: Option<String>,
    /// Identifier of a thread.
    pub thread: Option<u32>,
    /// Address of the routine that will be called, or runs.
    pub routine: Option<u64>,
    /// When a timer is due, in virtual time.
    pub due: Option<u64>,
    /// Whether the routine runs already.
    pub running: bool,
    /// Where and when it was made, set, queued or taken.
    pub made: Made,
}
