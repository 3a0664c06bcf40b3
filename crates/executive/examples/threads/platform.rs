//! A platform of host threads: each is an NT thread on a processor of its own, and they really run at once.
//!
//! A thread becomes known when it first calls the executive, and its place is used again after it ended. The heavy barrier is
//! `membarrier` where Linux has it, so that the light one costs nothing; elsewhere both are fences.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, compiler_fence, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nt::{ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};
use ringbell_executive::ke::initialize_thread;
use ringbell_executive::{Bugcheck, Deadlock, Notifier, Platform, PoolKind, Routine};

#[path = "membarrier.rs"]
mod membarrier;

/// The place of one thread. It stays for good: the platform, like a kernel, ends with the process.
pub(crate) struct Place {
    taken: AtomicBool,
    thread: NonNull<KTHREAD>,
    processor: u8,
    irql: AtomicU8,
    token: Mutex<bool>,
    woken: Condvar,
    notifier: Notifier,
}

// SAFETY: the thread object is raw memory that the executive guards; everything else is synchronized by itself.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// A thread's hold on its place, given up when the thread ends.
struct Hold(Cell<Option<(u64, &'static Place)>>);

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((_, place)) = self.0.take() {
            place.taken.store(false, Ordering::Release);
        }
    }
}

thread_local!(static HOLD: Hold = const { Hold(Cell::new(None)) });

/// The platform.
pub(crate) struct Threads {
    id: u64,
    start: Instant,
    membarrier: bool,
    places: Mutex<Vec<&'static Place>>,
}

fn zeroed(bytes: usize, align: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(bytes.max(1), align).expect("a layout");
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
}

/// Locks, whatever became of who held it: all state behind these locks is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            start: Instant::now(),
            membarrier: membarrier::register(),
            places: Mutex::default(),
        }
    }

    /// Returns the calling thread's place. A thread is at home on one platform at a time.
    #[inline]
    fn place(&self) -> &'static Place {
        match HOLD.with(|hold| hold.0.get()) {
            Some((id, place)) if id == self.id => place,
            _ => self.enter(),
        }
    }

    #[cold]
    fn enter(&self) -> &'static Place {
        let mut places = lock(&self.places);
        let free = places.iter().find(|place| !place.taken.swap(true, Ordering::Acquire)).copied();
        let place = free.unwrap_or_else(|| {
            let thread = zeroed(size_of::<ETHREAD>(), 16).cast();
            // SAFETY: zeroed memory of the right size that is never freed.
            unsafe { initialize_thread(thread.as_ptr(), std::ptr::null_mut()) };
            let place: &'static Place = Box::leak(Box::new(Place {
                taken: AtomicBool::new(true),
                thread,
                processor: (places.len() % 64) as u8,
                irql: AtomicU8::new(0),
                token: Mutex::new(false),
                woken: Condvar::new(),
                notifier: Notifier::new(),
            }));
            places.push(place);
            place
        });
        if let Some((_, old)) = HOLD.with(|hold| hold.0.replace(Some((self.id, place)))) {
            old.taken.store(false, Ordering::Release);
        }
        place
    }
}

impl Platform for Threads {
    #[inline]
    fn irql(&self) -> Irql {
        Irql(self.place().irql.load(Ordering::Relaxed))
    }

    #[inline]
    fn set_irql(&self, new: Irql) -> Irql {
        let irql = &self.place().irql;
        let old = irql.load(Ordering::Relaxed);
        irql.store(new.0, Ordering::Relaxed);
        Irql(old)
    }

    fn processor(&self) -> u8 {
        self.place().processor
    }

    fn spin_wait(&self, _: *const KSPIN_LOCK) {
        for _ in 0..64 {
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }

    fn allocate(&self, _: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, 16).ok()?;
        // SAFETY: a pool block has a header, so the layout has a size.
        let block = NonNull::new(unsafe { alloc(layout) })?;
        block.as_ptr().expose_provenance();
        Some(block)
    }

    unsafe fn release(&self, _: PoolKind, block: NonNull<u8>, bytes: usize) {
        let layout = Layout::from_size_align(bytes, 16).expect("a layout");
        // SAFETY: allocated with this layout by the contract of the function.
        unsafe { dealloc(block.as_ptr(), layout) }
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        zeroed(bytes, align)
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.place().thread
    }

    fn park(&self, deadline: Option<i64>) {
        let place = self.place();
        let mut token = lock(&place.token);
        while !*token {
            let Some(deadline) = deadline else {
                token = place.woken.wait(token).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = Duration::from_nanos((deadline - self.now()).max(0) as u64 * 100);
            if left.is_zero() {
                return;
            }
            token = place.woken.wait_timeout(token, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *token = false;
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        let place = lock(&self.places).iter().find(|place| place.thread == thread).copied();
        let place = place.expect("a thread of this platform");
        *lock(&place.token) = true;
        place.woken.notify_one();
    }

    fn now(&self) -> i64 {
        (self.start.elapsed().as_nanos() / 100) as i64
    }

    #[inline]
    unsafe fn invoke(&self, routine: Routine, context: *mut c_void, first: *mut c_void, second: *mut c_void) {
        let code = std::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the address of a callback routine by the contract of this function.
        let code = unsafe { std::mem::transmute::<*const (), nt::CALLBACK_FUNCTION>(code) };
        // SAFETY: entitled to the arguments by the contract of this function.
        unsafe { code(context, first, second) }
    }

    unsafe fn invoke_dpc(&self, _: Routine, _: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        unreachable!("nothing here queues a DPC")
    }

    #[inline]
    fn light_barrier(&self) {
        if self.membarrier { compiler_fence(Ordering::SeqCst) } else { fence(Ordering::SeqCst) }
    }

    fn heavy_barrier(&self) {
        if self.membarrier {
            membarrier::issue();
        } else {
            fence(Ordering::SeqCst);
        }
    }

    #[inline]
    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.place().notifier)
    }

    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        lock(&self.places).iter().for_each(|place| visit(&place.notifier));
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        panic!("{check:?}")
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        panic!("{deadlock:?}")
    }
}
