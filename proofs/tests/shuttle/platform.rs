//! A platform of shuttle's threads: each is an NT thread on a processor of its own, and shuttle decides who goes on at every lock, barrier,
//! change of IRQL, wait and call.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Mutex as Plain, MutexGuard as PlainGuard, PoisonError};

use executive::ke::initialize_thread;
use executive::{Bugcheck, Deadlock, Notifier, Platform, PoolKind, Routine};
use nt::{ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex};

/// Memory that goes away with the platform.
struct Owned(NonNull<u8>, Layout);

impl Owned {
    fn zeroed(bytes: usize, align: usize) -> Self {
        let layout = Layout::from_size_align(bytes.max(1), align).expect("a layout");
        // SAFETY: the layout has a size.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) });
        Self(at.unwrap_or_else(|| std::alloc::handle_alloc_error(layout)), layout)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { dealloc(self.0.as_ptr(), self.1) }
    }
}

/// One thread.
struct Place {
    thread: Owned,
    irql: Cell<Irql>,
    token: Mutex<bool>,
    woken: Condvar,
    notifier: Notifier,
}

/// What is in pool, and what was.
#[derive(Default)]
struct Pool {
    live: BTreeMap<usize, Owned>,
    /// Freed blocks are kept, filled with a pattern: whoever still follows a pointer there ends the world.
    freed: Vec<Owned>,
}

/// Which events are asked for, and what a run counts.
pub(crate) struct Shuttle {
    listening: bool,
    /// Shuttle's, because an access to it is where shuttle may switch.
    turn: AtomicUsize,
    /// Whether there is more than one thread yet.
    racing: Cell<bool>,
    /// Places by the number of shuttle's task. Boxes, because the executive knows their addresses.
    #[expect(clippy::vec_box, reason = "places do not move when another comes")]
    places: Plain<Vec<Box<Place>>>,
    data: Plain<Vec<Owned>>,
    pool: Plain<Pool>,
}

// SAFETY: shuttle's threads are coroutines of one host thread, so nothing here is ever used by two host threads.
unsafe impl Send for Shuttle {}
// SAFETY: as above.
unsafe impl Sync for Shuttle {}

/// Locks what is never held across a switch.
fn lock<T>(mutex: &Plain<T>) -> PlainGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shuttle {
    pub(crate) fn new(listening: bool) -> Self {
        Self {
            listening,
            turn: AtomicUsize::new(0),
            racing: Cell::new(false),
            places: Plain::default(),
            data: Plain::default(),
            pool: Plain::default(),
        }
    }

    /// Says that from now on it matters who goes on.
    pub(crate) fn race(&self) {
        self.racing.set(true);
    }

    /// Lets shuttle choose who goes on.
    pub(crate) fn point(&self) {
        if self.racing.get() {
            self.turn.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns how many pool blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        lock(&self.pool).live.len()
    }

    fn place(&self) -> &Place {
        let number = usize::from(shuttle::current::me());
        let mut places = lock(&self.places);
        while places.len() <= number {
            let thread = Owned::zeroed(size_of::<ETHREAD>(), 16);
            // SAFETY: zeroed memory of the right size, which lives as long as the platform.
            unsafe { initialize_thread(thread.0.as_ptr().cast(), std::ptr::null_mut()) };
            places.push(Box::new(Place {
                thread,
                irql: Cell::new(Irql::PASSIVE),
                token: Mutex::new(false),
                woken: Condvar::new(),
                notifier: Notifier::new(),
            }));
        }
        let place: *const Place = &raw const *places[number];
        // SAFETY: boxed, and dropped only with the platform.
        unsafe { &*place }
    }
}

impl Platform for Shuttle {
    fn irql(&self) -> Irql {
        self.place().irql.get()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        let old = self.place().irql.replace(new);
        self.point();
        old
    }

    fn processor(&self) -> u8 {
        usize::from(shuttle::current::me()) as u8
    }

    fn lock_point(&self) {
        self.point();
    }

    fn spin_wait(&self, _: *const KSPIN_LOCK) {
        shuttle::hint::spin_loop();
    }

    fn allocate(&self, _: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, 16).ok()?;
        // SAFETY: a pool block has a header, so the layout has a size.
        let at = NonNull::new(unsafe { alloc(layout) })?;
        let block = Owned(at, layout);
        // SAFETY: just allocated with that many bytes.
        unsafe { at.write_bytes(0xA5, bytes) };
        lock(&self.pool).live.insert(at.as_ptr().expose_provenance(), block);
        Some(at)
    }

    unsafe fn release(&self, _: PoolKind, block: NonNull<u8>, bytes: usize) {
        let mut pool = lock(&self.pool);
        let owned = pool.live.remove(&block.as_ptr().addr()).expect("a block is released once");
        // SAFETY: allocated with that many bytes by the contract of the function.
        unsafe { block.write_bytes(0xDD, bytes) };
        pool.freed.push(owned);
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let owned = Owned::zeroed(bytes, align);
        let at = owned.0;
        lock(&self.data).push(owned);
        at
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.place().thread.0.cast()
    }

    fn park(&self, deadline: Option<i64>) {
        assert!(deadline.is_none(), "nothing here waits for a time");
        let place = self.place();
        let mut token = place.token.lock().expect("a sane lock");
        while !*token {
            token = place.woken.wait(token).expect("a sane lock");
        }
        *token = false;
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        let found = |places: PlainGuard<'_, Vec<Box<Place>>>| {
            let place = places.iter().find(|place| place.thread.0.cast() == thread);
            std::ptr::from_ref(&**place.expect("a thread of this platform"))
        };
        // Not held any more when the next line switches.
        let place = found(lock(&self.places));
        // SAFETY: boxed, and dropped only with the platform.
        let place = unsafe { &*place };
        *place.token.lock().expect("a sane lock") = true;
        place.woken.notify_one();
    }

    fn now(&self) -> i64 {
        0
    }

    unsafe fn invoke(&self, routine: Routine, context: *mut c_void, first: *mut c_void, second: *mut c_void) {
        self.point();
        let code = std::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the address of a callback routine by the contract of this function.
        let code = unsafe { std::mem::transmute::<*const (), nt::CALLBACK_FUNCTION>(code) };
        // SAFETY: entitled to the arguments by the contract of this function.
        unsafe { code(context, first, second) };
        self.point();
    }

    unsafe fn invoke_dpc(&self, _: Routine, _: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        unreachable!("nothing here queues a DPC")
    }

    fn light_barrier(&self) {
        self.point();
    }

    fn heavy_barrier(&self) {
        self.point();
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.place().notifier)
    }

    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        lock(&self.places).iter().for_each(|place| visit(&place.notifier));
    }

    fn listening(&self) -> bool {
        self.listening
    }

    fn emit(&self, _: record::What) {
        self.point();
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        panic!("{check:?}")
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        panic!("{deadlock:?}")
    }
}
