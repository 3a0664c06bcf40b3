//! Notification.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use nt::{Irql, Profile};
use record::{Mode, What};
use ringbell_executive::solo::{Outcome, Solo};
use ringbell_executive::{Executive, KernelRoutine, Routine, ex::Processing};

use crate::support::*;

const X: &str = "\\Callback\\X";

fn with(profile: &'static Profile) -> (Nt, Object) {
    let nt = boot(profile);
    let object = ask(X, KEPT).object(&nt);
    (nt, object)
}

fn ring_at(nt: &Nt, irql: Irql, object: Object) {
    let old = nt.KeRaiseIrql(irql);
    ring(nt, object, 1, 2);
    assert_eq!(nt.KeGetCurrentIrql(), irql, "a notify restores the level");
    nt.KeLowerIrql(old);
}

#[test]
fn c095_notify_null() {
    for profile in all() {
        let nt = boot(profile);
        ring(&nt, null_mut(), 1, 2);
        ring_at(&nt, Irql::DISPATCH, null_mut());
    }
}

#[test]
fn c096_notify_without_registrations() {
    for profile in all() {
        let (nt, object) = with(profile);
        // Held by somebody else: whoever tried to acquire it would never come back.
        write(object.wrapping_byte_add(8).cast::<usize>(), 1);
        ring(&nt, object, 1, 2);
        assert_eq!(lock_of(object), 1);
    }
}

#[test]
fn c097_order_context_arguments() {
    extern "win64" fn routine(context: *mut c_void, argument1: *mut c_void, argument2: *mut c_void) {
        // SAFETY: the test passes its own log and number.
        let (log, number) = unsafe { &*context.cast::<(&Log<(u8, usize, usize)>, u8)>() };
        log.push((*number, argument1.addr(), argument2.addr()));
    }
    for profile in all() {
        let (nt, object) = with(profile);
        let log: Log<(u8, usize, usize)> = Log::new();
        let contexts = [(&log, 1u8), (&log, 2), (&log, 3)];
        for context in &contexts {
            let context = (&raw const *context).cast_mut().cast();
            assert!(!register(&nt, object, routine as *const () as usize, context).is_null());
        }
        ring(&nt, object, 0xA1, 0xA2);
        assert_eq!(log.take(), [(1, 0xA1, 0xA2), (2, 0xA1, 0xA2), (3, 0xA1, 0xA2)]);
    }
}

#[test]
fn c098_below_dispatch() {
    for profile in all() {
        let (nt, object) = with(profile);
        let log = Log::new();
        let own = Cell::new(null_mut());
        own.set(listen(&nt, object, |_, _| {
            log.push((nt.KeGetCurrentIrql(), lock_of(object), calls(&nt, own.get())));
        }));
        for irql in [Irql::PASSIVE, Irql::APC] {
            ring_at(&nt, irql, object);
            assert_eq!(log.take(), [(irql, 0, 1)], "{}", profile.name);
            assert_eq!(calls(&nt, own.get()), 0);
        }
    }
}

#[test]
fn c099_at_dispatch() {
    for profile in holding() {
        let (nt, object) = with(profile);
        nt.platform().listen();
        let log = Log::new();
        let own = Cell::new(null_mut());
        own.set(listen(&nt, object, |_, _| {
            log.push((nt.KeGetCurrentIrql(), lock_of(object) & 1, calls(&nt, own.get())))
        }));
        listen(&nt, object, |_, _| log.push((nt.KeGetCurrentIrql(), lock_of(object) & 1, 0)));
        ring_at(&nt, Irql::DISPATCH, object);
        assert_eq!(log.take(), [(Irql::DISPATCH, 1, 0); 2], "{}", profile.name);
        let told = nt.platform().take_events();
        assert!(told.iter().any(|what| matches!(what, What::NotifyBegin { mode: Mode::Held, .. })));
        assert!(told.iter().any(|what| matches!(what, What::NotifyEnd { delivered: 2, .. })));
    }
}

#[test]
fn c100_at_dispatch_same_object() {
    type Action = fn(&Nt, Object, Registered);
    let actions: [Action; 3] = [
        |nt, object, _| {
            register(nt, object, 0x1234, null_mut());
        },
        |nt, _, registration| unregister(nt, registration),
        |nt, object, _| ring(nt, object, 0, 0),
    ];
    for profile in holding() {
        for action in actions {
            let (nt, object) = with(profile);
            let own = Cell::new(null_mut());
            own.set(listen(&nt, object, |_, _| action(&nt, object, own.get())));
            assert_deadlock(|| ring_at(&nt, Irql::DISPATCH, object));
            assert_eq!(lock_of(object) & 1, 1, "the lock is what it hangs on");
        }
    }
}

#[test]
fn c101_at_dispatch_other_object() {
    for profile in all() {
        let (nt, object) = with(profile);
        let other = ask_unnamed(0x200).object(&nt);
        let log = Log::new();
        listen(&nt, other, |_, _| log.push("other"));
        listen(&nt, object, |_, _| {
            let more = listen(&nt, other, |_, _| log.push("more"));
            ring(&nt, other, 0, 0);
            unregister(&nt, more);
            log.push("object");
        });
        ring_at(&nt, Irql::DISPATCH, object);
        assert_eq!(log.take(), ["other", "more", "object"], "{}", profile.name);
    }
}

#[test]
fn c102_nested_notify() {
    for profile in all() {
        let (nt, object) = with(profile);
        let log = Log::new();
        let (own, depth) = (Cell::new(null_mut()), Cell::new(0));
        own.set(listen(&nt, object, |_, _| {
            depth.set(depth.get() + 1);
            if depth.get() == 1 {
                ring(&nt, object, 0, 0);
            }
            log.push((1, calls(&nt, own.get())));
        }));
        listen(&nt, object, |_, _| log.push((2, 0)));
        ring(&nt, object, 0, 0);
        assert_eq!(log.take(), [(1, 2), (2, 0), (1, 1), (2, 0)], "{}", profile.name);
        assert_eq!(calls(&nt, own.get()), 0);
    }
}

#[test]
fn c103_state_after_notify() {
    for profile in all() {
        let (nt, object) = with(profile);
        listen(&nt, object, |_, _| {});
        for irql in [Irql::PASSIVE, Irql::APC, Irql::DISPATCH] {
            ring_at(&nt, irql, object);
            assert_eq!(lock_of(object), 0);
        }
        assert_eq!(nt.KeGetCurrentIrql(), Irql::PASSIVE);
    }
}

#[test]
fn c104_oldest_version_drops_the_lock() {
    let (nt, object) = with(Profile::ROS);
    let log = Log::new();
    let own = Cell::new(null_mut());
    own.set(listen(&nt, object, |_, _| {
        log.push((nt.KeGetCurrentIrql(), lock_of(object), calls(&nt, own.get())))
    }));
    ring_at(&nt, Irql::DISPATCH, object);
    assert_eq!(log.take(), [(Irql::DISPATCH, 0, 1)]);
}

#[test]
fn c105_notify_above_dispatch() {
    for profile in all() {
        let (nt, object) = with(profile);
        let runs = Cell::new(0);
        listen(&nt, object, |_, _| runs.set(runs.get() + 1));
        nt.platform().listen();
        nt.KeRaiseIrql(Irql(5));
        let outcome = end_of(|| ring(&nt, object, 0, 0));
        assert_eq!(runs.get(), 0, "{outcome}");
        let Outcome::Bugcheck(check) = outcome else { panic!("{outcome}") };
        assert_eq!(check.code, nt::BugCheck::IRQL_NOT_GREATER_OR_EQUAL, "{}", profile.name);
        let reported = nt.platform().take_events().into_iter().any(|what| {
            matches!(what, What::IrqlContract { name, highest: 2, actual: 5, .. } if name == "ExNotifyCallback")
        });
        assert!(reported, "{}", profile.name);
    }
}

#[test]
fn c106_umpo_routine_is_no_exception() {
    let delivered = |nt: &Nt, object: Object, routine: KernelRoutine| {
        let registration = register(nt, object, nt.kernel_routine(routine), pointer(7));
        nt.platform().listen();
        ring(nt, object, 1, 2);
        let heard: Vec<(String, u64, [u64; 2])> = nt
            .platform()
            .take_events()
            .into_iter()
            .filter_map(|what| match what {
                What::KernelListener { routine, context, arguments } => Some((routine, context, arguments)),
                _ => None,
            })
            .collect();
        assert_eq!((calls(nt, registration), lock_of(object)), (0, 0));
        unregister(nt, registration);
        heard
    };
    for profile in all() {
        let (nt, object) = with(profile);
        let umpo = delivered(&nt, object, KernelRoutine::PopUmpoMessageCallback);
        let other = delivered(&nt, object, KernelRoutine::PipCslStateChangeCallback);
        assert_eq!(umpo, [("nt!PopUmpoMessageCallback".into(), 7, [1, 2])]);
        assert_eq!(other, [("nt!PipCslStateChangeCallback".into(), 7, [1, 2])]);
    }
    // The object of the port, as the kernel makes it: one routine, and it is this one.
    let nt = boot(Profile::DEFAULT);
    nt.boot_kernel().expect("the kernel's objects");
    let port = nt.kernel_object("PowerPort");
    nt.platform().listen();
    ring(&nt, port, 0, 9);
    let heard = nt.platform().take_events();
    assert!(heard.iter().any(|what| matches!(
        what,
        What::KernelListener { routine, context: 0, arguments: [0, 9] } if routine == "nt!PopUmpoMessageCallback"
    )));
    // And by its port, as a message does.
    assert!(nt.kernel_port_message("PowerPort", 9));
    let rung = nt.platform().take_events();
    assert_eq!(
        rung.iter().filter(|what| matches!(what, What::KernelListener { arguments: [0, 9], .. })).count(),
        1
    );
}

#[test]
fn c107_registrations_keep_the_object_during_notify() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let log = Log::new();
        let first = listen(&nt, object, |_, _| {
            log.push(1);
            dereference(&nt, object);
        });
        let second = listen(&nt, object, |_, _| log.push(2));
        ring(&nt, object, 0, 0);
        assert_eq!(log.take(), [1, 2]);
        assert_eq!(counts(object), (2, 0), "{}: one reference per registration", profile.name);
        nt.platform().listen();
        unregister(&nt, first);
        unregister(&nt, second);
        assert!(nt.platform().take_events().iter().any(|what| matches!(what, What::ObjectDeleted { .. })));
    }
}

#[test]
fn c108_processing_hooks() {
    thread_local!(static SEEN: Log<(&'static str, Vec<usize>, usize, u8)> = const { Log::new() });
    fn note(which: &'static str, nt: &Nt, object: usize, arguments: &[*mut c_void]) {
        let object: Object = std::ptr::with_exposed_provenance_mut(object);
        let arguments = arguments.iter().map(|argument| argument.addr()).collect();
        SEEN.with(|seen| seen.push((which, arguments, lock_of(object), nt.KeGetCurrentIrql().0)));
    }
    fn pre(nt: &Executive<Solo>, arguments: [*mut c_void; 5]) {
        note("pre", nt, arguments[3].addr(), &arguments[1..]);
    }
    fn post(nt: &Executive<Solo>, arguments: [*mut c_void; 5]) {
        note("post", nt, arguments[3].addr(), &arguments[1..]);
    }
    for profile in holding() {
        let (nt, object) = with(profile);
        let address = object.expose_provenance();
        for _ in 0..2 {
            listen(&nt, object, |a, b| note("routine", &nt, address, &[pointer(a), pointer(b)]));
        }
        let processing =
            Processing { pre: Some(pre), post: Some(post), extra1: object.cast(), extra2: pointer(0xE2) };
        for (irql, lock) in [(Irql::PASSIVE, 0), (Irql::DISPATCH, 1)] {
            let old = nt.KeRaiseIrql(irql);
            // SAFETY: a live object; its routines take any arguments.
            unsafe { nt.ExNotifyWithProcessing(object, pointer(1), pointer(2), Some(&processing)) };
            nt.KeLowerIrql(old);
            let hooked = vec![1, 2, address, 0xE2];
            let expected = [
                ("pre", hooked.clone(), lock, irql.0),
                ("routine", vec![1, 2], lock, irql.0),
                ("post", hooked, lock, irql.0),
            ];
            let expected: Vec<_> = expected.iter().chain(&expected).cloned().collect();
            assert_eq!(SEEN.with(Log::take), expected, "{}", profile.name);
        }
        let none = Processing { pre: None, post: None, extra1: null_mut(), extra2: null_mut() };
        // SAFETY: as above.
        unsafe { nt.ExNotifyWithProcessing(object, pointer(1), pointer(2), Some(&none)) };
        assert_eq!(SEEN.with(Log::take).len(), 2);
    }
}

#[test]
fn c109_set_system_time() {
    for profile in holding() {
        let nt = boot(profile);
        let log = Log::new();
        listen(&nt, nt.builtin("SetSystemTime"), |a, b| log.push((a, b, nt.KeGetCurrentIrql())));
        nt.PoNotifySystemTimeSet();
        assert_eq!(log.take(), [], "before win32 callouts exist");
        nt.establish_win32_callouts();
        nt.PoNotifySystemTimeSet();
        assert_eq!(log.take(), [(0, 0, Irql::DISPATCH)], "{}", profile.name);
        assert_eq!(nt.KeGetCurrentIrql(), Irql::PASSIVE);
    }
}

#[test]
fn c110_processor_refused() {
    thread_local!(static TOLD: Log<(u32, u32, u8)> = const { Log::new() });
    extern "win64-unwind" fn routine(context: *mut c_void, change: *mut c_void, status: *mut c_void) {
        // SAFETY: the test passes its own executive.
        let nt = unsafe { &*context.cast::<Nt>() };
        let (state, number): (u32, u32) = (at(change, 0), at(change, 4));
        assert_eq!(at::<u32>(status, 0), 0, "initialized to success");
        TOLD.with(|told| told.push((state, number, nt.KeGetCurrentIrql().0)));
        if (state, number) == (0, 1) {
            write(status.cast::<u32>(), 0xC000_0001);
        }
    }
    for profile in modern() {
        let nt = boot(profile);
        nt.set_processors(2);
        let object = nt.builtin("ProcessorAdd");
        let before = counts(object);
        let context = (&raw const nt).cast_mut().cast();
        // SAFETY: a routine with the contract of a processor callback.
        let registration = unsafe {
            nt.KeRegisterProcessorChangeCallback(Routine(routine as *const () as usize), context, 1)
        };
        assert!(registration.is_null());
        assert_eq!(TOLD.with(Log::take), [(0, 0, 1), (0, 1, 1), (2, 0, 1)], "{}", profile.name);
        assert!(registrations(object).is_empty());
        assert_eq!(counts(object), before);
        assert_eq!(nt.KeGetCurrentIrql(), Irql::PASSIVE);

        nt.set_processors(1);
        // SAFETY: as above.
        let registration = unsafe {
            nt.KeRegisterProcessorChangeCallback(Routine(routine as *const () as usize), context, 1)
        };
        assert_eq!(registrations(object), [registration]);
        assert_eq!(TOLD.with(Log::take), [(0, 0, 1), (1, 0, 1)]);
        assert_eq!(counts(object).0, before.0 + 1, "the open's reference is given back");
    }
}

#[test]
fn calling_a_null_routine_is_a_fault_at_the_call() {
    let (nt, object) = with(Profile::DEFAULT);
    assert!(!register(&nt, object, 0, null_mut()).is_null(), "nobody looks at the routine before");
    let (code, parameters) = bugcheck_of(|| ring(&nt, object, 0, 0));
    assert_eq!((code, parameters[0]), (0x7E, 0xC000_0005));
}
