//! Every way of doing it wrong has its modeled outcome: one table, a test for each row, and the page of the book.
//!
//! The tests take what they expect from the table, so neither can say something else than the other.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use nt::{Irql, KDPC, LIST_ENTRY, Profile};
use record::What;
use ringbell_executive::Routine;
use ringbell_executive::solo::Outcome;

use crate::support::*;

/// How it ends.
#[derive(Clone, Copy)]
pub(crate) enum Ends {
    /// In a bugcheck with this first parameter, where one is sure.
    Bugcheck(u32, Option<u64>),
    /// Never: a thread waits or spins for what cannot happen.
    Hang(&'static str),
    /// Nobody notices at that place. What happens then.
    GoesOn(&'static str),
}

/// One way of doing it wrong.
pub(crate) struct Row {
    /// Name of the test.
    pub(crate) test: &'static str,
    /// What is done.
    pub(crate) wrong: &'static str,
    pub(crate) ends: Ends,
    /// Where that is from.
    pub(crate) evidence: &'static str,
    /// On which versions.
    pub(crate) versions: &'static str,
}

const fn row(
    test: &'static str,
    versions: &'static str,
    evidence: &'static str,
    ends: Ends,
    wrong: &'static str,
) -> Row {
    Row { test, wrong, ends, evidence, versions }
}

const DEC: &str = "decompiled kernels";
const INF: &str = "inferred";
const DEC_INF: &str = "decompiled kernels; inferred";
const DOC_INF: &str = "Microsoft documentation; inferred";

/// The table.
pub(crate) const ROWS: &[Row] = &[
    row(
        "m01_unregister_itself",
        "all",
        DEC_INF,
        Ends::Hang("it waits for its own end"),
        "a routine below DISPATCH_LEVEL unregisters its own registration",
    ),
    row(
        "m02_register_under_the_lock",
        "all but ros",
        DEC_INF,
        Ends::Hang("it spins on the lock that its own thread holds"),
        "a routine called at DISPATCH_LEVEL registers on the same object",
    ),
    row(
        "m03_unregister_under_the_lock",
        "all but ros",
        DEC_INF,
        Ends::Hang("it spins on the lock that its own thread holds"),
        "a routine called at DISPATCH_LEVEL unregisters from the same object",
    ),
    row(
        "m04_notify_under_the_lock",
        "all but ros",
        DEC_INF,
        Ends::Hang("it spins on the lock that its own thread holds"),
        "a routine called at DISPATCH_LEVEL rings the same object",
    ),
    row(
        "m05_enumerate_under_the_lock",
        "all but ros",
        DEC_INF,
        Ends::Hang("it spins on the lock that its own thread holds"),
        "a routine called at DISPATCH_LEVEL enumerates the same object's routines",
    ),
    row(
        "m06_wait_at_dispatch",
        "all",
        INF,
        Ends::Bugcheck(0xA, None),
        "a registration is unregistered at DISPATCH_LEVEL while its routine runs",
    ),
    row(
        "m07_wait_in_a_dpc",
        "all",
        INF,
        Ends::Bugcheck(0xB8, None),
        "a DPC unregisters a registration whose routine it interrupted",
    ),
    row(
        "m08_corrupt_tail_at_register",
        "all",
        DEC,
        Ends::Bugcheck(0x139, Some(3)),
        "a routine is registered on an object whose last link does not lead back",
    ),
    row(
        "m09_corrupt_neighbor_at_unregister",
        "all",
        DEC,
        Ends::Bugcheck(0x139, Some(3)),
        "a registration is unregistered whose neighbors do not point at it",
    ),
    row(
        "m10_corrupt_global_list_at_create",
        "8.1 and later",
        DEC,
        Ends::Bugcheck(0x139, Some(3)),
        "an object is created while the list of all objects is corrupt",
    ),
    row(
        "m11_corrupt_global_list_at_delete",
        "8.1 and later",
        DEC,
        Ends::Bugcheck(0x139, Some(3)),
        "an object is deleted whose neighbors on the list of all objects do not point at it",
    ),
    row(
        "m12_unregister_twice",
        "all",
        DEC,
        Ends::Bugcheck(0x139, Some(3)),
        "a registration is unregistered a second time, and its memory still holds what it held (`ringbell run` fills freed pool, \
         and the pointer to the object is then none: bugcheck 0x7E; special pool of Windows takes the page away: 0xCC)",
    ),
    row(
        "m13_unregister_null",
        "all",
        "decompiled kernels; published research",
        Ends::Bugcheck(0x7E, Some(0xC000_0005)),
        "null is unregistered",
    ),
    row(
        "m14_unregister_null_at_dispatch",
        "all",
        INF,
        Ends::Bugcheck(0xA, Some(0x10)),
        "null is unregistered at DISPATCH_LEVEL",
    ),
    row(
        "m15_unregister_a_stranger",
        "all",
        DEC_INF,
        Ends::Bugcheck(0x7E, Some(0xC000_0005)),
        "zeroed memory that is no registration is unregistered",
    ),
    row(
        "m16_register_without_object",
        "all",
        DEC_INF,
        Ends::Bugcheck(0x7E, Some(0xC000_0005)),
        "a routine is registered on a null object",
    ),
    row(
        "m17_register_on_another_type",
        "all",
        DEC_INF,
        Ends::GoesOn("null is returned: the zeros read as an object for one routine whose list is not empty"),
        "a routine is registered on an object of another type, an empty directory; nobody looks at the signature",
    ),
    row(
        "m18_null_routine",
        "all",
        DEC_INF,
        Ends::Bugcheck(0x7E, Some(0xC000_0005)),
        "a null routine is registered, which succeeds, and the object rung",
    ),
    row(
        "m19_create_without_attributes",
        "all",
        DEC,
        Ends::Bugcheck(0x7E, Some(0xC000_0005)),
        "an object is created without attributes",
    ),
    row(
        "m20_dereference_too_often",
        "all",
        DOC_INF,
        Ends::Bugcheck(0x18, None),
        "a reference is given back that nobody had",
    ),
    row(
        "m21_register_on_a_deleted_object",
        "all",
        INF,
        Ends::Bugcheck(0x18, None),
        "a routine is registered on an object that is gone, and its memory is not used for anything else yet",
    ),
    row(
        "m22_free_a_registration",
        "all",
        INF,
        Ends::Bugcheck(0xC2, Some(7)),
        "a registration is freed as pool and then unregistered",
    ),
    row(
        "m23_notify_above_dispatch",
        "all",
        DOC_INF,
        Ends::Bugcheck(0x9, Some(2)),
        "an object is rung above DISPATCH_LEVEL",
    ),
    row(
        "m24_unregister_above_dispatch",
        "all",
        DOC_INF,
        Ends::Bugcheck(0x9, Some(2)),
        "a registration is unregistered above DISPATCH_LEVEL",
    ),
    row(
        "m25_return_at_a_raised_irql",
        "all",
        DEC,
        Ends::GoesOn(
            "the next routines run at the IRQL it left, and whoever rang gets it back; no code of its own",
        ),
        "a routine called below DISPATCH_LEVEL returns at DISPATCH_LEVEL",
    ),
    row(
        "m26_return_at_a_lowered_irql",
        "all but ros",
        DOC_INF,
        Ends::Bugcheck(0xA, None),
        "a routine called at DISPATCH_LEVEL returns at PASSIVE_LEVEL: the lock cannot be given back",
    ),
    row(
        "m27_abandon_an_enumeration",
        "all",
        DEC_INF,
        Ends::Hang("the pin of the enumeration is never taken away"),
        "an enumeration stops at a registration that is unregistered then",
    ),
    row(
        "m28_notify_on_a_deleted_object",
        "all",
        INF,
        Ends::GoesOn("nothing, as long as the memory is not used for anything else"),
        "an object is rung that is gone",
    ),
    row(
        "m29_create_at_dispatch",
        "all",
        DOC_INF,
        Ends::GoesOn("the broken contract is reported; the code is pageable on Windows"),
        "an object is created at DISPATCH_LEVEL",
    ),
    row(
        "m30_register_at_dispatch",
        "all",
        "decompiled kernels; Microsoft documentation",
        Ends::GoesOn("it works, and the broken contract is reported"),
        "a routine is registered at DISPATCH_LEVEL",
    ),
    row(
        "m31_null_link_at_register",
        "all",
        INF,
        Ends::Bugcheck(0xA, Some(0)),
        "a routine is registered on an object whose links are null: the access comes before the comparison, under the lock",
    ),
];

/// A row and its test.
struct Check {
    row: &'static Row,
    profile: &'static Profile,
}

impl Check {
    fn nt(&self) -> (Nt, Object) {
        let nt = boot(self.profile);
        let object = ask_unnamed(0x200).object(&nt);
        (nt, object)
    }

    /// Runs what is wrong and compares its end with the table.
    fn ends(&self, action: impl FnOnce()) {
        let name = self.profile.name;
        match (self.row.ends, try_end(action)) {
            (Ends::Bugcheck(code, first), Err(Outcome::Bugcheck(check))) => {
                assert_eq!(check.code.0, code, "{name}: {check:?}");
                if let Some(first) = first {
                    assert_eq!(check.parameters[0], first, "{name}: {check:?}");
                }
            }
            (Ends::Hang(_), Err(Outcome::Deadlock(_))) | (Ends::GoesOn(_), Ok(())) => {}
            (_, Ok(())) => panic!("{name}: {}: nobody noticed", self.row.wrong),
            (_, Err(outcome)) => panic!("{name}: {}: {outcome}", self.row.wrong),
        }
    }
}

fn find_row(test: &str) -> &'static Row {
    ROWS.iter().find(|row| row.test == test).unwrap_or_else(|| panic!("no row is held by {test}"))
}

/// Defines the test of a row.
macro_rules! wrong {
    ($test:ident, $versions:expr, |$check:ident| $body:block) => {
        #[test]
        fn $test() {
            for profile in $versions {
                let $check = Check { row: find_row(stringify!($test)), profile };
                $body
            }
        }
    };
}

/// Runs `action` inside a routine that is called at `irql`.
fn inside(nt: &Nt, object: Object, irql: Irql, action: impl Fn(Registered)) {
    let own = Cell::new(null_mut());
    own.set(listen(nt, object, |_, _| action(own.get())));
    let old = nt.KeRaiseIrql(irql);
    ring(nt, object, 0, 0);
    nt.KeLowerIrql(old);
}

wrong!(m01_unregister_itself, all(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| inside(&nt, object, Irql::PASSIVE, |own| unregister(&nt, own)));
});

wrong!(m02_register_under_the_lock, holding(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| {
        inside(&nt, object, Irql::DISPATCH, |_| {
            register(&nt, object, 0x1000, null_mut());
        });
    });
});

wrong!(m03_unregister_under_the_lock, holding(), |check| {
    let (nt, object) = check.nt();
    let other = listen(&nt, object, |_, _| {});
    check.ends(|| inside(&nt, object, Irql::DISPATCH, |_| unregister(&nt, other)));
});

wrong!(m04_notify_under_the_lock, holding(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| inside(&nt, object, Irql::DISPATCH, |_| ring(&nt, object, 0, 0)));
});

wrong!(m05_enumerate_under_the_lock, holding(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| {
        inside(&nt, object, Irql::DISPATCH, |_| {
            let mut cursor = null_mut();
            // SAFETY: a live object and a local.
            unsafe { nt.ExpEnumerateCallback(object, &raw mut cursor) };
        });
    });
});

wrong!(m06_wait_at_dispatch, all(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| {
        inside(&nt, object, Irql::PASSIVE, |own| {
            nt.KeRaiseIrql(Irql::DISPATCH);
            unregister(&nt, own);
        });
    });
});

wrong!(m07_wait_in_a_dpc, all(), |check| {
    extern "win64-unwind" fn dpc_routine(
        _: *mut KDPC,
        context: *mut c_void,
        registration: *mut c_void,
        _: *mut c_void,
    ) {
        // SAFETY: the test passes its own executive.
        let nt = unsafe { &*context.cast::<Nt>() };
        unregister(nt, registration.cast());
    }
    let (nt, object) = check.nt();
    let dpc = Box::into_raw(Box::new(std::mem::MaybeUninit::<KDPC>::uninit())).cast::<KDPC>();
    let code = Routine(dpc_routine as *const () as usize);
    // SAFETY: fresh memory that is never freed; the context outlives the DPC.
    unsafe { nt.KeInitializeDpc(dpc, code, (&raw const nt).cast_mut().cast()) };
    check.ends(|| {
        inside(&nt, object, Irql::PASSIVE, |own| {
            // SAFETY: initialized above.
            unsafe { nt.KeInsertQueueDpc(dpc, own.cast(), null_mut()) };
        });
    });
});

/// Makes a node's forward link lead to a node that nobody else knows.
fn mislead(node: *mut LIST_ENTRY) {
    let stray = Box::leak(Box::new(LIST_ENTRY { Flink: null_mut(), Blink: null_mut() }));
    write(node, LIST_ENTRY { Flink: stray, ..read(node) });
}

wrong!(m08_corrupt_tail_at_register, all(), |check| {
    let (nt, object) = check.nt();
    let last = listen(&nt, object, |_, _| {});
    mislead(last.cast());
    check.ends(|| {
        register(&nt, object, 0x1000, null_mut());
    });
});

wrong!(m09_corrupt_neighbor_at_unregister, all(), |check| {
    let (nt, object) = check.nt();
    let first = listen(&nt, object, |_, _| {});
    let second = listen(&nt, object, |_, _| {});
    mislead(first.cast());
    check.ends(|| unregister(&nt, second));
});

wrong!(m10_corrupt_global_list_at_create, modern(), |check| {
    let (nt, object) = check.nt();
    mislead(object.wrapping_byte_add(0x28).cast());
    check.ends(|| {
        ask_unnamed(0x200).object(&nt);
    });
});

wrong!(m11_corrupt_global_list_at_delete, modern(), |check| {
    let (nt, object) = check.nt();
    let next = ask_unnamed(0x200).object(&nt);
    mislead(object.wrapping_byte_add(0x28).cast());
    check.ends(|| dereference(&nt, next));
});

wrong!(m12_unregister_twice, all(), |check| {
    let (nt, object) = check.nt();
    listen(&nt, object, |_, _| {});
    let registration = listen(&nt, object, |_, _| {});
    unregister(&nt, registration);
    check.ends(|| unregister(&nt, registration));
});

wrong!(m13_unregister_null, all(), |check| {
    let (nt, _) = check.nt();
    check.ends(|| unregister(&nt, null_mut()));
});

wrong!(m14_unregister_null_at_dispatch, all(), |check| {
    let (nt, _) = check.nt();
    nt.KeRaiseIrql(Irql::DISPATCH);
    check.ends(|| unregister(&nt, null_mut()));
});

wrong!(m15_unregister_a_stranger, all(), |check| {
    let (nt, _) = check.nt();
    let mut stranger = [0u64; 6];
    check.ends(|| unregister(&nt, stranger.as_mut_ptr().cast()));
});

wrong!(m16_register_without_object, all(), |check| {
    let (nt, _) = check.nt();
    check.ends(|| {
        register(&nt, null_mut(), 0x1000, null_mut());
    });
});

wrong!(m17_register_on_another_type, all(), |check| {
    let (nt, _) = check.nt();
    let directory = find(&nt, "\\KernelObjects").expect("an empty directory");
    assert!(entries(directory).is_empty());
    check.ends(|| {
        assert!(register(&nt, directory.cast(), 0x1000, null_mut()).is_null());
    });
    assert!(entries(directory).is_empty());
});

wrong!(m18_null_routine, all(), |check| {
    let (nt, object) = check.nt();
    assert!(!register(&nt, object, 0, null_mut()).is_null());
    check.ends(|| ring(&nt, object, 0, 0));
});

wrong!(m19_create_without_attributes, all(), |check| {
    let (nt, _) = check.nt();
    let mut object = null_mut();
    check.ends(|| {
        // SAFETY: null attributes are what the test is about.
        unsafe { nt.ExCreateCallback(&raw mut object, std::ptr::null(), 1, 1) };
    });
});

wrong!(m20_dereference_too_often, all(), |check| {
    let (nt, object) = check.nt();
    dereference(&nt, object);
    check.ends(|| dereference(&nt, object));
});

wrong!(m21_register_on_a_deleted_object, all(), |check| {
    let (nt, object) = check.nt();
    dereference(&nt, object);
    check.ends(|| {
        register(&nt, object, 0x1000, null_mut());
    });
});

wrong!(m22_free_a_registration, all(), |check| {
    let (nt, object) = check.nt();
    let registration = listen(&nt, object, |_, _| {});
    // SAFETY: a block of pool; that it is still registered is what the test is about.
    unsafe { nt.ExFreePool(registration.cast()) };
    check.ends(|| unregister(&nt, registration));
});

wrong!(m23_notify_above_dispatch, all(), |check| {
    let (nt, object) = check.nt();
    listen(&nt, object, |_, _| {});
    nt.KeRaiseIrql(Irql(5));
    check.ends(|| ring(&nt, object, 0, 0));
});

wrong!(m24_unregister_above_dispatch, all(), |check| {
    let (nt, object) = check.nt();
    let registration = listen(&nt, object, |_, _| {});
    nt.KeRaiseIrql(Irql(5));
    check.ends(|| unregister(&nt, registration));
});

wrong!(m25_return_at_a_raised_irql, all(), |check| {
    let (nt, object) = check.nt();
    let log = Log::new();
    listen(&nt, object, |_, _| {
        nt.KeRaiseIrql(Irql::DISPATCH);
    });
    let own = Cell::new(null_mut());
    own.set(listen(&nt, object, |_, _| {
        log.push((nt.KeGetCurrentIrql(), lock_of(object) & 1, calls(&nt, own.get())));
    }));
    check.ends(|| ring(&nt, object, 0, 0));
    assert_eq!(log.take(), [(Irql::DISPATCH, 0, 1)], "the way of calling is chosen once");
    assert_eq!(nt.KeGetCurrentIrql(), Irql::DISPATCH);
    assert_eq!((lock_of(object), calls(&nt, own.get())), (0, 0));
});

wrong!(m26_return_at_a_lowered_irql, holding(), |check| {
    let (nt, object) = check.nt();
    check.ends(|| inside(&nt, object, Irql::DISPATCH, |_| nt.KeLowerIrql(Irql::PASSIVE)));
});

wrong!(m27_abandon_an_enumeration, all(), |check| {
    let (nt, object) = check.nt();
    let registration = listen(&nt, object, |_, _| {});
    let mut cursor = null_mut();
    // SAFETY: a live object and a local.
    assert!(unsafe { nt.ExpEnumerateCallback(object, &raw mut cursor) }.is_some());
    check.ends(|| unregister(&nt, registration));
});

wrong!(m28_notify_on_a_deleted_object, all(), |check| {
    let (nt, object) = check.nt();
    dereference(&nt, object);
    check.ends(|| ring(&nt, object, 0, 0));
});

wrong!(m29_create_at_dispatch, all(), |check| {
    let (nt, _) = check.nt();
    nt.platform().listen();
    nt.KeRaiseIrql(Irql::DISPATCH);
    check.ends(|| {
        ask_unnamed(0x200).object(&nt);
    });
    assert!(reported(&nt, "ExCreateCallback", 1), "{}", check.profile.name);
});

wrong!(m30_register_at_dispatch, all(), |check| {
    let (nt, object) = check.nt();
    nt.platform().listen();
    nt.KeRaiseIrql(Irql::DISPATCH);
    check.ends(|| {
        listen(&nt, object, |_, _| {});
    });
    assert!(reported(&nt, "ExRegisterCallback", 1), "{}", check.profile.name);
    assert_eq!(registrations(object).len(), 1);
});

wrong!(m31_null_link_at_register, all(), |check| {
    let (nt, object) = check.nt();
    write(object.wrapping_byte_add(0x10).cast(), LIST_ENTRY { Flink: null_mut(), Blink: null_mut() });
    check.ends(|| {
        register(&nt, object, 0x1000, null_mut());
    });
});

#[test]
fn the_table_is_whole() {
    for (index, row) in ROWS.iter().enumerate() {
        assert!(row.test.starts_with(&format!("m{:02}_", index + 1)), "{} is out of order", row.test);
        let how = match row.ends {
            Ends::Bugcheck(code, _) => nt::BugCheck(code).name().unwrap_or_default(),
            Ends::Hang(how) | Ends::GoesOn(how) => how,
        };
        for text in [row.wrong, row.evidence, row.versions, how] {
            assert!(!text.is_empty(), "{} is incomplete", row.test);
        }
    }
}

/// Whether a call above the highest IRQL of its contract was reported.
fn reported(nt: &Nt, routine: &str, most: u8) -> bool {
    nt.platform().take_events().into_iter().any(
        |what| matches!(what, What::IrqlContract { name, highest, .. } if name == routine && highest == most),
    )
}
