//! [`Solo`], a complete platform for one thread on `alloc` alone.
//!
//! It is what unit tests, the `boot` command and doc examples run the executive on, and the worked example
//! for writing a platform. Time is virtual and passes only while the thread waits. There is nobody else, so a
//! wait without a deadline and a spin lock that is held already are deadlocks, found at once.

mod memory;
mod services;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

use nt::{BugCheck, CLIENT_ID, EPROCESS, ETHREAD, Irql, KTHREAD};

use self::memory::Owned;
use crate::ex::Notifier;
use crate::ke::{initialize_process, initialize_thread};
use crate::platform::{Bugcheck, Deadlock, Platform, PoolKind, Routine};
use crate::raw::{Live, field};

/// How a world on [`Solo`] ended, where it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Windows would have crashed.
    Bugcheck(Bugcheck),
    /// The thread can never go on.
    Deadlock(Deadlock),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bugcheck(check) => {
                let [p1, p2, p3, p4] = check.parameters;
                write!(f, "bugcheck {} ({p1:#x}, {p2:#x}, {p3:#x}, {p4:#x}): {}", check.code, check.reason)
            }
            Self::Deadlock(deadlock) => write!(f, "deadlock: {}", deadlock.reason),
        }
    }
}

impl core::error::Error for Outcome {}

/// Takes the outcome and does not return: it unwinds, aborts or exits.
pub type End = fn(Outcome) -> !;

/// Something to do in the middle of an allocation.
type Interleaved = Box<dyn FnOnce()>;

/// A platform with one thread and one processor.
pub struct Solo {
    irql: Cell<Irql>,
    now: Cell<i64>,
    unparked: Cell<bool>,
    thread: Owned,
    system: Owned,
    user: Owned,
    owned: RefCell<Vec<Owned>>,
    blocks: RefCell<BTreeMap<usize, (PoolKind, Owned)>>,
    /// Released blocks, the oldest first. They are kept for a while: what uses a block after its end finds
    /// what NT would find, and not the host's heap.
    released: RefCell<VecDeque<Owned>>,
    /// Allocations asked for so far, and the ones to refuse.
    allocations: Cell<u64>,
    refuse: RefCell<Vec<u64>>,
    interleave: RefCell<Option<(u64, Interleaved)>>,
    listening: Cell<bool>,
    events: RefCell<Vec<record::What>>,
    end: End,
    notifier: Notifier,
}

impl Default for Solo {
    fn default() -> Self {
        Self::new()
    }
}

impl Solo {
    /// Creates a platform that panics with the outcome's text when the world ends.
    #[must_use]
    pub fn new() -> Self {
        Self::with_end(|outcome| panic!("{outcome}"))
    }

    /// Creates a platform that hands the outcome to `end`. Tests unwind with it:
    /// `Solo::with_end(|outcome| std::panic::resume_unwind(Box::new(outcome)))`.
    #[must_use]
    pub fn with_end(end: End) -> Self {
        let solo = Self {
            irql: Cell::new(Irql::PASSIVE),
            now: Cell::new(0),
            unparked: Cell::new(false),
            thread: Owned::zeroed(size_of::<ETHREAD>(), 16),
            system: Owned::zeroed(size_of::<EPROCESS>(), 16),
            user: Owned::zeroed(size_of::<EPROCESS>(), 16),
            owned: RefCell::new(Vec::new()),
            blocks: RefCell::new(BTreeMap::new()),
            released: RefCell::new(VecDeque::new()),
            allocations: Cell::new(0),
            refuse: RefCell::new(Vec::new()),
            interleave: RefCell::new(None),
            listening: Cell::new(false),
            events: RefCell::new(Vec::new()),
            end,
            notifier: Notifier::new(),
        };
        // SAFETY: zeroed memory of the right size that lives as long as the platform.
        unsafe { initialize_process(solo.system_process(), 4, b"System") };
        // SAFETY: as above.
        unsafe { initialize_process(solo.user_process(), 0x1000, b"user.exe") };
        // SAFETY: as above.
        unsafe { initialize_thread(solo.thread.at.as_ptr().cast(), solo.system_process()) };
        // SAFETY: the platform's own, live thread.
        let thread = unsafe { Live::<ETHREAD>::new(solo.thread.at.as_ptr().cast()) };
        field!(thread, ETHREAD, Cid).set(CLIENT_ID {
            UniqueProcess: core::ptr::without_provenance_mut(4),
            UniqueThread: core::ptr::without_provenance_mut(8),
        });
        solo
    }

    /// Returns the process `System`, in which the thread starts.
    pub fn system_process(&self) -> *mut EPROCESS {
        self.system.at.as_ptr().cast()
    }

    /// Returns a process that is not `System`.
    pub fn user_process(&self) -> *mut EPROCESS {
        self.user.at.as_ptr().cast()
    }

    /// Makes the thread run in the address space of `process`, as `KeStackAttachProcess` does.
    pub fn attach(&self, process: *mut EPROCESS) {
        field!(self.live_thread(), KTHREAD, ApcStateProcess).set(process);
    }

    /// Sets the thread's previous mode: 0 kernel, 1 user.
    pub fn set_previous_mode(&self, mode: u8) {
        field!(self.live_thread(), KTHREAD, PreviousMode).set(mode as i8);
    }

    fn live_thread(&self) -> Live<KTHREAD> {
        // SAFETY: the platform's own thread, live as long as the platform.
        unsafe { Live::new(self.thread.at.as_ptr().cast()) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: i64) {
        self.now.set(self.now.get() + by);
    }

    /// Starts to collect events.
    pub fn listen(&self) {
        self.listening.set(true);
    }

    /// Returns the events collected so far, and forgets them.
    pub fn take_events(&self) -> Vec<record::What> {
        self.events.take()
    }

    /// Returns how many allocations have been asked for.
    pub fn allocations(&self) -> u64 {
        self.allocations.get()
    }

    /// Refuses the allocation that comes `after` more, 0 for the next one.
    pub fn refuse_allocation(&self, after: u64) {
        self.refuse.borrow_mut().push(self.allocations.get() + after);
    }

    /// Refuses every allocation from the next one on, or stops refusing.
    pub fn refuse_all(&self, refuse: bool) {
        let mut list = self.refuse.borrow_mut();
        list.clear();
        if refuse {
            list.push(u64::MAX);
        }
    }

    /// Runs `then` inside the allocation that comes `after` more, 0 for the next one: what another processor
    /// would do at that moment.
    pub fn interleave(&self, after: u64, then: impl FnOnce() + 'static) {
        *self.interleave.borrow_mut() = Some((self.allocations.get() + after, Box::new(then)));
    }

    /// Returns how many blocks and bytes of pool are allocated.
    pub fn outstanding(&self) -> (usize, usize) {
        let blocks = self.blocks.borrow();
        (blocks.len(), blocks.values().map(|(_, block)| block.layout.size()).sum())
    }

    fn finish(&self, outcome: Outcome) -> ! {
        (self.end)(outcome)
    }

    fn fault(&self, routine: Routine) -> ! {
        self.bugcheck(Bugcheck {
            code: BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
            parameters: [0xC000_0005, routine.0 as u64, 0, 0],
            reason: "a call of address 0".into(),
        })
    }
}
