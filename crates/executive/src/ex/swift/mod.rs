//! *Swift*: a notify that takes no lock and writes no shared cache line.
//!
//! For those who embed the executive and ring often. `protocol` has it step by step and the argument for it; here are its
//! surroundings: NT's structures as its cells, the records of the notifiers, and those who wait in
//! `ExUnregisterCallback`. What a caller sees is what NT's own protocol shows: routines in the order of registration;
//! what is appended during a notify below `DISPATCH_LEVEL` is called by it; after `ExUnregisterCallback` returned,
//! the routine is not running and never will be.
//!
//! Deliberately different from NT, and visible in memory only: `Busy` counts enumerators and those notifies that take the
//! lock, not the others; `UnregisterWaiting` is set by every unregistration, from its beginning; and who waits there
//! has an event of its own in place of `ExpCallbackEvent`, so that a wake-up on one object is never lost to another's
//! reset. [`Executive::in_flight`] counts the calls under either protocol.
//!
//! A notify goes NT's way at `DISPATCH_LEVEL`, where NT holds the lock throughout, in a thread for which the platform
//! has no record, and inside more than six others of the same thread.

mod cells;
mod protocol;
mod record;

use core::cell::Cell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, Ordering};

use ::record::{Mode, What};
use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, Irql, KSPIN_LOCK, LIST_ENTRY};

use self::cells::NtCells;
use self::protocol::{Step, Walk};
pub use self::record::Notifier;
use super::notify::Processing;
use super::registration;
use crate::executive::Executive;
use crate::ke::list::{self, Corrupt};
use crate::platform::Platform;
use crate::raw::{Live, field};

/// How notify and unregister find out about each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// NT's own: the object's spin lock, dropped around each call, and a count in the registration. Whoever looks at
    /// memory sees NT's bytes.
    #[default]
    Reference,
    /// Names in the notifiers' own records; the unregistering side pays.
    Swift,
}

/// Global variables of the protocol.
#[repr(C)]
pub(super) struct Globals {
    /// How many wait in `ExUnregisterCallback`.
    count: usize,
    /// Guards the list.
    lock: KSPIN_LOCK,
    /// Their events.
    sleepers: LIST_ENTRY,
}

impl<P: Platform> Executive<P> {
    fn swift(&self) -> Live<Globals> {
        field!(self.ex(), super::Globals, swift)
    }

    /// Makes the variables ready.
    pub(crate) fn swift_initialize(&self) {
        list::initialize(field!(self.swift(), Globals, sleepers));
    }

    /// Notifies without the lock, if that is how it is done here and now: the common case, where the thread is in no other notify
    /// and nobody wants to see. Returns whether it did.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExNotifyCallback`]; the object is not null.
    #[inline(always)]
    pub(super) unsafe fn swift_notify(
        &self,
        object: *mut CALLBACK_OBJECT,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        if self.protocol != Protocol::Swift
            || self.platform().irql() >= Irql::DISPATCH
            || self.platform().listening()
        {
            return false;
        }
        let Some(notifier) = self.platform().notifier() else { return false };
        let Some(slots) = notifier.outermost() else { return false };
        let call = |registration| {
            // SAFETY: the caller's promise for the routines of this object.
            unsafe { self.ex_call_registered(registration, argument1, argument2) };
        };
        // SAFETY: the caller's promise; the slots are free.
        unsafe { self.swift_walk(object, slots, call) };
        true
    }

    /// The other cases: inside another notify, with events or with hooks. Returns whether it notified.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExNotifyWithProcessing`]; the object is not null.
    pub(super) unsafe fn swift_notify_told(
        &self,
        object: *mut CALLBACK_OBJECT,
        arguments: [*mut c_void; 2],
        processing: Option<&Processing<P>>,
    ) -> bool {
        if self.protocol != Protocol::Swift || self.platform().irql() >= Irql::DISPATCH {
            return false;
        }
        let Some(notifier) = self.platform().notifier() else { return false };
        let Some(slots) = notifier.innermost() else { return false };
        self.ex_tell_begin(object, arguments, Mode::Dropped);
        let delivered = Cell::new(0);
        let call = |registration| {
            // SAFETY: the caller's promise for the routines of this object.
            unsafe { self.ex_deliver(object, registration, arguments[0], arguments[1], processing) };
            delivered.set(delivered.get() + 1);
        };
        // SAFETY: the caller's promise; the slots are free.
        unsafe { self.swift_walk(object, slots, call) };
        self.ex_tell_end(object, delivered.get());
        true
    }

    /// Calls `call` with every registration, in order, while it is named.
    ///
    /// # Safety
    ///
    /// A callback object that the caller keeps alive; the slots are empty and this walk's alone.
    #[inline(always)]
    unsafe fn swift_walk(
        &self,
        object: *mut CALLBACK_OBJECT,
        slots: &[AtomicPtr<LIST_ENTRY>; 2],
        call: impl Fn(Live<CALLBACK_REGISTRATION>),
    ) {
        // SAFETY: a callback object by the caller's promise.
        let object = unsafe { Live::new(object) };
        let head = field!(object, CALLBACK_OBJECT, RegisteredCallbacks);
        let mut walk = Walk::new(NtCells::new(self, object), head.ptr(), slots);
        let step = |step: Step<LIST_ENTRY>| {
            match step {
                // SAFETY: named, so it is linked until the walk goes on; the link is its first field.
                Step::Call(link) => call(unsafe { Live::new(link.cast()) }),
                Step::End => return false,
                Step::Corrupt(at) => self.ke_fastfail_list(Corrupt::at(at.addr()), registration::LIST),
            }
            true
        };
        // SAFETY: the caller keeps the object; registrations are linked, marked and unlinked by this protocol.
        let mut goes_on = step(unsafe { walk.first() });
        while goes_on {
            // SAFETY: as above.
            if !step(unsafe { walk.step(1) }) {
                break;
            }
            // SAFETY: as above.
            goes_on = step(unsafe { walk.step(0) });
        }
    }

    /// Takes a registration off its list once its routine is not running.
    ///
    /// # Safety
    ///
    /// A registration of `object` that is not being unregistered by anybody else.
    pub(super) unsafe fn swift_retire(
        &self,
        object: Live<CALLBACK_OBJECT>,
        registration: *mut CALLBACK_REGISTRATION,
    ) {
        let cells = NtCells::new(self, object);
        // SAFETY: the caller's promise.
        let live = unsafe { Live::new(registration) };
        let link = field!(live, CALLBACK_REGISTRATION, Link);
        let busy = field!(live, CALLBACK_REGISTRATION, Busy).atomic();
        let waits = || {
            self.tell(|| What::UnregisterWaits {
                object: object.addr() as u64,
                registration: registration.addr() as u64,
                // SAFETY: the caller's promise.
                busy: unsafe { self.in_flight(registration) },
            });
        };
        let pinned = || busy.load(Ordering::Acquire) != 0;
        // SAFETY: the caller's promise.
        unsafe { protocol::retire(cells, link.ptr(), pinned, waits) };
    }

    /// Returns how many calls of a registration's routine are under way, enumerators that hold it included.
    ///
    /// # Safety
    ///
    /// `registration` came from [`Executive::ExRegisterCallback`] and has not been unregistered.
    pub unsafe fn in_flight(&self, registration: *mut CALLBACK_REGISTRATION) -> u32 {
        // SAFETY: there, by the caller's promise.
        let live = unsafe { Live::new(registration) };
        let busy = field!(live, CALLBACK_REGISTRATION, Busy).atomic();
        let mut count = busy.load(Ordering::Acquire);
        if self.protocol() == Protocol::Swift {
            let link = field!(live, CALLBACK_REGISTRATION, Link).ptr();
            self.platform().notifiers(&mut |notifier| count += notifier.names(link) as u32);
        }
        count
    }

    /// Wakes whoever waits in `ExUnregisterCallback`, after the last pin of a registration that is leaving is gone.
    pub(super) fn ex_wake_unregister(&self) {
        // SAFETY: the event lies in the globals.
        unsafe { self.KeSetEvent(self.ExpCallbackEvent(), 0, false) };
        if self.protocol() == Protocol::Swift {
            self.swift_wake();
        }
    }
}
