//! What is still to run: timers that are set and DPCs that are queued.

use alloc::vec::Vec;

use nt::{Irql, KDPC, KTIMER};

use super::PROCESSORS;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetTimer {
    /// Address of the `KTIMER`.
    pub timer: usize,
    /// When it is due, in units of 100 ns since boot.
    pub due: u64,
    /// Its DPC and the routine of that; none where it has no DPC.
    pub dpc: Option<QueuedDpc>,
}

/// A DPC that is queued, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedDpc {
    /// Address of the `KDPC`.
    pub dpc: usize,
    /// Address of its routine.
    pub routine: usize,
}

impl QueuedDpc {
    fn of(dpc: Live<KDPC>) -> Self {
        Self { dpc: dpc.ptr().addr(), routine: field!(dpc, KDPC, DeferredRoutine).get().addr() }
    }
}

impl<P: Platform> Executive<P> {
    /// Returns the timers that are set, in the order they are due.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub fn timers_set(&self) -> Vec<SetTimer> {
        let old = self.ke_lock_dispatcher();
        let timers = self.ke_timers().into_iter().map(|timer| SetTimer {
            timer: timer.ptr().addr(),
            due: field!(timer, KTIMER, DueTime).get(),
            dpc: self.ke_dpc_of(timer).map(QueuedDpc::of),
        });
        let timers = timers.collect();
        self.ke_unlock_dispatcher(old);
        timers
    }

    /// Returns the DPCs whose routines run, by processor.
    pub fn dpcs_running(&self) -> Vec<QueuedDpc> {
        let running = (0..PROCESSORS).filter_map(|processor| self.ke_dpc_running(processor));
        running.map(|[dpc, routine]| QueuedDpc { dpc, routine }).collect()
    }

    /// Returns the DPCs that are queued, by processor and in their order.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`. Where that is lower, DPCs of the current processor run before this returns.
    pub fn dpcs_queued(&self) -> Vec<QueuedDpc> {
        if (0..PROCESSORS).all(|processor| self.ke_dpc_depth(processor) == 0) {
            return Vec::new();
        }
        let old = self.platform().irql();
        if old < Irql::DISPATCH {
            self.KeRaiseIrql(Irql::DISPATCH);
        }
        let queued = (0..PROCESSORS).flat_map(|processor| self.ke_dpcs_of(processor));
        let queued = queued.map(QueuedDpc::of).collect();
        if old < Irql::DISPATCH {
            self.KeLowerIrql(old);
        }
        queued
    }
}
