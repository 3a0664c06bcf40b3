//! The safe layer: guards, errors, snapshots.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nt::Profile;
use ringbell_executive::solo::{Outcome, Solo};
use ringbell_executive::{CallbackOptions, Executive, RegisterError, StatusError};

fn boot(profile: &'static Profile) -> Executive<Solo> {
    Executive::boot(Solo::with_end(|outcome| resume_unwind(Box::new(outcome))), profile).expect("it boots")
}

/// A counter and a closure that adds its first argument to it.
fn counter() -> (Arc<AtomicUsize>, impl Fn(usize, usize) + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let clone = Arc::clone(&count);
    (count, move |by, _| {
        clone.fetch_add(by, Ordering::Relaxed);
    })
}

#[test]
fn guards_give_everything_back() {
    for profile in Profile::ALL {
        let nt = boot(profile);
        let before = nt.platform().outstanding();
        let (count, routine) = counter();
        {
            let bell = nt.create_callback(&CallbackOptions::unnamed()).expect("created");
            let again = bell.clone();
            let listener = bell.register_fn(routine).expect("registered");
            drop(bell);
            again.notify(3, 0);
            assert_eq!(again.listeners().len(), 1);
            drop(listener);
            again.notify(3, 0);
            assert!(again.listeners().is_empty());
        }
        assert_eq!(count.load(Ordering::Relaxed), 3);
        assert_eq!(Arc::strong_count(&count), 1, "the closure is dropped");
        assert_eq!(nt.platform().outstanding(), before, "{}", profile.name);
    }
}

#[test]
fn a_refused_closure_is_dropped() {
    let nt = boot(Profile::DEFAULT);
    let bell = nt.create_callback(&CallbackOptions::unnamed().single()).expect("created");
    let first = bell.register_fn(|_, _| {}).expect("registered");
    let (count, routine) = counter();
    assert_eq!(bell.register_fn(routine).err(), Some(RegisterError::Refused));
    assert_eq!(Arc::strong_count(&count), 1);
    drop(first);
    assert!(bell.register_fn(|_, _| {}).is_ok());
}

#[test]
fn names_are_found_until_they_are_made_temporary() {
    let nt = boot(Profile::DEFAULT);
    let path = r"\Callback\Bell";
    let missing = StatusError(nt::STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(nt.open_callback(path, false).err(), Some(missing));
    let lost = nt.create_callback(&CallbackOptions::named(path)).expect("created");
    assert_eq!(nt.open_callback(path, false).err(), Some(missing), "no PERMANENT, no name");
    let bell = nt.create_callback(&CallbackOptions::named(path).permanent()).expect("created");
    assert_ne!(bell.as_ptr(), lost.as_ptr());
    assert_eq!(nt.open_callback(r"\callback\BELL", true).expect("found").as_ptr(), bell.as_ptr());
    assert_eq!(missing.to_string(), "STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034)");
    bell.make_temporary();
    assert_eq!(nt.open_callback(path, true).err(), Some(missing));
    let too_long = "\\".repeat(0x8000);
    assert_eq!(nt.open_callback(&too_long, true).err(), Some(StatusError(nt::STATUS_OBJECT_NAME_INVALID)));
}

#[test]
fn a_snapshot_tells_objects_listeners_and_namespace() {
    for profile in Profile::ALL {
        let nt = boot(profile);
        let bell =
            nt.create_callback(&CallbackOptions::named(r"\Callback\Bell").permanent()).expect("created");
        let listener = bell.register_fn(|_, _| {}).expect("registered");
        let unnamed = nt.create_callback(&CallbackOptions::unnamed().single()).expect("created");
        let snapshot = nt.snapshot();
        let builtins = profile.builtin_names.value.len();
        assert_eq!(snapshot.objects.len(), builtins + 2, "{}", profile.name);
        let object = snapshot.object(bell.as_ptr().addr() as u64).expect("the bell");
        assert_eq!(object.name.as_deref(), Some(r"\Callback\Bell"));
        assert_eq!((object.pointer_count, object.handle_count), (3, 0), "creator, name, registration");
        assert!(object.permanent && object.allow_multiple);
        assert_eq!(object.listeners.len(), 1);
        assert_eq!(object.listeners[0].registration, listener.as_ptr().addr() as u64);
        let object = snapshot.object(unnamed.as_ptr().addr() as u64).expect("the other");
        assert_eq!((object.name.as_deref(), object.pointer_count, object.allow_multiple), (None, 1, false));
        let paths: Vec<&str> = snapshot.namespace.iter().map(|entry| entry.path.as_str()).collect();
        assert!(paths.contains(&r"\Callback\Bell") && paths.contains(&r"\ObjectTypes\Callback"));
        assert!(paths.is_sorted());
    }
}

#[test]
fn guards_leave_a_world_alone_that_has_ended() {
    let nt = boot(Profile::DEFAULT);
    let end = catch_unwind(AssertUnwindSafe(|| {
        let bell = nt.create_callback(&CallbackOptions::unnamed()).expect("created");
        let _listener = bell.register_fn(|_, _| panic!("a routine fails")).expect("registered");
        bell.notify(0, 0);
    }));
    let payload = end.expect_err("the panic goes through the executive");
    assert!(payload.downcast_ref::<&str>().is_some_and(|text| text.contains("a routine fails")));
    assert!(nt.is_over());
}

#[test]
fn a_listener_that_drops_itself_is_a_deadlock() {
    let nt: &'static Executive<Solo> = Box::leak(Box::new(boot(Profile::DEFAULT)));
    let bell = nt.create_callback(&CallbackOptions::unnamed()).expect("created");
    let slot = Rc::new(RefCell::new(None));
    let own = Rc::clone(&slot);
    let listener = bell.register_local(move |_, _| drop(own.take())).expect("registered");
    slot.replace(Some(listener));
    let end = catch_unwind(AssertUnwindSafe(|| bell.notify(0, 0)));
    let outcome = end.expect_err("it ends").downcast::<Outcome>().expect("an outcome");
    assert!(matches!(*outcome, Outcome::Deadlock(_)), "{outcome}");
}
