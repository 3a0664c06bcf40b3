//! NT's structures as the cells of the core, and those who wait.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, Irql, KEVENT, LIST_ENTRY};

use super::Globals;
use super::protocol::{Cells, Flag};
use super::registration;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// The list of one object.
pub(super) struct NtCells<'e, P: Platform> {
    executive: &'e Executive<P>,
    object: Live<CALLBACK_OBJECT>,
    /// How many sleep.
    sleepers: &'e AtomicUsize,
}

impl<P: Platform> Clone for NtCells<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Platform> Copy for NtCells<'_, P> {}

impl<'e, P: Platform> NtCells<'e, P> {
    pub(super) fn new(executive: &'e Executive<P>, object: Live<CALLBACK_OBJECT>) -> Self {
        Self { executive, object, sleepers: field!(executive.swift(), Globals, count).atomic() }
    }
}

/// `UnregisterWaiting` of a registration: a byte, any value but zero is set.
impl Flag for AtomicU8 {
    #[inline]
    fn load(&self, order: Ordering) -> bool {
        self.load(order) != 0
    }
    fn set(&self, order: Ordering) {
        self.store(1, order);
    }
}

/// Somebody who waits, on the stack of the waiting thread.
#[repr(C)]
pub(super) struct Sleeper {
    link: LIST_ENTRY,
    event: KEVENT,
}

impl<P: Platform> Cells for NtCells<'_, P> {
    type Node = LIST_ENTRY;
    type Pointer = AtomicPtr<LIST_ENTRY>;
    type Flag = AtomicU8;
    type Held = Irql;
    type Event = Live<KEVENT>;

    #[inline]
    unsafe fn link<'a>(self, node: *mut LIST_ENTRY) -> &'a AtomicPtr<LIST_ENTRY>
    where
        Self: 'a,
    {
        // SAFETY: there, by the caller's promise; the reference is used only while that holds.
        field!(unsafe { Live::new(node) }, LIST_ENTRY, Flink).atomic_ptr()
    }

    #[inline]
    unsafe fn leaving<'a>(self, node: *mut LIST_ENTRY) -> &'a AtomicU8
    where
        Self: 'a,
    {
        // SAFETY: a registration, whose first field is the link, by the caller's promise.
        let registration = unsafe { Live::<CALLBACK_REGISTRATION>::new(node.cast()) };
        let byte = field!(registration, CALLBACK_REGISTRATION, UnregisterWaiting).ptr();
        // SAFETY: inside the registration. Others that write it hold the lock, and look at it only there.
        unsafe { AtomicU8::from_ptr(byte.cast()) }
    }

    #[inline]
    fn plausible(self, node: *mut LIST_ENTRY) -> bool {
        !node.is_null() && node.addr() & (align_of::<LIST_ENTRY>() - 1) == 0
    }

    #[inline]
    fn light(self) {
        self.executive.platform().light_barrier();
    }

    fn heavy(self) {
        self.executive.platform().heavy_barrier();
    }

    fn is_named(self, node: *mut LIST_ENTRY) -> bool {
        let mut named = false;
        self.executive.platform().notifiers(&mut |notifier| named |= notifier.names(node) != 0);
        named
    }

    fn lock(self) -> Irql {
        self.executive.ke_acquire(field!(self.object, CALLBACK_OBJECT, Lock))
    }

    fn unlock(self, held: Irql) {
        self.executive.ke_release(field!(self.object, CALLBACK_OBJECT, Lock), held);
    }

    unsafe fn check(self, node: *mut LIST_ENTRY) {
        // SAFETY: a registration, whose first field is the link, by the caller's promise.
        let checked = list::check(unsafe { Live::new(node) });
        self.executive.ke_checked(checked, registration::LIST);
    }

    unsafe fn unlink(self, node: *mut LIST_ENTRY) {
        // SAFETY: linked, by the caller's promise.
        let removed = list::remove(unsafe { Live::new(node) });
        self.executive.ke_checked(removed, registration::LIST);
    }

    #[inline]
    fn sleepers(self) -> bool {
        self.sleepers.load(Ordering::Relaxed) != 0
    }

    fn asleep(self, sleep: impl FnOnce(&Live<KEVENT>)) {
        let executive = self.executive;
        let globals = executive.swift();
        let mut sleeper = MaybeUninit::<Sleeper>::zeroed();
        // SAFETY: lives until this function returns. Others reach it through the list only, under the lock, and it is off the list
        // by then. (Where the wait ends the world and unwinds, nobody looks at the list any more.)
        let sleeper = unsafe { Live::new(sleeper.as_mut_ptr()) };
        let event = field!(sleeper, Sleeper, event);
        // SAFETY: writable, and known to nobody yet.
        unsafe { executive.KeInitializeEvent(event.ptr(), nt::NotificationEvent, false) };
        let link = field!(sleeper, Sleeper, link);
        let old = executive.ke_acquire(field!(globals, Globals, lock));
        executive.ke_checked(list::insert_before(field!(globals, Globals, sleepers), link), LIST);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        executive.ke_release(field!(globals, Globals, lock), old);
        sleep(&event);
        let old = executive.ke_acquire(field!(globals, Globals, lock));
        executive.ke_checked(list::remove(link), LIST);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        executive.ke_release(field!(globals, Globals, lock), old);
    }

    fn clear(self, event: &Live<KEVENT>) {
        // SAFETY: the event of a sleeper that is asleep.
        unsafe { self.executive.KeResetEvent(event.ptr()) };
    }

    fn wait(self, event: &Live<KEVENT>) {
        let (reason, mode) = (nt::Executive, nt::KernelMode);
        // SAFETY: as above; no timeout.
        unsafe {
            self.executive.KeWaitForSingleObject(event.ptr().cast(), reason, mode, 0, core::ptr::null())
        };
    }

    #[inline(always)]
    fn wake(self) {
        self.executive.swift_wake();
    }
}

/// Name of the list for a fastfail.
const LIST: &str = "the list of those who wait to unregister";

impl<P: Platform> Executive<P> {
    /// Sets the event of everybody who waits to unregister.
    #[cold]
    #[inline(never)]
    pub(super) fn swift_wake(&self) {
        let globals = self.swift();
        let head = field!(globals, Globals, sleepers);
        let old = self.ke_acquire(field!(globals, Globals, lock));
        let mut node = head;
        while let Some(next) = self.ke_checked(list::next(head, node), LIST) {
            node = next;
            // SAFETY: only sleepers are on this list, the link is their first field, and the lock is held.
            let sleeper = unsafe { Live::<Sleeper>::new(node.ptr().cast()) };
            // SAFETY: the sleeper stays until it is off the list.
            unsafe { self.KeSetEvent(field!(sleeper, Sleeper, event).ptr(), 0, false) };
        }
        self.ke_release(field!(globals, Globals, lock), old);
    }
}

const _: () = assert!(core::mem::offset_of!(Sleeper, link) == 0);
