//! A kernel on [`Solo`], for the tests of this crate: exports are called through the table, as drivers call them.

use core::ffi::c_void;
use core::ptr::NonNull;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use executive::solo::{Outcome, Solo};
use executive::{Bugcheck, Deadlock, Origin, Platform, PoolKind, Routine};
use nt::{BugCheck, ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD, Profile, UNICODE_STRING};
use record::What;

use crate::frame::CallFrame;
use crate::host::{Host, ThreadBody};
use crate::kernel::Kernel;
use crate::table::EXPORTS;

/// The host: the test's own memory is guest memory, except for the page at zero and one range that a test forbids.
pub(crate) struct TestHost {
    solo: Solo,
    pub(crate) forbidden: Cell<(u64, u64)>,
    pub(crate) tracing: Cell<bool>,
    /// Whether every call that can fail does.
    pub(crate) failing: Cell<bool>,
    /// How often it was asked.
    pub(crate) asked: Cell<u32>,
    pub(crate) stalled: Cell<i64>,
    pub(crate) threads: RefCell<Vec<(NonNull<ETHREAD>, ThreadBody)>>,
    current: Cell<Option<NonNull<KTHREAD>>>,
    drawn: Cell<u64>,
    pub(crate) affinity: Cell<Option<u64>>,
}

// SAFETY: each test makes its own host and uses it on its own thread only; nothing shares one.
unsafe impl Sync for TestHost {}

/// What a thread's end unwinds with.
struct ThreadExit;

impl TestHost {
    /// Runs the threads that were started since the last call, each to its end.
    pub(crate) fn run_threads(&self) {
        loop {
            let started = self.threads.take();
            if started.is_empty() {
                return;
            }
            for (thread, body) in started {
                let before = self.current.replace(Some(thread.cast()));
                let ended = catch_unwind(AssertUnwindSafe(body));
                self.current.set(before);
                if let Err(payload) = ended
                    && !payload.is::<ThreadExit>()
                {
                    resume_unwind(payload);
                }
            }
        }
    }
}

impl Platform for TestHost {
    fn irql(&self) -> Irql {
        self.solo.irql()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        self.solo.set_irql(new)
    }

    fn spin_wait(&self, lock: *const KSPIN_LOCK) {
        self.solo.spin_wait(lock);
    }

    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        self.solo.allocate(pool, bytes)
    }

    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise is the one that the platform asks for.
        unsafe { self.solo.release(pool, block, bytes) }
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        self.solo.data(bytes, align)
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.current.get().unwrap_or_else(|| self.solo.current_thread())
    }

    fn park(&self, deadline: Option<i64>) {
        if self.threads.borrow().is_empty() {
            self.solo.park(deadline);
        } else {
            self.run_threads();
        }
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        if thread == self.solo.current_thread() {
            self.solo.unpark(thread);
        }
    }

    fn now(&self) -> i64 {
        self.solo.now()
    }

    unsafe fn invoke(&self, routine: Routine, context: *mut c_void, a: *mut c_void, b: *mut c_void) {
        // SAFETY: the caller's promise is the one that the platform asks for.
        unsafe { self.solo.invoke(routine, context, a, b) }
    }

    unsafe fn invoke_notification(&self, routine: Routine, arguments: [*mut c_void; 6]) {
        // SAFETY: the caller's promise is the one that the platform asks for.
        unsafe { self.solo.invoke_notification(routine, arguments) }
    }

    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        a: *mut c_void,
        b: *mut c_void,
    ) {
        // SAFETY: the caller's promise is the one that the platform asks for.
        unsafe { self.solo.invoke_dpc(routine, dpc, context, a, b) }
    }

    fn listening(&self) -> bool {
        self.solo.listening()
    }

    fn emit(&self, what: What) {
        self.solo.emit(what);
    }

    fn origin(&self) -> Origin {
        Origin { caller: RETURN_ADDRESS, time: self.now(), stack: 0 }
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        self.solo.bugcheck(check)
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        self.solo.deadlock(deadlock)
    }
}

/// Driver code in a test: up to four arguments, as Windows passes them.
pub(crate) type Code = unsafe extern "win64-unwind" fn(u64, u64, u64, u64) -> u64;

impl Host for TestHost {
    fn is_guest(&self, address: u64, bytes: u64) -> bool {
        let (from, to) = self.forbidden.get();
        let end = address.saturating_add(bytes);
        address >= 0x1_0000 && end < u64::MAX >> 16 && !(address < to && from < end)
    }

    fn is_mapped(&self, address: u64) -> bool {
        self.is_guest(address, 1)
    }

    unsafe fn call_driver(&self, routine: u64, arguments: &[u64]) -> u64 {
        let code = core::ptr::with_exposed_provenance::<()>(routine as usize);
        // SAFETY: the caller promises that this is code with the Windows x64 convention; extra arguments do no harm in it.
        let code = unsafe { core::mem::transmute::<*const (), Code>(code) };
        let at = |index: usize| arguments.get(index).copied().unwrap_or(0);
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(at(0), at(1), at(2), at(3)) }
    }

    fn start_thread(&self, thread: NonNull<ETHREAD>, body: ThreadBody) -> bool {
        self.threads.borrow_mut().push((thread, body));
        true
    }

    fn exit_thread(&self) -> ! {
        resume_unwind(Box::new(ThreadExit))
    }

    fn caller(&self) -> Option<u64> {
        Some(RETURN_ADDRESS)
    }

    fn module_at(&self, address: u64) -> Option<(u64, u64)> {
        (0x14_0000..0x15_0000).contains(&address).then_some((0x14_0000, 0x1_0000))
    }

    fn export_address(&self, name: &str) -> Option<u64> {
        EXPORTS.iter().position(|export| export.name == name).map(|index| 0x1000_0000 + index as u64 * 16)
    }

    fn scheduling_point(&self) {}

    fn stall(&self, time: i64) {
        self.stalled.set(self.stalled.get() + time);
        self.solo.advance(time);
    }

    fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    fn processors(&self) -> u8 {
        4
    }

    fn set_affinity(&self, set: Option<u64>) -> Option<u64> {
        self.affinity.replace(set)
    }

    fn tracing(&self) -> bool {
        self.tracing.get()
    }

    fn injects(&self) -> bool {
        self.failing.get()
    }

    fn fails(&self, _: &str) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.failing.get()
    }
}

/// What every call returns to, in a test.
pub(crate) const RETURN_ADDRESS: u64 = 0x14_1234;

/// A kernel with the means to look at it.
pub(crate) struct Rig {
    pub(crate) kernel: &'static Kernel,
    pub(crate) host: &'static TestHost,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Profile::DEFAULT)
    }

    pub(crate) fn with(profile: &'static Profile) -> Self {
        let host = TestHost {
            solo: Solo::with_end(|outcome| {
                eprintln!("{outcome}");
                resume_unwind(Box::new(outcome))
            }),
            forbidden: Cell::new((0, 0)),
            tracing: Cell::new(false),
            failing: Cell::new(false),
            asked: Cell::new(0),
            stalled: Cell::new(0),
            threads: RefCell::default(),
            current: Cell::new(None),
            drawn: Cell::new(0),
            affinity: Cell::new(None),
        };
        // The machine's host lives as long as its process; a test's is small.
        let host: &'static TestHost = Box::leak(Box::new(host));
        let kernel: &'static Kernel =
            Box::leak(Box::new(Kernel::boot(host, profile).expect("the executive boots")));
        crate::kernel::register(kernel);
        host.solo.listen();
        host.solo.take_events();
        Self { kernel, host }
    }

    /// Calls an export by name, through the table and a frame, and returns `rax`.
    #[track_caller]
    pub(crate) fn call(&self, name: &str, arguments: &[u64]) -> u64 {
        let export = EXPORTS.iter().find(|export| export.name == name);
        let export = export.unwrap_or_else(|| panic!("`{name}` is not in the table"));
        // What a register or slot that is not an argument holds is garbage on Windows.
        let mut stack = [0xBAD_BAD_BAD_BAD_u64; 24];
        stack[0] = RETURN_ADDRESS;
        stack[1..=arguments.len()].copy_from_slice(arguments);
        // SAFETY: the array holds a return address and more slots than any export has arguments, and outlives the call.
        let frame = unsafe { CallFrame::new(NonNull::from(&mut stack).cast()) };
        export.call(self.kernel, &frame)
    }

    /// Calls an export that must end in a bugcheck.
    #[track_caller]
    pub(crate) fn bugcheck(&self, name: &str, arguments: &[u64]) -> Bugcheck {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.call(name, arguments)));
        let payload = outcome.expect_err("the world ends");
        match payload.downcast::<Outcome>().map(|outcome| *outcome) {
            Ok(Outcome::Bugcheck(check)) => check,
            Ok(Outcome::Deadlock(deadlock)) => panic!("deadlock: {}", deadlock.reason),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Calls an export with an address that is no guest memory: in the user half that is an exception, which nobody handles here.
    #[track_caller]
    pub(crate) fn faults(&self, name: &str, arguments: &[u64]) {
        let check = self.bugcheck(name, arguments);
        let violation = [u64::from(nt::STATUS_ACCESS_VIOLATION.0), RETURN_ADDRESS];
        let raised =
            check.code == BugCheck::KMODE_EXCEPTION_NOT_HANDLED && check.parameters[..2] == violation;
        assert!(raised || check.code == BugCheck::PAGE_FAULT_IN_NONPAGED_AREA, "`{name}`: {check:?}");
    }

    pub(crate) fn events(&self) -> Vec<What> {
        self.host.solo.take_events()
    }

    /// Number of pool blocks that driver code has allocated and not freed.
    pub(crate) fn driver_blocks(&self) -> usize {
        self.kernel.executive().pool_blocks().iter().filter(|block| block.caller != 0).count()
    }

    /// Refuses every allocation from now on, or stops refusing.
    pub(crate) fn refuse_allocations(&self, refuse: bool) {
        self.host.solo.refuse_all(refuse);
    }

    pub(crate) fn irql(&self) -> Irql {
        self.host.irql()
    }
}

/// A zeroed structure.
pub(crate) fn zeroed<T: nt::Pod>() -> T {
    // SAFETY: plain data may be all zeros.
    unsafe { core::mem::zeroed() }
}

/// Attributes for a name.
pub(crate) fn attributes(name: &mut Wide, flags: u32) -> nt::OBJECT_ATTRIBUTES {
    nt::OBJECT_ATTRIBUTES {
        Length: 0x30,
        RootDirectory: core::ptr::null_mut(),
        ObjectName: core::ptr::with_exposed_provenance_mut(name.at() as usize),
        Attributes: flags,
        SecurityDescriptor: core::ptr::null_mut(),
        SecurityQualityOfService: core::ptr::null_mut(),
    }
}

/// Terminated narrow text.
pub(crate) fn narrow(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}

/// Terminated wide text.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The address of something, exposed so that exports may follow it.
pub(crate) fn at<T: ?Sized>(thing: &mut T) -> u64 {
    core::ptr::from_mut(thing).cast::<u8>().expose_provenance() as u64
}

/// Changes something that only an export reads.
pub(crate) fn poke<T>(place: &mut T, value: T) {
    *core::hint::black_box(place) = value;
}

/// A counted wide string over its own buffer of `capacity` units.
pub(crate) struct Wide {
    pub(crate) units: Vec<u16>,
    pub(crate) string: Box<UNICODE_STRING>,
}

impl Wide {
    pub(crate) fn with_room(text: &str, capacity: usize) -> Self {
        let length = text.encode_utf16().count();
        let mut units: Vec<u16> =
            text.encode_utf16().chain(core::iter::repeat(0x5A5A)).take(capacity.max(length)).collect();
        let string = UNICODE_STRING {
            Length: length as u16 * 2,
            MaximumLength: units.len() as u16 * 2,
            Buffer: units.as_mut_ptr(),
        };
        units.as_mut_ptr().expose_provenance();
        Self { units, string: Box::new(string) }
    }

    pub(crate) fn new(text: &str) -> Self {
        Self::with_room(text, 0)
    }

    pub(crate) fn at(&mut self) -> u64 {
        at(&mut *self.string)
    }

    /// The text, wherever the buffer is by now.
    pub(crate) fn text(&self) -> String {
        let length = usize::from(self.string.Length / 2);
        // SAFETY: the string describes this value's own buffer or one that the kernel allocated for it.
        let units = unsafe { core::slice::from_raw_parts(self.string.Buffer, length) }.to_vec();
        String::from_utf16(&units).expect("valid text")
    }
}
