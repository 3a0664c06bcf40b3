//! Registration and unregistration.

use std::cell::Cell;
use std::ptr::null_mut;

use record::What;

use crate::support::*;

const X: &str = "\\Callback\\X";

fn with(profile: &'static nt::Profile, multiple: u8) -> (Nt, Object) {
    let nt = boot(profile);
    let object = ask(X, KEPT).multiple(multiple).object(&nt);
    (nt, object)
}

/// Registers a routine that does nothing.
fn plain(nt: &Nt, object: Object) -> Registered {
    register(nt, object, call_closure as *const () as usize, closure(|_, _| {}))
}

fn deleted(nt: &Nt, object: Object) -> bool {
    let address = object.addr() as u64;
    nt.platform()
        .take_events()
        .iter()
        .any(|what| matches!(what, What::ObjectDeleted { object, .. } if *object == address))
}

#[test]
fn c073_register() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let first = plain(&nt, object);
        let (before, _) = counts(object);
        let registration = register(&nt, object, 0x1111, pointer(0x2222));
        assert!(!registration.is_null());
        assert_eq!(counts(object).0, before + 1);
        assert_eq!(registrations(object), [first, registration]);
        let base = registration.cast_const().cast();
        assert_eq!(at::<usize>(base, 0x10), object.addr());
        assert_eq!((at::<usize>(base, 0x18), at::<usize>(base, 0x20)), (0x1111, 0x2222));
        assert_eq!((at::<u32>(base, 0x28), at::<u8>(base, 0x2C)), (0, 0));
        assert_eq!(at::<[u8; 4]>(base, 0usize.wrapping_sub(0xC)), *b"CBRe");
        // The pool counts in units of 16 bytes, header included: 0x40.
        assert_eq!(at::<u8>(base, 0usize.wrapping_sub(0xE)), 4, "{}", profile.name);
        if profile.zero_registration_pool.value {
            assert_eq!(at::<[u8; 3]>(base, 0x2D), [0; 3], "padding");
        }
    }
}

#[test]
fn c074_single_object_refuses_a_second() {
    for profile in all() {
        let (nt, object) = with(profile, 0);
        let (before, _) = counts(object);
        let blocks = nt.platform().outstanding().0;
        assert!(!plain(&nt, object).is_null());
        assert!(plain(&nt, object).is_null());
        assert_eq!(counts(object).0, before + 1);
        assert_eq!(registrations(object).len(), 1);
        assert_eq!(nt.platform().outstanding().0, blocks + 1, "the refused block is freed");
    }
}

#[test]
fn c075_single_object_is_free_again() {
    for profile in all() {
        let (nt, object) = with(profile, 0);
        unregister(&nt, plain(&nt, object));
        assert!(!plain(&nt, object).is_null());
    }
}

#[test]
fn c076_waiting_registration_still_counts() {
    for profile in all() {
        let (nt, object) = with(profile, 0);
        let registration = plain(&nt, object);
        // What the waiting thread has done by then.
        write(registration.wrapping_byte_add(0x28).cast::<u32>(), 1);
        write(registration.wrapping_byte_add(0x2C).cast::<u8>(), 1);
        assert!(plain(&nt, object).is_null());
    }
}

#[test]
fn c077_duplicate_runs_twice() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let runs = Cell::new(0);
        let context = closure(|_, _| runs.set(runs.get() + 1));
        let routine = call_closure as *const () as usize;
        let first = register(&nt, object, routine, context);
        let second = register(&nt, object, routine, context);
        assert!(!first.is_null() && !second.is_null() && first != second);
        ring(&nt, object, 0, 0);
        assert_eq!(runs.get(), 2);
    }
}

#[test]
fn c078_registration_without_memory() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        nt.platform().listen();
        let before = counts(object);
        nt.platform().refuse_all(true);
        assert!(plain(&nt, object).is_null());
        assert_eq!(counts(object), before);
        assert!(registrations(object).is_empty());
        let refused = nt.platform().take_events();
        assert!(refused.iter().any(|what| matches!(
            what,
            What::RegisterRefused { because: record::RefusedBecause::NoMemory, .. }
        )));
    }
}

#[test]
fn c079_unregister_idle() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let (before, blocks) = (counts(object), nt.platform().outstanding());
        unregister(&nt, plain(&nt, object));
        assert_eq!(counts(object), before);
        assert_eq!(nt.platform().outstanding(), blocks);
        assert!(registrations(object).is_empty());
    }
}

#[test]
fn c080_last_registration_deletes() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        let object = ask_unnamed(0x200).object(&nt);
        let registration = plain(&nt, object);
        dereference(&nt, object);
        assert_eq!(counts(object), (1, 0));
        assert!(!deleted(&nt, object));
        unregister(&nt, registration);
        assert!(deleted(&nt, object));
    }
}

#[test]
fn c081_any_nonzero_byte_means_multiple() {
    for profile in all() {
        let (nt, object) = with(profile, 0xFF);
        assert_eq!(at::<u8>(object.cast(), 0x20), 0xFF, "stored as it came");
        assert!(!plain(&nt, object).is_null());
        assert!(!plain(&nt, object).is_null());
    }
}

#[test]
fn c084_self_unregistration_is_a_deadlock() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        nt.platform().listen();
        let own = Cell::new(null_mut());
        own.set(listen(&nt, object, |_, _| unregister(&nt, own.get())));
        assert_deadlock(|| ring(&nt, object, 0, 0));
        let waits = nt
            .platform()
            .take_events()
            .into_iter()
            .any(|what| matches!(what, What::UnregisterWaits { busy: 1, .. }));
        assert!(waits, "{}", profile.name);
        assert_eq!(at::<u8>(own.get().cast(), 0x2C), 1, "UnregisterWaiting");
    }
}

#[test]
fn c085_unregister_the_next() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let log = Log::new();
        let next = Cell::new(null_mut::<nt::CALLBACK_REGISTRATION>());
        listen(&nt, object, |_, _| {
            log.push(1);
            if !next.get().is_null() {
                unregister(&nt, next.replace(null_mut()));
            }
        });
        next.set(listen(&nt, object, |_, _| log.push(2)));
        listen(&nt, object, |_, _| log.push(3));
        ring(&nt, object, 0, 0);
        assert_eq!(log.take(), [1, 3]);
    }
}

#[test]
fn c086_unregister_the_previous() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let log = Log::new();
        let previous = Cell::new(listen(&nt, object, |_, _| log.push(1)));
        listen(&nt, object, |_, _| {
            log.push(2);
            unregister(&nt, previous.get());
        });
        listen(&nt, object, |_, _| log.push(3));
        ring(&nt, object, 0, 0);
        assert_eq!(log.take(), [1, 2, 3]);
    }
}

#[test]
fn c087_register_during_notify() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let log = Log::new();
        let once = Cell::new(true);
        listen(&nt, object, |_, _| {
            log.push(1);
            if once.replace(false) {
                listen(&nt, object, |_, _| log.push(3));
            }
        });
        listen(&nt, object, |_, _| log.push(2));
        ring(&nt, object, 0, 0);
        assert_eq!(log.take(), [1, 2, 3]);
    }
}

#[test]
fn c088_unregister_at_dispatch() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        let object = ask_unnamed(0x200).object(&nt);
        let registration = plain(&nt, object);
        dereference(&nt, object);
        let old = nt.KeRaiseIrql(nt::Irql::DISPATCH);
        unregister(&nt, registration);
        assert!(!deleted(&nt, object), "{}: not at this level", profile.name);
        nt.KeLowerIrql(old);
        assert!(deleted(&nt, object), "{}", profile.name);
    }
}

#[test]
fn c089_busy_unregister_at_dispatch() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        let own = Cell::new(null_mut());
        own.set(listen(&nt, object, |_, _| {
            nt.KeRaiseIrql(nt::Irql::DISPATCH);
            unregister(&nt, own.get());
        }));
        let (code, parameters) = bugcheck_of(|| ring(&nt, object, 0, 0));
        assert_eq!((code, parameters[1]), (0xA, 2), "{}", profile.name);
    }
}

#[test]
fn c090_unregister_null() {
    for profile in all() {
        let (code, parameters) = bugcheck_of(|| unregister(&boot(profile), null_mut()));
        assert_eq!((code, parameters[0]), (0x7E, 0xC000_0005));
    }
}

#[test]
fn c091_unregister_twice() {
    for profile in all() {
        let (nt, object) = with(profile, 1);
        plain(&nt, object);
        let registration = plain(&nt, object);
        unregister(&nt, registration);
        let (code, parameters) = bugcheck_of(|| unregister(&nt, registration));
        assert_eq!((code, parameters[0]), (0x139, 3), "{}", profile.name);
    }
}

#[test]
fn c093_waiting_is_called_at_dispatch() {
    for profile in holding() {
        let (nt, object) = with(profile, 1);
        let runs = Cell::new(0);
        let registration = listen(&nt, object, |_, _| runs.set(runs.get() + 1));
        write(registration.wrapping_byte_add(0x2C).cast::<u8>(), 1);
        ring(&nt, object, 0, 0);
        assert_eq!(runs.get(), 0, "skipped below");
        let old = nt.KeRaiseIrql(nt::Irql::DISPATCH);
        ring(&nt, object, 0, 0);
        nt.KeLowerIrql(old);
        assert_eq!(runs.get(), 1, "{}", profile.name);
    }
}
