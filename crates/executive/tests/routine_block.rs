//! `EX_CALLBACK`: slots, blocks and the references in store, as they lie in memory.
#![cfg(target_arch = "x86_64")]

#[path = "../examples/threads/platform.rs"]
mod platform;

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use nt::{EX_CALLBACK_ROUTINE_BLOCK, EX_FAST_REF, Profile};
use ringbell_executive::solo::{Outcome, Solo};
use ringbell_executive::{Executive, Platform, Routine};

unsafe extern "win64" fn count(context: *mut c_void, first: *mut c_void, second: *mut c_void) {
    // SAFETY: these tests pass a counter as context.
    let counter = unsafe { &*context.cast::<AtomicU64>() };
    counter.fetch_add((first.addr() + second.addr()) as u64, Ordering::Relaxed);
}

fn solo() -> Executive<Solo> {
    let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
    Executive::boot(solo, Profile::DEFAULT).expect("it boots")
}

/// A slot, and a block for `counter`.
fn block<P: Platform>(nt: &Executive<P>, counter: &AtomicU64) -> *mut EX_CALLBACK_ROUTINE_BLOCK {
    let routine = Routine(count as *const () as usize);
    let block = nt.ExAllocateCallBack(routine, (&raw const *counter).cast_mut().cast());
    assert!(!block.is_null());
    block
}

fn read<T: Copy>(at: *const T) -> T {
    // SAFETY: tests pass places of their own.
    unsafe { at.read_volatile() }
}

/// Block and store of a slot.
fn slot_of(slot: *const EX_FAST_REF) -> (usize, usize) {
    let value = read(slot).Value;
    (value & !15, value & 15)
}

#[test]
fn a_slot_has_fifteen_references_in_store() {
    let (nt, counter) = (solo(), AtomicU64::new(0));
    let (mut place, new) = (EX_FAST_REF { Value: 0 }, block(&nt, &counter));
    let slot = &raw mut place;
    // SAFETY: slot and blocks are these tests' own, here and below.
    assert!(!unsafe { nt.ExCallCallBack(slot, null_mut(), null_mut()) }, "an empty slot");
    // SAFETY: as above.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, new, null_mut()) });
    assert_eq!(slot_of(slot), (new.addr(), 15));
    assert_eq!(read(new).RundownProtect, 32, "sixteen users");

    // SAFETY: as above.
    let taken: Vec<_> = (0..40).map(|_| unsafe { nt.ExReferenceCallBackBlock(slot) }).collect();
    assert!(taken.iter().all(|block| *block == new));
    let users = read(new).RundownProtect / 2;
    assert_eq!(users, 1 + slot_of(slot).1 + 40, "the slot, its store, and the callers");
    for block in taken {
        // SAFETY: as above.
        unsafe { nt.ExDereferenceCallBackBlock(slot, block) };
    }
    assert_eq!((slot_of(slot).1, read(new).RundownProtect), (15, 32));

    // SAFETY: as above.
    assert!(unsafe { nt.ExCallCallBack(slot, without_provenance_mut(2), without_provenance_mut(3)) });
    assert_eq!(counter.load(Ordering::Relaxed), 5);
}

#[test]
fn a_slot_is_exchanged_only_for_what_is_there() {
    let (nt, counter) = (solo(), AtomicU64::new(0));
    let (mut place, first, second) = (EX_FAST_REF { Value: 0 }, block(&nt, &counter), block(&nt, &counter));
    let slot = &raw mut place;
    // SAFETY: slot and blocks are these tests' own, here and below.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, first, null_mut()) });
    // SAFETY: as above.
    assert!(!unsafe { nt.ExCompareExchangeCallBack(slot, second, null_mut()) });
    assert_eq!((slot_of(slot).0, read(second).RundownProtect), (first.addr(), 0));
    // SAFETY: as above.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, second, first) });
    assert_eq!((slot_of(slot), read(first).RundownProtect), ((second.addr(), 15), 0));
    // SAFETY: as above.
    unsafe { nt.ExWaitForCallBacks(first) };
    // SAFETY: as above: taken out and waited for.
    unsafe { nt.ExFreeCallBack(first) };
    // SAFETY: as above.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, null_mut(), second) });
    assert_eq!(read(slot).Value, 0);
}

#[test]
fn a_routine_that_waits_for_its_own_block_waits_for_ever() {
    let (nt, counter) = (solo(), AtomicU64::new(0));
    let (mut place, new) = (EX_FAST_REF { Value: 0 }, block(&nt, &counter));
    let slot = &raw mut place;
    // SAFETY: slot and blocks are these tests' own, here and below.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, new, null_mut()) });
    // SAFETY: as above.
    assert_eq!(unsafe { nt.ExReferenceCallBackBlock(slot) }, new);
    // SAFETY: as above.
    assert!(unsafe { nt.ExCompareExchangeCallBack(slot, null_mut(), new) });
    assert_eq!(read(new).RundownProtect, 2, "the caller is left");
    // SAFETY: as above.
    let wait = AssertUnwindSafe(|| unsafe { nt.ExWaitForCallBacks(new) });
    let outcome = catch_unwind(wait).expect_err("nobody is left to give it back");
    assert!(matches!(outcome.downcast_ref(), Some(Outcome::Deadlock(_))));
}

#[test]
fn no_memory_is_no_block() {
    let nt = solo();
    nt.platform().refuse_allocation(0);
    assert!(nt.ExAllocateCallBack(Routine(0x1000), null_mut()).is_null());
}

#[test]
fn a_block_that_was_waited_for_is_never_called_again() {
    const ROUNDS: usize = 2_000;
    let nt = Executive::boot(platform::Threads::new(), Profile::DEFAULT).expect("it boots");
    let (mut place, stop) = (EX_FAST_REF { Value: 0 }, AtomicBool::new(false));
    let slot = (&raw mut place).expose_provenance();
    let counters: Vec<AtomicU64> = (0..ROUNDS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let slot = std::ptr::with_exposed_provenance_mut(slot);
                    // SAFETY: the slot outlives the threads; its routines take any numbers.
                    unsafe { nt.ExCallCallBack(slot, without_provenance_mut(1), null_mut()) };
                }
            });
        }
        for counter in &counters {
            let (slot, new) = (std::ptr::with_exposed_provenance_mut(slot), block(&nt, counter));
            // SAFETY: the slot is empty here, and only this thread fills it.
            assert!(unsafe { nt.ExCompareExchangeCallBack(slot, new, null_mut()) });
            thread::yield_now();
            // SAFETY: as above.
            assert!(unsafe { nt.ExCompareExchangeCallBack(slot, null_mut(), new) });
            // SAFETY: taken out.
            unsafe { nt.ExWaitForCallBacks(new) };
            // SAFETY: nobody uses it any more.
            unsafe { nt.ExFreeCallBack(new) };
            let calls = counter.swap(u64::MAX, Ordering::Relaxed);
            assert_ne!(calls, u64::MAX);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) == u64::MAX),
        "called after its end"
    );
}
