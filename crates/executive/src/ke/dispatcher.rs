//! Dispatcher objects: what is signaled, what a satisfied wait does to it, and how waiters are found and
//! woken.
//!
//! The wait blocks are NT's (`KWAIT_BLOCK` on `DISPATCHER_HEADER.WaitListHead`, `KTHREAD.WaitBlockList`).
//! Since Windows 8 the number of blocks is a member of `KTHREAD` that this crate does not model; blocks of
//! one wait are linked through `SparePtr` instead. `KTHREAD.WaitBlockList` is non-null exactly while a wait
//! is pending.

use core::ptr::null_mut;

use nt::{DISPATCHER_HEADER, Irql, KMUTANT, KTHREAD, KWAIT_BLOCK, LIST_ENTRY, NTSTATUS, dispatcher};

use super::{Globals, list};
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// `WaitBlockActive` of `KWAIT_BLOCK_STATE`.
pub(super) const BLOCK_ACTIVE: u8 = 4;
/// `WaitBlockInactive`.
const BLOCK_INACTIVE: u8 = 5;
/// `STATUS_ABANDONED_WAIT_0`, added to the index.
const ABANDONED: u32 = 0x80;

/// Views a dispatcher object as a mutant, if it is one.
fn as_mutant(header: Live<DISPATCHER_HEADER>) -> Option<Live<KMUTANT>> {
    if field!(header, DISPATCHER_HEADER, Type).get() != dispatcher::MUTANT {
        return None;
    }
    // SAFETY: the header says that it is the head of a mutant, and a dispatcher object is live while it is
    // waited for.
    Some(unsafe { Live::new(header.ptr().cast()) })
}

/// Follows `KTHREAD.WaitBlockList` or the link to the next block.
fn block_at(block: *mut KWAIT_BLOCK) -> Option<Live<KWAIT_BLOCK>> {
    // SAFETY: the blocks of a pending wait stay until the wait is over, and the dispatcher lock is held.
    (!block.is_null()).then(|| unsafe { Live::new(block) })
}

/// Iterates over the blocks of the wait of `thread`.
pub(super) fn blocks_of(thread: Live<KTHREAD>) -> impl Iterator<Item = Live<KWAIT_BLOCK>> {
    core::iter::successors(block_at(field!(thread, KTHREAD, WaitBlockList).get()), |block| {
        block_at(field!(*block, KWAIT_BLOCK, SparePtr).get().cast())
    })
}

/// The object a block waits for.
fn object_of(block: Live<KWAIT_BLOCK>) -> Live<DISPATCHER_HEADER> {
    // SAFETY: an object is live while it is waited for; that is the caller's contract of the wait routines.
    unsafe { Live::new(field!(block, KWAIT_BLOCK, Object).get().cast()) }
}

impl<P: Platform> Executive<P> {
    /// Acquires the dispatcher lock.
    pub(crate) fn ke_lock_dispatcher(&self) -> Irql {
        let old = self.platform().irql();
        if old < Irql::DISPATCH {
            self.KeRaiseIrql(Irql::DISPATCH);
        }
        self.ke_acquire_at_dpc(field!(self.ke(), Globals, dispatcher_lock));
        old
    }

    /// Releases the dispatcher lock.
    pub(crate) fn ke_unlock_dispatcher(&self, old: Irql) {
        self.ke_release_from_dpc(field!(self.ke(), Globals, dispatcher_lock));
        if old < Irql::DISPATCH {
            self.KeLowerIrql(old);
        }
    }

    /// Fills in the head of a dispatcher object.
    pub(super) fn ke_initialize_header(
        &self,
        header: Live<DISPATCHER_HEADER>,
        kind: u8,
        bytes: usize,
        state: i32,
    ) {
        header.set(DISPATCHER_HEADER {
            Type: kind,
            Signalling: 0,
            Size: (bytes / 4) as u8,
            Inserted: 0,
            SignalState: state,
            WaitListHead: LIST_ENTRY::NULL,
        });
        list::initialize(field!(header, DISPATCHER_HEADER, WaitListHead));
    }

    /// Tells whether `thread` need not wait for the object.
    pub(super) fn ke_signaled(&self, header: Live<DISPATCHER_HEADER>, thread: Live<KTHREAD>) -> bool {
        field!(header, DISPATCHER_HEADER, SignalState).get() > 0
            || as_mutant(header)
                .is_some_and(|mutant| field!(mutant, KMUTANT, OwnerThread).get() == thread.ptr())
    }

    /// Does to the object what a satisfied wait does, and tells whether it was an abandoned mutant.
    pub(super) fn ke_satisfy(&self, header: Live<DISPATCHER_HEADER>, thread: Live<KTHREAD>) -> bool {
        let state = field!(header, DISPATCHER_HEADER, SignalState);
        match field!(header, DISPATCHER_HEADER, Type).get() {
            dispatcher::SYNCHRONIZATION_EVENT | dispatcher::SYNCHRONIZATION_TIMER => state.set(0),
            dispatcher::SEMAPHORE => state.set(state.get() - 1),
            dispatcher::MUTANT => {
                if let Some(mutant) = as_mutant(header) {
                    return self.ke_own_mutant(mutant, thread);
                }
            }
            _ => {}
        }
        false
    }

    /// Wakes every waiter that the state of the object now satisfies. The dispatcher lock is held.
    ///
    /// A waiter is satisfied here and now: what becomes of the object afterwards does not concern it any
    /// more.
    pub(super) fn ke_wait_test(&self, header: Live<DISPATCHER_HEADER>) {
        let head = field!(header, DISPATCHER_HEADER, WaitListHead);
        let mut node = head;
        while field!(header, DISPATCHER_HEADER, SignalState).get() > 0 {
            let Some(next) = self.ke_checked(list::next(head, node), "DISPATCHER_HEADER.WaitListHead") else {
                break;
            };
            // `WaitListEntry` is the block's first field.
            // SAFETY: only wait blocks are on this list, and they stay while the dispatcher lock is held.
            let block = unsafe { Live::<KWAIT_BLOCK>::new(next.ptr().cast()) };
            // SAFETY: a thread stays while it waits.
            let thread = unsafe { Live::new(field!(block, KWAIT_BLOCK, Thread).get()) };
            if u32::from(field!(block, KWAIT_BLOCK, WaitType).get()) == nt::WaitAny {
                let key = u32::from(field!(block, KWAIT_BLOCK, WaitKey).get());
                let abandoned = self.ke_satisfy(header, thread);
                self.ke_unwait(thread, NTSTATUS(if abandoned { ABANDONED | key } else { key }));
                // That took every block of the thread off every list; the walk starts again.
                node = head;
            } else if blocks_of(thread).all(|block| self.ke_signaled(object_of(block), thread)) {
                let status = self.ke_satisfy_all(thread);
                self.ke_unwait(thread, status);
                node = head;
            } else {
                node = next;
            }
        }
    }

    /// Satisfies a wait for all of its objects.
    fn ke_satisfy_all(&self, thread: Live<KTHREAD>) -> NTSTATUS {
        let abandoned =
            blocks_of(thread).fold(false, |any, block| self.ke_satisfy(object_of(block), thread) | any);
        NTSTATUS(if abandoned { ABANDONED } else { 0 })
    }

    /// Ends the wait of a thread: its blocks leave their lists, it has a status, it may run.
    pub(super) fn ke_unwait(&self, thread: Live<KTHREAD>, status: NTSTATUS) {
        self.ke_unlink_blocks(thread);
        field!(thread, KTHREAD, WaitStatus).set(i64::from(status.0 as i32));
        if let Some(pointer) = core::ptr::NonNull::new(thread.ptr()) {
            self.platform().unpark(pointer);
        }
    }

    /// Takes the blocks of a thread's wait off their lists; the wait is over then.
    pub(super) fn ke_unlink_blocks(&self, thread: Live<KTHREAD>) {
        for block in blocks_of(thread) {
            let linked = field!(block, KWAIT_BLOCK, WaitListEntry);
            self.ke_checked(list::remove(linked), "DISPATCHER_HEADER.WaitListHead");
            field!(block, KWAIT_BLOCK, BlockState).set(BLOCK_INACTIVE);
        }
        field!(thread, KTHREAD, WaitBlockList).set(null_mut());
    }
}
