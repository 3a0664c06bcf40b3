//! Timers and time.
//!
//! NT hashes timers into a table per processor; here they are one queue in the order they are due, equal ones
//! in the order they were set. Nothing ticks by itself: the platform calls [`Executive::expire_timers`] when
//! [`Executive::next_deadline`] has come, and so does every thread that waits. `KTIMER.Dpc` is the plain
//! address; since Windows 7 NT stores it encoded.

use alloc::vec::Vec;
use core::ptr::null_mut;

use nt::{DISPATCHER_HEADER, KDPC, KTIMER, LARGE_INTEGER, LIST_ENTRY, dispatcher};

use super::{Globals, list};
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// System time at boot, 2025-01-01 00:00 UTC in units of 100 ns since 1601.
pub const BOOT_SYSTEM_TIME: i64 = 133_801_632_000_000_000;
/// Units of 100 ns in a millisecond.
const PER_MILLISECOND: u64 = 10_000;
/// Due time of the first timer where there is none.
pub(super) const NONE_DUE: u64 = u64::MAX;

impl<P: Platform> Executive<P> {
    /// Returns the time since boot in units of 100 ns.
    pub fn KeQueryInterruptTime(&self) -> u64 {
        self.platform().now() as u64
    }

    /// Returns the system time, UTC in units of 100 ns since 1601.
    pub fn KeQuerySystemTime(&self) -> LARGE_INTEGER {
        BOOT_SYSTEM_TIME + self.platform().now()
    }

    /// Turns a due time (negative: relative; otherwise system time) into interrupt time.
    pub(super) fn ke_interrupt_time(&self, due: i64) -> i64 {
        if due < 0 { self.platform().now().saturating_sub(due) } else { due.saturating_sub(BOOT_SYSTEM_TIME) }
    }

    /// Initializes a timer: `kind` 0 notification, 1 synchronization.
    ///
    /// # Safety
    ///
    /// `timer` leads to a writable `KTIMER` that is not set and that nobody waits for.
    pub unsafe fn KeInitializeTimerEx(&self, timer: *mut KTIMER, kind: u32) {
        // SAFETY: the caller's promise.
        let timer = unsafe { Live::new(timer) };
        let header = field!(timer, KTIMER, Header);
        self.ke_initialize_header(
            header,
            dispatcher::NOTIFICATION_TIMER + kind as u8,
            size_of::<KTIMER>(),
            0,
        );
        field!(timer, KTIMER, DueTime).set(0);
        field!(timer, KTIMER, TimerListEntry).set(LIST_ENTRY::NULL);
        field!(timer, KTIMER, Dpc).set(null_mut());
        field!(timer, KTIMER, Processor).set(0);
        field!(timer, KTIMER, Period).set(0);
    }

    /// Sets a timer, again if it is set already; returns whether it was. `period` is in milliseconds, 0 for
    /// once.
    ///
    /// # Safety
    ///
    /// `timer` is an initialized timer that lives while set; `dpc` is null or an initialized DPC with the
    /// contract of [`Executive::KeInsertQueueDpc`].
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeSetTimerEx(
        &self,
        timer: *mut KTIMER,
        due: LARGE_INTEGER,
        period: u32,
        dpc: *mut KDPC,
    ) -> bool {
        // SAFETY: the caller's promise.
        let timer = unsafe { Live::new(timer) };
        let old = self.ke_lock_dispatcher();
        let was = self.ke_remove_timer(timer);
        let header = field!(timer, KTIMER, Header);
        field!(header, DISPATCHER_HEADER, SignalState).set(0);
        field!(header, DISPATCHER_HEADER, Signalling).set((due >= 0).into());
        field!(timer, KTIMER, Dpc).set(dpc);
        field!(timer, KTIMER, Period).set(period);
        field!(timer, KTIMER, DueTime).set(self.ke_interrupt_time(due).max(0) as u64);
        self.ke_insert_timer(timer);
        self.ke_expire_locked();
        self.ke_unlock_dispatcher(old);
        was
    }

    /// Cancels a timer; returns whether it was set.
    ///
    /// # Safety
    ///
    /// `timer` is an initialized timer.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeCancelTimer(&self, timer: *mut KTIMER) -> bool {
        // SAFETY: the caller's promise.
        let timer = unsafe { Live::new(timer) };
        let old = self.ke_lock_dispatcher();
        let was = self.ke_remove_timer(timer);
        self.ke_unlock_dispatcher(old);
        was
    }

    /// Tells whether a timer is signaled.
    ///
    /// # Safety
    ///
    /// `timer` is an initialized timer.
    pub unsafe fn KeReadStateTimer(&self, timer: *mut KTIMER) -> bool {
        // SAFETY: the caller's promise.
        field!(unsafe { Live::new(timer) }, KTIMER, Header.SignalState).get() != 0
    }

    /// Returns when the next timer is due, in interrupt time.
    pub fn next_deadline(&self) -> Option<i64> {
        let old = self.ke_lock_dispatcher();
        let due = self.ke_first_timer().map(|timer| field!(timer, KTIMER, DueTime).get() as i64);
        self.ke_unlock_dispatcher(old);
        due
    }

    /// Returns when the next timer is due, in interrupt time, as it was noted when a timer was last set or taken away: without a
    /// lock, and without a look at memory of drivers.
    pub fn first_due(&self) -> Option<i64> {
        let due = field!(self.ke(), Globals, first_due).get();
        (due != NONE_DUE).then_some(due as i64)
    }

    /// Lets the timers expire that are due. The work of NT's clock interrupt.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`. DPCs of the timers run before this returns, where that is lower.
    pub fn expire_timers(&self) {
        let old = self.ke_lock_dispatcher();
        self.ke_expire_locked();
        self.ke_unlock_dispatcher(old);
    }

    fn ke_expire_locked(&self) {
        let now = self.platform().now() as u64;
        while let Some(timer) = self.ke_first_timer() {
            let due = field!(timer, KTIMER, DueTime);
            if due.get() > now {
                break;
            }
            self.ke_remove_timer(timer);
            let period = field!(timer, KTIMER, Period).get();
            if period != 0 {
                due.set(due.get() + u64::from(period) * PER_MILLISECOND);
                self.ke_insert_timer(timer);
            }
            let header = field!(timer, KTIMER, Header);
            field!(header, DISPATCHER_HEADER, SignalState).set(1);
            self.ke_wait_test(header);
            let dpc = field!(timer, KTIMER, Dpc).get();
            if !dpc.is_null() {
                // SAFETY: an initialized DPC by the contract of `KeSetTimerEx`.
                self.ke_queue_dpc(unsafe { Live::new(dpc) }, null_mut(), null_mut());
            }
        }
    }

    fn ke_timer_head(&self) -> Live<LIST_ENTRY> {
        field!(self.ke(), Globals, timers)
    }

    fn ke_timer_at(&self, node: Live<LIST_ENTRY>) -> Live<KTIMER> {
        let timer = node.ptr().wrapping_byte_sub(core::mem::offset_of!(KTIMER, TimerListEntry)).cast();
        // SAFETY: only timers that are set are in the queue, and a timer that is set must not be freed.
        unsafe { Live::new(timer) }
    }

    fn ke_first_timer(&self) -> Option<Live<KTIMER>> {
        let head = self.ke_timer_head();
        self.ke_checked_timers(list::next(head, head)).map(|node| self.ke_timer_at(node))
    }

    /// Returns the timers that are set. The dispatcher lock is held.
    pub(super) fn ke_timers(&self) -> Vec<Live<KTIMER>> {
        let head = self.ke_timer_head();
        let mut timers = Vec::new();
        let mut at = head;
        while let Some(node) = self.ke_checked_timers(list::next(head, at)) {
            timers.push(self.ke_timer_at(node));
            at = node;
        }
        timers
    }

    /// Returns the DPC of a timer that is set.
    #[expect(clippy::unused_self, reason = "an executive's timer is meant")]
    pub(super) fn ke_dpc_of(&self, timer: Live<KTIMER>) -> Option<Live<KDPC>> {
        let dpc = field!(timer, KTIMER, Dpc).get();
        // SAFETY: an initialized DPC by the contract of `KeSetTimerEx`.
        (!dpc.is_null()).then(|| unsafe { Live::new(dpc) })
    }

    fn ke_insert_timer(&self, timer: Live<KTIMER>) {
        let due = field!(timer, KTIMER, DueTime).get();
        let head = self.ke_timer_head();
        let mut place = head;
        // From the end: new timers are mostly later ones.
        loop {
            // SAFETY: a queue of live timers, as above.
            let before = unsafe { Live::<LIST_ENTRY>::new(field!(place, LIST_ENTRY, Blink).get()) };
            if before == head || field!(self.ke_timer_at(before), KTIMER, DueTime).get() <= due {
                break;
            }
            place = before;
        }
        self.ke_checked_timers(list::insert_before(place, field!(timer, KTIMER, TimerListEntry)));
        field!(timer, KTIMER, Header.Inserted).set(1);
        let first_due = field!(self.ke(), Globals, first_due);
        first_due.set(first_due.get().min(due));
    }

    fn ke_remove_timer(&self, timer: Live<KTIMER>) -> bool {
        let inserted = field!(timer, KTIMER, Header.Inserted);
        let was = inserted.get() != 0;
        if was {
            let was_first = field!(timer, KTIMER, TimerListEntry.Blink).get() == self.ke_timer_head().ptr();
            self.ke_checked_timers(list::remove(field!(timer, KTIMER, TimerListEntry)));
            inserted.set(0);
            if was_first {
                let first = self.ke_first_timer();
                let due = first.map_or(NONE_DUE, |timer| field!(timer, KTIMER, DueTime).get());
                field!(self.ke(), Globals, first_due).set(due);
            }
        }
        was
    }
}
