//! Threads as far as waiting and APC accounting need them. Creating, switching and ending them is the
//! platform's.

use nt::{DISPATCHER_HEADER, EPROCESS, KTHREAD, KernelMode};

use super::list;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Makes zeroed memory a thread of `process`: not ended, no waits, kernel mode, APCs enabled.
///
/// Platforms call it for every `KTHREAD` before it becomes the current thread.
///
/// # Safety
///
/// `thread` leads to a zeroed, writable `KTHREAD` that lives as long as the thread.
pub unsafe fn initialize_thread(thread: *mut KTHREAD, process: *mut EPROCESS) {
    // SAFETY: the caller's promise.
    let thread = unsafe { Live::new(thread) };
    let header = field!(thread, KTHREAD, Header);
    field!(header, DISPATCHER_HEADER, Type).set(nt::dispatcher::THREAD);
    field!(header, DISPATCHER_HEADER, Size).set((size_of::<KTHREAD>() / 4) as u8);
    list::initialize(field!(header, DISPATCHER_HEADER, WaitListHead));
    list::initialize(field!(thread, KTHREAD, ApcListHead).element(0));
    list::initialize(field!(thread, KTHREAD, ApcListHead).element(1));
    list::initialize(field!(thread, KTHREAD, WaitListEntry));
    field!(thread, KTHREAD, ApcStateProcess).set(process);
    field!(thread, KTHREAD, Process).set(process);
    field!(thread, KTHREAD, PreviousMode).set(KernelMode as i8);
}

/// Adds to a 16-bit counter.
fn add(counter: Live<i16>, by: i16) -> i16 {
    let value = counter.get().wrapping_add(by);
    counter.set(value);
    value
}

impl<P: Platform> Executive<P> {
    /// Returns the current thread.
    pub(crate) fn current_thread(&self) -> Live<KTHREAD> {
        // SAFETY: the platform keeps the `KTHREAD` of the current thread while it runs, and this value does
        // not outlive the call into the executive that the thread makes.
        unsafe { Live::new(self.platform().current_thread().as_ptr()) }
    }

    /// Returns the address of the current thread.
    pub fn KeGetCurrentThread(&self) -> *mut KTHREAD {
        self.current_thread().ptr()
    }

    /// Disables normal kernel APCs for the current thread.
    pub fn KeEnterCriticalRegion(&self) {
        add(field!(self.current_thread(), KTHREAD, KernelApcDisable), -1);
    }

    /// Undoes one [`Executive::KeEnterCriticalRegion`].
    pub fn KeLeaveCriticalRegion(&self) {
        add(field!(self.current_thread(), KTHREAD, KernelApcDisable), 1);
        self.ke_passive_point();
    }

    /// Disables all kernel APCs for the current thread.
    pub fn KeEnterGuardedRegion(&self) {
        add(field!(self.current_thread(), KTHREAD, SpecialApcDisable), -1);
    }

    /// Undoes one [`Executive::KeEnterGuardedRegion`].
    pub fn KeLeaveGuardedRegion(&self) {
        add(field!(self.current_thread(), KTHREAD, SpecialApcDisable), 1);
        self.ke_passive_point();
    }

    /// Returns `KernelApcDisable` and `SpecialApcDisable` of the current thread: zero, or negative while disabled.
    pub fn apc_disable_counts(&self) -> [i16; 2] {
        let thread = self.current_thread();
        [field!(thread, KTHREAD, KernelApcDisable).get(), field!(thread, KTHREAD, SpecialApcDisable).get()]
    }

    /// Tells whether the current thread is in a critical or guarded region.
    pub fn KeAreApcsDisabled(&self) -> bool {
        let thread = self.current_thread();
        field!(thread, KTHREAD, KernelApcDisable).get() != 0
            || field!(thread, KTHREAD, SpecialApcDisable).get() != 0
    }

    /// Tells whether the current thread receives no APC at all: in a guarded region, or at `APC_LEVEL` or
    /// above.
    pub fn KeAreAllApcsDisabled(&self) -> bool {
        field!(self.current_thread(), KTHREAD, SpecialApcDisable).get() != 0
            || self.platform().irql() >= nt::Irql::APC
    }

    /// Signals that `thread` has ended: its waiters wake, mutants it owns are abandoned.
    ///
    /// A mutex (a mutant that disables APCs) still owned ends in bugcheck 0x4000008A
    /// `THREAD_TERMINATE_HELD_MUTEX`.
    ///
    /// # Safety
    ///
    /// `thread` is a thread of this executive that runs no more code.
    pub unsafe fn signal_thread_exit(&self, thread: *mut KTHREAD) {
        // SAFETY: the caller's promise.
        let thread = unsafe { Live::new(thread) };
        self.ke_abandon_mutants(thread);
        let old = self.ke_lock_dispatcher();
        let header = field!(thread, KTHREAD, Header);
        field!(header, DISPATCHER_HEADER, SignalState).set(1);
        self.ke_wait_test(header);
        self.ke_unlock_dispatcher(old);
    }
}

/// Makes zeroed memory a process without threads, handles or token.
///
/// # Safety
///
/// `process` leads to a zeroed, writable `EPROCESS` that lives as long as the process.
pub unsafe fn initialize_process(process: *mut EPROCESS, id: usize, image: &[u8]) {
    // SAFETY: the caller's promise.
    let process = unsafe { Live::new(process) };
    let header = field!(process, EPROCESS, Header);
    field!(header, DISPATCHER_HEADER, Type).set(nt::dispatcher::PROCESS);
    field!(header, DISPATCHER_HEADER, Size).set((size_of::<EPROCESS>() / 4) as u8);
    list::initialize(field!(header, DISPATCHER_HEADER, WaitListHead));
    list::initialize(field!(process, EPROCESS, ActiveProcessLinks));
    list::initialize(field!(process, EPROCESS, ThreadListHead));
    field!(process, EPROCESS, UniqueProcessId).set(core::ptr::without_provenance_mut(id));
    let name = field!(process, EPROCESS, ImageFileName);
    for (index, byte) in image.iter().take(14).enumerate() {
        name.element(index).set(*byte);
    }
}
