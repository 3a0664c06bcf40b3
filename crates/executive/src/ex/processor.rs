//! `KeRegisterProcessorChangeCallback`: the documented door to `\Callback\ProcessorAdd`.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{
    CALLBACK_OBJECT, CALLBACK_REGISTRATION, FAST_MUTEX, Irql, KE_PROCESSOR_CHANGE_ADD_EXISTING,
    KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, KeProcessorAddCompleteNotify, KeProcessorAddFailureNotify,
    KeProcessorAddStartNotify, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, PROCESSOR_NUMBER,
    STATUS_SUCCESS,
};

use super::Globals;
use super::initialize::{Name, attributes};
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::field;

/// What a ProcessorAdd notify passes: the context, and the undocumented word behind it (the processor's
/// identifier).
#[repr(C)]
struct Change {
    context: KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    processor_id: u32,
}

impl Change {
    const fn new(state: u32, number: u32, status: NTSTATUS) -> Self {
        Self {
            context: KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
                State: state,
                NtNumber: number,
                Status: status,
                ProcNumber: PROCESSOR_NUMBER {
                    Group: (number / 64) as u16,
                    Number: (number % 64) as u8,
                    Reserved: 0,
                },
            },
            processor_id: number,
        }
    }
}

impl<P: Platform> Executive<P> {
    pub(super) fn ex_initialize_processors(&self) {
        let mutex = field!(self.ex(), Globals, processor_lock);
        field!(mutex, FAST_MUTEX, Count).set(1);
        // SAFETY: the mutex lies in the globals and nobody waits for it yet.
        unsafe {
            self.KeInitializeEvent(field!(mutex, FAST_MUTEX, Event).ptr(), nt::SynchronizationEvent, false)
        };
        field!(self.ex(), Globals, processors).set(1);
    }

    /// Says how many processors run. One is the default.
    pub fn set_processors(&self, count: u32) {
        field!(self.ex(), Globals, processors).set(count.max(1));
    }

    /// Returns how many processors run.
    pub fn processors(&self) -> u32 {
        field!(self.ex(), Globals, processors).get()
    }

    /// Holds `KiDynamicProcessorLock`, a fast mutex: `APC_LEVEL` while it is held.
    fn ex_with_processor_lock<R>(&self, action: impl FnOnce() -> R) -> R {
        let mutex = field!(self.ex(), Globals, processor_lock);
        let event = field!(mutex, FAST_MUTEX, Event).ptr();
        let old = self.KeRaiseIrql(Irql::APC);
        // The count goes down under the dispatcher lock, which every contender takes to wait anyway.
        let lock = self.ke_lock_dispatcher();
        let count = field!(mutex, FAST_MUTEX, Count);
        count.set(count.get() - 1);
        let contended = count.get() < 0;
        self.ke_unlock_dispatcher(lock);
        if contended {
            self.platform().waits_for(Some((record::WaitKind::FastMutex, mutex.addr())));
            // SAFETY: the event lies in the globals; no timeout.
            unsafe {
                self.KeWaitForSingleObject(event.cast(), nt::Executive, nt::KernelMode, 0, core::ptr::null())
            };
            self.platform().waits_for(None);
        }
        let thread = self.platform().current_thread();
        field!(mutex, FAST_MUTEX, Owner).set(thread.as_ptr());
        self.platform().holds(thread, mutex.addr());
        let result = action();
        self.platform().lets_go(thread, mutex.addr());
        field!(mutex, FAST_MUTEX, Owner).set(null_mut());
        let lock = self.ke_lock_dispatcher();
        count.set(count.get() + 1);
        let waiters = count.get() <= 0;
        self.ke_unlock_dispatcher(lock);
        if waiters {
            // SAFETY: the event lies in the globals.
            unsafe { self.KeSetEvent(event, 0, false) };
        }
        self.KeLowerIrql(old);
        result
    }

    /// Opens `\Callback\ProcessorAdd` and registers a routine. With [`KE_PROCESSOR_CHANGE_ADD_EXISTING`] the
    /// routine is told of each processor that is there: state 0 for each until one is refused, then state 1
    /// for all; or, after a refusal, it is unregistered and told state 2 of those it had accepted. Returns
    /// null then, and where the object cannot be opened or takes no registration.
    ///
    /// The routine runs at `APC_LEVEL` here, because the fast mutex is held; Microsoft's documentation
    /// promises `PASSIVE_LEVEL`.
    ///
    /// # Safety
    ///
    /// `routine` is code with the contract of a processor change callback until it is unregistered.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn KeRegisterProcessorChangeCallback(
        &self,
        routine: Routine,
        context: *mut c_void,
        flags: u32,
    ) -> *mut CALLBACK_REGISTRATION {
        let mut name = Name::new("\\Callback\\ProcessorAdd");
        let mut view = name.view();
        let attributes = attributes(&raw mut view, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE);
        let mut object: *mut CALLBACK_OBJECT = null_mut();
        // SAFETY: output, attributes and name live across the call.
        let status = unsafe { self.ExCreateCallback(&raw mut object, &raw const attributes, 0, 1) };
        if !status.is_success() {
            return null_mut();
        }
        self.ex_with_processor_lock(|| {
            // SAFETY: opened above; the routine is the caller's promise.
            let registration = unsafe { self.ExRegisterCallback(object, routine, context) };
            // SAFETY: gives back the reference of the open; the registration has its own.
            unsafe { self.ObfDereferenceObject(object.cast()) };
            if registration.is_null() || flags & KE_PROCESSOR_CHANGE_ADD_EXISTING == 0 {
                return registration;
            }
            // SAFETY: the routine is the caller's promise.
            if unsafe { self.ex_tell_of_processors(registration, routine, context) } {
                registration
            } else {
                null_mut()
            }
        })
    }

    /// Tells a routine of the processors that run; returns whether it accepted them. Otherwise it is
    /// unregistered by now.
    ///
    /// # Safety
    ///
    /// As for [`Executive::KeRegisterProcessorChangeCallback`]; `registration` is the routine's.
    unsafe fn ex_tell_of_processors(
        &self,
        registration: *mut CALLBACK_REGISTRATION,
        routine: Routine,
        context: *mut c_void,
    ) -> bool {
        let tell = |state: u32, number: u32, status: NTSTATUS| -> NTSTATUS {
            let mut change = Change::new(state, number, status);
            let mut answer = STATUS_SUCCESS;
            // SAFETY: the caller's promise; both arguments live across the call.
            unsafe { self.ex_call(routine, context, (&raw mut change).cast(), (&raw mut answer).cast()) };
            answer
        };
        let processors = self.processors();
        let mut refused = None;
        for number in 0..processors {
            let answer = tell(KeProcessorAddStartNotify, number, STATUS_SUCCESS);
            if !answer.is_success() {
                refused = Some((number, answer));
                break;
            }
        }
        let Some((accepted, status)) = refused else {
            for number in 0..processors {
                tell(KeProcessorAddCompleteNotify, number, STATUS_SUCCESS);
            }
            return true;
        };
        // SAFETY: registered by the caller and not unregistered since.
        unsafe { self.ExUnregisterCallback(registration) };
        for number in 0..accepted {
            tell(KeProcessorAddFailureNotify, number, status);
        }
        false
    }
}

const _: () = assert!(core::mem::offset_of!(Change, processor_id) == 0x10);
