//! `ExNotifyCallback` and `ExNotifyWithProcessing`.
//!
//! There are two modes, chosen once by the caller's IRQL. At `DISPATCH_LEVEL` the object's lock is held
//! across all calls and neither `Busy` nor `UnregisterWaiting` matters. Below, the lock is dropped around
//! each call and `Busy` keeps the registration in place; the next link is read after the call, so what a
//! routine appends is called by the same notify.

use core::ffi::c_void;

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, Irql, LIST_ENTRY};
use record::{Mode, What};

use super::registration::LIST;
use super::routines::KernelRoutine;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// A hook of the kernel around each call: context of the registration, the two arguments, the two extra ones.
pub type Hook<P> = fn(&Executive<P>, [*mut c_void; 5]);

/// The hooks of one notify. On Windows the structure holds code addresses; only the kernel's own routines are
/// ever passed, so here they are the executive's own functions.
pub struct Processing<P: Platform> {
    /// Called before each routine.
    pub pre: Option<Hook<P>>,
    /// Called after each routine.
    pub post: Option<Hook<P>>,
    /// Fourth argument of both.
    pub extra1: *mut c_void,
    /// Fifth argument of both.
    pub extra2: *mut c_void,
}

impl<P: Platform> Executive<P> {
    /// Calls every registered routine in the order of registration, in the current thread and at the current
    /// IRQL.
    ///
    /// # Safety
    ///
    /// `callback_object` is null (nothing happens) or a callback object that the caller or a registration
    /// keeps alive; its routines are entitled to the arguments.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    #[inline]
    pub unsafe fn ExNotifyCallback(
        &self,
        callback_object: *mut CALLBACK_OBJECT,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        // SAFETY: the caller's promise.
        if !callback_object.is_null() && unsafe { self.swift_notify(callback_object, argument1, argument2) } {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.ExNotifyWithProcessing(callback_object, argument1, argument2, None) }
    }

    /// As [`Executive::ExNotifyCallback`], with hooks around each call, in the same lock state as the call.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExNotifyCallback`].
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    #[inline(never)]
    pub unsafe fn ExNotifyWithProcessing(
        &self,
        callback_object: *mut CALLBACK_OBJECT,
        argument1: *mut c_void,
        argument2: *mut c_void,
        processing: Option<&Processing<P>>,
    ) {
        self.ex_irql_contract("ExNotifyCallback", Irql::DISPATCH);
        if callback_object.is_null() {
            return;
        }
        // SAFETY: the caller's promise.
        if unsafe { self.swift_notify_told(callback_object, [argument1, argument2], processing) } {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.ex_notify(callback_object, argument1, argument2, processing) };
    }

    /// Notifies NT's way.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExNotifyWithProcessing`]; the object is not null.
    #[inline(never)]
    unsafe fn ex_notify(
        &self,
        callback_object: *mut CALLBACK_OBJECT,
        argument1: *mut c_void,
        argument2: *mut c_void,
        processing: Option<&Processing<P>>,
    ) {
        // SAFETY: a callback object by the caller's promise.
        let object = unsafe { Live::new(callback_object) };
        let head = field!(object, CALLBACK_OBJECT, RegisteredCallbacks);
        let holds = self.profile().notify_dispatch_mode.value == nt::profile::NotifyDispatchMode::Held;
        // Told before the lock raises the IRQL, so that the record shows the caller's.
        let mode = if holds && self.platform().irql() == Irql::DISPATCH { Mode::Held } else { Mode::Dropped };
        self.ex_tell_begin(callback_object, [argument1, argument2], mode);
        // Looked at without the lock: whoever registers at this moment is late.
        if list::is_empty(head) {
            self.ex_tell_end(callback_object, 0);
            return;
        }
        let lock = field!(object, CALLBACK_OBJECT, Lock);
        // Above `DISPATCH_LEVEL` NT would lower CR8 here; this ends the world.
        let mut old = self.ke_acquire(lock);
        let held = holds && old == Irql::DISPATCH;

        let mut delivered = 0;
        let mut node = head;
        while let Some(next) = self.ke_checked(list::next(head, node), LIST) {
            node = next;
            // SAFETY: only registrations are on this list, the link is their first field, and one that is on
            // it is live.
            let registration = unsafe { Live::<CALLBACK_REGISTRATION>::new(node.ptr().cast()) };
            let call = || {
                // SAFETY: the caller's promise for the routines of this object.
                unsafe { self.ex_deliver(callback_object, registration, argument1, argument2, processing) };
            };
            if held {
                call();
                delivered += 1;
                continue;
            }
            let waiting = field!(registration, CALLBACK_REGISTRATION, UnregisterWaiting);
            if waiting.get() != 0 {
                continue;
            }
            let busy = field!(registration, CALLBACK_REGISTRATION, Busy);
            busy.set(busy.get().wrapping_add(1));
            self.ke_release(lock, old);
            call();
            delivered += 1;
            old = self.ke_acquire(lock);
            busy.set(busy.get().wrapping_sub(1));
            if waiting.get() != 0 && busy.get() == 0 {
                self.ex_wake_unregister();
            }
        }
        self.ke_release(lock, old);
        self.ex_tell_end(callback_object, delivered);
    }

    pub(super) fn ex_tell_begin(
        &self,
        object: *mut CALLBACK_OBJECT,
        arguments: [*mut c_void; 2],
        mode: Mode,
    ) {
        self.tell(|| What::NotifyBegin {
            object: object.addr() as u64,
            argument1: arguments[0].addr() as u64,
            argument2: arguments[1].addr() as u64,
            mode,
        });
    }

    pub(super) fn ex_tell_end(&self, object: *mut CALLBACK_OBJECT, delivered: u32) {
        self.tell(|| What::NotifyEnd { object: object.addr() as u64, delivered });
    }

    /// Calls one routine, between its hooks and events.
    ///
    /// # Safety
    ///
    /// The registration stays during the call, and its routine is entitled to the arguments.
    pub(super) unsafe fn ex_deliver(
        &self,
        object: *mut CALLBACK_OBJECT,
        registration: Live<CALLBACK_REGISTRATION>,
        argument1: *mut c_void,
        argument2: *mut c_void,
        processing: Option<&Processing<P>>,
    ) {
        let routine = Routine(field!(registration, CALLBACK_REGISTRATION, CallbackFunction).get().addr());
        let context = field!(registration, CALLBACK_REGISTRATION, CallbackContext).get();
        self.tell(|| What::DeliveryBegin {
            object: object.addr() as u64,
            registration: registration.addr() as u64,
            routine: routine.0 as u64,
            context: context.addr() as u64,
        });
        let hooked = |hook: fn(&Processing<P>) -> Option<Hook<P>>| {
            if let Some(processing) = processing
                && let Some(hook) = hook(processing)
            {
                hook(self, [context, argument1, argument2, processing.extra1, processing.extra2]);
            }
        };
        hooked(|processing| processing.pre);
        // SAFETY: the caller's promise.
        unsafe { self.ex_call(routine, context, argument1, argument2) };
        hooked(|processing| processing.post);
        self.tell(|| What::DeliveryEnd {
            registration: registration.addr() as u64,
            routine: routine.0 as u64,
            irql: self.platform().irql().0,
        });
    }

    /// Calls one routine, with nobody looking.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ex_deliver`].
    #[inline]
    pub(super) unsafe fn ex_call_registered(
        &self,
        registration: Live<CALLBACK_REGISTRATION>,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        let routine = Routine(field!(registration, CALLBACK_REGISTRATION, CallbackFunction).get().addr());
        let context = field!(registration, CALLBACK_REGISTRATION, CallbackContext).get();
        // SAFETY: the caller's promise.
        unsafe { self.ex_call(routine, context, argument1, argument2) };
    }

    /// Calls a callback routine. The kernel's own have no code here: the call is recorded.
    ///
    /// # Safety
    ///
    /// `routine` is a kernel routine's address or code with the contract of a callback routine, entitled to
    /// the arguments.
    #[inline]
    pub(super) unsafe fn ex_call(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        if let Some(kernel) = self.kernel_routine_at(routine) {
            self.ex_kernel_listener(kernel, [context, argument1, argument2]);
            return;
        }
        self.ke_outside(|| {
            // SAFETY: the caller's promise.
            unsafe { self.platform().invoke(routine, context, argument1, argument2) };
        });
    }

    #[cold]
    #[inline(never)]
    fn ex_kernel_listener(&self, kernel: KernelRoutine, [context, argument1, argument2]: [*mut c_void; 3]) {
        self.tell(|| What::KernelListener {
            routine: kernel.symbol().into(),
            context: context.addr() as u64,
            arguments: [argument1.addr() as u64, argument2.addr() as u64],
        });
        if kernel == KernelRoutine::IopDispatchSessionNotifications {
            self.io_dispatch_session(context, argument1);
        }
    }
}

const _: () = assert!(core::mem::offset_of!(LIST_ENTRY, Flink) == 0);
