//! Ports that ring callback objects, on both protocols.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use nt::{
    ALPC_PORT_ATTRIBUTES, ALPC_REGISTER_CALLBACK, AlpcRegisterCallbackInformation, HANDLE, OBJECT_ATTRIBUTES,
    Profile, UNICODE_STRING,
};
use record::What;

use crate::support::*;

/// Versions whose kernels are known to have the objects behind ports.
fn with_ports() -> impl Iterator<Item = &'static Profile> {
    modern()
}

/// Offset of `CallbackObject`, written out and not taken from the layouts.
fn callback_offset(profile: &Profile) -> usize {
    match profile.name {
        "ros" | "nt6" => 0x148,
        "win8" => 0x160,
        "win81" => 0x158,
        _ => 0x170,
    }
}

fn create(nt: &Nt, name: Option<&str>, attributes: u32) -> Result<HANDLE, u32> {
    let mut units: Vec<u16> = name.unwrap_or_default().encode_utf16().collect();
    let bytes = (units.len() * 2) as u16;
    let mut view = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: 0x30,
        RootDirectory: null_mut(),
        ObjectName: if name.is_some() { &raw mut view } else { null_mut() },
        Attributes: attributes,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    };
    let mut handle = null_mut();
    // SAFETY: all of it lives across the call.
    let status = unsafe { nt.ZwAlpcCreatePort(&raw mut handle, &raw const attributes, null()) };
    if status.is_success() { Ok(handle) } else { Err(status.0) }
}

fn attach(nt: &Nt, port: HANDLE, object: Object, context: usize) -> u32 {
    let wanted = ALPC_REGISTER_CALLBACK { CallbackObject: object.cast(), CallbackContext: pointer(context) };
    // SAFETY: the argument lives across the call, and the object has a reference.
    unsafe {
        nt.ZwAlpcSetInformation(port, AlpcRegisterCallbackInformation, (&raw const wanted).cast(), 0x10).0
    }
}

/// The body of a port, with a reference.
fn body(nt: &Nt, port: HANDLE) -> *mut c_void {
    let mut body = null_mut();
    // SAFETY: the output is a local; null is any type.
    let status = unsafe { nt.ObReferenceObjectByHandle(port, 0, null_mut(), 0, &raw mut body, null_mut()) };
    assert!(status.is_success());
    body
}

fn deliver(nt: &Nt, body: *mut c_void, flags: u32) -> bool {
    // SAFETY: the test has a reference on the port, and its routines take any arguments.
    unsafe { nt.AlpcpCompleteDispatchMessage(body, flags) }
}

fn drop_body(nt: &Nt, body: *mut c_void) {
    // SAFETY: gives back the reference of `body`.
    unsafe { nt.ObfDereferenceObject(body) };
}

#[test]
fn a_message_rings_with_the_ports_context_and_the_flags() {
    for profile in all() {
        let nt = boot(profile);
        let before = nt.platform().outstanding();
        let log = Log::new();
        let port = create(&nt, Some("\\TestPort"), 0x200).expect("a port");
        let made = nt.platform().outstanding();
        assert!(made > before, "the type stays");
        let object = ask_unnamed(0x200).object(&nt);
        let body = body(&nt, port);
        assert!(!deliver(&nt, body, 1), "nothing is attached yet");
        let registration = listen(&nt, object, |a, b| {
            log.push((a, b, nt.KeGetCurrentIrql().0, nt.KeAreAllApcsDisabled()));
        });
        assert_eq!(attach(&nt, port, object, 0x1234_5678_9ABC), 0);
        assert_eq!(counts(object).0, 3, "creation, registration, port");
        // Where a debugger looks for it.
        let offset = callback_offset(profile);
        assert_eq!(at::<usize>(body, offset), object.addr(), "{}", profile.name);
        assert_eq!(at::<usize>(body, offset + 8), 0x1234_5678_9ABC);
        assert!(deliver(&nt, body, 0xFFFF_0001));
        assert_eq!(log.take(), [(0x1234_5678_9ABC, 0xFFFF_0001, 0, false)], "zero-extended, no lock held");

        // The creator may go, as the kernel's own do: port and registration keep the object.
        dereference(&nt, object);
        assert!(deliver(&nt, body, 2));
        assert_eq!(log.take().len(), 1);
        unregister(&nt, registration);
        assert_eq!(counts(object).0, 1, "the port's");
        nt.platform().listen();
        drop_body(&nt, body);
        assert!(nt.facts_at("\\TestPort").is_some());
        nt.ZwClose(port);
        assert!(nt.facts_at("\\TestPort").is_none(), "the last handle takes a temporary name");
        let gone = nt.platform().take_events();
        assert!(gone.iter().any(
            |what| matches!(what, What::ObjectDeleted { object: dead, .. } if *dead == object.addr() as u64)
        ));
    }
}

#[test]
fn the_kernels_three_ports_ring_their_routines() {
    for profile in with_ports() {
        let nt = boot(profile);
        nt.boot_kernel().expect("the later boot phases");
        let expected = [
            ("PowerPort", "\\PowerPort", "nt!PopUmpoMessageCallback", false),
            ("PowerMonitorPort", "\\PowerMonitorPort", "nt!PopMonitorAlpcCallback", true),
            ("SleepstudyControlPort", "\\SleepstudyControlPort", "nt!SshpAlpcMessageCallback", false),
        ];
        for (key, path, routine, with_handle) in expected {
            let handle = nt.kernel_port(key);
            let port = find(&nt, path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(type_name(&nt, port), "ALPC Port");
            let object = nt.kernel_object(key);
            assert_eq!(at::<usize>(port, callback_offset(profile)), object.addr());
            assert_eq!(name_info(object.cast()).map(|_| ()), None, "the object has no name");
            assert_eq!(counts(object), (2, 0), "{key}: the listener and the port");
            let context = if with_handle { handle.addr() as u64 } else { 0 };
            assert!(handle.addr() > 0xFFFF_FFFF_8000_0000, "a handle of the kernel");
            nt.platform().listen();
            assert!(nt.kernel_port_message(key, 0x2_0004));
            let heard: Vec<_> = nt
                .platform()
                .take_events()
                .into_iter()
                .filter_map(|what| match what {
                    What::KernelListener { routine, context, arguments } => {
                        Some((routine, context, arguments))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(heard, [(routine.into(), 0, [context, 0x2_0004])], "{} {key}", profile.name);
        }
        // Single is the object's, not the port's: the monitor takes more routines, the other two do not.
        let more = |key: &str| register(&nt, nt.kernel_object(key), 0x1000, null_mut());
        assert!(more("PowerPort").is_null() && more("SleepstudyControlPort").is_null());
        assert!(!more("PowerMonitorPort").is_null());
    }
}

#[test]
fn whoever_takes_the_message_keeps_the_bell_silent() {
    for profile in all() {
        let nt = boot(profile);
        let log = Log::new();
        let port = create(&nt, None, 0x200).expect("a port");
        let object = ask_unnamed(0x200).object(&nt);
        listen(&nt, object, |_, _| log.push(()));
        attach(&nt, port, object, 0);
        let body = body(&nt, port);
        let layout = profile.alpc_port_layout();
        let field = |name: &str| body.wrapping_byte_add(layout.field(name).expect("a field").offset);
        let state: *mut u32 = field("State").cast();
        write(state, read(state) | nt::port_state::WAITABLE);
        assert!(!deliver(&nt, body, 0), "{}: its semaphore is released instead", profile.name);
        write(state, read(state) & !nt::port_state::WAITABLE);
        write(field("CompletionPort").cast::<usize>(), 0x1000);
        assert!(!deliver(&nt, body, 0), "a completion packet is queued instead");
        write(field("CompletionPort").cast::<usize>(), 0);
        assert_eq!(log.take().len(), 0);
        assert!(deliver(&nt, body, 0));
        assert_eq!(log.take().len(), 1);
    }
}

#[test]
fn classes_and_arguments_are_refused_as_windows_does() {
    for profile in all() {
        let nt = boot(profile);
        let port = create(&nt, None, 0x200).expect("a port");
        let object = ask_unnamed(0x200).object(&nt);
        let wanted = ALPC_REGISTER_CALLBACK { CallbackObject: object.cast(), CallbackContext: null_mut() };
        let set = |handle: HANDLE, class: u32, argument: *const c_void, length: u32, mode: u8| {
            // SAFETY: the argument is null or lives across the call.
            unsafe { nt.alpc_set_information(handle, class, argument, length, mode).0 }
        };
        let argument = (&raw const wanted).cast::<c_void>();
        assert_eq!(set(null_mut(), 9, argument, 0x10, 0), 0xC000_000D);
        assert_eq!(set(port, 9, null(), 0x10, 0), 0xC000_000D);
        assert_eq!(set(pointer(0x7FF0), 9, argument, 0x10, 0), 0xC000_0008);
        for class in [0, 3, 4, 11, 12, 77] {
            assert_eq!(set(port, class, argument, 0x10, 0), 0xC000_000D, "class {class}");
        }
        for class in [1, 2, 5, 6, 7, 8, 10] {
            assert_eq!(set(port, class, argument, 0x10, 0), 0xC000_0002, "class {class} is not modeled");
        }
        assert_eq!(set(port, 9, argument, 0x49, 1), 0xC000_0004);
        assert_eq!(counts(object).0, 1, "nothing has taken a reference");
        assert_eq!(set(port, 9, argument, 0, 0), 0, "the length of the kernel's is not looked at");
        assert_eq!(counts(object).0, 2);
        assert_eq!(set(port, 9, argument, 0x10, 0), 0);
        assert_eq!(counts(object).0, 3, "what was attached before keeps its reference");

        // From user mode a handle of the process would do, and the class is not for it.
        let own = create(&nt, None, 0).expect("a port");
        assert_eq!(set(own, 9, argument, 0x10, 1), 0xC000_000D);
        // Another type of object under the handle.
        let mut directory = null_mut();
        let mut units: Vec<u16> = "\\Callback".encode_utf16().collect();
        let mut name = UNICODE_STRING { Length: 18, MaximumLength: 18, Buffer: units.as_mut_ptr() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: 0x30,
            RootDirectory: null_mut(),
            ObjectName: &raw mut name,
            Attributes: 0x240,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: null_mut(),
        };
        // SAFETY: all of it lives across the call.
        let opened = unsafe { nt.open_directory_object(&raw mut directory, 1, &raw const attributes, 0) };
        assert!(opened.is_success());
        assert_eq!(set(directory, 9, argument, 0x10, 0), 0xC000_0024);
    }
}

#[test]
fn a_port_is_made_as_its_type_says() {
    for profile in all() {
        let nt = boot(profile);
        assert!(nt.AlpcPortObjectType().is_null() && nt.object_type("ALPC Port").is_none());
        let asked = ALPC_PORT_ATTRIBUTES { Flags: 0x10_0000, MaxMessageLength: 0x100, ..zero() };
        let mut handle = null_mut();
        // SAFETY: all of it lives across the call; no object attributes is no name.
        let status = unsafe { nt.ZwAlpcCreatePort(&raw mut handle, null(), &raw const asked) };
        assert!(status.is_success());
        let body = body(&nt, handle);
        let layout = profile.alpc_port_layout();
        let attributes = layout.field("PortAttributes").expect("a field").offset;
        assert_eq!((at::<u32>(body, attributes), at::<u64>(body, attributes + 0x10)), (0x10_0000, 0x100));
        assert_eq!(header(body).InfoMask & 0x04, 0x04, "the type keeps count of handles");
        assert_eq!(nodes(body.cast()).len(), 1, "on the list of ports, with the head");
        // SAFETY: a live object.
        let dispatcher = unsafe { nt.dispatcher_object(body) };
        assert_eq!(at::<i32>(dispatcher.cast(), 4), 1, "always signaled");
        let key = nt.AlpcPortObjectType();
        // SAFETY: a type of this executive.
        let tag = unsafe { nt.object_type_key(key) };
        assert_eq!(tag & 0x7FFF_FFFF, u32::from_le_bytes(*b"ALPC") & 0x7FFF_FFFF);
        assert_eq!(create(&nt, Some("\\TwicePort"), 0x280), Err(0xC000_000D), "the type refuses OPENIF");
        assert!(create(&nt, Some("\\TwicePort"), 0x200).is_ok());
        assert_eq!(create(&nt, Some("\\TwicePort"), 0x200), Err(0xC000_0035));
    }
}

fn zero() -> ALPC_PORT_ATTRIBUTES {
    // SAFETY: plain data, for which zero is a value.
    unsafe { std::mem::zeroed() }
}
