//! `IoRegisterContainerNotification`: session changes, and `\Callback\IoSessionNotifications`.
//!
//! Each registration is a block (tag `IoSn`, 0x48 bytes) and one registration of the kernel's own routine
//! `IopDispatchSessionNotifications` with the block as context; that routine looks at the event and calls the driver's with six
//! arguments. Source: decompilations of several kernel generations; `wdm.h` for the routine and its information. What the
//! block has at +0x20, and the status for a bad class or length, are assumed. Sessions are not modeled: nobody asks for one
//! session's events only.

use core::ffi::c_void;
use core::ptr::{null_mut, without_provenance_mut};

use nt::{
    CALLBACK_REGISTRATION, EX_PUSH_LOCK, LIST_ENTRY, NTSTATUS, PVOID, STATUS_ALREADY_COMMITTED,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::{Globals, KernelRoutine};
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// Name of the list for a fastfail.
const LIST: &str = "the list of session notifications";
/// Pool tag of the blocks.
const TAG: u32 = u32::from_le_bytes(*b"IoSn");

/// Global variables of session notifications.
#[repr(C)]
pub(super) struct Sessions {
    lock: EX_PUSH_LOCK,
    /// Every block. Null links until the first registration.
    blocks: LIST_ENTRY,
}

/// The context of a registration.
#[repr(C)]
#[derive(Clone, Copy)]
struct Block {
    link: LIST_ENTRY,
    registration: *mut CALLBACK_REGISTRATION,
    function: PVOID,
    class: u64,
    io_object: PVOID,
    session: PVOID,
    events: u32,
    _padding: u32,
    context: PVOID,
}

const _: () = {
    assert!(size_of::<Block>() == 0x48);
    assert!(core::mem::offset_of!(Block, function) == 0x18);
    assert!(core::mem::offset_of!(Block, io_object) == 0x28);
    assert!(core::mem::offset_of!(Block, session) == 0x30);
    assert!(core::mem::offset_of!(Block, events) == 0x38);
    assert!(core::mem::offset_of!(Block, context) == 0x40);
};
// SAFETY: every field is plain data.
unsafe impl nt::Pod for Block {}

/// `IO_SESSION_STATE_NOTIFICATION` of `wdm.h`: what a driver asks for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SessionStateNotification {
    /// Bytes of the structure, 0x20.
    pub size: u32,
    /// None exist.
    pub flags: u32,
    /// The driver, device or file object for which events are wanted.
    pub io_object: PVOID,
    /// Bits of events: 1 created, 2 terminated, 4 connected, 8 disconnected, 16 logon, 32 logoff.
    pub event_mask: u32,
    /// Fourth argument of the routine.
    pub context: PVOID,
}

/// A session change: what the first argument of the notify leads to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SessionEvent {
    _links: [u64; 4],
    /// `IO_SESSION_EVENT`: 1 created, 2 terminated, 3 connected, 4 disconnected, 5 logon, 6 logoff.
    pub event: u32,
    /// `IO_SESSION_STATE` that the session is in now.
    pub new_state: u32,
    /// Bytes of the payload.
    pub payload_length: u32,
    _padding: u32,
    /// What comes with a connection, or null.
    pub payload: PVOID,
    /// The session.
    pub session: PVOID,
}

const _: () = {
    assert!(size_of::<SessionEvent>() == 0x40);
    assert!(core::mem::offset_of!(SessionEvent, event) == 0x20);
    assert!(core::mem::offset_of!(SessionEvent, payload) == 0x30);
};
// SAFETY: every field is plain data.
unsafe impl nt::Pod for SessionEvent {}

impl SessionEvent {
    /// Describes a change without payload.
    #[must_use]
    pub const fn new(event: u32, new_state: u32, session: PVOID) -> Self {
        Self {
            _links: [0; 4],
            event,
            new_state,
            payload_length: 0,
            _padding: 0,
            payload: null_mut(),
            session,
        }
    }

    /// `IopSessionEventType`: the bit of an event; event 0 is nobody's.
    const fn bit(event: u32) -> u32 {
        if event >= 1 && event <= 6 { 1 << (event - 1) } else { 0 }
    }
}

impl<P: Platform> Executive<P> {
    fn sessions(&self) -> Live<Sessions> {
        field!(self.ex(), Globals, sessions)
    }

    fn io_with_sessions<R>(&self, action: impl FnOnce(Live<LIST_ENTRY>) -> R) -> R {
        let lock = field!(self.sessions(), Sessions, lock).ptr();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_exclusive_guarded(lock) };
        let head = field!(self.sessions(), Sessions, blocks);
        if head.get().Flink.is_null() {
            list::initialize(head);
        }
        let result = action(head);
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        result
    }

    /// Finds the block that `is_it` means. Called with the lock held.
    fn io_find_block(
        &self,
        head: Live<LIST_ENTRY>,
        is_it: impl Fn(Live<Block>) -> bool,
    ) -> Option<Live<Block>> {
        let mut node = head;
        while let Some(next) = self.ke_checked(list::next(head, node), LIST) {
            node = next;
            // SAFETY: only blocks are on this list, and the lock is held; the link is a block's first field.
            let block = unsafe { Live::<Block>::new(node.ptr().cast()) };
            if is_it(block) {
                return Some(block);
            }
        }
        None
    }

    /// Registers a routine for session changes (class 0, the only one). `registration` receives the block.
    ///
    /// # Errors
    ///
    /// `STATUS_ALREADY_COMMITTED` for an I/O object that has a registration, `STATUS_INSUFFICIENT_RESOURCES` where memory or the
    /// registration fails, `STATUS_INVALID_PARAMETER` for another class, a wrong length or no object to ask for.
    ///
    /// # Safety
    ///
    /// `function` has the contract of a session notification routine until it is unregistered; `information` is null or
    /// readable; `registration` is writable.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn IoRegisterContainerNotification(
        &self,
        class: u32,
        function: Routine,
        information: *const SessionStateNotification,
        length: u32,
        registration: *mut *mut c_void,
    ) -> NTSTATUS {
        let bytes = size_of::<SessionStateNotification>() as u32;
        let object = self.kernel_object("IoSessionNotifications");
        if class != 0 || information.is_null() || length != bytes || object.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        // SAFETY: readable by the caller's promise.
        let wanted = unsafe { information.read_unaligned() };
        if wanted.size != bytes || wanted.io_object.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let memory = self.ExAllocatePoolWithTag(nt::PagedPool, size_of::<Block>(), TAG).cast::<Block>();
        if memory.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        // SAFETY: a new block of that size.
        let block = unsafe { Live::new(memory) };
        block.set(Block {
            link: LIST_ENTRY::NULL,
            registration: null_mut(),
            function: core::ptr::with_exposed_provenance_mut(function.0),
            class: 0,
            io_object: wanted.io_object,
            session: null_mut(),
            events: wanted.event_mask,
            _padding: 0,
            context: wanted.context,
        });
        let taken = self.io_with_sessions(|head| {
            let same = |other: Live<Block>| field!(other, Block, io_object).get() == wanted.io_object;
            if self.io_find_block(head, same).is_some() {
                return true;
            }
            self.ke_checked(list::insert_before(head, field!(block, Block, link)), LIST);
            false
        });
        let status = if taken {
            STATUS_ALREADY_COMMITTED
        } else {
            let dispatch = Routine(self.kernel_routine(KernelRoutine::IopDispatchSessionNotifications));
            // SAFETY: the kernel's own object and routine.
            let made = unsafe { self.ExRegisterCallback(object, dispatch, memory.cast()) };
            field!(block, Block, registration).set(made);
            if made.is_null() {
                self.io_unlink_block(block);
                STATUS_INSUFFICIENT_RESOURCES
            } else {
                STATUS_SUCCESS
            }
        };
        if status == STATUS_SUCCESS {
            // SAFETY: writable by the caller's promise.
            unsafe { registration.write_unaligned(memory.cast()) };
        } else {
            // SAFETY: on no list and no registration's context.
            unsafe { self.ExFreePoolWithTag(memory.cast(), TAG) };
        }
        status
    }

    fn io_unlink_block(&self, block: Live<Block>) {
        self.io_with_sessions(|_| self.ke_checked(list::remove(field!(block, Block, link)), LIST));
    }

    /// Unregisters such a routine. It is not running any more when this returns.
    ///
    /// # Safety
    ///
    /// `registration` came from [`Executive::IoRegisterContainerNotification`] and was not unregistered since.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn IoUnregisterContainerNotification(&self, registration: *mut c_void) {
        // SAFETY: the caller's promise.
        let block = unsafe { Live::<Block>::new(registration.cast()) };
        // SAFETY: registered with the block.
        unsafe { self.ExUnregisterCallback(field!(block, Block, registration).get()) };
        self.io_unlink_block(block);
        // SAFETY: nobody knows the block any more.
        unsafe { self.ExFreePoolWithTag(registration, TAG) };
    }

    /// Tells of a session change, as `NtNotifyChangeSession` does. Every event is told at once here; Windows leaves all but the
    /// first two to a work item.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn tell_of_session(&self, event: &SessionEvent) {
        let mut told = *event;
        // SAFETY: the kernel's own object, or null; its routines expect the event block.
        unsafe {
            self.ExNotifyCallback(
                self.kernel_object("IoSessionNotifications"),
                (&raw mut told).cast(),
                null_mut(),
            );
        }
    }

    /// `IopDispatchSessionNotifications`: calls the driver's routine if it asked for the event.
    pub(super) fn io_dispatch_session(&self, context: *mut c_void, event: *mut c_void) {
        let ours = |block: Live<Block>| block.ptr().cast() == context;
        // Whoever uses the address of this routine with a context of their own is only recorded.
        if event.is_null() || !self.io_with_sessions(|head| self.io_find_block(head, ours).is_some()) {
            return;
        }
        // SAFETY: a block on the list, which the registration that is being called keeps there.
        let block = unsafe { Live::<Block>::new(context.cast()) }.get();
        // SAFETY: whoever rings this object passes an event block.
        let event = unsafe { event.cast::<SessionEvent>().read_unaligned() };
        if block.events & SessionEvent::bit(event.event) == 0
            || !(block.session.is_null() || block.session == event.session)
        {
            return;
        }
        let arguments = [
            event.session,
            block.io_object,
            without_provenance_mut(event.event as usize),
            block.context,
            event.payload,
            without_provenance_mut(event.payload_length as usize),
        ];
        let routine = Routine(block.function.addr());
        self.ke_outside(|| {
            // SAFETY: the contract of the registration.
            unsafe { self.platform().invoke_notification(routine, arguments) };
        });
    }
}
