//! A platform of nothing but memory: one processor, one thread, no operating system.
//!
//! A kernel replaces three things: [`Bare::allocate`](Platform::allocate) by its pools, `park` and `unpark` by its scheduler, and the end
//! of the world by its own.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use executive::ke::{initialize_process, initialize_thread};
use executive::{Bugcheck, Deadlock, Notifier, Platform, PoolKind, Routine};
use nt::{EPROCESS, ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};

/// Bytes of memory this world has.
const MEMORY: usize = 4 << 20;

/// Memory that is handed out once and never taken back.
#[repr(C, align(4096))]
pub struct Arena {
    bytes: UnsafeCell<[u8; MEMORY]>,
    used: AtomicUsize,
}

// SAFETY: `used` is atomic, and no byte is handed out twice.
unsafe impl Sync for Arena {}

impl Arena {
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; MEMORY]), used: AtomicUsize::new(0) }
    }

    /// Returns zeroed memory, until there is no more.
    fn take(&self, bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let place = |used: usize| used.checked_next_multiple_of(align);
        let grown = |used| place(used)?.checked_add(bytes).filter(|end| *end <= MEMORY);
        let used = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).ok()?;
        NonNull::new(self.bytes.get().cast::<u8>().wrapping_add(place(used)?))
    }
}

// SAFETY: blocks lie apart, are aligned as asked for up to the arena's own 4096, and are never used again.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size(), layout.align()).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// The platform.
pub struct Bare {
    arena: &'static Arena,
    thread: NonNull<ETHREAD>,
    irql: Cell<Irql>,
    now: Cell<i64>,
    notifier: Notifier,
    end: fn(&str) -> !,
}

impl Bare {
    /// Makes a world whose last words go to `end`. `None`: there is no memory even for its thread.
    pub fn new(arena: &'static Arena, end: fn(&str) -> !) -> Option<Self> {
        let process = arena.take(size_of::<EPROCESS>(), 16)?.cast::<EPROCESS>();
        let thread = arena.take(size_of::<ETHREAD>(), 16)?.cast::<ETHREAD>();
        // SAFETY: zeroed memory of the right size that nobody else knows and that stays for good.
        unsafe { initialize_process(process.as_ptr(), 4, b"System") };
        // SAFETY: as above.
        unsafe { initialize_thread(thread.as_ptr().cast(), process.as_ptr()) };
        let (irql, now) = (Cell::new(Irql::PASSIVE), Cell::new(0));
        Some(Self { arena, thread, irql, now, notifier: Notifier::new(), end })
    }
}

impl Platform for Bare {
    fn irql(&self) -> Irql {
        self.irql.get()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        self.irql.replace(new)
    }

    fn spin_wait(&self, _: *const KSPIN_LOCK) {
        (self.end)("the only thread spins on a lock that it holds itself")
    }

    fn allocate(&self, _: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let block = self.arena.take(bytes, 16)?;
        block.as_ptr().expose_provenance();
        Some(block)
    }

    unsafe fn release(&self, _: PoolKind, _: NonNull<u8>, _: usize) {}

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        self.arena.take(bytes, align).unwrap_or_else(|| (self.end)("no memory for the executive's variables"))
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.thread.cast()
    }

    fn park(&self, deadline: Option<i64>) {
        match deadline {
            Some(deadline) => self.now.set(self.now.get().max(deadline)),
            None => (self.end)("the only thread waits for something that nobody is left to signal"),
        }
    }

    fn unpark(&self, _: NonNull<KTHREAD>) {}

    fn now(&self) -> i64 {
        self.now.get()
    }

    unsafe fn invoke(&self, routine: Routine, context: *mut c_void, first: *mut c_void, second: *mut c_void) {
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the address of a callback routine by the contract of this function.
        let code = unsafe { core::mem::transmute::<*const (), nt::CALLBACK_FUNCTION>(code) };
        // SAFETY: entitled to the arguments by the contract of this function.
        unsafe { code(context, first, second) }
    }

    unsafe fn invoke_dpc(&self, _: Routine, _: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        (self.end)("nothing here queues a DPC")
    }

    // One processor: it sees its own accesses in order, and only the compiler must keep them so.
    fn light_barrier(&self) {
        compiler_fence(Ordering::SeqCst);
    }

    fn heavy_barrier(&self) {
        compiler_fence(Ordering::SeqCst);
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.notifier)
    }

    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        visit(&self.notifier);
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        (self.end)(&check.reason)
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        (self.end)(&deadlock.reason)
    }
}
