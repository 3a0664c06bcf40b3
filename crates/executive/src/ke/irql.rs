//! Interrupt request levels: raising, lowering, and what becomes possible on the way down.
//!
//! NT delivers a software interrupt when CR8 falls below a level with work pending. The executive looks at
//! the same places: DPCs run before a processor goes below `DISPATCH_LEVEL`, deferred deletions when a thread
//! is back at `PASSIVE_LEVEL` outside critical and guarded regions.

use nt::{BugCheck, Irql};

use crate::executive::Executive;
use crate::platform::Platform;

impl<P: Platform> Executive<P> {
    /// Returns the IRQL of the current processor.
    pub fn KeGetCurrentIrql(&self) -> Irql {
        self.platform().irql()
    }

    /// Raises the IRQL and returns the old one.
    ///
    /// Raising to a lower level ends in bugcheck 0x9 `IRQL_NOT_GREATER_OR_EQUAL`, as checked HALs have it; a
    /// free x64 build would just write CR8.
    pub fn KeRaiseIrql(&self, new: Irql) -> Irql {
        let old = self.platform().irql();
        if new < old {
            self.ke_bugcheck(
                BugCheck::IRQL_NOT_GREATER_OR_EQUAL,
                [u64::from(new.0), u64::from(old.0), 0, 0],
                alloc::format!("KeRaiseIrql to {new} at {old}"),
            );
        }
        self.ke_outside(|| self.platform().set_irql(new))
    }

    /// Lowers the IRQL, after the DPCs that the new level allows.
    ///
    /// Lowering to a higher level ends in bugcheck 0xA `IRQL_NOT_LESS_OR_EQUAL`, as checked HALs have it.
    pub fn KeLowerIrql(&self, new: Irql) {
        let old = self.platform().irql();
        if new > old {
            self.ke_bugcheck(
                BugCheck::IRQL_NOT_LESS_OR_EQUAL,
                [u64::from(new.0), u64::from(old.0), 0, 0],
                alloc::format!("KeLowerIrql to {new} at {old}"),
            );
        }
        if new < Irql::DISPATCH {
            // Another processor may queue one more while this one runs the last, so look again after going
            // down.
            while self.ke_dpc_pending() {
                if self.platform().irql() != Irql::DISPATCH {
                    self.ke_outside(|| self.platform().set_irql(Irql::DISPATCH));
                }
                self.ke_retire_dpcs();
            }
        }
        if self.platform().irql() != new {
            self.ke_outside(|| self.platform().set_irql(new));
        }
        self.ke_passive_point();
    }

    /// Runs what waits for a thread at `PASSIVE_LEVEL` that holds nothing: deferred deletions.
    ///
    /// Kernel code that holds a push lock is in a critical or guarded region, so a deletion never meets a
    /// lock of its own thread.
    pub(crate) fn ke_passive_point(&self) {
        // Asked at the end of every guarded region, and there is hardly ever anything to do.
        if self.ob_has_deferred() && self.platform().irql() == Irql::PASSIVE && !self.KeAreApcsDisabled() {
            self.ob_drain_deferred();
        }
    }
}
