//! Statements that take several threads at once, and the protocol under load.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nt::{KTHREAD, Profile};
use record::What;
use ringbell_executive::{CallbackObject, CallbackOptions, Executive, Protocol, Registration, Routine};

use crate::host::{Hook, Hosts, patience};
use crate::support::at;

type Nt = &'static Executive<Hosts>;
type Bell = CallbackObject<'static, Hosts>;
type Listener = Registration<'static, Hosts>;

fn boot(profile: &'static Profile, hook: Option<Hook>) -> Nt {
    Box::leak(Box::new(Executive::boot_with(Hosts::new(hook), profile, crate::PROTOCOL).expect("it boots")))
}

fn bell(nt: Nt) -> Bell {
    nt.create_callback(&CallbackOptions::unnamed()).expect("created")
}

/// Versions that reset the event under the lock; the oldest one loses a wake-up where these tests look.
fn profiles() -> impl Iterator<Item = &'static Profile> {
    [Profile::WIN11_24H2, Profile::NT6].into_iter()
}

/// Lets `condition` come true.
fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < patience(), "{what}");
        thread::sleep(Duration::from_micros(100));
    }
}

/// A place where a routine stays until the test lets it go.
#[derive(Default)]
struct Room {
    inside: AtomicUsize,
    calls: AtomicUsize,
    open: AtomicUsize,
}

impl Room {
    /// What the routine does: comes in, waits for its turn to leave.
    fn stay(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let place = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        until("nobody opens the room", || self.open.load(Ordering::SeqCst) >= place);
    }

    fn wait_for(&self, count: usize) {
        until("nobody comes in", || self.inside.load(Ordering::SeqCst) >= count);
    }

    fn let_go(&self, count: usize) {
        self.open.fetch_add(count, Ordering::SeqCst);
    }
}

fn occupied(bell: &Bell) -> (Arc<Room>, Listener) {
    let room = Arc::new(Room::default());
    let routine = Arc::clone(&room);
    let listener = bell.register_fn(move |_, _| routine.stay()).expect("registered");
    (room, listener)
}

fn ring(bell: &Bell) -> JoinHandle<()> {
    let bell = bell.clone();
    thread::spawn(move || bell.notify(0, 0))
}

/// A thread that unregisters.
struct Leaver {
    thread: Arc<AtomicPtr<KTHREAD>>,
    done: Arc<AtomicBool>,
    join: JoinHandle<()>,
}

fn unregister(nt: Nt, listener: Listener) -> Leaver {
    let (thread, done) = (Arc::new(AtomicPtr::default()), Arc::new(AtomicBool::new(false)));
    let (its_thread, its_done) = (Arc::clone(&thread), Arc::clone(&done));
    let join = thread::spawn(move || {
        its_thread.store(nt.KeGetCurrentThread(), Ordering::SeqCst);
        drop(listener);
        its_done.store(true, Ordering::SeqCst);
    });
    Leaver { thread, done, join }
}

impl Leaver {
    /// Whether the thread waits for an event, as its `KTHREAD.WaitBlockList` shows.
    fn waits(&self) -> bool {
        let thread = self.thread.load(Ordering::SeqCst);
        !thread.is_null() && at::<usize>(thread.cast(), core::mem::offset_of!(KTHREAD, WaitBlockList)) != 0
    }

    fn until_it_waits(&self) {
        until("the thread never waits", || self.waits());
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

#[test]
fn c082_unregister_waits_for_a_running_call() {
    for profile in profiles() {
        let nt = boot(profile, None);
        let bell = bell(nt);
        let (room, listener) = occupied(&bell);
        let first = ring(&bell);
        room.wait_for(1);
        let leaver = unregister(nt, listener);
        leaver.until_it_waits();
        let listeners = bell.listeners();
        assert!(listeners.len() == 1 && listeners[0].busy == 1 && listeners[0].waiting);
        // A third thread rings meanwhile: the routine is not called again.
        ring(&bell).join().expect("a notify");
        assert_eq!(room.calls.load(Ordering::SeqCst), 1);
        assert!(!leaver.is_done(), "{}: it came back while the routine runs", profile.name);
        room.let_go(1);
        first.join().expect("a notify");
        leaver.join.join().expect("an unregistration");
        bell.notify(0, 0);
        assert_eq!(room.calls.load(Ordering::SeqCst), 1);
        assert!(bell.listeners().is_empty());
    }
}

#[test]
fn c083_unregister_waits_for_every_running_call() {
    for profile in profiles() {
        let nt = boot(profile, None);
        let bell = bell(nt);
        let (room, listener) = occupied(&bell);
        let calls = [ring(&bell), ring(&bell)];
        room.wait_for(2);
        assert_eq!(bell.listeners()[0].busy, 2);
        let leaver = unregister(nt, listener);
        leaver.until_it_waits();
        room.let_go(1);
        until("a call returns", || bell.listeners()[0].busy == 1);
        thread::sleep(Duration::from_millis(20));
        assert!(!leaver.is_done(), "{}: one routine still runs", profile.name);
        room.let_go(1);
        for call in calls {
            call.join().expect("a notify");
        }
        leaver.join.join().expect("an unregistration");
    }
}

#[test]
fn c092_an_event_reset_for_another_object_only_delays() {
    for profile in profiles() {
        // Stops the first waiter between the release of the lock and its wait.
        let (stopped, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_stopped, may_go) = (Arc::clone(&stopped), Arc::clone(&go));
        let hook = move |what: &What| {
            if matches!(what, What::UnregisterWaits { .. }) && !is_stopped.swap(true, Ordering::SeqCst) {
                until("nobody lets the waiter go", || may_go.load(Ordering::SeqCst));
            }
        };
        let nt = boot(profile, Some(Box::new(hook)));
        let (one, other) = (bell(nt), bell(nt));
        let (one_room, one_listener) = occupied(&one);
        let (other_room, other_listener) = occupied(&other);
        let calls = [ring(&one), ring(&other)];
        one_room.wait_for(1);
        other_room.wait_for(1);
        // Under *Swift* everybody has an event of their own, and the reset has no effect on others.
        let shared = crate::PROTOCOL == Protocol::Reference;
        let signaled = || at::<i32>(nt.ExpCallbackEvent().cast(), 4);

        let leaver = unregister(nt, one_listener);
        until("the waiter is stopped", || stopped.load(Ordering::SeqCst));
        one_room.let_go(1);
        if shared {
            until("the event is set", || signaled() == 1);
        }
        let other_leaver = unregister(nt, other_listener);
        other_leaver.until_it_waits();
        assert_eq!(signaled(), 0, "reset for the other object");
        go.store(true, Ordering::SeqCst);
        if shared {
            leaver.until_it_waits();
            assert!(!leaver.is_done());
        } else {
            until("a waiter is held up by another's reset", || leaver.is_done());
        }
        assert!(!other_leaver.is_done());
        // The next set, whoever it is for, is the end of both waits.
        other_room.let_go(1);
        leaver.join.join().expect("an unregistration");
        other_leaver.join.join().expect("an unregistration");
        for call in calls {
            call.join().expect("a notify");
        }
        assert!(one.listeners().is_empty() && other.listeners().is_empty(), "{}", profile.name);
    }
}

#[test]
fn unregistration_is_the_end_of_a_routine_under_load() {
    const ROUNDS: usize = 300;
    let nt = boot(Profile::DEFAULT, None);
    let bell = bell(nt);
    let (running, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Arc::new(Barrier::new(4));
    let ringers: Vec<_> = (0..2)
        .map(|_| {
            let (bell, stop, start) = (bell.clone(), Arc::clone(&stop), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    bell.notify(0, 0);
                }
            })
        })
        .collect();
    let listeners: Vec<_> = (0..2)
        .map(|_| {
            let (bell, running, start) = (bell.clone(), Arc::clone(&running), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                for _ in 0..ROUNDS {
                    let alive = Arc::new(AtomicBool::new(true));
                    let inside = Arc::new(AtomicUsize::new(0));
                    let (its_alive, its_inside, all) =
                        (Arc::clone(&alive), Arc::clone(&inside), Arc::clone(&running));
                    let listener = bell
                        .register_fn(move |_, _| {
                            its_inside.fetch_add(1, Ordering::SeqCst);
                            assert!(its_alive.load(Ordering::SeqCst), "called after unregistration");
                            all.fetch_add(1, Ordering::Relaxed);
                            its_inside.fetch_sub(1, Ordering::SeqCst);
                        })
                        .expect("registered");
                    thread::yield_now();
                    drop(listener);
                    assert_eq!(inside.load(Ordering::SeqCst), 0, "still running after unregistration");
                    alive.store(false, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for listener in listeners {
        listener.join().expect("no listener failed");
    }
    stop.store(true, Ordering::Relaxed);
    for ringer in ringers {
        ringer.join().expect("no ringer failed");
    }
    assert!(bell.listeners().is_empty());
    assert!(running.load(Ordering::Relaxed) > 0, "the routines were called at all");
}

/// A routine of processor changes that stays in the room which is its context.
unsafe extern "win64-unwind" fn enrolled(room: *mut c_void, _: *mut c_void, _: *mut c_void) {
    // SAFETY: the test passes a room that lives as long as the process.
    unsafe { &*room.cast::<Room>() }.stay();
}

/// A thread that registers a routine of processor changes and has it told of the processors that are there, one.
fn enroll(nt: Nt, room: &'static Room) -> Leaver {
    let (thread, done) = (Arc::new(AtomicPtr::default()), Arc::new(AtomicBool::new(false)));
    let (its_thread, its_done) = (Arc::clone(&thread), Arc::clone(&done));
    let join = thread::spawn(move || {
        its_thread.store(nt.KeGetCurrentThread(), Ordering::SeqCst);
        let routine = Routine((enrolled as *const ()).expose_provenance());
        let context = (&raw const *room).cast_mut().cast();
        // SAFETY: a routine with that contract, which stays code; its context is never freed.
        let registration = unsafe { nt.KeRegisterProcessorChangeCallback(routine, context, 1) };
        assert!(!registration.is_null());
        its_done.store(true, Ordering::SeqCst);
    });
    Leaver { thread, done, join }
}

#[test]
fn processor_routines_are_told_one_after_the_other() {
    for profile in profiles() {
        let nt = boot(profile, None);
        let inside = |room: &Room| room.inside.load(Ordering::SeqCst);
        let [open, first, second, third]: [&'static Room; 4] =
            std::array::from_fn(|_| &*Box::leak(Box::<Room>::default()));
        // Nobody is in the way, and nobody waits when it is done. A routine is told twice: of start and end.
        open.let_go(2);
        enroll(nt, open).join.join().expect("a registration");

        let one = enroll(nt, first);
        first.wait_for(1);
        let others = [(enroll(nt, second), second), (enroll(nt, third), third)];
        for (other, room) in &others {
            until("the thread neither waits nor comes in", || inside(room) > 0 || other.waits());
            assert_eq!(inside(room), 0, "{}: the lock is held", profile.name);
        }
        first.let_go(2);
        one.join.join().expect("a registration");

        // One of the two gets in, and the other one waits on.
        until("nobody is woken", || others.iter().any(|(_, room)| inside(room) > 0));
        let (here, waiting): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, room)| inside(room) > 0);
        assert!(here.len() == 1 && waiting[0].0.waits(), "{}", profile.name);
        for (other, room) in here.into_iter().chain(waiting) {
            room.let_go(2);
            other.join.join().expect("a registration");
            assert_eq!(room.calls.load(Ordering::SeqCst), 2);
        }
        // Nobody is left to be woken.
        open.let_go(2);
        enroll(nt, open).join.join().expect("a registration");
        assert_eq!(inside(open), 4);
    }
}
