//! `Ex` through the table.

use nt::{
    BugCheck, ERESOURCE, EX_RUNDOWN_REF, FAST_MUTEX, GENERAL_LOOKASIDE, IO_WORKITEM, Irql,
    OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, SLIST_HEADER, WORK_QUEUE_ITEM,
};
use record::{EntryPoint, What};

use crate::testing::{Code, Rig, Wide, at, attributes, zeroed};

const SUCCESS: u64 = 0;
const TAG: u64 = nt::pool_tag(b"Test") as u64;

type Seen = [u64; 4];

extern "win64-unwind" fn rung(context: u64, first: u64, second: u64, third: u64) -> u64 {
    let seen = core::ptr::with_exposed_provenance_mut::<Seen>(context as usize);
    // SAFETY: the context is the test's own array.
    let [calls, ..] = unsafe { seen.read() };
    // SAFETY: as above.
    unsafe { seen.write([calls + 1, first, second, third]) };
    0
}

fn routine() -> u64 {
    rung as Code as usize as u64
}

#[test]
fn callback_objects() {
    let rig = Rig::new();
    let mut name = Wide::new(r"\Callback\TestBell");
    let mut given = attributes(&mut name, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT);
    let mut object = 0u64;
    assert_eq!(rig.call("ExCreateCallback", &[at(&mut object), at(&mut given), 1, 0]), SUCCESS);
    let mut seen = Seen::default();
    let registration = rig.call("ExRegisterCallback", &[object, routine(), at(&mut seen)]);
    assert_ne!(registration, 0);
    assert_eq!(rig.call("ExRegisterCallback", &[object, routine(), at(&mut seen)]), 0, "single");
    rig.call("ExNotifyCallback", &[object, 7, 8]);
    assert_eq!(seen[..3], [1, 7, 8]);
    rig.call("ExNotifyCallback", &[0, 7, 8]);
    rig.call("ExUnregisterCallback", &[registration]);
    rig.call("ExNotifyCallback", &[object, 7, 8]);
    assert_eq!(seen[0], 1);
    rig.call("ObfDereferenceObject", &[object]);
    let names: Vec<&str> = rig
        .events()
        .iter()
        .map(|event| match event {
            What::CreateAttempt { .. } => "attempt",
            What::CreateResult { .. } => "result",
            What::RegisterAttempt { .. } => "to register",
            What::Registered { .. } => "registered",
            What::RegisterRefused { .. } => "refused",
            What::NotifyBegin { .. } => "begin",
            What::DeliveryBegin { .. } => "deliver",
            What::DeliveryEnd { .. } => "delivered",
            What::NotifyEnd { .. } => "end",
            What::UnregisterAttempt { .. } => "to unregister",
            What::Unregistered { .. } => "unregistered",
            What::Dereferenced { count: 1, .. } => "dereferenced",
            _ => "other",
        })
        .collect();
    let expected = [
        "attempt",
        "result",
        "to register",
        "registered",
        "to register",
        "refused",
        "begin",
        "deliver",
        "delivered",
        "end",
        "to unregister",
        "unregistered",
        "begin",
        "end",
        "dereferenced",
    ];
    let without_empty: Vec<&str> = expected.into_iter().collect();
    assert!(
        names == without_empty || names == [&without_empty[..12], &without_empty[14..]].concat(),
        "{names:?}"
    );
    rig.faults("ExRegisterCallback", &[0, routine(), 0]);
    rig.faults("ExUnregisterCallback", &[0]);
}

#[test]
fn the_irql_of_a_notify_is_judged_once() {
    let rig = Rig::new();
    rig.call("KfRaiseIrql", &[5]);
    rig.events();
    rig.call("ExNotifyCallback", &[0, 0, 0]);
    let judged = rig.events();
    assert_eq!(
        judged,
        [What::IrqlContract { name: "ExNotifyCallback".into(), lowest: 0, highest: 2, actual: 5 }]
    );
}

#[test]
fn processor_changes() {
    let rig = Rig::new();
    let mut seen = Seen::default();
    // KE_PROCESSOR_CHANGE_ADD_EXISTING: told of the processor that is there, twice.
    let registration = rig.call("KeRegisterProcessorChangeCallback", &[routine(), at(&mut seen), 1]);
    assert_ne!(registration, 0);
    assert!(seen[0] >= 1, "told of what is there");
    rig.call("KeDeregisterProcessorChangeCallback", &[registration]);
}

#[test]
fn image_verification() {
    let rig = Rig::new();
    let (mut seen, mut handle) = (Seen::default(), 0u64);
    let mut register = |image, kind, token| {
        let output = at(&mut handle);
        rig.call(
            "SeRegisterImageVerificationCallback",
            &[image, kind, routine(), at(&mut seen), token, output],
        )
    };
    assert_eq!(register(2, 0, 0), 0xC000_00EF);
    assert_eq!(register(1, 1, 0), 0xC000_00F0);
    assert_eq!(register(1, 0, 1), 0xC000_00F3);
    assert_eq!(register(1, 0, 0), SUCCESS);
    let tell = || {
        let image = executive::ex::VerifiedImage::Driver;
        rig.kernel.executive().tell_of_verified_image(image, &[0; 16]).expect("memory");
    };
    tell();
    assert_eq!(seen[..2], [1, 1], "the type of the image first");
    rig.call("SeUnregisterImageVerificationCallback", &[handle]);
    tell();
    assert_eq!(seen[0], 1);
}

#[test]
fn early_launch() {
    let rig = Rig::new();
    let mut seen = Seen::default();
    let handle = rig.call("IoRegisterBootDriverCallback", &[routine(), at(&mut seen)]);
    assert_ne!(handle, 0);
    rig.kernel.executive().PnpNotifyEarlyLaunchStatusUpdate(1);
    assert_eq!(seen[..2], [1, 0], "a status update");
    rig.kernel.executive().PnpNotifyEarlyLaunchImageLoad(&[0; 0x68]);
    assert_eq!(seen[..2], [2, 1], "an image");
    rig.call("IoUnRegisterBootDriverCallback", &[handle]);
    rig.kernel.executive().close_boot_driver_registration();
    assert_eq!(rig.call("IoRegisterBootDriverCallback", &[routine(), at(&mut seen)]), 0, "closed");
    assert_eq!(seen[0], 2);
}

#[test]
fn session_notifications() {
    extern "win64-unwind" fn told(
        session: u64,
        object: u64,
        event: u64,
        context: u64,
        _payload: u64,
        _length: u64,
    ) -> u64 {
        let seen = core::ptr::with_exposed_provenance_mut::<Seen>(context as usize);
        // SAFETY: the context is the test's own array.
        unsafe { seen.write([1, session, object, event & 0xFFFF_FFFF]) };
        0
    }
    let rig = Rig::new();
    rig.kernel.executive().boot_kernel().expect("the kernel's objects");
    let mut seen = Seen::default();
    let code = told as extern "win64-unwind" fn(u64, u64, u64, u64, u64, u64) -> u64 as usize as u64;
    let mut wanted = [0x20u64, 0x1000, 0x10, at(&mut seen)];
    let mut handle = 0u64;
    let mut register = |length| {
        let output = at(&mut handle);
        rig.call("IoRegisterContainerNotification", &[0, code, at(&mut wanted), length, output])
    };
    assert_eq!(register(0x18), 0xC000_000D);
    assert_eq!(register(0x20), SUCCESS);
    assert_eq!(register(0x20), 0xC000_0021);
    let logon = executive::ex::SessionEvent::new(5, 6, core::ptr::without_provenance_mut(0x5E55));
    rig.kernel.executive().tell_of_session(&logon);
    assert_eq!(seen, [1, 0x5E55, 0x1000, 5]);
    rig.call("IoUnregisterContainerNotification", &[handle]);
    seen = Seen::default();
    rig.kernel.executive().tell_of_session(&logon);
    assert_eq!(seen[0], 0);
}

#[test]
fn pool() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let paged = 1;
    let blocks = [
        rig.call("ExAllocatePool", &[0, 24]),
        rig.call("ExAllocatePoolWithTag", &[paged, 24, TAG]),
        rig.call("ExAllocatePoolWithTagPriority", &[paged, 24, TAG, 32]),
        rig.call("ExAllocatePoolWithQuota", &[0, 24]),
        rig.call("ExAllocatePoolWithQuotaTag", &[0, 24, TAG]),
        rig.call("ExAllocatePool2", &[0x40, 24, TAG]),
        rig.call("ExAllocatePool3", &[0x40, 24, TAG, 0, 0]),
    ];
    assert!(blocks.iter().all(|block| *block != 0 && block % 16 == 0));
    assert_eq!(rig.driver_blocks(), before + blocks.len(), "attributed to the caller");
    let word = |address: u64| {
        // SAFETY: a live pool block of the test, with its header before it.
        unsafe { core::ptr::with_exposed_provenance::<u32>(address as usize).read() }
    };
    assert_eq!(word(blocks[1] - 12), nt::pool_tag(b"Test"), "the tag stands in the header");
    assert_eq!(word(blocks[5]), 0, "zeroed");
    rig.call("ExFreePoolWithTag", &[blocks[1], TAG]);
    for (index, block) in blocks.into_iter().enumerate().filter(|(index, _)| *index != 1) {
        rig.call("ExFreePool", &[block]);
        let _ = index;
    }
    assert_eq!(rig.driver_blocks(), before);
    rig.refuse_allocations(true);
    assert_eq!(rig.call("ExAllocatePoolWithTag", &[0, 24, TAG]), 0);
    assert_eq!(rig.call("ExAllocatePool2", &[0x40, 24, TAG]), 0);
    let raised = rig.bugcheck("ExAllocatePoolWithQuotaTag", &[0, 24, TAG]);
    assert_eq!(raised.parameters[0], u64::from(nt::STATUS_INSUFFICIENT_RESOURCES.0));
    assert_eq!(rig.call("ExAllocatePoolWithQuotaTag", &[8, 24, TAG]), 0, "told to fail instead");
}

#[test]
fn pool_mistakes_end_the_world() {
    let rig = Rig::new();
    let block = rig.call("ExAllocatePoolWithTag", &[0, 24, TAG]);
    rig.call("ExFreePool", &[block]);
    assert_eq!(rig.bugcheck("ExFreePool", &[block]).code, BugCheck::BAD_POOL_CALLER);
    let rig = Rig::new();
    assert_eq!(rig.bugcheck("ExRaiseStatus", &[0xC000_0001]).parameters[0], 0xC000_0001);
    let violation = u64::from(nt::STATUS_ACCESS_VIOLATION.0);
    assert_eq!(Rig::new().bugcheck("ExRaiseAccessViolation", &[]).parameters[0], violation);
    let misaligned = u64::from(nt::STATUS_DATATYPE_MISALIGNMENT.0);
    assert_eq!(Rig::new().bugcheck("ExRaiseDatatypeMisalignment", &[]).parameters[0], misaligned);
}

#[test]
fn small_things() {
    let rig = Rig::new();
    assert_eq!(rig.call("ExGetPreviousMode", &[]), 0);
    let mut uuid = [0u8; 16];
    assert_eq!(rig.call("ExUuidCreate", &[at(&mut uuid)]), SUCCESS);
    assert_eq!((uuid[7] >> 4, uuid[8] >> 6), (4, 2), "version 4, variant 2");
}

#[repr(C, align(16))]
struct Aligned([u64; 2]);

#[test]
fn lock_free_lists() {
    let rig = Rig::new();
    let mut head: SLIST_HEADER = zeroed();
    let h = at(&mut head);
    let (mut a, mut b) = (Aligned([0; 2]), Aligned([0; 2]));
    let (a, b) = (at(&mut a), at(&mut b));
    rig.call("InitializeSListHead", &[h]);
    assert_eq!(rig.call("ExpInterlockedPopEntrySList", &[h]), 0);
    assert_eq!(rig.call("ExpInterlockedPushEntrySList", &[h, a]), 0);
    assert_eq!(rig.call("ExpInterlockedPushEntrySList", &[h, b]), a);
    assert_eq!(rig.call("ExQueryDepthSList", &[h]), 2);
    assert_eq!(rig.call("ExpInterlockedPopEntrySList", &[h]), b);
    assert_eq!(rig.call("ExQueryDepthSList", &[h]), 1);
    rig.call("ExpInterlockedPushEntrySList", &[h, b]);
    assert_eq!(rig.call("ExpInterlockedFlushSList", &[h]), b);
    assert_eq!(rig.call("ExQueryDepthSList", &[h]), 0);
    assert_ne!(head.Alignment >> 16, 0, "the sequence moves on");
}

#[test]
fn lookaside_lists_of_the_newer_kind() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let mut list: GENERAL_LOOKASIDE = zeroed();
    let l = at(&mut list);
    let make = |flags: u64, depth: u64| {
        rig.call("ExInitializeLookasideListEx", &[l, 0, 0, 0x200, flags, 40, TAG, depth]) as u32
    };
    assert_eq!(make(0, 1), nt::STATUS_INVALID_PARAMETER_8.0);
    assert_eq!(
        (make(3, 0), make(4, 0)),
        (nt::STATUS_INVALID_PARAMETER_5.0, nt::STATUS_INVALID_PARAMETER_5.0)
    );
    assert!(rig.kernel.lookaside_lists().is_empty());
    assert_eq!(make(0, 0), 0);
    let known = rig.kernel.lookaside_lists();
    assert_eq!(
        (known.len(), known[0].address, known[0].bytes, known[0].made.caller),
        (1, l, 40, crate::testing::RETURN_ADDRESS)
    );
    for delete in ["ExFlushLookasideListEx", "ExDeleteLookasideListEx"] {
        assert_eq!(rig.kernel.lookaside_lists().len(), 1);
        let block = rig.call("ExAllocatePoolWithTag", &[0, 40, TAG]);
        rig.call("ExpInterlockedPushEntrySList", &[l, block]);
        rig.call(delete, &[l]);
        assert_eq!(rig.driver_blocks(), before, "{delete} frees what the list holds");
    }
    assert!(rig.kernel.lookaside_lists().is_empty());
}

#[test]
fn lookaside_lists() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    for (make, delete, pool_type) in [
        ("ExInitializeNPagedLookasideList", "ExDeleteNPagedLookasideList", 0x200),
        ("ExInitializePagedLookasideList", "ExDeletePagedLookasideList", 1),
    ] {
        let mut list: GENERAL_LOOKASIDE = zeroed();
        let l = at(&mut list);
        rig.call(make, &[l, 0, 0, 0x200, 40, TAG, 0]);
        assert_eq!((list.Type, list.Size, list.Tag), (pool_type, 40, nt::pool_tag(b"Test")));
        assert_eq!(list.Depth, 0, "it keeps nothing");
        let export = |name: &str| crate::Host::export_address(rig.host, name);
        assert_eq!(Some(list.Allocate as u64), export("ExAllocatePoolWithTag"));
        assert_eq!(Some(list.Free as u64), export("ExFreePool"));
        for _ in 0..2 {
            let block = rig.call("ExAllocatePoolWithTag", &[0, 40, TAG]);
            rig.call("ExpInterlockedPushEntrySList", &[l, block]);
        }
        rig.call(delete, &[l]);
        assert_eq!(rig.driver_blocks(), before, "{delete} frees what the list holds");
    }
    let mut list: GENERAL_LOOKASIDE = zeroed();
    let (l, mut entry) = (at(&mut list), Aligned([0; 2]));
    rig.call("ExInitializeNPagedLookasideList", &[l, routine(), routine(), 0, 40, TAG, 0]);
    let mut seen = Seen::default();
    let _ = at(&mut seen);
    rig.call("ExpInterlockedPushEntrySList", &[l, at(&mut entry)]);
    rig.call("ExDeleteNPagedLookasideList", &[l]);
    assert_eq!(entry.0[0], 1, "the driver's own routine frees");
}

fn fast_mutex(rig: &Rig) -> Box<FAST_MUTEX> {
    let mut mutex: Box<FAST_MUTEX> = Box::new(zeroed());
    rig.call("KeInitializeGuardedMutex", &[at(&mut *mutex)]);
    mutex
}

#[test]
fn fast_mutexes() {
    let rig = Rig::new();
    let mut mutex = fast_mutex(&rig);
    let m = at(&mut *mutex);
    let me = rig.call("KeGetCurrentThread", &[]);
    rig.call("ExAcquireFastMutex", &[m]);
    assert_eq!((mutex.Count, mutex.Owner as u64, rig.irql()), (0, me, Irql::APC));
    assert_eq!(rig.call("ExTryToAcquireFastMutex", &[m]), 0);
    rig.call("ExReleaseFastMutex", &[m]);
    assert_eq!((mutex.Count, mutex.Owner as u64, rig.irql()), (1, 0, Irql::PASSIVE));
    assert_eq!(rig.call("ExTryToAcquireFastMutex", &[m]), 1);
    assert_eq!(rig.irql(), Irql::APC);
    rig.call("ExReleaseFastMutex", &[m]);
    assert_eq!(rig.irql(), Irql::PASSIVE);
    rig.call("ExAcquireFastMutexUnsafe", &[m]);
    assert_eq!((mutex.Count, rig.irql()), (0, Irql::PASSIVE));
    rig.call("ExReleaseFastMutexUnsafe", &[m]);
    assert_eq!(mutex.Count, 1);
}

#[test]
fn guarded_mutexes() {
    let rig = Rig::new();
    let mut mutex: FAST_MUTEX = zeroed();
    let m = at(&mut mutex);
    let guarded = || rig.call("KeAreAllApcsDisabled", &[]);
    rig.call("KeInitializeGuardedMutex", &[m]);
    rig.call("KeAcquireGuardedMutex", &[m]);
    assert_eq!((mutex.Count, guarded()), (0, 1));
    assert_eq!((rig.call("KeTryToAcquireGuardedMutex", &[m]), guarded()), (0, 1));
    rig.call("KeReleaseGuardedMutex", &[m]);
    assert_eq!((mutex.Count, guarded()), (1, 0));
    assert_eq!((rig.call("KeTryToAcquireGuardedMutex", &[m]), guarded()), (1, 1));
    rig.call("KeReleaseGuardedMutex", &[m]);
    rig.call("KeAcquireGuardedMutexUnsafe", &[m]);
    assert_eq!((mutex.Count, guarded()), (0, 0));
    rig.call("KeReleaseGuardedMutexUnsafe", &[m]);
    assert_eq!(mutex.Count, 1);
}

#[test]
fn reader_writer_spin_locks() {
    let rig = Rig::new();
    let mut lock = 0i32;
    let l = at(&mut lock);
    assert_eq!(rig.call("ExAcquireSpinLockShared", &[l]), 0);
    rig.call("ExAcquireSpinLockSharedAtDpcLevel", &[l]);
    assert_eq!((lock, rig.irql()), (2, Irql::DISPATCH));
    assert_eq!(rig.call("ExTryConvertSharedSpinLockExclusive", &[l]), 0);
    rig.call("ExReleaseSpinLockSharedFromDpcLevel", &[l]);
    assert_eq!(rig.call("ExTryConvertSharedSpinLockExclusive", &[l]), 1);
    assert_eq!(lock, i32::MIN);
    rig.call("ExReleaseSpinLockExclusive", &[l, 0]);
    assert_eq!((lock, rig.irql()), (0, Irql::PASSIVE));
    rig.call("ExAcquireSpinLockExclusive", &[l]);
    rig.call("ExReleaseSpinLockExclusiveFromDpcLevel", &[l]);
    rig.call("ExAcquireSpinLockExclusiveAtDpcLevel", &[l]);
    assert_eq!(lock, i32::MIN);
    rig.call("ExReleaseSpinLockExclusiveFromDpcLevel", &[l]);
    rig.call("ExAcquireSpinLockSharedAtDpcLevel", &[l]);
    rig.call("ExReleaseSpinLockShared", &[l, 0]);
    assert_eq!((lock, rig.irql()), (0, Irql::PASSIVE));
}

#[test]
fn rundown_protection() {
    let rig = Rig::new();
    let mut reference: EX_RUNDOWN_REF = zeroed();
    let r = at(&mut reference);
    rig.call("ExInitializeRundownProtection", &[r]);
    assert_eq!(rig.call("ExAcquireRundownProtection", &[r]), 1);
    assert_eq!(rig.call("ExAcquireRundownProtectionEx", &[r, 2]), 1);
    assert_eq!(reference.Count, 6);
    rig.call("ExReleaseRundownProtectionEx", &[r, 2]);
    rig.call("ExReleaseRundownProtection", &[r]);
    rig.call("ExWaitForRundownProtectionRelease", &[r]);
    assert_eq!((reference.Count, rig.call("ExAcquireRundownProtection", &[r])), (1, 0));
    rig.call("ExReInitializeRundownProtection", &[r]);
    assert_eq!(rig.call("ExAcquireRundownProtection", &[r]), 1);
    rig.call("ExReleaseRundownProtection", &[r]);
    rig.call("ExRundownCompleted", &[r]);
    assert_eq!(rig.call("ExAcquireRundownProtection", &[r]), 0);
}

#[test]
fn resources() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let mut resource: ERESOURCE = zeroed();
    let r = at(&mut resource);
    let counts = || {
        (
            rig.call("ExIsResourceAcquiredExclusiveLite", &[r]),
            rig.call("ExIsResourceAcquiredSharedLite", &[r]),
        )
    };
    assert_eq!(rig.call("ExInitializeResourceLite", &[r]), SUCCESS);
    assert_eq!(rig.call("ExAcquireResourceExclusiveLite", &[r, 1]), 1);
    assert_eq!(rig.call("ExAcquireResourceExclusiveLite", &[r, 0]), 1, "recursion");
    assert_eq!(rig.call("ExAcquireResourceSharedLite", &[r, 0]), 1, "the writer may read");
    assert_eq!(counts(), (1, 3));
    rig.call("ExReleaseResourceLite", &[r]);
    rig.call("ExConvertExclusiveToSharedLite", &[r]);
    assert_eq!(counts(), (0, 2));
    assert_eq!(rig.call("ExAcquireResourceExclusiveLite", &[r, 0]), 0, "a reader is no writer");
    assert_eq!(rig.call("ExAcquireSharedStarveExclusive", &[r, 0]), 1);
    assert_eq!(rig.call("ExAcquireSharedWaitForExclusive", &[r, 0]), 1);
    assert_eq!(counts(), (0, 4));
    let me = rig.call("KeGetCurrentThread", &[]);
    for _ in 0..4 {
        rig.call("ExReleaseResourceForThreadLite", &[r, me]);
    }
    assert_eq!((counts(), resource.ActiveEntries), ((0, 0), 0));
    assert_eq!(
        (rig.call("ExGetExclusiveWaiterCount", &[r]), rig.call("ExGetSharedWaiterCount", &[r])),
        (0, 0)
    );
    rig.call("ExEnterCriticalRegionAndAcquireResourceShared", &[r]);
    assert_eq!((counts(), rig.call("KeAreApcsDisabled", &[])), ((0, 1), 1));
    rig.call("ExReleaseResourceAndLeaveCriticalRegion", &[r]);
    rig.call("ExEnterCriticalRegionAndAcquireResourceExclusive", &[r]);
    assert_eq!((counts(), rig.call("KeAreApcsDisabled", &[])), ((1, 1), 1));
    rig.call("ExReleaseResourceAndLeaveCriticalRegion", &[r]);
    assert_eq!((counts(), rig.call("KeAreApcsDisabled", &[])), ((0, 0), 0));
    assert_eq!(rig.call("ExReinitializeResourceLite", &[r]), SUCCESS);
    assert_eq!(rig.call("ExDeleteResourceLite", &[r]), SUCCESS);
    assert_eq!(rig.driver_blocks(), before);
    assert_eq!(rig.bugcheck("ExReleaseResourceLite", &[r]).code, BugCheck::RESOURCE_NOT_OWNED);
}

fn pump(rig: &Rig) {
    // The worker waits for more in the end, which in a world with one thread is a deadlock: the world ends after the work.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rig.host.run_threads()));
    assert!(ended.is_err(), "the worker never ends");
}

#[test]
fn work_items() {
    let rig = Rig::new();
    let mut seen = Seen::default();
    let s = at(&mut seen);
    let mut item: WORK_QUEUE_ITEM = zeroed();
    item.WorkerRoutine = core::ptr::with_exposed_provenance_mut(routine() as usize);
    item.Parameter = core::ptr::with_exposed_provenance_mut(s as usize);
    let i = at(&mut item);
    rig.call("ExQueueWorkItem", &[i, 1]);
    assert_eq!(seen[0], 0, "not yet");
    pump(&rig);
    assert_eq!((seen[0], item.List.Flink.is_null()), (1, true));
    let called = rig.events().into_iter().filter_map(|event| match event {
        What::EntryCalled { entry, routine, .. } | What::EntryReturned { entry, routine, .. } => {
            Some((entry, routine))
        }
        _ => None,
    });
    assert_eq!(called.collect::<Vec<_>>(), [(EntryPoint::WorkItem, routine()); 2]);

    let rig = Rig::new();
    rig.call("ExQueueWorkItem", &[i, 1]);
    assert_eq!(rig.bugcheck("ExQueueWorkItem", &[i, 1]).code, BugCheck::WORKER_INVALID);
}

#[test]
fn io_work_items() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let mut seen = Seen::default();
    let s = at(&mut seen);
    // The "device" is the first argument of the routine, so the array stands for it; its type is not that of a device.
    let item = rig.call("IoAllocateWorkItem", &[s]);
    assert_ne!(item, 0);
    rig.call("IoQueueWorkItem", &[item, routine(), 1, 77]);
    pump(&rig);
    assert_eq!(seen[..2], [1, 77]);
    rig.call("IoFreeWorkItem", &[item]);
    assert_eq!(rig.driver_blocks(), before);

    let rig = Rig::new();
    assert_eq!(rig.call("IoSizeofWorkItem", &[]), size_of::<IO_WORKITEM>() as u64);
    let mut own: IO_WORKITEM = zeroed();
    let own_at = at(&mut own);
    rig.call("IoInitializeWorkItem", &[s, own_at]);
    rig.call("IoQueueWorkItemEx", &[own_at, routine(), 1, 78]);
    assert_eq!(rig.bugcheck("IoUninitializeWorkItem", &[own_at]).code, BugCheck::WORKER_INVALID);
    let rig = Rig::new();
    rig.call("IoInitializeWorkItem", &[s, own_at]);
    rig.call("IoQueueWorkItemEx", &[own_at, routine(), 1, 78]);
    pump(&rig);
    assert_eq!(seen[..3], [2, 78, own_at], "the item is the third argument");
}
