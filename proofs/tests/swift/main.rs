//! loom explores the core of *Swift*: the very module that ships, on loom's cells.
//!
//! Every scenario runs in every interleaving that loom can tell apart, up to a bound on preemptions. Barriers are sequentially consistent
//! fences on both sides here: loom does not model `membarrier`, for which the litmus run stands. Each deliberate
//! mistake must be found by a scenario.

mod cells;
#[path = "../../../crates/executive/src/ex/swift/protocol.rs"]
mod protocol;

use std::env;
use std::process::Command;

use loom::sync::Arc;
use loom::thread;

use cells::{Mistake, Sound, World};
use protocol::Flaw;

/// Preemptions of one execution. Every mistake below shows with three.
const PREEMPTIONS: usize = 3;

fn explore<M: Mistake>(
    nodes: usize,
    notifies: usize,
    scenario: impl Fn(Arc<World<M>>) + Send + Sync + 'static,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.max_branches = 100_000;
    model.check(move || {
        let world = Arc::new(World::new(nodes, notifies));
        world.tie();
        scenario(world);
    });
}

/// Runs `action` in a thread of its own.
fn spawn<M: Mistake, R: 'static>(
    world: &Arc<World<M>>,
    action: impl FnOnce(&World<M>) -> R + 'static,
) -> thread::JoinHandle<R> {
    let world = Arc::clone(world);
    thread::spawn(move || action(&world))
}

/// A notify meets an unregistration of the only registration.
fn one<M: Mistake>() {
    explore::<M>(1, 1, |world| {
        world.register(0);
        let notify = spawn(&world, |world| world.notify(0, |_| ()));
        world.unregister(0);
        let called = notify.join().expect("a notify");
        assert!(called.is_empty() || called == [0]);
        assert!(world.listed().is_empty());
        assert!(world.notify(0, |_| ()).is_empty());
    });
}

/// A notify meets an unregistration of the first of two.
fn first<M: Mistake>() {
    explore::<M>(2, 1, |world| {
        world.register(0);
        world.register(1);
        let notify = spawn(&world, |world| world.notify(0, |_| ()));
        world.unregister(0);
        let called = notify.join().expect("a notify");
        assert!(called == [0, 1] || called == [1], "{called:?}");
        assert_eq!(world.listed(), [1]);
    });
}

/// A notify meets unregistrations of both of two, in two threads.
fn both<M: Mistake>() {
    explore::<M>(2, 1, |world| {
        world.register(0);
        world.register(1);
        let notify = spawn(&world, |world| world.notify(0, |_| ()));
        let other = spawn(&world, |world| world.unregister(1));
        world.unregister(0);
        other.join().expect("an unregistration");
        let called = notify.join().expect("a notify");
        assert!(called.is_sorted());
        assert!(world.listed().is_empty());
    });
}

/// A notify meets a registration: the new one is called in its place, or not yet.
fn append<M: Mistake>() {
    explore::<M>(2, 1, |world| {
        world.register(0);
        let notify = spawn(&world, |world| world.notify(0, |_| ()));
        world.register(1);
        let called = notify.join().expect("a notify");
        assert!(called == [0] || called == [0, 1], "{called:?}");
    });
}

/// Two notifies meet an unregistration.
fn two_notifies<M: Mistake>() {
    explore::<M>(1, 2, |world| {
        world.register(0);
        let notifies = [0, 1].map(|own| spawn(&world, move |world| world.notify(own, |_| ())));
        world.unregister(0);
        for notify in notifies {
            notify.join().expect("a notify");
        }
        assert!(world.listed().is_empty());
    });
}

/// A block is freed and registered again, behind a notify's back: that must not be taken for the old one.
fn reuse<M: Mistake>() {
    explore::<M>(2, 1, |world| {
        world.register(0);
        world.register(1);
        let notify = spawn(&world, |world| world.notify(0, |_| ()));
        world.unregister(0);
        world.register(0);
        let called = notify.join().expect("a notify");
        assert!([&[1][..], &[0, 1], &[1, 0], &[0, 1, 0]].contains(&&called[..]), "{called:?}");
        assert_eq!(world.listed(), [1, 0]);
    });
}

/// A routine rings the object again, while somebody unregisters.
fn nested<M: Mistake>() {
    explore::<M>(1, 2, |world| {
        world.register(0);
        let notify = spawn(&world, |world| {
            world.notify(0, |_| {
                world.notify(1, |_| ());
            })
        });
        world.unregister(0);
        notify.join().expect("a notify");
        assert!(world.listed().is_empty());
    });
}

/// A routine unregisters the one before it, which another notify may be calling.
fn predecessor<M: Mistake>() {
    explore::<M>(2, 2, |world| {
        world.register(0);
        world.register(1);
        let other = spawn(&world, |world| world.notify(1, |_| ()));
        let called = world.notify(0, |index| {
            if index == 1 {
                world.unregister(0);
            }
        });
        assert_eq!(called, [0, 1]);
        other.join().expect("a notify");
        assert_eq!(world.listed(), [1]);
    });
}

/// A routine registers another: the same notify calls it.
fn append_within<M: Mistake>() {
    explore::<M>(2, 1, |world| {
        world.register(0);
        let called = world.notify(0, |index| {
            if index == 0 {
                world.register(1);
            }
        });
        assert_eq!(called, [0, 1]);
    });
}

#[test]
fn a_notify_and_an_unregistration() {
    one::<Sound>();
    first::<Sound>();
}

#[test]
fn a_notify_and_two_unregistrations() {
    both::<Sound>();
}

#[test]
fn a_notify_and_a_registration() {
    append::<Sound>();
    append_within::<Sound>();
}

#[test]
fn two_notifies_and_an_unregistration() {
    two_notifies::<Sound>();
}

#[test]
fn a_block_that_is_used_again() {
    reuse::<Sound>();
}

#[test]
fn a_notify_inside_another() {
    nested::<Sound>();
}

#[test]
fn a_routine_that_unregisters_its_predecessor() {
    predecessor::<Sound>();
}

/// Set in the process that makes the mistake.
const CHILD: &str = "RINGBELL_PROOFS_MISTAKE";

/// Runs `scenario` in a process of its own, because what loom finds may end it by an abort; it must find something.
fn must_fail(test: &str, scenario: fn()) {
    if env::var_os(CHILD).is_some() {
        scenario();
        return;
    }
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "no execution shows the mistake");
    let causes =
        ["Causality violation", "deadlock", "Model exceeded", "assertion", "a dead block", "not linked"];
    assert!(causes.iter().any(|cause| said.contains(cause)), "it failed for another reason: {said}");
}

macro_rules! mistakes {
    ($($test:ident: $name:ident { $($what:tt)* } by $scenario:ident;)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;
            impl Mistake for $name { $($what)* }

            #[test]
            fn $test() {
                must_fail(stringify!($test), $scenario::<$name>);
            }
        )*
    };
}

mistakes! {
    a_missing_second_look_is_found: NoReread { const FLAW: Flaw = Flaw::NoReread; } by reuse;
    an_ignored_mark_is_found: NoMark { const FLAW: Flaw = Flaw::NoMark; } by both;
    a_missing_second_scan_is_found: NoSecondScan { const FLAW: Flaw = Flaw::NoSecondScan; } by one;
    a_missing_barrier_is_found: NoBarrier { const FLAW: Flaw = Flaw::NoBarrier; } by one;
    a_name_dropped_too_early_is_found: RelaxedDrop { const FLAW: Flaw = Flaw::RelaxedDrop; } by one;
    a_registration_linked_too_early_is_found: RelaxedPublish {
        const PUBLISH: loom::sync::atomic::Ordering = loom::sync::atomic::Ordering::Relaxed;
    } by append;
    an_event_cleared_too_late_is_found: LateClear { const FLAW: Flaw = Flaw::LateClear; } by one;
    a_missing_wake_up_is_found: NoWake { const FLAW: Flaw = Flaw::NoWake; } by one;
}
