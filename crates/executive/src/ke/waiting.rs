//! What threads wait for, read from their wait blocks.

use alloc::vec::Vec;

use nt::{DISPATCHER_HEADER, KMUTANT, KTHREAD, KWAIT_BLOCK, dispatcher};
use record::WaitKind;

use super::dispatcher::blocks_of;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// The wait of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadWait {
    /// Whether it waits for all objects.
    pub all: bool,
    /// The objects: what each is, where, and who owns it: a mutant's owner, or the thread that has to end.
    pub on: Vec<(WaitKind, usize, *mut KTHREAD)>,
}

impl<P: Platform> Executive<P> {
    /// Reads what `thread` waits for; `None` where it does not wait for a dispatcher object.
    ///
    /// # Safety
    ///
    /// `thread` is a thread of this executive that does not run, and what it waits for is alive.
    pub unsafe fn wait_of(&self, thread: *mut KTHREAD) -> Option<ThreadWait> {
        // SAFETY: the caller's promise.
        let thread = unsafe { Live::new(thread) };
        let mut wait = ThreadWait { all: false, on: Vec::new() };
        // A driver that wrote over a block may have made a ring of them.
        for block in blocks_of(thread).take(nt::MAXIMUM_WAIT_OBJECTS as usize) {
            wait.all = u32::from(field!(block, KWAIT_BLOCK, WaitType).get()) == nt::WaitAll;
            let object = field!(block, KWAIT_BLOCK, Object).get();
            // SAFETY: an object is live while it is waited for.
            let header = unsafe { Live::<DISPATCHER_HEADER>::new(object.cast()) };
            let none = core::ptr::null_mut();
            let (kind, owner) = match field!(header, DISPATCHER_HEADER, Type).get() {
                dispatcher::NOTIFICATION_EVENT | dispatcher::SYNCHRONIZATION_EVENT => (WaitKind::Event, none),
                dispatcher::SEMAPHORE => (WaitKind::Semaphore, none),
                dispatcher::NOTIFICATION_TIMER | dispatcher::SYNCHRONIZATION_TIMER => (WaitKind::Timer, none),
                dispatcher::PROCESS => (WaitKind::Process, none),
                dispatcher::THREAD => (WaitKind::Thread, object.cast()),
                dispatcher::MUTANT => {
                    // SAFETY: the header says that it is the head of a mutant.
                    let mutant = unsafe { Live::<KMUTANT>::new(object.cast()) };
                    (WaitKind::Mutex, field!(mutant, KMUTANT, OwnerThread).get())
                }
                _ => (WaitKind::Object, none),
            };
            wait.on.push((kind, object.addr(), owner));
        }
        (!wait.on.is_empty()).then_some(wait)
    }
}
