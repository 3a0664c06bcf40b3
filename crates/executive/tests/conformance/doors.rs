//! The kernel's documented doors to callback objects: who creates the object, with what, and what rings it.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use nt::{NTSTATUS, Profile};
use record::{CreateOutcome, What};
use ringbell_executive::Routine;
use ringbell_executive::ex::{SessionEvent, SessionStateNotification, VerifiedImage};

use crate::support::*;

/// The attempts at creation that were told, as name, attributes, create and outcome.
fn attempts(nt: &Nt) -> Vec<(Option<String>, u32, bool, CreateOutcome)> {
    let mut made = Vec::new();
    let mut asked = None;
    for what in nt.platform().take_events() {
        match what {
            What::CreateAttempt { name, attributes, create, .. } => asked = Some((name, attributes, create)),
            What::CreateResult { outcome, .. } => {
                let (name, attributes, create) = asked.take().expect("an attempt before its result");
                made.push((name, attributes, create, outcome));
            }
            _ => {}
        }
    }
    made
}

fn code(routine: extern "win64-unwind" fn(*mut c_void, *mut c_void, *mut c_void)) -> Routine {
    Routine(routine as *const () as usize)
}

fn image_callback(nt: &Nt, types: (u32, u32), context: *mut c_void, token: usize) -> Result<Registered, u32> {
    let mut handle = null_mut();
    // SAFETY: a closure's routine and context; the output is a local.
    let status = unsafe {
        nt.SeRegisterImageVerificationCallback(
            types.0,
            types.1,
            code(call_closure),
            context,
            pointer(token),
            &raw mut handle,
        )
    };
    if status.is_success() { Ok(handle) } else { Err(status.0) }
}

#[test]
fn image_verification_registers_on_the_built_in_objects() {
    for profile in modern() {
        let nt = boot(profile);
        let log = Log::new();
        nt.platform().listen();
        let context = closure(|a, b| {
            let information: [u8; 4] = at(pointer(b), 0);
            log.push((a, information));
            // The next routine must not see this.
            write(pointer(b).cast::<u8>(), 0xFF);
        });
        let first = image_callback(&nt, (1, 0), context, 0).expect("a registration");
        let second = image_callback(&nt, (1, 0), context, 0).expect("a registration");
        assert!(attempts(&nt).is_empty(), "through the variable, without an open");
        assert_eq!(registrations(nt.builtin("SeImageVerificationDriverInfo")), [first, second]);
        nt.tell_of_verified_image(VerifiedImage::Driver, &[1, 2, 3, 4]).expect("memory");
        assert_eq!(log.take(), [(1, [1, 2, 3, 4]); 2], "{}: each finds it as it was", profile.name);
        // SAFETY: registered above.
        unsafe { nt.SeUnregisterImageVerificationCallback(first) };
        nt.tell_of_verified_image(VerifiedImage::Driver, &[9, 9, 9, 9]).expect("memory");
        assert_eq!(log.take(), [(1, [9, 9, 9, 9])]);

        let has_blocked = profile.builtin_names.value.contains(&"SeImageVerificationBlockInfo");
        let blocked = image_callback(&nt, (4, 1), context, 0);
        assert_eq!(blocked.is_ok(), has_blocked, "{}", profile.name);
        nt.tell_of_verified_image(VerifiedImage::Blocked, &[7; 4]).expect("memory");
        let told = if has_blocked { vec![(4, [7; 4])] } else { vec![] };
        assert_eq!(log.take(), told, "{}: the type of image", profile.name);
        if let Err(status) = blocked {
            assert_eq!(status, 0xC000_00EF);
        } else {
            assert_eq!(registrations(nt.builtin("SeImageVerificationBlockInfo")).len(), 1);
        }
    }
}

#[test]
fn image_verification_refuses_in_the_order_of_its_arguments() {
    for profile in modern() {
        let nt = boot(profile);
        let context = closure(|_, _| {});
        let refused = |types, token| image_callback(&nt, types, context, token).err();
        for image in [0, 2, 3, 5] {
            assert_eq!(refused((image, 9), 1), Some(0xC000_00EF), "type {image}");
        }
        assert_eq!(refused((1, 1), 1), Some(0xC000_00F0));
        assert_eq!(refused((1, 0), 1), Some(0xC000_00F3));
        nt.platform().refuse_all(true);
        assert_eq!(refused((1, 0), 0), Some(0xC000_0017), "{}", profile.name);
        let told = nt.tell_of_verified_image(VerifiedImage::Driver, &[0]);
        assert_eq!(told.map_err(|status| status.0), Err(0xC000_009A));
        nt.platform().refuse_all(false);
        assert!(registrations(nt.builtin("SeImageVerificationDriverInfo")).is_empty());
    }
}

#[test]
fn boot_drivers_make_their_object_themselves_and_it_has_no_name_left() {
    for profile in all() {
        let nt = boot(profile);
        let log = Log::new();
        assert!(nt.PnpBootDriverCallbackObject().is_null());
        nt.PnpNotifyEarlyLaunchStatusUpdate(1);
        nt.platform().listen();
        let verdict = |verdict: u32| {
            let log = &log;
            closure(move |a, b| {
                log.push((a, at::<u32>(pointer(b), 0), at::<u32>(pointer(b), 4)));
                // Of a status update nothing is read back, and the next routine must not see this.
                write(pointer(b).cast::<u32>(), if a == 1 { verdict } else { 9 });
            })
        };
        let add = |context| {
            // SAFETY: a closure's routine and context.
            unsafe { nt.IoRegisterBootDriverCallback(code(call_closure), context) }
        };
        let first = add(verdict(2));
        let second = add(verdict(1));
        let object = nt.PnpBootDriverCallbackObject();
        assert_eq!(
            attempts(&nt),
            [(Some("\\Callback\\BootDriver".into()), 0x240, true, CreateOutcome::Created)],
            "{}: once",
            profile.name
        );
        assert_eq!(registrations(object), [first, second]);
        assert!(nt.facts_at("\\Callback\\BootDriver").is_none(), "temporary");
        assert_eq!(stored_name(object.cast()).as_deref(), Some("BootDriver"));
        assert_eq!(counts(object), (3, 0));

        let mut image = [0; 0x68];
        image[4] = 0x1F;
        assert_eq!(nt.PnpNotifyEarlyLaunchImageLoad(&image), 2, "the worst judgment");
        assert_eq!(log.take(), [(1, 0, 0x1F); 2], "each judges afresh");
        nt.PnpNotifyEarlyLaunchStatusUpdate(2);
        let told = log.take();
        assert_eq!(told.iter().map(|told| (told.0, told.1)).collect::<Vec<_>>(), [(0, 2); 2]);

        nt.close_boot_driver_registration();
        assert!(add(verdict(0)).is_null(), "closed");
        // SAFETY: registered above.
        unsafe { nt.IoUnRegisterBootDriverCallback(first) };
        assert_eq!(registrations(object), [second]);
        assert_eq!(nt.PnpNotifyEarlyLaunchImageLoad(&image), 1);
    }
}

type Seen = (usize, usize, u32, usize, u32);

extern "win64-unwind" fn session_routine(
    session: *mut c_void,
    object: *mut c_void,
    event: u32,
    context: *mut c_void,
    payload: *mut c_void,
    length: u32,
) -> NTSTATUS {
    // SAFETY: the tests pass a log as context.
    let log = unsafe { &*context.cast::<Log<Seen>>() };
    log.push((session.addr(), object.addr(), event, payload.addr(), length));
    NTSTATUS(0xC000_0001)
}

fn container(nt: &Nt, object: usize, mask: u32, log: &Log<Seen>) -> Result<*mut c_void, u32> {
    let wanted = SessionStateNotification {
        size: 0x20,
        flags: 0,
        io_object: pointer(object),
        event_mask: mask,
        context: (&raw const *log).cast_mut().cast(),
    };
    let mut registration = null_mut();
    let routine = Routine(session_routine as *const () as usize);
    // SAFETY: a routine with the contract; all of it lives across the call.
    let status = unsafe {
        nt.IoRegisterContainerNotification(0, routine, &raw const wanted, 0x20, &raw mut registration)
    };
    if status.is_success() { Ok(registration) } else { Err(status.0) }
}

#[test]
fn sessions_ring_through_the_kernels_own_routine() {
    for profile in modern() {
        let nt = boot(profile);
        nt.boot_kernel().expect("the later boot phases");
        let object = nt.kernel_object("IoSessionNotifications");
        let before = nt.platform().outstanding();
        let (logon, all_events) = (Log::new(), Log::new());
        let first = container(&nt, 0x1000, 0x10, &logon).expect("a registration");
        assert_eq!(container(&nt, 0x1000, 0x3F, &logon), Err(0xC000_0021), "the same I/O object");
        let second = container(&nt, 0x2000, 0x3F, &all_events).expect("a registration");
        assert_eq!(registrations(object).len(), 2, "one each");
        let routine = nt.kernel_routine(ringbell_executive::KernelRoutine::IopDispatchSessionNotifications);
        for (registration, block) in registrations(object).into_iter().zip([first, second]) {
            assert_eq!(at::<usize>(registration.cast(), 0x18), routine);
            assert_eq!(at::<usize>(registration.cast(), 0x20), block.addr(), "the block is the context");
        }
        // The block, as a debugger reads it.
        assert_eq!(at::<usize>(first, 0x18), session_routine as *const () as usize);
        assert_eq!((at::<usize>(first, 0x28), at::<u32>(first, 0x38)), (0x1000, 0x10));

        for event in 0..=7 {
            nt.tell_of_session(&SessionEvent::new(event, 1, pointer(0x5E55)));
        }
        let heard: Vec<u32> = all_events.take().into_iter().map(|seen| seen.2).collect();
        assert_eq!(heard, [1, 2, 3, 4, 5, 6], "{}", profile.name);
        assert_eq!(logon.take(), [(0x5E55, 0x1000, 5, 0, 0)]);
        // A foreign registration of the routine's address is recorded and calls nobody.
        register(&nt, object, routine, null_mut());
        nt.tell_of_session(&SessionEvent::new(5, 1, null_mut()));
        assert_eq!((logon.take().len(), all_events.take().len()), (1, 1));
        let foreign = registrations(object).pop().expect("the foreign one");
        unregister(&nt, foreign);
        for block in [first, second] {
            // SAFETY: registered above.
            unsafe { nt.IoUnregisterContainerNotification(block) };
        }
        assert!(registrations(object).is_empty());
        assert_eq!(nt.platform().outstanding(), before);
        assert!(container(&nt, 0x1000, 1, &logon).is_ok(), "the object is free again");
    }
}

#[test]
fn sessions_refuse_what_they_cannot_do() {
    let nt = boot(Profile::DEFAULT);
    let log = Log::new();
    assert_eq!(container(&nt, 0x1000, 1, &log), Err(0xC000_000D), "before the object exists");
    nt.boot_kernel().expect("the later boot phases");
    let object = nt.kernel_object("IoSessionNotifications");
    for missing in 0..2 {
        let before = nt.platform().outstanding();
        nt.platform().refuse_allocation(missing);
        assert_eq!(container(&nt, 0x1000, 1, &log), Err(0xC000_009A), "allocation {missing}");
        nt.platform().refuse_all(false);
        assert_eq!(nt.platform().outstanding(), before);
        assert!(registrations(object).is_empty());
    }
    let routine = Routine(1);
    let mut out = null_mut();
    // SAFETY: refused before anything is read.
    let status = unsafe { nt.IoRegisterContainerNotification(0, routine, null(), 0x20, &raw mut out) };
    assert_eq!(status.0, 0xC000_000D);
    assert!(container(&nt, 0x1000, 1, &log).is_ok());
}

#[test]
fn the_kernels_other_rings_bring_the_arguments_of_the_catalog() {
    for profile in modern() {
        let nt = boot(profile);
        nt.boot_kernel().expect("the later boot phases");
        let log = Log::new();
        let named = [
            ("LicensingData", nt.kernel_object("LicensingData")),
            ("IoExternalDmaUnblock", nt.kernel_object("IoExternalDmaUnblock")),
            ("Phase1InitComplete", nt.builtin("Phase1InitComplete")),
            ("EnlightenmentState", nt.builtin("EnlightenmentState")),
        ];
        for (name, object) in named {
            let facts = nt.facts_at(&format!("\\Callback\\{name}")).expect("a name");
            assert_eq!(facts.body, object.addr());
            assert_eq!(facts.flags, 0x12, "{name}: permanent, the kernel's");
            let log = &log;
            listen(&nt, object, move |a, b| log.push((name, a, b)));
        }
        nt.SLSendPolicyChangeNotifications();
        nt.tell_of_console_lock(true);
        nt.tell_of_console_lock(false);
        nt.tell_of_phase1();
        nt.tell_of_enlightenments();
        let expected = [
            ("LicensingData", 0, 0),
            ("IoExternalDmaUnblock", 1, 0),
            ("IoExternalDmaUnblock", 0, 0),
            ("Phase1InitComplete", 0, 0),
            ("EnlightenmentState", 0, 0),
        ];
        assert_eq!(log.take(), expected, "{}", profile.name);
    }
}
