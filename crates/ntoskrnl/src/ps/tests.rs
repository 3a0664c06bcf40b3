//! `Ps` through the table.

use nt::{BugCheck, CLIENT_ID, KTHREAD};
use record::{EntryPoint, What};

use crate::testing::{Code, Rig, at, zeroed};

const SUCCESS: u64 = 0;

extern "win64-unwind" fn count(context: u64, _: u64, _: u64, _: u64) -> u64 {
    let calls = core::ptr::with_exposed_provenance_mut::<u64>(context as usize);
    // SAFETY: the context is the test's own number.
    let before = unsafe { calls.read() };
    // SAFETY: as above.
    unsafe { calls.write(before + 1) };
    0
}

fn start(rig: &Rig, calls: &mut u64) -> (u64, CLIENT_ID) {
    let (mut handle, mut id): (u64, CLIENT_ID) = (0, zeroed());
    let routine = count as Code as usize as u64;
    let arguments = [at(&mut handle), 0x1F_FFFF, 0, 0, at(&mut id), routine, at(calls)];
    assert_eq!(rig.call("PsCreateSystemThread", &arguments), SUCCESS);
    (handle, id)
}

#[test]
fn a_thread_runs_ends_and_is_signaled() {
    let rig = Rig::new();
    let objects = || rig.kernel.executive().pool_blocks().len();
    let before = objects();
    let mut calls = 0u64;
    let (handle, id) = start(&rig, &mut calls);
    assert_eq!((id.UniqueProcess as u64, id.UniqueThread as u64 % 4), (4, 0));
    let (mut thread, mut found) = (0u64, 0u64);
    assert_eq!(rig.call("ObReferenceObjectByHandle", &[handle, 0, 0, 0, at(&mut thread), 0]), SUCCESS);
    assert_eq!(rig.call("PsLookupThreadByThreadId", &[id.UniqueThread as u64, at(&mut found)]), SUCCESS);
    assert_eq!(found, thread);
    assert_eq!(rig.call("PsGetThreadId", &[thread]), id.UniqueThread as u64);
    assert_eq!(rig.call("PsGetThreadProcessId", &[thread]), 4);
    assert_eq!(rig.call("PsIsSystemThread", &[thread]), 1);
    assert_eq!(rig.call("IoIsSystemThread", &[thread]), 1);
    let process = rig.call("PsGetCurrentProcess", &[]);
    assert_eq!(rig.call("PsGetThreadProcess", &[thread]), process);
    assert_eq!(rig.call("IoThreadToProcess", &[thread]), process);
    let mut zero = 0i64;
    let timeout = u64::from(nt::STATUS_TIMEOUT.0);
    assert_eq!(rig.call("KeWaitForSingleObject", &[thread, 0, 0, 0, at(&mut zero)]), timeout);
    rig.host.run_threads();
    assert_eq!(calls, 1);
    assert_eq!(rig.call("KeWaitForSingleObject", &[thread, 0, 0, 0, at(&mut zero)]), SUCCESS);
    let called = rig.events().into_iter().filter(|event| {
        matches!(
            event,
            What::EntryCalled { entry: EntryPoint::Thread, .. }
                | What::EntryReturned { entry: EntryPoint::Thread, .. }
        )
    });
    assert_eq!(called.count(), 2);
    rig.call("ObfDereferenceObject", &[thread]);
    rig.call("ObfDereferenceObject", &[thread]);
    assert_eq!(rig.call("ZwClose", &[handle]), SUCCESS);
    assert_eq!(objects(), before, "nothing is left of it");
    let invalid = u64::from(nt::STATUS_INVALID_PARAMETER.0);
    assert_eq!(rig.call("PsLookupThreadByThreadId", &[id.UniqueThread as u64, at(&mut found)]), invalid);
}

thread_local! {
    static RIG: core::cell::Cell<Option<&'static Rig>> = const { core::cell::Cell::new(None) };
}

extern "win64-unwind" fn terminate(context: u64, _: u64, _: u64, _: u64) -> u64 {
    let rig = RIG.get().expect("the test has set it");
    if context != 0 {
        rig.call("KeEnterCriticalRegion", &[]);
    }
    rig.call("PsTerminateSystemThread", &[0]);
    unreachable!("a thread that ended goes on")
}

#[test]
fn a_thread_ends_itself() {
    let rig: &'static Rig = Box::leak(Box::new(Rig::new()));
    RIG.set(Some(rig));
    let routine = terminate as Code as usize as u64;
    let mut handle = 0u64;
    assert_eq!(rig.call("PsCreateSystemThread", &[at(&mut handle), 0, 0, 0, 0, routine, 0]), SUCCESS);
    rig.host.run_threads();
    let mut zero = 0i64;
    assert_eq!(rig.call("ZwWaitForSingleObject", &[handle, 0, at(&mut zero)]), SUCCESS);
    rig.call("ZwClose", &[handle]);
    let invalid = u64::from(nt::STATUS_INVALID_PARAMETER.0);
    assert_eq!(rig.call("PsTerminateSystemThread", &[0]), invalid, "the machine's own thread does not end");

    assert_eq!(rig.call("PsCreateSystemThread", &[at(&mut handle), 0, 0, 0, 0, routine, 1]), SUCCESS);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rig.host.run_threads()));
    let payload = ended.expect_err("the world ends");
    let outcome = payload.downcast::<executive::solo::Outcome>().expect("an outcome");
    let executive::solo::Outcome::Bugcheck(check) = *outcome else { panic!("a bugcheck") };
    assert_eq!(check.code, BugCheck::KERNEL_APC_PENDING_DURING_EXIT, "inside a critical region");
}

#[test]
fn the_system_process() {
    let rig = Rig::new();
    let process = rig.call("PsGetCurrentProcess", &[]);
    assert_eq!(rig.call("IoGetCurrentProcess", &[]), process);
    assert_eq!(rig.call("PsGetProcessId", &[process]), 4);
    assert_eq!(rig.call("PsGetCurrentProcessId", &[]), 4);
    assert_ne!(rig.call("PsGetCurrentThreadId", &[]), 0);
    assert_ne!(rig.call("PsGetProcessCreateTimeQuadPart", &[process]), 0);
    assert_eq!(rig.call("PsGetProcessPeb", &[process]), 0);
    let name = rig.call("PsGetProcessImageFileName", &[process]);
    // SAFETY: the address of fifteen characters inside the process object.
    let name = unsafe { core::ptr::with_exposed_provenance::<[u8; 15]>(name as usize).read() };
    assert_eq!(&name[..7], b"System\0");
    let mut found = 0u64;
    assert_eq!(rig.call("PsLookupProcessByProcessId", &[4, at(&mut found)]), SUCCESS);
    assert_eq!(found, process);
    rig.call("ObfDereferenceObject", &[found]);
    let invalid = u64::from(nt::STATUS_INVALID_PARAMETER.0);
    assert_eq!(rig.call("PsLookupProcessByProcessId", &[8, at(&mut found)]), invalid);
    assert_eq!(core::mem::offset_of!(KTHREAD, Header), 0);
}

#[test]
fn variables() {
    let rig = Rig::new();
    let value = |name: &str| {
        let mut word = 0u64;
        let address = at(&mut word);
        let data = crate::DATA.iter().find(|data| data.name == name).expect("in the table");
        (data.init)(rig.kernel, crate::guest::Guest::new(rig.kernel, address));
        word
    };
    let executive = rig.kernel.executive();
    for (name, type_name) in [
        ("ExEventObjectType", "Event"),
        ("ExSemaphoreObjectType", "Semaphore"),
        ("PsProcessType", "Process"),
        ("PsThreadType", "Thread"),
        ("IoDriverObjectType", "Driver"),
        ("IoDeviceObjectType", "Device"),
        ("IoFileObjectType", "File"),
    ] {
        let expected = executive.object_type(type_name).map(|found| found.as_ptr() as u64);
        assert_eq!(Some(value(name)), expected, "{name}");
    }
    assert_eq!(value("PsInitialSystemProcess"), rig.call("PsGetCurrentProcess", &[]));
    assert_eq!(value("NtBuildNumber"), u64::from(executive.profile().nt_build_number()));
    assert_eq!(value("KeNumberProcessors"), 4);
    assert_eq!((value("MmUserProbeAddress"), value("MmHighestUserAddress")), (0x1_0000_0000, 0xFFFF_FFFF));
    assert_eq!(value("MmSystemRangeStart"), 0x10_0000_0000);
    for zero in ["InitSafeBootMode", "NtGlobalFlag", "KdDebuggerEnabled", "KdComPortInUse"] {
        assert_eq!(value(zero), 0, "{zero}");
    }
    assert_eq!(value("KdDebuggerNotPresent"), 1);
    let block = value("SeExports");
    let word = |offset: u64| {
        // SAFETY: the structure that the variable points to is longer than the offsets asked for.
        unsafe { core::ptr::with_exposed_provenance::<u64>((block + offset) as usize).read() }
    };
    // Offsets of `SE_EXPORTS`: SeLoadDriverPrivilege, SeLocalSystemSid, SeAliasAdminsSid, SeOwnerRightsSid.
    assert_eq!(word(0x40), 10);
    let mut text = crate::testing::Wide::with_room("", 24);
    for (offset, expected) in [(0x108, "S-1-5-18"), (0x110, "S-1-5-32-544"), (0x200, "S-1-3-4")] {
        assert_eq!(rig.call("RtlConvertSidToUnicodeString", &[text.at(), word(offset), 0]), SUCCESS);
        assert_eq!(text.text(), expected, "{offset:#x}");
    }
}
