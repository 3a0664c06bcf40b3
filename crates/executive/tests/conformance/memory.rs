//! Every allocation may fail.

use std::ptr::null_mut;

use nt::{OBJECT_ATTRIBUTES, Profile, UNICODE_STRING};
use ringbell_executive::{Executive, Routine};

use crate::support::*;

/// Everything that a failed call must leave as it was.
fn state(nt: &Nt) -> impl PartialEq + std::fmt::Debug + use<> {
    let objects = if nt.profile().has_global_list.value { listed(nt) } else { Vec::new() };
    (nt.platform().outstanding(), objects, callback_names(nt), handles(nt), nt.handle_total())
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
        let call = || match register(&nt, object, 0x1000, null_mut()) {
            registration if registration.is_null() => Err(0xC000_009A),
            registration => Ok(registration),
        };
        let swept = sweep(&nt, call, |registration| unregister(&nt, registration));
        assert_eq!((swept.failed, swept.tolerated), (1, 0), "{}", profile.name);
        assert_eq!(counts(object), (1, 0));
    }
}

/// As an answer of an operation that says no more than null.
fn or_null<T>(pointer: *mut T) -> Result<*mut T, u32> {
    if pointer.is_null() { Err(0xC000_009A) } else { Ok(pointer) }
}

#[test]
fn processor_changes_may_lack_memory() {
    for profile in modern() {
        for existing in [0, 1] {
            let nt = boot(profile);
            nt.set_processors(3);
            let told = std::cell::Cell::new(0);
            let context = closure(|_, _| told.set(told.get() + 1));
            let code = Routine(call_closure as *const () as usize);
            let call = || {
                told.set(0);
                // SAFETY: a closure's routine and context.
                or_null(unsafe { nt.KeRegisterProcessorChangeCallback(code, context, existing) })
            };
            let swept = sweep(&nt, call, |registration| {
                assert_eq!(told.get(), existing * 6, "{}: start and completion of each", profile.name);
                unregister(&nt, registration);
            });
            // The open's name at least, and the registration.
            assert!(swept.failed >= 2 && swept.tolerated == 0, "{}: {}", profile.name, swept.failed);
        }
    }
}

#[test]
fn ports_may_lack_memory() {
    for profile in all() {
        let nt = boot(profile);
        let mut units: Vec<u16> = "\\SweptPort".encode_utf16().collect();
        let mut view = UNICODE_STRING { Length: 20, MaximumLength: 20, Buffer: units.as_mut_ptr() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: 0x30,
            RootDirectory: null_mut(),
            ObjectName: &raw mut view,
            Attributes: 0x240,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: null_mut(),
        };
        let create = || {
            let mut handle = null_mut();
            // SAFETY: all of it lives across the call.
            let status =
                unsafe { nt.ZwAlpcCreatePort(&raw mut handle, &raw const attributes, std::ptr::null()) };
            if status.is_success() { Ok(handle) } else { Err(status.0) }
        };
        // The first port makes the type, which stays; its own allocations fail one by one before that.
        for refused in 0.. {
            let before = state(&nt);
            nt.platform().refuse_allocation(refused);
            let made = create();
            nt.platform().refuse_all(false);
            if !nt.AlpcPortObjectType().is_null() {
                if let Ok(handle) = made {
                    nt.ZwClose(handle);
                }
                assert!(refused > 2, "{}", profile.name);
                break;
            }
            assert_eq!(made, Err(0xC000_009A), "{}: allocation {refused}", profile.name);
            assert_eq!(state(&nt), before, "{}: allocation {refused}", profile.name);
        }
        let swept = sweep(&nt, create, |handle| assert!(nt.ZwClose(handle).is_success()));
        assert!(swept.failed >= 3 && swept.tolerated == 0, "{}: {}", profile.name, swept.failed);

        let object = ask_unnamed(0x200).object(&nt);
        let port = create().expect("a port");
        let wanted =
            nt::ALPC_REGISTER_CALLBACK { CallbackObject: object.cast(), CallbackContext: null_mut() };
        nt.platform().refuse_all(true);
        // SAFETY: the argument lives across the call; the object has a reference.
        let status = unsafe { nt.ZwAlpcSetInformation(port, 9, (&raw const wanted).cast(), 0x10) };
        nt.platform().refuse_all(false);
        assert!(status.is_success(), "attaching takes no memory");
    }
}

#[test]
fn the_other_doors_may_lack_memory() {
    let code = Routine(call_closure as *const () as usize);
    for profile in modern() {
        let nt = boot(profile);
        nt.boot_kernel().expect("the later boot phases");
        let context = closure(|_, _| {});
        let image = || {
            let mut handle = null_mut();
            // SAFETY: a closure's routine and context; the output is a local.
            let status = unsafe {
                nt.SeRegisterImageVerificationCallback(1, 0, code, context, null_mut(), &raw mut handle)
            };
            // `STATUS_NO_MEMORY` is this routine's word for it.
            match status.0 {
                0 => Ok(handle),
                0xC000_0017 => Err(0xC000_009A),
                other => Err(other),
            }
        };
        let swept = sweep(&nt, image, |registration| unregister(&nt, registration));
        assert_eq!((swept.failed, swept.tolerated), (1, 0), "{}", profile.name);

        let told = || {
            let image = ringbell_executive::ex::VerifiedImage::Driver;
            nt.tell_of_verified_image(image, &[1; 64]).map_err(|status| status.0)
        };
        let swept = sweep(&nt, told, |()| {});
        assert_eq!((swept.failed, swept.tolerated), (2, 0), "{}", profile.name);

        // The first registration makes the object, which stays.
        let boot_driver = || {
            // SAFETY: a closure's routine and context.
            or_null(unsafe { nt.IoRegisterBootDriverCallback(code, context) })
        };
        for refused in 0.. {
            let before = state(&nt);
            nt.platform().refuse_allocation(refused);
            let made = boot_driver();
            nt.platform().refuse_all(false);
            if !nt.PnpBootDriverCallbackObject().is_null() {
                if let Ok(registration) = made {
                    unregister(&nt, registration);
                }
                break;
            }
            assert!(made.is_err());
            assert_eq!(state(&nt), before, "{}: allocation {refused}", profile.name);
        }
        let swept = sweep(&nt, boot_driver, |registration| unregister(&nt, registration));
        assert_eq!((swept.failed, swept.tolerated), (1, 0), "{}", profile.name);

        let block = || or_null(nt.ExAllocateCallBack(code, context));
        // SAFETY: a block that is in no slot.
        let swept = sweep(&nt, block, |block| unsafe { nt.ExFreeCallBack(block) });
        assert_eq!((swept.failed, swept.tolerated), (1, 0), "{}", profile.name);
    }
}

#[test]
fn what_ends_or_only_looks_takes_no_memory() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask("\\Callback\\Lean", KEPT).object(&nt);
        let other = ask_unnamed(0x200).object(&nt);
        let runs = std::cell::Cell::new(0);
        let first = listen(&nt, object, |_, _| runs.set(runs.get() + 1));
        let second = listen(&nt, object, |_, _| runs.set(runs.get() + 1));
        let before = nt.platform().allocations();
        nt.platform().refuse_all(true);
        for irql in [nt::Irql::PASSIVE, nt::Irql::APC, nt::Irql::DISPATCH] {
            let old = nt.KeRaiseIrql(irql);
            ring(&nt, object, 1, 2);
            nt.KeLowerIrql(old);
        }
        assert_eq!(runs.get(), 6, "{}", profile.name);
        let mut cursor = null_mut();
        // SAFETY: a live object and a local.
        while unsafe { nt.ExpEnumerateCallback(object, &raw mut cursor) }.is_some() {}
        let mut found = null_mut();
        loop {
            // SAFETY: null, or what this routine returned.
            found = unsafe { nt.ExpGetNextCallback(found) };
            if found.is_null() {
                break;
            }
        }
        unregister(&nt, first);
        unregister(&nt, second);
        make_temporary(&nt, object);
        dereference(&nt, object);
        dereference(&nt, other);
        assert_eq!(nt.platform().allocations(), before, "{}: nothing was asked for", profile.name);
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
        // No port without the object that it rings, and no object without its port.
        for key in ["PowerPort", "PowerMonitorPort", "SleepstudyControlPort"] {
            let port = nt.facts_at(&format!("\\{key}"));
            assert_eq!(port.is_some(), !nt.kernel_port(key).is_null(), "allocation {refused}: {key}");
            assert_eq!(port.is_some(), !nt.kernel_object(key).is_null(), "allocation {refused}: {key}");
        }
        assert!(refused < 1000);
    }
}
