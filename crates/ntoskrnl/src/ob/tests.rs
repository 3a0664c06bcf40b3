//! `Ob` and the services over handles, through the table.

use nt::{OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_OPENIF, OBJ_PERMANENT};
use record::What;

use crate::testing::{Rig, Wide, at, attributes, poke};

const SUCCESS: u64 = 0;
const NOT_FOUND: u64 = nt::STATUS_OBJECT_NAME_NOT_FOUND.0 as u64;
const MISMATCH: u64 = nt::STATUS_OBJECT_TYPE_MISMATCH.0 as u64;
const KERNEL: u32 = OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE;

/// A callback object with a name that stays.
fn bell(rig: &Rig, path: &str) -> u64 {
    let mut name = Wide::new(path);
    let mut given = attributes(&mut name, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT);
    let mut object = 0u64;
    assert_eq!(rig.call("ExCreateCallback", &[at(&mut object), at(&mut given), 1, 1]), SUCCESS);
    rig.events();
    object
}

fn callback_type(rig: &Rig) -> u64 {
    rig.kernel.executive().ExCallbackObjectType() as u64
}

fn count(rig: &Rig, object: u64) -> i64 {
    // SAFETY: the tests hold references on the objects they ask about.
    unsafe { rig.kernel.executive().object_facts(core::ptr::with_exposed_provenance_mut(object as usize)) }
        .pointer_count
}

#[test]
fn references_are_accounted_for() {
    let rig = Rig::new();
    let object = bell(&rig, r"\Callback\Bell");
    let t = callback_type(&rig);
    assert_eq!(count(&rig, object), 2, "the name and the creator");
    assert_eq!(rig.call("ObfReferenceObject", &[object]), 3);
    assert_eq!(rig.call("ObfReferenceObjectWithTag", &[object, 1]), 4);
    assert_eq!(rig.call("ObReferenceObjectByPointer", &[object, 0, t, 0]), SUCCESS);
    assert_eq!(rig.call("ObReferenceObjectByPointerWithTag", &[object, 0, t, 0, 1]), SUCCESS);
    assert_eq!(rig.call("ObReferenceObjectSafe", &[object]), 1);
    let up: Vec<What> = (3..=7).map(|count| What::Referenced { object, count }).collect();
    assert_eq!(rig.events(), up);
    assert_eq!(
        rig.call("ObReferenceObjectByPointer", &[object, 0, rig.kernel.types().event.as_ptr() as u64, 0]),
        MISMATCH
    );
    assert_eq!(rig.events(), [], "a refusal is no reference");
    assert_eq!(rig.call("ObfDereferenceObject", &[object]), 6);
    assert_eq!(rig.call("ObDereferenceObject", &[object]), 5);
    assert_eq!(rig.call("ObfDereferenceObjectWithTag", &[object, 1]), 4);
    rig.call("ObDereferenceObjectDeferDelete", &[object]);
    rig.call("ObDereferenceObjectDeferDeleteWithTag", &[object, 1]);
    let down: Vec<What> = (2..=6).rev().map(|count| What::Dereferenced { object, count }).collect();
    assert_eq!(rig.events(), down);
    assert_eq!(rig.call("ObGetObjectType", &[object]), t);
    rig.faults("ObfReferenceObject", &[0]);
}

#[test]
fn the_last_reference_of_a_temporary_object_deletes_it() {
    let rig = Rig::new();
    let object = bell(&rig, r"\Callback\Short");
    rig.call("ObMakeTemporaryObject", &[object]);
    assert!(matches!(rig.events().as_slice(), [What::NameRemoved { .. }]));
    rig.call("ObfDereferenceObject", &[object]);
    let events = rig.events();
    assert!(
        matches!(events.as_slice(), [What::Dereferenced { count: 0, .. }, What::ObjectDeleted { .. }]),
        "{events:?}"
    );
}

#[test]
fn handles_and_names() {
    let rig = Rig::new();
    let object = bell(&rig, r"\Callback\Named");
    let t = callback_type(&rig);
    let mut handle = 0u64;
    let h = at(&mut handle);
    assert_eq!(rig.call("ObOpenObjectByPointer", &[object, KERNEL.into(), 0, 0, t, 0, h]), SUCCESS);
    assert_eq!(rig.call("ObIsKernelHandle", &[handle]), 1);
    assert_eq!(rig.call("ObIsKernelHandle", &[u64::MAX]), 0, "a pseudo-handle");
    let mut found = 0u64;
    let f = at(&mut found);
    let mut information = [0u32; 2];
    let arguments = [handle, 0, t, 0, f, at(&mut information)];
    assert_eq!(rig.call("ObReferenceObjectByHandle", &arguments), SUCCESS);
    assert_eq!(found, object);
    assert_eq!(rig.call("ObReferenceObjectByHandleWithTag", &[handle, 0, t, 0, 1, f, 0]), SUCCESS);
    let event = rig.kernel.types().event.as_ptr() as u64;
    assert_eq!(rig.call("ObReferenceObjectByHandle", &[handle, 0, event, 0, f, 0]), MISMATCH);
    assert_eq!(found, 0, "nothing is found");
    let referenced =
        rig.events().into_iter().filter(|event| matches!(event, What::Referenced { .. })).count();
    assert_eq!(referenced, 2);
    assert_eq!(rig.call("ObCloseHandle", &[handle, 0]), SUCCESS);
    assert_eq!(rig.call("ObOpenObjectByPointerWithTag", &[object, KERNEL.into(), 0, 0, t, 0, 1, h]), SUCCESS);
    assert_eq!(rig.call("ZwClose", &[handle]), SUCCESS);

    let mut name = Wide::new(r"\callback\NAMED");
    let mut given = attributes(&mut name, KERNEL);
    assert_eq!(rig.call("ObOpenObjectByName", &[at(&mut given), t, 0, 0, 0, 0, h]), SUCCESS);
    assert_eq!(rig.call("NtClose", &[handle]), SUCCESS);
    let arguments = [name.at(), u64::from(KERNEL), 0, 0, t, 0, 0, f];
    assert_eq!(rig.call("ObReferenceObjectByName", &arguments), SUCCESS);
    assert_eq!(found, object);
    let mut missing = Wide::new(r"\Callback\Missing");
    let arguments = [missing.at(), u64::from(KERNEL), 0, 0, t, 0, 0, f];
    assert_eq!(rig.call("ObReferenceObjectByName", &arguments), NOT_FOUND);
    for _ in 0..3 {
        rig.call("ObfDereferenceObject", &[object]);
    }
    assert_eq!(count(&rig, object), 2);

    let mut needed = 0u32;
    let n = at(&mut needed);
    let short = u64::from(nt::STATUS_INFO_LENGTH_MISMATCH.0);
    assert_eq!(rig.call("ObQueryNameString", &[object, 0, 0, n]), short);
    let mut buffer = vec![0u64; 16];
    assert_eq!(rig.call("ObQueryNameString", &[object, at(buffer.as_mut_slice()), 128, n]), SUCCESS);
    assert_eq!(buffer[0] as u16, 2 * r"\Callback\Named".len() as u16);
    assert_eq!(buffer[1], buffer.as_ptr() as u64 + 16);
}

#[test]
fn directories_and_links() {
    let rig = Rig::new();
    let mut handle = 0u64;
    let h = at(&mut handle);
    let mut path = Wide::new(r"\TestDirectory");
    let mut given = attributes(&mut path, KERNEL | OBJ_PERMANENT);
    let g = at(&mut given);
    assert_eq!(rig.call("ZwCreateDirectoryObject", &[h, 0xF_000F, g]), SUCCESS);
    rig.call("ZwClose", &[handle]);
    assert_eq!(rig.call("ZwOpenDirectoryObject", &[h, 1, g]), SUCCESS);
    assert_eq!(rig.call("ZwMakeTemporaryObject", &[handle]), SUCCESS);
    rig.call("ZwClose", &[handle]);
    assert_eq!(rig.call("ZwOpenDirectoryObject", &[h, 1, g]), NOT_FOUND);

    let mut link = Wide::new(r"\TestLink");
    let mut given = attributes(&mut link, KERNEL);
    let g = at(&mut given);
    let mut target = Wide::new(r"\Callback");
    assert_eq!(rig.call("ZwCreateSymbolicLinkObject", &[h, 0xF_0001, g, target.at()]), SUCCESS);
    let mut opened = 0u64;
    assert_eq!(rig.call("ZwOpenSymbolicLinkObject", &[at(&mut opened), 1, g]), SUCCESS);
    let mut text = Wide::with_room("", 32);
    let mut needed = 0u32;
    assert_eq!(rig.call("ZwQuerySymbolicLinkObject", &[opened, text.at(), at(&mut needed)]), SUCCESS);
    assert_eq!(text.text(), r"\Callback");
    rig.call("ZwClose", &[opened]);
    rig.call("ZwClose", &[handle]);
    assert_eq!(rig.call("ZwOpenSymbolicLinkObject", &[at(&mut opened), 1, g]), NOT_FOUND, "temporary");
}

#[test]
fn event_objects() {
    let rig = Rig::new();
    let (mut handle, mut second) = (0u64, 0u64);
    let (h, s) = (at(&mut handle), at(&mut second));
    let mut name = Wide::new(r"\BaseNamedObjects\TestEvent");
    let mut given = attributes(&mut name, KERNEL);
    let g = at(&mut given);
    const ALL: u64 = 0x1F_0003;
    assert_eq!(rig.call("ZwCreateEvent", &[h, ALL, g, 0, 0]), SUCCESS);
    assert_eq!(rig.call("ZwOpenEvent", &[s, ALL, g]), SUCCESS);
    let mut before = 9i32;
    let b = at(&mut before);
    let mut zero = 0i64;
    let z = at(&mut zero);
    assert_eq!(rig.call("ZwWaitForSingleObject", &[handle, 0, z]), u64::from(nt::STATUS_TIMEOUT.0));
    assert_eq!(rig.call("ZwSetEvent", &[second, b]), SUCCESS);
    assert_eq!(before, 0);
    assert_eq!(rig.call("NtWaitForSingleObject", &[handle, 0, z]), SUCCESS);
    assert_eq!(rig.call("NtSetEvent", &[handle, 0]), SUCCESS);
    assert_eq!(rig.call("ZwResetEvent", &[handle, b]), SUCCESS);
    assert_eq!(before, 1);
    rig.call("ZwSetEvent", &[handle, 0]);
    assert_eq!(rig.call("ZwClearEvent", &[handle]), SUCCESS);
    assert_eq!(rig.call("ZwPulseEvent", &[handle, b]), SUCCESS);
    assert_eq!(before, 0);
    assert_eq!(rig.call("ZwWaitForSingleObject", &[handle, 0, z]), u64::from(nt::STATUS_TIMEOUT.0));
    assert_eq!(rig.call("NtCreateEvent", &[s, ALL, 0, 7, 0]), u64::from(nt::STATUS_INVALID_PARAMETER.0));
    assert_eq!(rig.call("ZwSetEvent", &[0x4_0000, 0]), u64::from(nt::STATUS_INVALID_HANDLE.0));

    let mut shared = Wide::new(r"\BaseNamedObjects\TestShared");
    for (name, kind) in [("IoCreateNotificationEvent", 0), ("IoCreateSynchronizationEvent", 0)] {
        let event = rig.call(name, &[shared.at(), h]);
        assert_ne!(event, 0, "{name}");
        assert_eq!(rig.call("KeReadStateEvent", &[event]), 1, "signaled at first");
        // SAFETY: the first byte of the event is its type.
        let found = unsafe { core::ptr::with_exposed_provenance::<u8>(event as usize).read() };
        assert_eq!(found, kind, "the second call finds the first one's event");
    }
    let _ = OBJ_OPENIF;
}

#[test]
fn the_system_process_by_handle() {
    let rig = Rig::new();
    let mut handle = 0u64;
    let mut id = [4u64, 0];
    let mut given = attributes(&mut Wide::new(""), KERNEL);
    given.ObjectName = core::ptr::null_mut();
    let (h, g, i) = (at(&mut handle), at(&mut given), at(&mut id));
    assert_eq!(rig.call("ZwOpenProcess", &[h, 0x400, g, i]), SUCCESS);
    let mut process = 0u64;
    let t = rig.kernel.types().process.as_ptr() as u64;
    assert_eq!(rig.call("ObReferenceObjectByHandle", &[handle, 0, t, 0, at(&mut process), 0]), SUCCESS);
    assert_eq!(process, rig.call("PsGetCurrentProcess", &[]));
    poke(&mut id[0], 8);
    assert_eq!(rig.call("ZwOpenProcess", &[h, 0x400, g, i]), u64::from(nt::STATUS_INVALID_CID.0));
    assert_eq!(rig.call("ZwYieldExecution", &[]), SUCCESS);
}
