//! Deferred procedure calls: one queue per processor, run when its IRQL is about to fall below
//! `DISPATCH_LEVEL`.
//!
//! The queue follows `KDPC_DATA` (a singly linked list since Windows 8). There are no threaded DPCs. A DPC for another
//! processor interrupts that one whatever its importance ([`Platform::interrupt`]); NT leaves less important ones
//! until the next clock tick.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{BugCheck, Irql, KDPC, KSPIN_LOCK, SINGLE_LIST_ENTRY, dispatcher};

use super::{Globals, PROCESSORS};
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// `HighImportance` of `KDPC_IMPORTANCE`: goes to the front of the queue.
const HIGH_IMPORTANCE: u8 = 2;
/// `MediumImportance`.
const MEDIUM_IMPORTANCE: u8 = 1;
/// Added to a processor number in `KDPC.Number`, where 0 means the current processor.
const TARGETED: u16 = 0x500;

/// Queue of one processor.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Queue {
    /// First entry, or null.
    first: *mut SINGLE_LIST_ENTRY,
    /// Guards the queue.
    lock: KSPIN_LOCK,
    /// Entries.
    depth: usize,
    /// Nonzero while a routine runs.
    active: usize,
    /// The DPC whose routine runs, and the routine; what they were last where none does.
    running: [usize; 2],
}

/// The DPC that contains a queue entry.
fn dpc_of(entry: *mut SINGLE_LIST_ENTRY) -> Live<KDPC> {
    let dpc = entry.wrapping_byte_sub(core::mem::offset_of!(KDPC, DpcListEntry)).cast();
    // SAFETY: only entries of live DPCs are on the queue: a queued DPC must not be freed.
    unsafe { Live::new(dpc) }
}

impl<P: Platform> Executive<P> {
    fn ke_dpc_queue(&self, processor: usize) -> Live<Queue> {
        field!(self.ke(), Globals, dpc).element(processor % PROCESSORS)
    }

    /// Initializes a DPC.
    ///
    /// # Safety
    ///
    /// `dpc` leads to a writable `KDPC` that is not queued.
    pub unsafe fn KeInitializeDpc(&self, dpc: *mut KDPC, routine: Routine, context: *mut c_void) {
        // SAFETY: the caller's promise.
        let dpc = unsafe { Live::new(dpc) };
        dpc.set(KDPC {
            Type: dispatcher::DPC,
            Importance: MEDIUM_IMPORTANCE,
            Number: 0,
            DpcListEntry: SINGLE_LIST_ENTRY { Next: null_mut() },
            ProcessorHistory: 0,
            DeferredRoutine: core::ptr::with_exposed_provenance_mut(routine.0),
            DeferredContext: context,
            SystemArgument1: null_mut(),
            SystemArgument2: null_mut(),
            DpcData: null_mut(),
        });
    }

    /// Chooses where in the queue the DPC goes (2 is the front).
    ///
    /// # Safety
    ///
    /// `dpc` is an initialized DPC.
    pub unsafe fn KeSetImportanceDpc(&self, dpc: *mut KDPC, importance: u8) {
        // SAFETY: the caller's promise.
        field!(unsafe { Live::new(dpc) }, KDPC, Importance).set(importance);
    }

    /// Chooses the processor the DPC runs on.
    ///
    /// # Safety
    ///
    /// `dpc` is an initialized DPC.
    pub unsafe fn KeSetTargetProcessorDpc(&self, dpc: *mut KDPC, processor: u8) {
        // SAFETY: the caller's promise.
        field!(unsafe { Live::new(dpc) }, KDPC, Number).set(TARGETED + u16::from(processor));
    }

    /// Queues a DPC; returns FALSE where it is queued already. Below `DISPATCH_LEVEL` it runs before this
    /// returns.
    ///
    /// # Safety
    ///
    /// `dpc` is an initialized DPC that lives while queued; its routine is code with the contract of a DPC
    /// routine.
    pub unsafe fn KeInsertQueueDpc(
        &self,
        dpc: *mut KDPC,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        // SAFETY: the caller's promise.
        let dpc = unsafe { Live::new(dpc) };
        let old = self.platform().irql();
        if old < Irql::DISPATCH {
            self.KeRaiseIrql(Irql::DISPATCH);
        }
        let inserted = self.ke_queue_dpc(dpc, argument1, argument2);
        if old < Irql::DISPATCH {
            self.KeLowerIrql(old);
        }
        inserted
    }

    /// Queues a DPC, at `DISPATCH_LEVEL` or above.
    pub(super) fn ke_queue_dpc(
        &self,
        dpc: Live<KDPC>,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        let number = field!(dpc, KDPC, Number).get();
        let processor = match number.checked_sub(TARGETED) {
            Some(processor) => usize::from(processor),
            None => usize::from(self.platform().processor()),
        };
        let queue = self.ke_dpc_queue(processor);
        let lock = field!(queue, Queue, lock);
        self.ke_acquire_at_dpc(lock);
        let free = field!(dpc, KDPC, DpcData).get().is_null();
        if free {
            field!(dpc, KDPC, DpcData).set(queue.ptr().cast());
            field!(dpc, KDPC, SystemArgument1).set(argument1);
            field!(dpc, KDPC, SystemArgument2).set(argument2);
            let mut place = field!(queue, Queue, first);
            if field!(dpc, KDPC, Importance).get() != HIGH_IMPORTANCE {
                while !place.get().is_null() {
                    place = next_of(place.get());
                }
            }
            let entry = field!(dpc, KDPC, DpcListEntry);
            field!(entry, SINGLE_LIST_ENTRY, Next).set(place.get());
            place.set(entry.ptr());
            let depth = field!(queue, Queue, depth).atomic();
            depth.fetch_add(1, core::sync::atomic::Ordering::Release);
        }
        self.ke_release_from_dpc(lock);
        if free && processor != usize::from(self.platform().processor()) {
            self.platform().interrupt(processor as u8);
        }
        free
    }

    /// Takes a DPC off its queue; returns FALSE where it is not queued.
    ///
    /// # Safety
    ///
    /// `dpc` is an initialized DPC.
    pub unsafe fn KeRemoveQueueDpc(&self, dpc: *mut KDPC) -> bool {
        // SAFETY: the caller's promise.
        let dpc = unsafe { Live::new(dpc) };
        let data = field!(dpc, KDPC, DpcData).atomic_ptr().load(core::sync::atomic::Ordering::Acquire);
        if data.is_null() {
            return false;
        }
        // SAFETY: `DpcData` is only ever a queue of the globals.
        let queue = unsafe { Live::<Queue>::new(data.cast()) };
        let old = self.platform().irql();
        if old < Irql::DISPATCH {
            self.KeRaiseIrql(Irql::DISPATCH);
        }
        let lock = field!(queue, Queue, lock);
        self.ke_acquire_at_dpc(lock);
        let mut removed = false;
        let mut place = field!(queue, Queue, first);
        while !place.get().is_null() {
            if place.get() == field!(dpc, KDPC, DpcListEntry).ptr() {
                place.set(next_of(place.get()).get());
                field!(dpc, KDPC, DpcData).set(null_mut());
                field!(queue, Queue, depth).atomic().fetch_sub(1, core::sync::atomic::Ordering::Release);
                removed = true;
                break;
            }
            place = next_of(place.get());
        }
        self.ke_release_from_dpc(lock);
        if old < Irql::DISPATCH {
            self.KeLowerIrql(old);
        }
        removed
    }

    /// Runs the DPCs of the current processor as an interrupt does: below `DISPATCH_LEVEL` at once, else not yet.
    /// Platforms call it on a processor that [`Platform::interrupt`] named.
    pub fn interrupt(&self) {
        let old = self.platform().irql();
        while old < Irql::DISPATCH && self.ke_dpc_pending() {
            self.ke_outside(|| self.platform().set_irql(Irql::DISPATCH));
            self.ke_retire_dpcs();
            self.ke_outside(|| self.platform().set_irql(old));
        }
    }

    /// Returns how many DPCs wait for a processor.
    pub(super) fn ke_dpc_depth(&self, processor: usize) -> usize {
        let depth = field!(self.ke_dpc_queue(processor), Queue, depth).atomic();
        depth.load(core::sync::atomic::Ordering::Acquire)
    }

    /// Returns the DPC whose routine a processor runs, and the routine.
    pub(super) fn ke_dpc_running(&self, processor: usize) -> Option<[usize; 2]> {
        let queue = self.ke_dpc_queue(processor);
        (field!(queue, Queue, active).get() != 0).then(|| field!(queue, Queue, running).get())
    }

    /// Returns the DPCs that wait for a processor, at `DISPATCH_LEVEL` or above.
    pub(super) fn ke_dpcs_of(&self, processor: usize) -> Vec<Live<KDPC>> {
        let queue = self.ke_dpc_queue(processor);
        let lock = field!(queue, Queue, lock);
        let mut waiting = Vec::new();
        self.ke_acquire_at_dpc(lock);
        let mut entry = field!(queue, Queue, first).get();
        while !entry.is_null() {
            waiting.push(dpc_of(entry));
            entry = next_of(entry).get();
        }
        self.ke_release_from_dpc(lock);
        waiting
    }

    /// Tells whether DPCs wait for the current processor.
    pub(super) fn ke_dpc_pending(&self) -> bool {
        let queue = self.ke_dpc_queue(self.platform().processor().into());
        field!(queue, Queue, depth).atomic().load(core::sync::atomic::Ordering::Acquire) != 0
    }

    /// Tells whether the current processor runs a DPC routine.
    pub(super) fn ke_in_dpc(&self) -> bool {
        let queue = self.ke_dpc_queue(self.platform().processor().into());
        field!(queue, Queue, active).get() != 0
    }

    /// Runs the DPCs of the current processor, at `DISPATCH_LEVEL`.
    ///
    /// A routine that returns at another IRQL ends in bugcheck 0xC8 `IRQL_UNEXPECTED_VALUE`.
    pub(super) fn ke_retire_dpcs(&self) {
        let queue = self.ke_dpc_queue(self.platform().processor().into());
        let (lock, first) = (field!(queue, Queue, lock), field!(queue, Queue, first));
        loop {
            self.ke_acquire_at_dpc(lock);
            let entry = first.get();
            if entry.is_null() {
                self.ke_release_from_dpc(lock);
                return;
            }
            let dpc = dpc_of(entry);
            first.set(next_of(entry).get());
            field!(queue, Queue, depth).atomic().fetch_sub(1, core::sync::atomic::Ordering::Release);
            // From here on the DPC may be queued again, or freed: everything is read before the lock goes.
            let call = dpc.get();
            field!(dpc, KDPC, DpcData).set(null_mut());
            self.ke_release_from_dpc(lock);

            let active = field!(queue, Queue, active);
            let routine = Routine(call.DeferredRoutine.addr());
            field!(queue, Queue, running).set([dpc.ptr().addr(), routine.0]);
            active.set(active.get() + 1);
            self.ke_outside(|| {
                // SAFETY: whoever queued the DPC promised that its routine is code with this contract.
                unsafe {
                    self.platform().invoke_dpc(
                        routine,
                        dpc.ptr(),
                        call.DeferredContext,
                        call.SystemArgument1,
                        call.SystemArgument2,
                    );
                }
            });
            active.set(active.get() - 1);
            let irql = self.platform().irql();
            if irql != Irql::DISPATCH {
                // Parameter 1: current << 16 | expected << 8 | 2 for a callout; 2: the routine (Microsoft's
                // bug check reference).
                self.ke_bugcheck(
                    BugCheck::IRQL_UNEXPECTED_VALUE,
                    [u64::from(irql.0) << 16 | u64::from(Irql::DISPATCH.0) << 8 | 2, routine.0 as u64, 0, 0],
                    alloc::format!("a DPC routine returned at {irql}"),
                );
            }
        }
    }
}

/// The link behind an entry.
fn next_of(entry: *mut SINGLE_LIST_ENTRY) -> Live<*mut SINGLE_LIST_ENTRY> {
    field!(field!(dpc_of(entry), KDPC, DpcListEntry), SINGLE_LIST_ENTRY, Next)
}
