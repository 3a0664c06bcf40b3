//! Mutants, and mutexes, which are mutants that disable kernel APCs for their owner.
//!
//! NT links the mutants a thread owns at `KTHREAD.MutantListHead`; here they are on one list, told apart by
//! `OwnerThread`.

use core::ptr::null_mut;

use nt::{BugCheck, DISPATCHER_HEADER, KMUTANT, KTHREAD, LIST_ENTRY, NTSTATUS, dispatcher};

use super::{Globals, list};
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// `STATUS_MUTANT_NOT_OWNED`.
const NOT_OWNED: NTSTATUS = NTSTATUS(0xC000_0046);
/// `STATUS_MUTANT_LIMIT_EXCEEDED`.
const LIMIT_EXCEEDED: NTSTATUS = NTSTATUS(0xC000_0191);
/// `THREAD_TERMINATE_HELD_MUTEX`.
const TERMINATE_HELD_MUTEX: BugCheck = BugCheck(0x4000_008A);
/// Name of the list for a fastfail.
const LIST: &str = "the list of owned mutants";

impl<P: Platform> Executive<P> {
    /// Initializes a mutex, free.
    ///
    /// # Safety
    ///
    /// `mutex` leads to a writable `KMUTANT` that nobody waits for.
    pub unsafe fn KeInitializeMutex(&self, mutex: *mut KMUTANT, level: u32) {
        let _ = level;
        // SAFETY: the caller's promise.
        let mutex = unsafe { Live::new(mutex) };
        self.ke_initialize_mutant(mutex, 1);
    }

    /// Initializes a mutant, owned by the current thread if `owned`.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeInitializeMutex`].
    pub unsafe fn KeInitializeMutant(&self, mutant: *mut KMUTANT, owned: bool) {
        // SAFETY: the caller's promise.
        let mutant = unsafe { Live::new(mutant) };
        self.ke_initialize_mutant(mutant, 0);
        if owned {
            let old = self.ke_lock_dispatcher();
            self.ke_own_mutant(mutant, self.current_thread());
            self.ke_unlock_dispatcher(old);
        }
    }

    fn ke_initialize_mutant(&self, mutant: Live<KMUTANT>, apc_disable: u8) {
        let header = field!(mutant, KMUTANT, Header);
        self.ke_initialize_header(header, dispatcher::MUTANT, size_of::<KMUTANT>(), 1);
        field!(mutant, KMUTANT, MutantListEntry).set(LIST_ENTRY::NULL);
        field!(mutant, KMUTANT, OwnerThread).set(null_mut());
        field!(mutant, KMUTANT, Abandoned).set(0);
        field!(mutant, KMUTANT, ApcDisable).set(apc_disable);
    }

    /// Gives a mutant to a thread, once more if it owns it already. Tells whether it had been abandoned.
    pub(super) fn ke_own_mutant(&self, mutant: Live<KMUTANT>, thread: Live<KTHREAD>) -> bool {
        let state = field!(mutant, KMUTANT, Header.SignalState);
        if state.get() == i32::MIN {
            self.ke_raise_status(LIMIT_EXCEEDED, "a mutant is acquired too often");
        }
        state.set(state.get() - 1);
        if state.get() != 0 {
            return false;
        }
        field!(mutant, KMUTANT, OwnerThread).set(thread.ptr());
        if let Some(pointer) = core::ptr::NonNull::new(thread.ptr()) {
            self.platform().holds(pointer, mutant.addr());
        }
        let head = field!(self.ke(), Globals, owned_mutants);
        self.ke_checked(list::insert_before(head, field!(mutant, KMUTANT, MutantListEntry)), LIST);
        let disable = field!(thread, KTHREAD, KernelApcDisable);
        disable.set(disable.get() - i16::from(field!(mutant, KMUTANT, ApcDisable).get()));
        let abandoned = field!(mutant, KMUTANT, Abandoned);
        let was = abandoned.get() != 0;
        abandoned.set(0);
        was
    }

    /// Takes a mutant from its owner. The dispatcher lock is held.
    fn ke_disown_mutant(&self, mutant: Live<KMUTANT>, owner: Live<KTHREAD>) {
        self.ke_checked(list::remove(field!(mutant, KMUTANT, MutantListEntry)), LIST);
        field!(mutant, KMUTANT, OwnerThread).set(null_mut());
        if let Some(pointer) = core::ptr::NonNull::new(owner.ptr()) {
            self.platform().lets_go(pointer, mutant.addr());
        }
        let disable = field!(owner, KTHREAD, KernelApcDisable);
        disable.set(disable.get() + i16::from(field!(mutant, KMUTANT, ApcDisable).get()));
    }

    /// Releases a mutant once and returns its old state; the last release makes it free. Where the current
    /// thread does not own it, NT raises `STATUS_MUTANT_NOT_OWNED`, which nobody handles here: bugcheck 0x1E.
    ///
    /// # Safety
    ///
    /// `mutant` is an initialized mutant.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn KeReleaseMutant(
        &self,
        mutant: *mut KMUTANT,
        increment: i32,
        abandoned: bool,
        wait: bool,
    ) -> i32 {
        let _ = (increment, wait);
        // SAFETY: the caller's promise.
        let mutant = unsafe { Live::new(mutant) };
        let header = field!(mutant, KMUTANT, Header);
        let state = field!(header, DISPATCHER_HEADER, SignalState);
        let old = self.ke_lock_dispatcher();
        let before = state.get();
        let thread = self.current_thread();
        if !abandoned && field!(mutant, KMUTANT, OwnerThread).get() != thread.ptr() {
            self.ke_raise_status(NOT_OWNED, "a mutex is released by a thread that does not own it");
        }
        if abandoned {
            state.set(1);
            field!(mutant, KMUTANT, Abandoned).set(1);
        } else {
            state.set(before + 1);
        }
        if state.get() == 1 && before <= 0 {
            self.ke_disown_mutant(mutant, thread);
            self.ke_wait_test(header);
        }
        self.ke_unlock_dispatcher(old);
        if before == 0 {
            self.ke_passive_point();
        }
        before
    }

    /// Releases a mutex once and returns its old state.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeReleaseMutant`].
    pub unsafe fn KeReleaseMutex(&self, mutex: *mut KMUTANT, wait: bool) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { self.KeReleaseMutant(mutex, 1, false, wait) }
    }

    /// Returns the state of a mutex: 1 is free.
    ///
    /// # Safety
    ///
    /// `mutex` is an initialized mutex.
    pub unsafe fn KeReadStateMutex(&self, mutex: *mut KMUTANT) -> i32 {
        // SAFETY: the caller's promise.
        field!(unsafe { Live::new(mutex) }, KMUTANT, Header.SignalState).get()
    }

    /// Abandons the mutants of a thread that has ended.
    pub(super) fn ke_abandon_mutants(&self, thread: Live<KTHREAD>) {
        let head = field!(self.ke(), Globals, owned_mutants);
        let old = self.ke_lock_dispatcher();
        let mut node = head;
        while let Some(next) = self.ke_checked(list::next(head, node), LIST) {
            let mutant = next.ptr().wrapping_byte_sub(core::mem::offset_of!(KMUTANT, MutantListEntry)).cast();
            // SAFETY: only owned mutants are on this list, and an owned mutant must not be freed.
            let mutant = unsafe { Live::<KMUTANT>::new(mutant) };
            if field!(mutant, KMUTANT, OwnerThread).get() != thread.ptr() {
                node = next;
                continue;
            }
            if field!(mutant, KMUTANT, ApcDisable).get() != 0 {
                self.ke_bugcheck(
                    TERMINATE_HELD_MUTEX,
                    [thread.addr() as u64, mutant.addr() as u64, 0, 0],
                    "a thread ended while it owned a mutex",
                );
            }
            let header = field!(mutant, KMUTANT, Header);
            field!(header, DISPATCHER_HEADER, SignalState).set(1);
            field!(mutant, KMUTANT, Abandoned).set(1);
            self.ke_disown_mutant(mutant, thread);
            self.ke_wait_test(header);
            // A waiter may own it again, at the end of the list; the walk starts over and skips it then.
            node = head;
        }
        self.ke_unlock_dispatcher(old);
    }
}
