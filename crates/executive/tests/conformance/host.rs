//! A platform of ordinary host threads: each is an NT thread on a processor of its own, and they really run at once.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nt::{ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};
use record::What;
use ringbell_executive::ke::initialize_thread;
use ringbell_executive::{Bugcheck, Deadlock, Notifier, Platform, PoolKind, Routine};

/// After this long without progress a test fails instead of hanging: a minute, or as many seconds as `RINGBELL_PATIENCE` says, for a run
/// under something slow.
pub(crate) fn patience() -> Duration {
    static PATIENCE: OnceLock<Duration> = OnceLock::new();
    *PATIENCE.get_or_init(|| {
        let seconds = std::env::var("RINGBELL_PATIENCE")
            .map(|text| text.parse().expect("`RINGBELL_PATIENCE`: seconds"));
        Duration::from_secs(seconds.unwrap_or(60))
    })
}

/// One thread.
struct Host {
    /// The thread object; a pointer to it is what NT knows.
    thread: NonNull<KTHREAD>,
    processor: u8,
    irql: AtomicU8,
    token: Mutex<bool>,
    woken: Condvar,
    notifier: Notifier,
}

// SAFETY: the thread object is raw memory that the executive guards; everything else is synchronized by itself.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// What a test wants to see or stop at.
pub(crate) type Hook = Box<dyn Fn(&What) + Send + Sync>;

/// The platform. Its memory is never given back: tests end with the process.
pub(crate) struct Hosts {
    id: u64,
    start: Instant,
    threads: Mutex<Vec<&'static Host>>,
    hook: Option<Hook>,
}

thread_local!(static CURRENT: RefCell<BTreeMap<u64, &'static Host>> = const { RefCell::new(BTreeMap::new()) });

fn zeroed(bytes: usize, align: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(bytes.max(1), align).expect("a layout");
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).expect("memory")
}

impl Hosts {
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, start: Instant::now(), threads: Mutex::default(), hook }
    }

    fn current(&self) -> &'static Host {
        CURRENT.with_borrow_mut(|known| *known.entry(self.id).or_insert_with(|| self.enter()))
    }

    fn enter(&self) -> &'static Host {
        let mut threads = self.threads.lock().expect("a sane lock");
        let thread = zeroed(size_of::<ETHREAD>(), 16).cast();
        // SAFETY: zeroed memory of the right size that is never freed.
        unsafe { initialize_thread(thread.as_ptr(), std::ptr::null_mut()) };
        let host: &'static Host = Box::leak(Box::new(Host {
            thread,
            processor: threads.len() as u8,
            irql: AtomicU8::new(0),
            token: Mutex::new(false),
            woken: Condvar::new(),
            notifier: Notifier::new(),
        }));
        threads.push(host);
        host
    }
}

impl Platform for Hosts {
    fn irql(&self) -> Irql {
        Irql(self.current().irql.load(Ordering::Relaxed))
    }

    fn set_irql(&self, new: Irql) -> Irql {
        Irql(self.current().irql.swap(new.0, Ordering::Relaxed))
    }

    fn processor(&self) -> u8 {
        self.current().processor
    }

    fn spin_wait(&self, _: *const KSPIN_LOCK) {
        assert!(self.start.elapsed() < patience(), "a lock is never released");
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
        self.current().thread
    }

    fn park(&self, deadline: Option<i64>) {
        let host = self.current();
        let mut token = host.token.lock().expect("a sane lock");
        while !*token {
            let left =
                deadline.map(|deadline| Duration::from_nanos((deadline - self.now()).max(0) as u64 * 100));
            if left == Some(Duration::ZERO) {
                return;
            }
            let (guard, timeout) =
                host.woken.wait_timeout(token, left.unwrap_or_else(patience)).expect("a sane lock");
            token = guard;
            assert!(deadline.is_some() || !timeout.timed_out(), "a thread is never woken");
        }
        *token = false;
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        let threads = self.threads.lock().expect("a sane lock");
        let host = threads.iter().find(|host| host.thread == thread).expect("a thread of this platform");
        *host.token.lock().expect("a sane lock") = true;
        host.woken.notify_one();
    }

    fn now(&self) -> i64 {
        (self.start.elapsed().as_nanos() / 100) as i64
    }

    unsafe fn invoke(&self, routine: Routine, context: *mut c_void, first: *mut c_void, second: *mut c_void) {
        let code = std::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the address of a callback routine by the contract of this function.
        let code = unsafe { std::mem::transmute::<*const (), nt::CALLBACK_FUNCTION>(code) };
        // SAFETY: entitled to the arguments by the contract of this function.
        unsafe { code(context, first, second) }
    }

    unsafe fn invoke_dpc(&self, _: Routine, _: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        unreachable!("these tests queue no DPC")
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.current().notifier)
    }

    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        let threads = self.threads.lock().expect("a sane lock");
        threads.iter().for_each(|host| visit(&host.notifier));
    }

    fn listening(&self) -> bool {
        self.hook.is_some()
    }

    fn emit(&self, what: What) {
        if let Some(hook) = &self.hook {
            hook(&what);
        }
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        panic!("{check:?}")
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        panic!("{deadlock:?}")
    }
}
