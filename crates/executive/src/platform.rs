//! What the executive asks of the world beneath it.
//!
//! On Windows these services come from the hardware abstraction layer, the scheduler and the memory manager.
//! Here they are one trait, so that a fiber machine, a test with ordinary threads, a model checker and
//! somebody else's kernel are equals.
//!
//! Re-entrancy: [`Platform::invoke`], [`Platform::park`], [`Platform::spin_wait`], [`Platform::lock_point`] and
//! [`Platform::set_irql`] may run other code of the same executive on the same host thread before they return. The executive
//! therefore holds no Rust borrow and no lock of its own invention across them; the locks that are held there
//! are NT's.

use alloc::borrow::Cow;
use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use nt::{BugCheck, Irql, KDPC, KSPIN_LOCK, KTHREAD};

use crate::ex::Notifier;

/// Address of a callback routine, `void f(Context, Argument1, Argument2)`, `extern "win64"` on x86-64.
///
/// May be zero: `ExRegisterCallback` does not look, and neither does this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Routine(pub usize);

/// Which pool an allocation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolKind {
    /// `NonPagedPool`: readable at any IRQL, executable before Windows 8.
    NonPaged,
    /// `NonPagedPoolNx`: readable at any IRQL, never executable.
    NonPagedNx,
    /// `PagedPool`: below `DISPATCH_LEVEL` only.
    Paged,
}

/// A bugcheck about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bugcheck {
    /// The code.
    pub code: BugCheck,
    /// The four parameters, with the meaning Windows gives them.
    pub parameters: [u64; 4],
    /// What happened, as one lowercase sentence.
    pub reason: Cow<'static, str>,
}

/// A wait that can never end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// Who waits for what, as one lowercase sentence.
    pub reason: Cow<'static, str>,
}

/// Where and when driver code asked for something that may outlive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Return address of the driver call, 0 where the kernel acts by itself.
    pub caller: u64,
    /// Time since boot in units of 100 ns.
    pub time: i64,
    /// What the platform calls the call stack; 0 for none.
    pub stack: u32,
}

/// The world beneath the executive.
pub trait Platform {
    /// Returns the IRQL of the current processor.
    fn irql(&self) -> Irql;

    /// Sets the IRQL of the current processor and returns the old one. This is the number only: pending DPCs
    /// are the business of `ke`, which calls this. May be a scheduling point.
    fn set_irql(&self, new: Irql) -> Irql;

    /// Returns the number of the current processor.
    fn processor(&self) -> u8 {
        0
    }

    /// Asks `processor` to look for DPCs: one was queued to it by another processor. Called at `DISPATCH_LEVEL` or above: an
    /// implementation must not call the executive.
    fn interrupt(&self, processor: u8) {
        let _ = processor;
    }

    /// A place where others may run although nobody waits: a spin lock or push lock is about to be taken, or was given back.
    fn lock_point(&self) {}

    /// Takes one turn of a spin loop on `lock`. May run other threads, yield, or end the world with
    /// [`Platform::deadlock`] where the lock can never be released.
    fn spin_wait(&self, lock: *const KSPIN_LOCK);

    /// Returns a 16-byte aligned block of `bytes` for one pool allocation, its `POOL_HEADER` included, or
    /// `None` where the pool is exhausted. The contents are undefined. May be called with push locks held.
    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>>;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// `block` came from [`Platform::allocate`] of this platform with the same `pool` and `bytes`, has not
    /// been released, and is not used afterwards.
    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize);

    /// Returns whole pages for one pool block: `bytes` is a multiple of the page size, and the pages before and behind cannot
    /// be touched. `None` where the platform has no pages, or none left: the block shares pages with others then.
    fn allocate_pages(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let _ = (pool, bytes);
        None
    }

    /// Takes pages back. Nobody can touch them from now on, for as long as address space permits.
    ///
    /// # Safety
    ///
    /// As for [`Platform::release`], of a block from [`Platform::allocate_pages`].
    unsafe fn release_pages(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        let _ = (pool, block, bytes);
    }

    /// Returns whether a block that shares pages has a zone behind it, 16 bytes, by which an overrun is noticed. Asked once for each
    /// allocation, and always answered alike. By default only the header before a block is looked at.
    fn guards_pool(&self) -> bool {
        false
    }

    /// Returns how many freed blocks that share pages wait before the platform gets them back, so that a write to one is noticed.
    fn freed_blocks_kept(&self) -> usize {
        0
    }

    /// Returns zeroed storage for the executive's global variables. It lives as long as the platform.
    fn data(&self, bytes: usize, align: usize) -> NonNull<u8>;

    /// Returns the first of `bytes` addresses inside the kernel image's code that stand for the executive's
    /// own routines: type procedures, the kernel's listeners. Nothing is ever executed there; the executive
    /// recognizes its own addresses, and a debugger can name them.
    fn text(&self, bytes: usize) -> NonNull<u8> {
        self.data(bytes, 16)
    }

    /// Returns the current thread. Its `KTHREAD` stays valid while the thread lives.
    fn current_thread(&self) -> NonNull<KTHREAD>;

    /// Blocks the current thread until it is unparked, or until [`Platform::now`] reaches `deadline`. An
    /// unpark that came first counts, once. Returning early for no reason is legal. A platform that knows
    /// that nobody can ever unpark this thread ends the world with [`Platform::deadlock`].
    fn park(&self, deadline: Option<i64>);

    /// Unblocks `thread`. Called with the dispatcher lock held: an implementation must not call the
    /// executive.
    fn unpark(&self, thread: NonNull<KTHREAD>);

    /// Returns the time since boot in units of 100 ns.
    fn now(&self) -> i64;

    /// Calls a callback routine in the current thread at the current IRQL.
    ///
    /// # Safety
    ///
    /// `routine` is the address of code with the contract of a callback routine, and is entitled to these
    /// arguments.
    unsafe fn invoke(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    );

    /// Calls a deferred routine, `void f(Dpc, DeferredContext, SystemArgument1, SystemArgument2)`.
    ///
    /// # Safety
    ///
    /// As for [`Platform::invoke`]; `dpc` may be freed or queued again by the routine.
    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    );

    /// Calls the routine of a session notification, `NTSTATUS f(SessionObject, IoObject, Event, Context, Payload, PayloadLength)`.
    /// Its result is ignored. By default it panics: a platform on which `IoRegisterContainerNotification` is called must have it.
    ///
    /// # Safety
    ///
    /// As for [`Platform::invoke`].
    unsafe fn invoke_notification(&self, routine: Routine, arguments: [*mut c_void; 6]) {
        panic!("this platform cannot call the notification routine at {:#x} with {arguments:?}", routine.0)
    }

    /// Keeps memory accesses before it from being reordered with those after it, as far as a thread can see that issues
    /// [`Platform::heavy_barrier`] in between. Called twice for each routine that a *Swift* notify calls.
    ///
    /// By default both are sequentially consistent fences, which is right everywhere. Where the system can interrupt every
    /// running thread of the executive (`membarrier` with `MEMBARRIER_CMD_PRIVATE_EXPEDITED` on Linux, an interrupt to
    /// all processors in a kernel), the heavy one does that, and this one need only be a `compiler_fence`.
    fn light_barrier(&self) {
        fence(Ordering::SeqCst);
    }

    /// The other side of [`Platform::light_barrier`]. Called at most at `DISPATCH_LEVEL`, with spin locks held.
    fn heavy_barrier(&self) {
        fence(Ordering::SeqCst);
    }

    /// Returns the record of the current thread. Without one, a thread notifies as *Reference* does. A record belongs to one
    /// thread at a time, and [`Platform::notifiers`] visits it at least while it is not idle.
    fn notifier(&self) -> Option<&Notifier> {
        None
    }

    /// Visits the record of every thread that has one. Called at most at `DISPATCH_LEVEL`.
    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        let _ = visit;
    }

    /// Returns whether the unwind that runs now takes a thread out of a routine for good, as an exception does that a
    /// driver further up the stack handles. The executive's state stays what it was when the routine was called.
    fn leaves_routine(&self) -> bool {
        false
    }

    /// Returns whether anybody wants events, so that building one costs nothing where nobody does.
    fn listening(&self) -> bool {
        false
    }

    /// Takes an event. Called at any IRQL and with any lock held: an implementation must not call the
    /// executive.
    fn emit(&self, what: record::What) {
        let _ = what;
    }

    /// Does what the kernel does on its own account in the middle of a driver's call, such as making an object of its own at the first
    /// use: what is told meanwhile is nobody's. A platform that tells who called does not name the driver then.
    fn on_own_account(&self, deed: &mut dyn FnMut()) {
        deed();
    }

    /// Notes that the current thread begins to wait for `address` as a whole, where what it parks or spins on is only a part of
    /// that or stands for it; `None` ends what was noted last. Told for reports of deadlocks. Called at any IRQL.
    fn waits_for(&self, on: Option<(record::WaitKind, usize)>) {
        let _ = on;
    }

    /// Notes that `thread` has come to hold the lock at an address, once more if it held it already. As above.
    fn holds(&self, thread: NonNull<KTHREAD>, lock: usize) {
        let _ = (thread, lock);
    }

    /// Notes that `thread` holds a lock once less. As above.
    fn lets_go(&self, thread: NonNull<KTHREAD>, lock: usize) {
        let _ = (thread, lock);
    }

    /// Returns who asks for what is being made. Told of handles, names and pool blocks in audits. Called at any IRQL and with any lock
    /// held: an implementation must not call the executive.
    fn origin(&self) -> Origin {
        Origin::default()
    }

    /// Says which timer that is set has been damaged, and who set it, where that is known: the timer queue turned out to be corrupt. Called
    /// with the dispatcher lock held: an implementation must not call the executive.
    fn damaged_timer(&self) -> Option<alloc::string::String> {
        None
    }

    /// Ends the world: Windows would have crashed.
    fn bugcheck(&self, check: Bugcheck) -> !;

    /// Ends the world: the current thread can never go on.
    fn deadlock(&self, deadlock: Deadlock) -> !;
}

/// A platform whose callback routines all run on the thread that made it.
///
/// # Safety
///
/// The type is neither `Send` nor `Sync`, and it calls routines on the calling thread only.
pub unsafe trait SingleThreaded: Platform {}

// SAFETY: a reference to a type that is not `Sync` is neither `Send` nor `Sync`, and it forwards every call.
unsafe impl<T: SingleThreaded + ?Sized> SingleThreaded for &T {}

/// A platform behind a reference is a platform, trait objects included.
impl<T: Platform + ?Sized> Platform for &T {
    fn irql(&self) -> Irql {
        (**self).irql()
    }
    fn set_irql(&self, new: Irql) -> Irql {
        (**self).set_irql(new)
    }
    fn processor(&self) -> u8 {
        (**self).processor()
    }
    fn interrupt(&self, processor: u8) {
        (**self).interrupt(processor);
    }
    fn lock_point(&self) {
        (**self).lock_point();
    }
    fn spin_wait(&self, lock: *const KSPIN_LOCK) {
        (**self).spin_wait(lock);
    }
    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        (**self).allocate(pool, bytes)
    }
    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise is passed on unchanged.
        unsafe { (**self).release(pool, block, bytes) }
    }
    fn allocate_pages(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        (**self).allocate_pages(pool, bytes)
    }
    unsafe fn release_pages(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise is passed on unchanged.
        unsafe { (**self).release_pages(pool, block, bytes) }
    }
    fn guards_pool(&self) -> bool {
        (**self).guards_pool()
    }
    fn freed_blocks_kept(&self) -> usize {
        (**self).freed_blocks_kept()
    }
    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        (**self).data(bytes, align)
    }
    fn text(&self, bytes: usize) -> NonNull<u8> {
        (**self).text(bytes)
    }
    fn current_thread(&self) -> NonNull<KTHREAD> {
        (**self).current_thread()
    }
    fn park(&self, deadline: Option<i64>) {
        (**self).park(deadline);
    }
    fn unpark(&self, thread: NonNull<KTHREAD>) {
        (**self).unpark(thread);
    }
    fn now(&self) -> i64 {
        (**self).now()
    }
    unsafe fn invoke(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        // SAFETY: the caller's promise is passed on unchanged.
        unsafe { (**self).invoke(routine, context, argument1, argument2) }
    }
    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        // SAFETY: the caller's promise is passed on unchanged.
        unsafe { (**self).invoke_dpc(routine, dpc, context, argument1, argument2) }
    }
    unsafe fn invoke_notification(&self, routine: Routine, arguments: [*mut c_void; 6]) {
        // SAFETY: the caller's promise is passed on unchanged.
        unsafe { (**self).invoke_notification(routine, arguments) }
    }
    fn light_barrier(&self) {
        (**self).light_barrier();
    }
    fn heavy_barrier(&self) {
        (**self).heavy_barrier();
    }
    fn notifier(&self) -> Option<&Notifier> {
        (**self).notifier()
    }
    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        (**self).notifiers(visit);
    }
    fn leaves_routine(&self) -> bool {
        (**self).leaves_routine()
    }

    fn listening(&self) -> bool {
        (**self).listening()
    }
    fn emit(&self, what: record::What) {
        (**self).emit(what);
    }
    fn on_own_account(&self, deed: &mut dyn FnMut()) {
        (**self).on_own_account(deed);
    }
    fn waits_for(&self, on: Option<(record::WaitKind, usize)>) {
        (**self).waits_for(on);
    }
    fn holds(&self, thread: NonNull<KTHREAD>, lock: usize) {
        (**self).holds(thread, lock);
    }
    fn lets_go(&self, thread: NonNull<KTHREAD>, lock: usize) {
        (**self).lets_go(thread, lock);
    }
    fn origin(&self) -> Origin {
        (**self).origin()
    }
    fn damaged_timer(&self) -> Option<alloc::string::String> {
        (**self).damaged_timer()
    }
    fn bugcheck(&self, check: Bugcheck) -> ! {
        (**self).bugcheck(check)
    }
    fn deadlock(&self, deadlock: Deadlock) -> ! {
        (**self).deadlock(deadlock)
    }
}
