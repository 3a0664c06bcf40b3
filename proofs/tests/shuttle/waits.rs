//! Those who wait to unregister, on two objects at once: NT has one event for all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use executive::{CallbackOptions, Protocol};
use nt::Profile;

use crate::{Bell, Nt, World, at_once, explore, worlds};

fn scenario(nt: Nt) {
    let bells: [Arc<Bell>; 2] = std::array::from_fn(|_| {
        Arc::new(nt.create_callback(&CallbackOptions::unnamed()).expect("an object"))
    });
    let mut actions: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for bell in &bells {
        for _ in 0..2 {
            let its_bell = Arc::clone(bell);
            let (inside, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let (its_inside, its_over) = (Arc::clone(&inside), Arc::clone(&over));
            let listener = bell.register_fn(move |_, _| {
                assert!(!its_over.load(Ordering::Relaxed), "called after it was unregistered");
                its_inside.fetch_add(1, Ordering::Relaxed);
                nt.platform().point();
                its_inside.fetch_sub(1, Ordering::Relaxed);
            });
            let listener = listener.expect("a listener");
            actions.push(Box::new(move || its_bell.notify(0, 0)));
            actions.push(Box::new(move || {
                drop(listener);
                assert_eq!(inside.load(Ordering::Relaxed), 0, "still running after it was unregistered");
                over.store(true, Ordering::Relaxed);
            }));
        }
    }
    at_once(actions);
    assert!(bells.iter().all(|bell| bell.listeners().is_empty()));
}

#[test]
fn those_who_wait_on_two_objects_all_come_back() {
    worlds().for_each(|world| explore(world, scenario));
}

/// The oldest version resets the event after it released the lock, and loses a wake-up that comes in between: the very mistake that the
/// others do not make, so the scenario must find it.
#[test]
fn an_event_reset_outside_the_lock_is_found() {
    let ros = Profile::ALL.iter().find(|profile| profile.name == "ros").expect("the version");
    let world = World { protocol: Protocol::Reference, profile: ros, listening: false };
    let end = catch_unwind(AssertUnwindSafe(|| explore(world, scenario))).expect_err("a wake-up is lost");
    let said = end.downcast_ref::<String>().expect("a message");
    assert!(said.contains("deadlock"), "{said}");
}
