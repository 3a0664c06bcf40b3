//! [`Solo`], a complete platform for one thread on `alloc` alone.
//!
//! It is what unit tests, the `boot` command and doc examples run the executive on, and the worked example
//! for writing a platform. Time is virtual and passes only while the thread waits. There is nobody else, so a
//! wait without a deadline and a spin lock that is held already are deadlocks, found at once.

use alloc::alloc::{alloc, alloc_zeroed, dealloc, handle_alloc_error};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::fmt;
use core::ptr::NonNull;

use nt::{BugCheck, CLIENT_ID, DISPATCHER_HEADER, EPROCESS, ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};

use crate::ke::{initialize_process, initialize_thread};
use crate::platform::{Bugcheck, Deadlock, Platform, PoolKind, Routine, SingleThreaded};
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

/// Memory that goes away with the platform.
struct Owned {
    at: NonNull<u8>,
    layout: Layout,
}

impl Owned {
    fn zeroed(bytes: usize, align: usize) -> Self {
        let Ok(layout) = Layout::from_size_align(bytes.max(1), align) else {
            unreachable!("an alignment of the executive is a power of two")
        };
        // SAFETY: the layout has a size, at least 1.
        let at = unsafe { alloc_zeroed(layout) };
        let Some(at) = NonNull::new(at) else { handle_alloc_error(layout) };
        Self { at, layout }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}

/// Released blocks that are kept.
const RELEASED_KEPT: usize = 256;

/// A platform with one thread and one processor.
pub struct Solo {
    irql: Cell<Irql>,
    now: Cell<i64>,
    unparked: Cell<bool>,
    thread: Owned,
    system: Owned,
    user: Owned,
    owned: RefCell<Vec<Owned>>,
    blocks: RefCell<BTreeMap<usize, (PoolKind, Layout)>>,
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
        (blocks.len(), blocks.values().map(|(_, layout)| layout.size()).sum())
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

impl Drop for Solo {
    fn drop(&mut self) {
        for (at, (_, layout)) in self.blocks.take() {
            // SAFETY: allocated with this layout and not released; its provenance was exposed when it was
            // recorded.
            unsafe { dealloc(core::ptr::with_exposed_provenance_mut(at), layout) }
        }
    }
}

/// The type of a callback routine in this crate: panics may unwind through it.
#[cfg(target_arch = "x86_64")]
pub(crate) type CallbackRoutine = unsafe extern "win64-unwind" fn(*mut c_void, *mut c_void, *mut c_void);
/// The type of a callback routine where there is no Windows x64 convention.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type CallbackRoutine = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void);
/// The type of a DPC routine.
#[cfg(target_arch = "x86_64")]
type DpcRoutine = unsafe extern "win64-unwind" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);
/// The type of a DPC routine where there is no Windows x64 convention.
#[cfg(not(target_arch = "x86_64"))]
type DpcRoutine = unsafe extern "C-unwind" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);

// SAFETY: `Cell`s and pointers make it neither `Send` nor `Sync`; `invoke` calls directly.
unsafe impl SingleThreaded for Solo {}

impl Platform for Solo {
    fn irql(&self) -> Irql {
        self.irql.get()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        self.irql.replace(new)
    }

    fn spin_wait(&self, lock: *const KSPIN_LOCK) {
        self.deadlock(Deadlock {
            reason: alloc::format!(
                "the only thread spins at {} on the lock at {lock:p}, which it holds itself",
                self.irql.get()
            )
            .into(),
        })
    }

    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let number = self.allocations.get();
        self.allocations.set(number + 1);
        let due = self.interleave.borrow().as_ref().is_some_and(|(when, _)| *when == number);
        if due {
            let then = self.interleave.take();
            if let Some((_, then)) = then {
                then();
            }
        }
        if self.refuse.borrow().iter().any(|refused| *refused == number || *refused == u64::MAX) {
            return None;
        }
        let layout = Layout::from_size_align(bytes.max(1), 16).ok()?;
        // SAFETY: the layout has a size, at least 1.
        let block = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: just allocated with that many bytes. Windows leaves garbage; a fixed one finds what relies
        // on zeros.
        unsafe { block.as_ptr().write_bytes(0xA5, layout.size()) };
        self.blocks.borrow_mut().insert(block.as_ptr().expose_provenance(), (pool, layout));
        Some(block)
    }

    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        let known = self.blocks.borrow_mut().remove(&block.as_ptr().addr());
        let Some((from, layout)) = known else { panic!("a block that was not allocated is released") };
        assert!(from == pool && layout.size() == bytes.max(1), "a block is released as something else");
        let mut released = self.released.borrow_mut();
        released.push_back(Owned { at: block, layout });
        if released.len() > RELEASED_KEPT {
            released.pop_front();
        }
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let owned = Owned::zeroed(bytes, align);
        let at = owned.at;
        self.owned.borrow_mut().push(owned);
        at
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.thread.at.cast()
    }

    fn park(&self, deadline: Option<i64>) {
        if self.unparked.replace(false) {
            return;
        }
        match deadline {
            Some(deadline) => self.now.set(self.now.get().max(deadline)),
            None => self.deadlock(Deadlock {
                reason: "the only thread waits for something that nobody is left to signal".into(),
            }),
        }
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        assert!(thread == self.current_thread(), "a thread that does not exist is woken");
        self.unparked.set(true);
    }

    fn now(&self) -> i64 {
        self.now.get()
    }

    unsafe fn invoke(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        if routine.0 == 0 {
            self.fault(routine);
        }
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the caller promises that this is the address of code with the contract of a callback
        // routine.
        let code = unsafe { core::mem::transmute::<*const (), CallbackRoutine>(code) };
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(context, argument1, argument2) }
    }

    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        if routine.0 == 0 {
            self.fault(routine);
        }
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the caller promises that this is the address of code with the contract of a DPC routine.
        let code = unsafe { core::mem::transmute::<*const (), DpcRoutine>(code) };
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(dpc, context, argument1, argument2) }
    }

    fn listening(&self) -> bool {
        self.listening.get()
    }

    fn emit(&self, what: record::What) {
        if self.listening.get() {
            self.events.borrow_mut().push(what);
        }
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        self.finish(Outcome::Bugcheck(check))
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        self.finish(Outcome::Deadlock(deadlock))
    }
}

const _: () = {
    // The thread begins with its kernel part, which is what `current_thread` hands out.
    assert!(core::mem::offset_of!(ETHREAD, Tcb) == 0);
    assert!(core::mem::offset_of!(KTHREAD, Header) == 0);
    assert!(core::mem::offset_of!(EPROCESS, Header) == 0);
    assert!(size_of::<DISPATCHER_HEADER>() == 0x18);
};
