//! Waiting on ordinary host threads: the dispatcher under contention.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nt::{KEVENT, KMUTANT, KSEMAPHORE, Profile};
use ringbell_executive::Executive;

use crate::host::Hosts;

type Nt = &'static Executive<Hosts>;

fn boot() -> Nt {
    Box::leak(Box::new(Executive::phase0(Hosts::new(None), Profile::DEFAULT).expect("it comes up")))
}

/// A dispatcher object that every thread may use.
struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: the executive guards dispatcher objects with its dispatcher lock, and these are never freed.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new(initialize: impl FnOnce(*mut T)) -> Self {
        let memory = Box::leak(Box::new(MaybeUninit::<T>::uninit())).as_mut_ptr();
        initialize(memory);
        Self(memory)
    }

    fn object(self) -> *mut c_void {
        self.0.cast()
    }
}

fn event(nt: Nt) -> Shared<KEVENT> {
    // SAFETY: fresh memory.
    Shared::new(|at| unsafe { nt.KeInitializeEvent(at, nt::SynchronizationEvent, false) })
}

fn set(nt: Nt, event: Shared<KEVENT>) {
    // SAFETY: an initialized event.
    unsafe { nt.KeSetEvent(event.0, 0, false) };
}

fn wait(nt: Nt, object: *mut c_void) -> u32 {
    // SAFETY: an initialized dispatcher object that is never freed.
    unsafe { nt.KeWaitForSingleObject(object, nt::Executive, nt::KernelMode, 0, null()) }.0
}

#[test]
fn two_threads_take_turns() {
    const TURNS: usize = 2000;
    let nt = boot();
    let (ping, pong) = (event(nt), event(nt));
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = thread::spawn(move || {
        for turn in 0..TURNS {
            assert_eq!(wait(nt, ping.object()), 0);
            assert_eq!(counted.fetch_add(1, Ordering::SeqCst), turn * 2);
            set(nt, pong);
        }
    });
    for turn in 0..TURNS {
        set(nt, ping);
        assert_eq!(wait(nt, pong.object()), 0);
        assert_eq!(turns.fetch_add(1, Ordering::SeqCst), turn * 2 + 1);
    }
    other.join().expect("the other thread");
}

#[test]
fn a_mutex_excludes_and_leaves_apcs_enabled() {
    const ROUNDS: usize = 500;
    let nt = boot();
    // SAFETY: fresh memory.
    let mutex: Shared<KMUTANT> = Shared::new(|at| unsafe { nt.KeInitializeMutex(at, 0) });
    let inside = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let inside = Arc::clone(&inside);
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    assert_eq!(wait(nt, mutex.object()), 0);
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else is inside");
                    assert!(nt.KeAreApcsDisabled());
                    inside.fetch_sub(1, Ordering::SeqCst);
                    // SAFETY: owned by this thread.
                    assert_eq!(unsafe { nt.KeReleaseMutex(mutex.0, false) }, 0);
                    assert!(!nt.KeAreApcsDisabled());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("a worker");
    }
    // SAFETY: an initialized mutex.
    assert_eq!(unsafe { nt.KeReadStateMutex(mutex.0) }, 1);
}

#[test]
fn waits_for_all_take_both_or_neither() {
    const ROUNDS: usize = 500;
    let nt = boot();
    let semaphore = |limit| {
        // SAFETY: fresh memory.
        Shared::<KSEMAPHORE>::new(|at| unsafe { nt.KeInitializeSemaphore(at, 0, limit) })
    };
    let (left, right) = (semaphore(i32::MAX), semaphore(i32::MAX));
    let takers: Vec<_> = (0..2)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let objects = [left.object(), right.object()];
                    // SAFETY: initialized semaphores that are never freed.
                    let status = unsafe {
                        nt.KeWaitForMultipleObjects(
                            2,
                            objects.as_ptr(),
                            nt::WaitAll,
                            nt::Executive,
                            nt::KernelMode,
                            0,
                            null(),
                            null_mut(),
                        )
                    };
                    assert_eq!(status.0, 0);
                }
            })
        })
        .collect();
    let givers: Vec<_> = [left, right]
        .into_iter()
        .map(|semaphore| {
            thread::spawn(move || {
                for _ in 0..2 * ROUNDS {
                    // SAFETY: an initialized semaphore.
                    unsafe { nt.KeReleaseSemaphore(semaphore.object().cast(), 0, 1, false) };
                }
            })
        })
        .collect();
    for worker in takers.into_iter().chain(givers) {
        worker.join().expect("a worker");
    }
    for semaphore in [left, right] {
        // SAFETY: an initialized semaphore.
        assert_eq!(unsafe { nt.KeReadStateSemaphore(semaphore.0) }, 0);
    }
}

#[test]
fn a_timeout_and_a_signal_meet_without_loss() {
    let nt = boot();
    let gate = event(nt);
    let rounds = 300;
    let giver = thread::spawn(move || {
        for _ in 0..rounds {
            // SAFETY: an initialized event.
            while unsafe { nt.KeReadStateEvent(gate.object().cast()) } != 0 {
                thread::yield_now();
            }
            set(nt, gate);
        }
    });
    let mut taken = 0;
    while taken < rounds {
        let timeout = -100i64;
        // SAFETY: an initialized event and a time.
        let status = unsafe {
            nt.KeWaitForSingleObject(gate.object(), nt::Executive, nt::KernelMode, 0, &raw const timeout)
        };
        match status.0 {
            0 => taken += 1,
            status => assert_eq!(status, nt::STATUS_TIMEOUT.0),
        }
    }
    giver.join().expect("the giver");
    // SAFETY: an initialized event.
    assert_eq!(unsafe { nt.KeReadStateEvent(gate.0) }, 0, "each set satisfied one wait");
}
