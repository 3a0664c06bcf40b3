//! Waiting.
//!
//! Alertable waits are never alerted: there are no APCs, and nobody calls `KeAlertThread`. The flag is
//! accepted for what it is.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{
    BugCheck, DISPATCHER_HEADER, Irql, KTHREAD, KWAIT_BLOCK, LARGE_INTEGER, MAXIMUM_WAIT_OBJECTS, NTSTATUS,
    STATUS_SUCCESS, STATUS_TIMEOUT, THREAD_WAIT_OBJECTS, WaitAll, WaitAny,
};

use super::dispatcher::BLOCK_ACTIVE;
use super::list;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// When a wait gives up.
#[derive(Clone, Copy)]
enum Limit {
    /// Never.
    None,
    /// Now: the wait is a test.
    Zero,
    /// At this interrupt time.
    At(i64),
}

impl<P: Platform> Executive<P> {
    /// Waits until `object` is signaled.
    ///
    /// Returns `STATUS_SUCCESS`, `STATUS_TIMEOUT`, or `STATUS_ABANDONED_WAIT_0` for a mutant whose owner
    /// ended.
    ///
    /// # Safety
    ///
    /// `object` is a dispatcher object that lives while anybody waits for it; `timeout` is null or leads to a
    /// time.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`; `DISPATCH_LEVEL` with a zero timeout.
    pub unsafe fn KeWaitForSingleObject(
        &self,
        object: *mut c_void,
        wait_reason: u32,
        wait_mode: u8,
        alertable: u8,
        timeout: *const LARGE_INTEGER,
    ) -> NTSTATUS {
        let _ = (wait_reason, wait_mode, alertable);
        // SAFETY: null, or a time by the caller's promise.
        let timeout = unsafe { timeout.as_ref() }.copied();
        let block = field!(self.current_thread(), KTHREAD, WaitBlock).element(0).ptr();
        // SAFETY: the object is the caller's promise; the built-in block belongs to the current thread, which
        // has no other wait.
        unsafe { self.ke_wait(&[object], WaitAny, timeout, block) }
    }

    /// Waits until any or all of the objects are signaled. With `WaitAny` the status is the index of the one
    /// that was.
    ///
    /// More objects than 64, or than 3 without `wait_block_array`, end in bugcheck 0xC
    /// `MAXIMUM_WAIT_OBJECTS_EXCEEDED`.
    ///
    /// # Safety
    ///
    /// `objects` leads to `count` dispatcher objects that live while anybody waits for them;
    /// `wait_block_array` is null or leads to as many wait blocks, which stay during the call; `timeout` is
    /// null or leads to a time.
    ///
    /// # IRQL
    ///
    /// As for [`Executive::KeWaitForSingleObject`].
    #[expect(clippy::too_many_arguments, reason = "the prototype is NT's")]
    pub unsafe fn KeWaitForMultipleObjects(
        &self,
        count: u32,
        objects: *const *mut c_void,
        wait_type: u32,
        wait_reason: u32,
        wait_mode: u8,
        alertable: u8,
        timeout: *const LARGE_INTEGER,
        wait_block_array: *mut KWAIT_BLOCK,
    ) -> NTSTATUS {
        let _ = (wait_reason, wait_mode, alertable);
        let most = if wait_block_array.is_null() { THREAD_WAIT_OBJECTS } else { MAXIMUM_WAIT_OBJECTS };
        if count == 0 || count > most {
            self.ke_bugcheck(
                BugCheck(0xC),
                [0; 4],
                alloc::format!("KeWaitForMultipleObjects for {count} objects, {most} are possible"),
            );
        }
        // SAFETY: null, or a time by the caller's promise.
        let timeout = unsafe { timeout.as_ref() }.copied();
        // SAFETY: `count` pointers by the caller's promise. Copied, so that no reference is held while the
        // thread waits.
        let objects: Vec<*mut c_void> =
            unsafe { core::slice::from_raw_parts(objects, count as usize) }.to_vec();
        let blocks = if wait_block_array.is_null() {
            field!(self.current_thread(), KTHREAD, WaitBlock).element(0).ptr()
        } else {
            wait_block_array
        };
        // SAFETY: objects and blocks are the caller's promise, or the current thread's own.
        unsafe { self.ke_wait(&objects, wait_type, timeout, blocks) }
    }

    /// Puts the current thread to sleep. Negative intervals are relative, others are system times.
    ///
    /// # Safety
    ///
    /// `interval` leads to a time.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`.
    pub unsafe fn KeDelayExecutionThread(
        &self,
        wait_mode: u8,
        alertable: u8,
        interval: *const LARGE_INTEGER,
    ) -> NTSTATUS {
        let _ = (wait_mode, alertable);
        // SAFETY: the caller's promise.
        let interval = unsafe { Live::new(interval.cast_mut()) }.get();
        let limit = self.ke_limit(Some(interval));
        self.ke_check_wait_irql(null_mut());
        if let Limit::At(deadline) = limit {
            while self.platform().now() < deadline {
                self.ke_park(Some(deadline));
            }
        }
        STATUS_SUCCESS
    }

    /// Turns NT's timeout into a deadline.
    fn ke_limit(&self, timeout: Option<i64>) -> Limit {
        match timeout {
            None => Limit::None,
            Some(0) => Limit::Zero,
            Some(due) => Limit::At(self.ke_interrupt_time(due)),
        }
    }

    /// Ends the world where NT would: a wait that may block, at `DISPATCH_LEVEL` or above.
    ///
    /// Inside a DPC that is 0xB8 `ATTEMPTED_SWITCH_FROM_DPC`, elsewhere 0xA `IRQL_NOT_LESS_OR_EQUAL`
    /// (Microsoft's bug check reference for both; the second is what crashes with this cause show).
    fn ke_check_wait_irql(&self, object: *mut c_void) {
        let irql = self.platform().irql();
        if irql < Irql::DISPATCH {
            return;
        }
        if self.platform().listening() {
            self.platform().emit(record::What::WaitRaised { irql: irql.0 });
        }
        let thread = self.KeGetCurrentThread() as u64;
        if self.ke_in_dpc() {
            self.ke_bugcheck(
                BugCheck::ATTEMPTED_SWITCH_FROM_DPC,
                [thread, 0, 0, 0],
                "a DPC routine waits and would have to give up the processor",
            );
        }
        self.ke_bugcheck(
            BugCheck::IRQL_NOT_LESS_OR_EQUAL,
            [object as u64, u64::from(irql.0), 0, 0],
            alloc::format!("a thread waits at {irql}"),
        );
    }

    /// Parks the current thread until somebody wakes it, `deadline`, or the next timer, and lets timers
    /// expire.
    fn ke_park(&self, deadline: Option<i64>) {
        let until = [deadline, self.next_deadline()].into_iter().flatten().min();
        self.ke_outside(|| self.platform().park(until));
        self.expire_timers();
    }

    /// The one wait beneath the others.
    ///
    /// # Safety
    ///
    /// The objects are live dispatcher objects, and `blocks` leads to as many wait blocks that nobody else
    /// uses.
    unsafe fn ke_wait(
        &self,
        objects: &[*mut c_void],
        wait_type: u32,
        timeout: Option<i64>,
        blocks: *mut KWAIT_BLOCK,
    ) -> NTSTATUS {
        let thread = self.current_thread();
        let limit = self.ke_limit(timeout);
        let header = |object: &*mut c_void| {
            // SAFETY: a live dispatcher object by the contract of this function.
            unsafe { Live::<DISPATCHER_HEADER>::new(object.cast()) }
        };
        if let Some(null) = objects.iter().find(|object| object.is_null()) {
            self.ke_access_violation(null.addr() as u64, "a wait for a null pointer");
        }

        let old = self.ke_lock_dispatcher();
        if wait_type == WaitAll {
            if objects.iter().all(|object| self.ke_signaled(header(object), thread)) {
                let abandoned =
                    objects.iter().fold(false, |any, object| self.ke_satisfy(header(object), thread) | any);
                self.ke_unlock_dispatcher(old);
                return NTSTATUS(if abandoned { 0x80 } else { 0 });
            }
        } else if let Some(index) = objects.iter().position(|object| self.ke_signaled(header(object), thread))
        {
            let abandoned = self.ke_satisfy(header(&objects[index]), thread);
            self.ke_unlock_dispatcher(old);
            return NTSTATUS(index as u32 | if abandoned { 0x80 } else { 0 });
        }
        if matches!(limit, Limit::Zero)
            || matches!(limit, Limit::At(deadline) if deadline <= self.platform().now())
        {
            self.ke_unlock_dispatcher(old);
            return STATUS_TIMEOUT;
        }
        if old >= Irql::DISPATCH {
            self.ke_check_wait_irql(objects[0]);
        }

        for (index, object) in objects.iter().enumerate() {
            // SAFETY: as many blocks as objects by the contract of this function.
            let block = unsafe { Live::new(blocks.wrapping_add(index)) };
            let last = index + 1 == objects.len();
            block.set(KWAIT_BLOCK {
                WaitListEntry: nt::LIST_ENTRY::NULL,
                WaitType: wait_type as u8,
                BlockState: BLOCK_ACTIVE,
                WaitKey: index as u16,
                SpareLong: 0,
                Thread: thread.ptr(),
                Object: *object,
                SparePtr: if last { null_mut() } else { blocks.wrapping_add(index + 1).cast() },
            });
            let head = field!(header(object), DISPATCHER_HEADER, WaitListHead);
            let linked = list::insert_before(head, field!(block, KWAIT_BLOCK, WaitListEntry));
            self.ke_checked(linked, "DISPATCHER_HEADER.WaitListHead");
        }
        field!(thread, KTHREAD, WaitBlockList).set(blocks);
        self.ke_unlock_dispatcher(old);

        let deadline = if let Limit::At(deadline) = limit { Some(deadline) } else { None };
        loop {
            let old = self.ke_lock_dispatcher();
            if field!(thread, KTHREAD, WaitBlockList).get().is_null() {
                let status = field!(thread, KTHREAD, WaitStatus).get();
                self.ke_unlock_dispatcher(old);
                return NTSTATUS(status as u32);
            }
            if deadline.is_some_and(|deadline| deadline <= self.platform().now()) {
                self.ke_unlink_blocks(thread);
                self.ke_unlock_dispatcher(old);
                return STATUS_TIMEOUT;
            }
            self.ke_unlock_dispatcher(old);
            self.ke_park(deadline);
        }
    }
}
