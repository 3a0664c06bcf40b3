//! Routines that register others, ring again and are unregistered meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use executive::{CallbackOptions, Platform};
use nt::Irql;

use crate::{Bell, Listener, Nt, at_once, explore, worlds};

/// Most listeners that the routine registers.
const CHILDREN: usize = 4;

/// What is written down: notify and listener, in the order of the calls.
type Log = Arc<Mutex<Vec<(usize, usize)>>>;

/// A listener that the routine registered: in which notify, its number, itself, and whether it is over.
type Child = (usize, usize, Listener, Arc<AtomicBool>);

/// A listener that writes itself down and notices a call after its end.
fn watched(bell: &Bell, log: &Log, own: usize) -> (Listener, Arc<AtomicBool>) {
    let (over, log) = (Arc::new(AtomicBool::new(false)), Arc::clone(log));
    let seen = Arc::clone(&over);
    let listener = bell.register_fn(move |notify, _| {
        assert!(!seen.load(Ordering::Relaxed), "called after it was unregistered");
        log.lock().expect("a sane lock").push((notify, own));
    });
    (listener.expect("a listener"), over)
}

/// Unregisters: from now on nobody calls it.
fn leave((listener, over): (Listener, Arc<AtomicBool>)) {
    drop(listener);
    over.store(true, Ordering::Relaxed);
}

fn scenario(nt: Nt) {
    let bell = Arc::new(nt.create_callback(&CallbackOptions::unnamed()).expect("an object"));
    let log = Log::default();
    let children: Arc<Mutex<Vec<Child>>> = Arc::default();
    let (inside, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let rung = Arc::new(AtomicUsize::new(1));

    // Below DISPATCH_LEVEL it registers another and rings once more.
    let parent = {
        let (bell, log, children) = (Arc::clone(&bell), Arc::clone(&log), Arc::clone(&children));
        let (inside, over, rung) = (Arc::clone(&inside), Arc::clone(&over), Arc::clone(&rung));
        let born = AtomicUsize::new(0);
        move |notify: usize, depth: usize| {
            assert!(!over.load(Ordering::Relaxed), "called after it was unregistered");
            inside.fetch_add(1, Ordering::Relaxed);
            if nt.platform().irql() < Irql::DISPATCH && depth < 2 {
                let number = born.fetch_add(1, Ordering::Relaxed);
                if number < CHILDREN {
                    let own = 100 + number;
                    let (listener, its_over) = watched(&bell, &log, own);
                    children.lock().expect("a sane lock").push((notify, own, listener, its_over));
                    bell.notify(rung.fetch_add(1, Ordering::Relaxed), depth + 1);
                }
            }
            inside.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let parent = bell.register_fn(parent).expect("a listener");

    let ring = {
        let (bell, rung) = (Arc::clone(&bell), Arc::clone(&rung));
        move || bell.notify(rung.fetch_add(1, Ordering::Relaxed), 0)
    };
    let ring_raised = {
        let ring = ring.clone();
        move || {
            let old = nt.KeRaiseIrql(Irql::DISPATCH);
            ring();
            nt.KeLowerIrql(old);
        }
    };
    let unregister = {
        let (inside, over) = (Arc::clone(&inside), Arc::clone(&over));
        move || {
            nt.platform().point();
            drop(parent);
            assert_eq!(inside.load(Ordering::Relaxed), 0, "still running after it was unregistered");
            over.store(true, Ordering::Relaxed);
        }
    };
    let visitor = |first: usize| {
        let (bell, log) = (Arc::clone(&bell), Arc::clone(&log));
        move || {
            let one = watched(&bell, &log, first);
            let other = watched(&bell, &log, first + 1);
            leave(one);
            leave(other);
        }
    };
    let enumerate = {
        let bell = Arc::clone(&bell);
        move || {
            let mut cursor = std::ptr::null_mut();
            // SAFETY: a live object; the cursor is only ever moved by this routine, and goes on to the end.
            while unsafe { nt.ExpEnumerateCallback(bell.as_ptr(), &raw mut cursor) }.is_some() {
                nt.platform().point();
            }
        }
    };
    at_once(vec![
        Box::new(ring.clone()),
        Box::new(visitor(10)),
        Box::new(unregister),
        Box::new(ring.clone()),
        Box::new(enumerate),
        Box::new(ring_raised),
        Box::new(visitor(20)),
        Box::new(ring),
    ]);

    let log = std::mem::take(&mut *log.lock().expect("a sane lock"));
    let calls = |notify: usize| {
        log.iter().filter(move |(its, _)| *its == notify).map(|(_, own)| *own).collect::<Vec<_>>()
    };
    for notify in 1..rung.load(Ordering::Relaxed) {
        let called = calls(notify);
        for first in [10, 20] {
            let own: Vec<_> = called.iter().filter(|own| (first..first + 2).contains(*own)).collect();
            assert!(own.is_sorted_by(|a, b| a < b), "not in the order of registration: {called:?}");
        }
        let mut once = called.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), called.len(), "called twice by one notify: {called:?}");
    }
    for (notify, own, listener, its_over) in std::mem::take(&mut *children.lock().expect("a sane lock")) {
        assert!(calls(notify).contains(&own), "what a routine registers is called by the same notify");
        leave((listener, its_over));
    }
    bell.notify(0, 2);
    assert!(bell.listeners().is_empty());
}

#[test]
fn a_routine_registers_others_while_it_is_unregistered() {
    worlds().for_each(|world| explore(world, scenario));
}
