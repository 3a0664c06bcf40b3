//! What becomes of an exception that a handler takes.

use alloc::vec::Vec;

use crate::Modules;

/// How a driver goes on after an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum ExceptionOutcome {
    /// Where the record of the registers says, as a filter asked for (`EXCEPTION_CONTINUE_EXECUTION`).
    Continued {
        /// That address.
        at: u64,
    },
    /// In an `__except` block, with the frames below it unwound.
    Unwound {
        /// Address of the block.
        target: u64,
        /// Exports that were cut short on the way, innermost first: the driver called them, they called the code that was left, and
        /// what they do behind that call never happens.
        crossed: Vec<u64>,
    },
}

impl ExceptionOutcome {
    /// Returns how many notifies of the thread were left, innermost ones first.
    pub fn notifies_left(&self, modules: &Modules) -> usize {
        let Self::Unwound { crossed, .. } = self else { return 0 };
        let named = |address: &&u64| {
            modules.locate(**address).symbol.is_some_and(|(name, _)| name == "ExNotifyCallback")
        };
        crossed.iter().filter(named).count()
    }
}
