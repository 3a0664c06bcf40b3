//! Every allocation may fail.

use nt::Profile;
use ringbell_executive::Executive;

use crate::support::*;

/// Everything that a failed call must leave as it was.
fn state(nt: &Nt) -> impl PartialEq + std::fmt::Debug + use<> {
    let objects = if nt.profile().has_global_list.value { listed(nt) } else { Vec::new() };
    (nt.platform().outstanding(), objects, callback_names(nt), handles(nt))
}

/// What a sweep met.
struct Swept {
    /// Missing allocations that made the call fail.
    failed: u64,
    /// Missing allocations that it did without: the open that precedes a creation may fail for any reason.
    tolerated: u64,
}

/// Runs `call` with the first, the second, … allocation missing, until it does not get as far as the missing
/// one.
fn sweep<R>(nt: &Nt, call: impl Fn() -> Result<R, u32>, undo: impl Fn(R)) -> Swept {
    let name = nt.profile().name;
    let mut swept = Swept { failed: 0, tolerated: 0 };
    for refused in 0..1000 {
        let before = state(nt);
        let count = nt.platform().allocations();
        nt.platform().refuse_allocation(refused);
        let result = call();
        let reached = nt.platform().allocations() - count > refused;
        nt.platform().refuse_all(false);
        match result {
            Ok(value) => {
                undo(value);
                assert_eq!(state(nt), before, "{name}: undone");
                if !reached {
                    return swept;
                }
                swept.tolerated += 1;
            }
            Err(status) => {
                assert!(reached, "{name}: {status:08X} without a missing allocation");
                assert_eq!(status, 0xC000_009A, "{name}: allocation {refused}");
                assert_eq!(state(nt), before, "{name}: allocation {refused}");
                swept.failed += 1;
            }
        }
    }
    panic!("no end of allocations");
}

#[test]
fn c050_every_allocation_may_fail() {
    for profile in all() {
        let nt = boot(profile);
        let undo = |object: Object| {
            make_temporary(&nt, object);
            dereference(&nt, object);
        };
        let open = sweep(
            &nt,
            || ask("\\Callback\\PowerState", 0x40).open().result(&nt),
            |object| dereference(&nt, object),
        );
        assert!(open.tolerated == 0, "{}: an open does without {}", profile.name, open.tolerated);
        for attributes in [KEPT, 0x40] {
            let named = sweep(&nt, || ask("\\Callback\\Swept", attributes).result(&nt), undo);
            // Object, stored name and directory entry at least. Only the open before may go without.
            assert!(named.failed >= 3, "{}: {}", profile.name, named.failed);
            assert!(named.tolerated <= open.failed, "{}: {}", profile.name, named.tolerated);
        }
        let unnamed = sweep(&nt, || ask_unnamed(0x200).result(&nt), undo);
        assert!(unnamed.failed >= 1 && unnamed.tolerated == 0, "{}", profile.name);
    }
}

#[test]
fn a_registration_may_lack_memory() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let call = || match register(&nt, object, 0x1000, std::ptr::null_mut()) {
            registration if registration.is_null() => Err(0xC000_009A),
            registration => Ok(registration),
        };
        let swept = sweep(&nt, call, |registration| unregister(&nt, registration));
        assert_eq!((swept.failed, swept.tolerated), (1, 0), "{}", profile.name);
        assert_eq!(counts(object), (1, 0));
    }
}

#[test]
fn a_creation_of_an_existing_name_may_lack_memory() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask("\\Callback\\Here", KEPT).object(&nt);
        for refused in 0..20 {
            nt.platform().refuse_allocation(refused);
            let result = ask("\\Callback\\Here", KEPT).result(&nt);
            nt.platform().refuse_all(false);
            match result {
                Ok(opened) => {
                    assert_eq!(opened, object);
                    dereference(&nt, object);
                }
                Err(0xC000_009A | 0xC000_0035) => {}
                Err(other) => panic!("{}: {other:08X}", profile.name),
            }
            assert_eq!(counts(object), (2, 0), "{}: allocation {refused}", profile.name);
        }
    }
}

#[test]
fn boot_survives_every_missing_allocation() {
    for profile in [Profile::DEFAULT, Profile::NT6] {
        let mut failures = 0;
        for refused in 0.. {
            let solo = solo();
            solo.refuse_allocation(refused);
            match Executive::boot_with(solo, profile, crate::PROTOCOL) {
                Ok(nt) => {
                    assert_eq!(callback_names(&nt).len(), profile.builtin_names.value.len());
                    if nt.platform().allocations() <= refused {
                        break;
                    }
                }
                Err(_) => failures += 1,
            }
            assert!(refused < 10_000);
        }
        assert!(failures > 20, "{failures}");
    }
}

#[test]
fn the_kernels_own_objects_may_lack_memory() {
    for refused in 0.. {
        let nt = boot(Profile::DEFAULT);
        nt.platform().refuse_allocation(refused);
        let count = nt.platform().allocations();
        match nt.boot_kernel() {
            Ok(()) if nt.platform().allocations() - count <= refused => break,
            Ok(()) => {}
            Err(status) => assert!([0xC000_009A, 0xC000_0034].contains(&status.0), "{status}"),
        }
        assert!(refused < 1000);
    }
}
