//! Temporary names: an object that everybody creates, opens and lets go of at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use executive::{CallbackOptions, StatusError};

use crate::{Bell, Nt, at_once, explore, worlds};

const NAME: &str = "\\Callback\\Raced";
/// What may come of a creation or an opening but an object: another creator was quicker, or the name is gone.
const LOST: [u32; 2] = [0xC000_0035, 0xC000_0034];

/// Uses what was got: a routine that is registered is called by the next notify, and not after it is unregistered.
fn visit(got: Result<Bell, StatusError>, and_then: impl FnOnce(&Bell)) {
    let bell = match got {
        Ok(bell) => bell,
        Err(StatusError(status)) => {
            assert!(LOST.contains(&status.0), "{status}");
            return;
        }
    };
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let listener =
        bell.register_fn(move |_, _| _ = counted.fetch_add(1, Ordering::Relaxed)).expect("a listener");
    bell.notify(0, 0);
    drop(listener);
    let seen = calls.load(Ordering::Relaxed);
    assert!(seen > 0, "the own notify calls it");
    bell.notify(0, 0);
    assert_eq!(calls.load(Ordering::Relaxed), seen);
    and_then(&bell);
}

fn scenario(nt: Nt) {
    let temporary = move || visit(nt.create_callback(&CallbackOptions::named(NAME)), |_| ());
    let permanent = move || {
        visit(nt.create_callback(&CallbackOptions::named(NAME).permanent()), Bell::make_temporary);
    };
    let opener = move || visit(nt.open_callback(NAME, true), |_| ());
    at_once(vec![
        Box::new(temporary),
        Box::new(permanent),
        Box::new(opener),
        Box::new(temporary),
        Box::new(permanent),
        Box::new(opener),
        Box::new(permanent),
        Box::new(temporary),
    ]);
    assert!(nt.open_callback(NAME, true).is_err(), "the name is gone with its users");
}

#[test]
fn temporary_names_race() {
    worlds().for_each(|world| explore(world, scenario));
}
