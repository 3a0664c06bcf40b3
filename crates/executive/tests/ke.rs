//! The kernel layer by itself: waits, timers, DPCs, mutants, spin locks.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null, null_mut};

use nt::{
    Irql, KDPC, KEVENT, KMUTANT, KSEMAPHORE, KSPIN_LOCK, KTHREAD, KTIMER, Profile, STATUS_SUCCESS,
    STATUS_TIMEOUT,
};
use ringbell_executive::solo::{Outcome, Solo};
use ringbell_executive::{Executive, Platform, Routine};

fn world() -> Executive<Solo> {
    let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
    Executive::phase0(solo, Profile::DEFAULT).expect("the object manager comes up")
}

/// Runs to the end of the world and returns it.
fn end_of(action: impl FnOnce()) -> Outcome {
    let payload = catch_unwind(AssertUnwindSafe(action)).expect_err("the world ends");
    *payload.downcast::<Outcome>().expect("an outcome")
}

fn bugcheck_of(action: impl FnOnce()) -> (u32, [u64; 4]) {
    match end_of(action) {
        Outcome::Bugcheck(check) => (check.code.0, check.parameters),
        other => panic!("{other}"),
    }
}

fn event(ke: &Executive<Solo>, kind: u32, state: bool) -> Box<KEVENT> {
    let mut event = Box::new(MaybeUninit::<KEVENT>::uninit());
    // SAFETY: memory of the right size that nobody uses yet.
    unsafe { ke.KeInitializeEvent(event.as_mut_ptr(), kind, state) };
    // SAFETY: the routine above initialized every byte.
    unsafe { event.assume_init() }
}

fn wait(ke: &Executive<Solo>, object: *mut c_void, timeout: Option<i64>) -> u32 {
    let timeout = timeout.as_ref().map_or(null(), |timeout| &raw const *timeout);
    // SAFETY: tests pass live dispatcher objects.
    unsafe { ke.KeWaitForSingleObject(object, nt::Executive, nt::KernelMode, 0, timeout) }.0
}

#[test]
fn notification_event_stays_and_synchronization_event_is_taken() {
    let ke = world();
    let mut stays = event(&ke, nt::NotificationEvent, true);
    let mut taken = event(&ke, nt::SynchronizationEvent, true);
    assert_eq!((stays.Header.Type, stays.Header.Size), (0, 6));
    assert_eq!((taken.Header.Type, taken.Header.Size), (1, 6));
    assert_eq!(wait(&ke, (&raw mut *stays).cast(), Some(0)), 0);
    assert_eq!(wait(&ke, (&raw mut *stays).cast(), Some(0)), 0);
    assert_eq!(wait(&ke, (&raw mut *taken).cast(), Some(0)), 0);
    assert_eq!(wait(&ke, (&raw mut *taken).cast(), Some(0)), STATUS_TIMEOUT.0);
    assert_eq!((stays.Header.SignalState, taken.Header.SignalState), (1, 0));
}

#[test]
fn timeouts_are_relative_absolute_and_none() {
    let ke = world();
    let mut never = event(&ke, nt::NotificationEvent, false);
    let object: *mut c_void = (&raw mut *never).cast();
    assert_eq!(wait(&ke, object, Some(-1000)), STATUS_TIMEOUT.0);
    assert_eq!(ke.platform().now(), 1000);
    assert_eq!(wait(&ke, object, Some(ringbell_executive::ke::BOOT_SYSTEM_TIME + 5000)), STATUS_TIMEOUT.0);
    assert_eq!(ke.platform().now(), 5000);
    // An absolute time that is over.
    assert_eq!(wait(&ke, object, Some(1)), STATUS_TIMEOUT.0);
    assert_eq!(ke.platform().now(), 5000);
    let outcome = end_of(|| {
        wait(&ke, object, None);
    });
    assert!(matches!(outcome, Outcome::Deadlock(_)), "{outcome}");
    assert!(ke.is_over());
}

#[test]
fn blocks_leave_the_list_after_a_timeout() {
    let ke = world();
    let mut never = event(&ke, nt::NotificationEvent, false);
    let head = &raw mut never.Header.WaitListHead;
    wait(&ke, (&raw mut *never).cast(), Some(-10));
    assert_eq!((never.Header.WaitListHead.Flink, never.Header.WaitListHead.Blink), (head, head));
    // SAFETY: the platform's own thread.
    let list = unsafe { (*ke.KeGetCurrentThread()).WaitBlockList };
    assert!(list.is_null());
}

#[test]
fn timer_wakes_a_waiter_and_queues_its_dpc() {
    thread_local!(static RUNS: RefCell<Vec<(u8, usize)>> = const { RefCell::new(Vec::new()) });
    extern "win64" fn routine(_: *mut KDPC, context: *mut c_void, _: *mut c_void, _: *mut c_void) {
        // SAFETY: the test passes its own executive.
        let ke = unsafe { &*context.cast::<Executive<Solo>>() };
        RUNS.with_borrow_mut(|runs| runs.push((ke.KeGetCurrentIrql().0, ke.platform().now() as usize)));
    }
    let ke = world();
    let mut timer = MaybeUninit::<KTIMER>::uninit();
    let mut dpc = MaybeUninit::<KDPC>::uninit();
    let (timer, dpc) = (timer.as_mut_ptr(), dpc.as_mut_ptr());
    // SAFETY: fresh memory.
    unsafe { ke.KeInitializeTimerEx(timer, nt::SynchronizationTimer) };
    // SAFETY: fresh memory.
    unsafe {
        ke.KeInitializeDpc(dpc, Routine(routine as *const () as usize), (&raw const ke).cast_mut().cast());
    }
    // SAFETY: initialized above.
    assert!(!unsafe { ke.KeSetTimerEx(timer, -30_000, 2, dpc) });
    assert_eq!(ke.next_deadline(), Some(30_000));
    assert_eq!(wait(&ke, timer.cast(), None), 0);
    assert_eq!(ke.platform().now(), 30_000);
    // Periodic: 2 ms later again.
    assert_eq!(wait(&ke, timer.cast(), None), 0);
    assert_eq!(ke.platform().now(), 50_000);
    // SAFETY: initialized above.
    assert!(unsafe { ke.KeCancelTimer(timer) });
    assert_eq!(ke.next_deadline(), None);
    assert_eq!(RUNS.take(), [(2, 30_000), (2, 50_000)]);
    assert_eq!(ke.KeGetCurrentIrql(), Irql::PASSIVE);
}

#[test]
fn timers_expire_in_the_order_they_are_due() {
    let ke = world();
    let mut timers = [const { MaybeUninit::<KTIMER>::uninit() }; 3];
    let timers: Vec<*mut KTIMER> = timers.iter_mut().map(MaybeUninit::as_mut_ptr).collect();
    for (timer, due) in timers.iter().zip([-300, -100, -200]) {
        // SAFETY: fresh memory.
        unsafe { ke.KeInitializeTimerEx(*timer, nt::NotificationTimer) };
        // SAFETY: initialized above.
        unsafe { ke.KeSetTimerEx(*timer, due, 0, null_mut()) };
    }
    let states = || -> Vec<bool> {
        // SAFETY: initialized above.
        timers.iter().map(|timer| unsafe { ke.KeReadStateTimer(*timer) }).collect()
    };
    for (now, expected) in
        [(99, [false; 3]), (100, [false, true, false]), (250, [false, true, true]), (300, [true; 3])]
    {
        ke.platform().advance(now - ke.platform().now());
        ke.expire_timers();
        assert_eq!(states(), expected, "at {now}");
    }
}

#[test]
fn dpc_runs_at_once_below_dispatch_and_waits_above() {
    thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });
    extern "win64" fn routine(_: *mut KDPC, _: *mut c_void, a: *mut c_void, b: *mut c_void) {
        assert_eq!((a.addr(), b.addr()), (1, 2));
        RUNS.set(RUNS.get() + 1);
    }
    let ke = world();
    let mut dpc = MaybeUninit::<KDPC>::uninit();
    let dpc = dpc.as_mut_ptr();
    // SAFETY: fresh memory.
    unsafe { ke.KeInitializeDpc(dpc, Routine(routine as *const () as usize), null_mut()) };
    // SAFETY: initialized above, and its routine has the contract.
    let queue = || unsafe {
        ke.KeInsertQueueDpc(dpc, std::ptr::without_provenance_mut(1), std::ptr::without_provenance_mut(2))
    };
    assert!(queue());
    assert_eq!(RUNS.get(), 1);
    let old = ke.KeRaiseIrql(Irql::DISPATCH);
    assert!(queue());
    assert!(!queue(), "queued already");
    assert_eq!(RUNS.get(), 1);
    ke.KeLowerIrql(old);
    assert_eq!(RUNS.get(), 2);
    let old = ke.KeRaiseIrql(Irql::DISPATCH);
    assert!(queue());
    // SAFETY: initialized above.
    assert!(unsafe { ke.KeRemoveQueueDpc(dpc) });
    ke.KeLowerIrql(old);
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn waiting_at_dispatch_and_in_a_dpc_are_bugchecks() {
    let ke = world();
    let mut never = event(&ke, nt::NotificationEvent, false);
    ke.KeRaiseIrql(Irql::DISPATCH);
    assert_eq!(wait(&ke, (&raw mut *never).cast(), Some(0)), STATUS_TIMEOUT.0, "a test is legal");
    let (code, parameters) = bugcheck_of(|| {
        wait(&ke, (&raw mut *never).cast(), Some(-1));
    });
    assert_eq!((code, parameters[1]), (0xA, 2));

    extern "win64-unwind" fn routine(_: *mut KDPC, context: *mut c_void, _: *mut c_void, _: *mut c_void) {
        // SAFETY: the test passes its own executive.
        let ke = unsafe { &*context.cast::<Executive<Solo>>() };
        let mut never = event(ke, nt::NotificationEvent, false);
        wait(ke, (&raw mut *never).cast(), None);
    }
    let ke = world();
    let mut dpc = MaybeUninit::<KDPC>::uninit();
    let dpc = dpc.as_mut_ptr();
    // SAFETY: fresh memory.
    unsafe {
        ke.KeInitializeDpc(dpc, Routine(routine as *const () as usize), (&raw const ke).cast_mut().cast());
    }
    let (code, _) = bugcheck_of(|| {
        // SAFETY: initialized above.
        unsafe { ke.KeInsertQueueDpc(dpc, null_mut(), null_mut()) };
    });
    assert_eq!(code, 0xB8);
}

#[test]
fn semaphore_counts_and_wait_all_takes_all_or_nothing() {
    let ke = world();
    let mut semaphore = MaybeUninit::<KSEMAPHORE>::uninit();
    let semaphore = semaphore.as_mut_ptr();
    // SAFETY: fresh memory.
    unsafe { ke.KeInitializeSemaphore(semaphore, 1, 2) };
    let mut gate = event(&ke, nt::SynchronizationEvent, false);
    let objects = [semaphore.cast::<c_void>(), (&raw mut *gate).cast()];
    let zero = 0i64;
    let multiple = |kind: u32| {
        // SAFETY: live objects.
        unsafe {
            ke.KeWaitForMultipleObjects(2, objects.as_ptr(), kind, 0, 0, 0, &raw const zero, null_mut())
        }
        .0
    };
    assert_eq!(multiple(nt::WaitAll), STATUS_TIMEOUT.0);
    // SAFETY: initialized above.
    assert_eq!(unsafe { ke.KeReadStateSemaphore(semaphore) }, 1, "nothing was taken");
    // SAFETY: initialized above.
    unsafe { ke.KeSetEvent(objects[1].cast(), 0, false) };
    assert_eq!(multiple(nt::WaitAll), 0);
    // SAFETY: initialized above.
    assert_eq!(unsafe { ke.KeReadStateSemaphore(semaphore) }, 0);
    // SAFETY: initialized above.
    unsafe { ke.KeSetEvent(objects[1].cast(), 0, false) };
    assert_eq!(multiple(nt::WaitAny), 1, "the index of the one that was signaled");
    let (code, parameters) = bugcheck_of(|| {
        // SAFETY: initialized above.
        unsafe { ke.KeReleaseSemaphore(semaphore, 0, 3, false) };
    });
    assert_eq!((code, parameters[0]), (0x1E, 0xC000_0047));
}

#[test]
fn mutex_recurses_and_disables_apcs_and_is_abandoned_by_mutants_only() {
    let ke = world();
    let mut mutex = MaybeUninit::<KMUTANT>::uninit();
    let mutex = mutex.as_mut_ptr();
    // SAFETY: fresh memory.
    unsafe { ke.KeInitializeMutex(mutex, 0) };
    let disabled = || {
        // SAFETY: the platform's own thread.
        unsafe { (*ke.KeGetCurrentThread()).KernelApcDisable }
    };
    assert_eq!(wait(&ke, mutex.cast(), None), 0);
    assert_eq!(wait(&ke, mutex.cast(), None), 0);
    assert_eq!(disabled(), -1);
    // SAFETY: initialized above.
    assert_eq!(unsafe { ke.KeReadStateMutex(mutex) }, -1);
    // SAFETY: initialized above, owned twice.
    assert_eq!(unsafe { ke.KeReleaseMutex(mutex, false) }, -1);
    // SAFETY: as above.
    assert_eq!(unsafe { ke.KeReleaseMutex(mutex, false) }, 0);
    assert_eq!(disabled(), 0);

    // Another thread ends while it owns a mutant: the next owner is told.
    let mut mutant = MaybeUninit::<KMUTANT>::uninit();
    let mutant = mutant.as_mut_ptr();
    // SAFETY: fresh memory.
    unsafe { ke.KeInitializeMutant(mutant, true) };
    let mut other = Box::new(MaybeUninit::<KTHREAD>::zeroed());
    // SAFETY: zeroed memory of the right size.
    unsafe { ringbell_executive::ke::initialize_thread(other.as_mut_ptr(), null_mut()) };
    // SAFETY: the mutant is the test's own.
    unsafe { (*mutant).OwnerThread = other.as_mut_ptr() };
    // SAFETY: that thread never ran.
    unsafe { ke.signal_thread_exit(other.as_mut_ptr()) };
    assert_eq!(wait(&ke, other.as_mut_ptr().cast(), None), 0, "an ended thread is signaled");
    assert_eq!(wait(&ke, mutant.cast(), None), 0x80, "abandoned");
    // SAFETY: initialized above, owned.
    unsafe { ke.KeReleaseMutant(mutant, 0, false, false) };

    let (code, parameters) = bugcheck_of(|| {
        // SAFETY: initialized above, not owned.
        unsafe { ke.KeReleaseMutex(mutex, false) };
    });
    assert_eq!((code, parameters[0]), (0x1E, 0xC000_0046));
}

#[test]
fn spin_lock_raises_and_a_second_acquire_is_a_deadlock() {
    let ke = world();
    let mut lock: KSPIN_LOCK = 7;
    let lock = &raw mut lock;
    // SAFETY: the test's own word.
    unsafe { ke.KeInitializeSpinLock(lock) };
    // SAFETY: initialized above.
    let old = unsafe { ke.KeAcquireSpinLockRaiseToDpc(lock) };
    assert_eq!((old, ke.KeGetCurrentIrql()), (Irql::PASSIVE, Irql::DISPATCH));
    // SAFETY: the test's own word.
    assert_eq!(unsafe { *lock } & 1, 1);
    // SAFETY: held.
    unsafe { ke.KeReleaseSpinLock(lock, old) };
    assert_eq!(ke.KeGetCurrentIrql(), Irql::PASSIVE);
    // SAFETY: initialized above.
    unsafe { ke.KeAcquireSpinLockRaiseToDpc(lock) };
    let outcome = end_of(|| {
        // SAFETY: initialized above.
        unsafe { ke.KeAcquireSpinLockRaiseToDpc(lock) };
    });
    assert!(matches!(outcome, Outcome::Deadlock(_)), "{outcome}");
}

#[test]
fn delay_lets_time_pass_and_the_clock_reads_it() {
    let ke = world();
    let interval = -10_000i64;
    // SAFETY: a time.
    assert_eq!(unsafe { ke.KeDelayExecutionThread(nt::KernelMode, 0, &raw const interval) }, STATUS_SUCCESS);
    assert_eq!(ke.KeQueryInterruptTime(), 10_000);
    assert_eq!(ke.KeQuerySystemTime(), ringbell_executive::ke::BOOT_SYSTEM_TIME + 10_000);
}
