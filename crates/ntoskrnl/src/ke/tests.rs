//! `Ke` through the table. Waiting for other threads is tested by drivers on a machine; here is one thread.

use nt::{BugCheck, Irql, KDPC, KEVENT, KMUTANT, KSEMAPHORE, KTIMER};
use record::What;

use crate::testing::{Rig, at, poke, zeroed};

const DISPATCH: u64 = 2;
const SUCCESS: u64 = 0;
const TIMEOUT: u64 = nt::STATUS_TIMEOUT.0 as u64;

#[test]
fn irql_goes_up_and_down() {
    let rig = Rig::new();
    let mut old = 9u8;
    assert_eq!(rig.call("KeGetCurrentIrql", &[]), 0);
    assert_eq!(rig.call("KfRaiseIrql", &[1]), 0);
    rig.call("KeRaiseIrql", &[DISPATCH, at(&mut old)]);
    assert_eq!((old, rig.irql()), (1, Irql::DISPATCH));
    rig.call("KeLowerIrql", &[1]);
    assert_eq!(rig.call("KeRaiseIrqlToDpcLevel", &[]), 1);
    rig.call("KfLowerIrql", &[0]);
    assert_eq!(rig.irql(), Irql::PASSIVE);
}

#[test]
fn an_irql_contract_is_judged_and_nothing_else() {
    let rig = Rig::new();
    rig.call("KfRaiseIrql", &[DISPATCH]);
    rig.events();
    assert_eq!(rig.call("RtlUpcaseUnicodeChar", &[0x61]), 0x41, "it still works");
    let broken = What::IrqlContract { name: "RtlUpcaseUnicodeChar".into(), lowest: 0, highest: 0, actual: 2 };
    assert_eq!(rig.events(), [broken]);
}

#[test]
fn tracing_shows_the_call_and_the_result() {
    let rig = Rig::new();
    rig.host.tracing.set(true);
    rig.call("toupper", &[0x61, 2, 3, 4]);
    let called = What::ExportCalled { name: "toupper".into(), arguments: [0x61, 2, 3, 4] };
    let returned = What::ExportReturned { name: "toupper".into(), value: 0x41 };
    assert_eq!(rig.events(), [called, returned]);
}

#[test]
fn spin_locks() {
    let rig = Rig::new();
    let mut lock = 7usize;
    let l = at(&mut lock);
    rig.call("KeInitializeSpinLock", &[l]);
    assert_eq!(lock, 0);
    for (acquire, release) in
        [("KeAcquireSpinLockRaiseToDpc", "KeReleaseSpinLock"), ("KfAcquireSpinLock", "KfReleaseSpinLock")]
    {
        assert_eq!(rig.call(acquire, &[l]), 0);
        assert_eq!((lock, rig.irql(), rig.call("KeTestSpinLock", &[l])), (1, Irql::DISPATCH, 0), "{acquire}");
        assert_eq!(rig.call("KeTryToAcquireSpinLockAtDpcLevel", &[l]), 0);
        rig.call(release, &[l, 0]);
        assert_eq!((lock, rig.irql(), rig.call("KeTestSpinLock", &[l])), (0, Irql::PASSIVE, 1), "{release}");
    }
    let mut old = 9u8;
    rig.call("KeAcquireSpinLock", &[l, at(&mut old)]);
    assert_eq!((old, lock), (0, 1));
    rig.call("KeReleaseSpinLockFromDpcLevel", &[l]);
    rig.call("KeAcquireSpinLockAtDpcLevel", &[l]);
    assert_eq!((lock, rig.irql()), (1, Irql::DISPATCH));
    rig.call("KeReleaseSpinLockFromDpcLevel", &[l]);
    assert_eq!(rig.call("KeTryToAcquireSpinLockAtDpcLevel", &[l]), 1);
    rig.call("KeReleaseSpinLock", &[l, 0]);
}

#[test]
fn queued_spin_locks() {
    let rig = Rig::new();
    let mut lock = 0usize;
    let mut handle = [9u64; 3];
    let (l, h) = (at(&mut lock), at(&mut handle));
    rig.call("KeAcquireInStackQueuedSpinLock", &[l, h]);
    assert_eq!((lock, rig.irql()), (1, Irql::DISPATCH));
    rig.call("KeReleaseInStackQueuedSpinLock", &[h]);
    assert_eq!((lock, rig.irql()), (0, Irql::PASSIVE));
    rig.call("KfRaiseIrql", &[DISPATCH]);
    rig.call("KeAcquireInStackQueuedSpinLockAtDpcLevel", &[l, h]);
    assert_eq!(lock, 1);
    rig.call("KeReleaseInStackQueuedSpinLockFromDpcLevel", &[h]);
    assert_eq!((lock, rig.irql()), (0, Irql::DISPATCH));
}

#[test]
fn interlocked_lists() {
    let rig = Rig::new();
    let mut lock = 0usize;
    let (mut head, mut a, mut b) = ([0u64; 2], [0u64; 2], [0u64; 2]);
    let (l, h, a, b) = (at(&mut lock), at(&mut head), at(&mut a), at(&mut b));
    head = [h, h];
    assert_eq!(rig.call("ExInterlockedRemoveHeadList", &[h, l]), 0);
    assert_eq!(rig.call("ExInterlockedInsertTailList", &[h, a, l]), 0);
    assert_eq!(rig.call("ExInterlockedInsertTailList", &[h, b, l]), a);
    assert_eq!(head, [a, b]);
    assert_eq!(rig.call("ExInterlockedRemoveHeadList", &[h, l]), a);
    assert_eq!(rig.call("ExInterlockedInsertHeadList", &[h, a, l]), b);
    assert_eq!(head, [a, b]);
    assert_eq!(rig.call("ExInterlockedRemoveHeadList", &[h, l]), a);
    assert_eq!(rig.call("ExInterlockedRemoveHeadList", &[h, l]), b);
    assert_eq!((head, lock, rig.irql()), ([h, h], 0, Irql::PASSIVE));
}

#[test]
fn events() {
    let rig = Rig::new();
    let mut event: KEVENT = zeroed();
    let e = at(&mut event);
    let mut now = 0i64;
    let zero = at(&mut now);
    // NotificationEvent, then SynchronizationEvent.
    for kind in [0, 1] {
        rig.call("KeInitializeEvent", &[e, kind, 0]);
        assert_eq!((event.Header.Type, event.Header.Size), (kind as u8, 6));
        assert_eq!(rig.call("KeWaitForSingleObject", &[e, 0, 0, 0, zero]), TIMEOUT);
        assert_eq!(rig.call("KeSetEvent", &[e, 0, 0]), 0);
        assert_eq!(rig.call("KeSetEvent", &[e, 0, 0]), 1, "the previous state");
        assert_eq!(rig.call("KeWaitForSingleObject", &[e, 0, 0, 0, zero]), SUCCESS);
        assert_eq!(rig.call("KeReadStateEvent", &[e]), 1 - kind, "a synchronization event resets itself");
        rig.call("KeSetEvent", &[e, 0, 0]);
        assert_eq!(rig.call("KeResetEvent", &[e]), 1);
        rig.call("KeSetEvent", &[e, 0, 0]);
        rig.call("KeClearEvent", &[e]);
        assert_eq!(rig.call("KeReadStateEvent", &[e]), 0);
        assert_eq!(rig.call("KePulseEvent", &[e, 0, 0]), 0);
        assert_eq!(rig.call("KeReadStateEvent", &[e]), 0);
    }
    rig.faults("KeSetEvent", &[0, 0, 0]);
}

#[test]
fn semaphores_and_mutexes() {
    let rig = Rig::new();
    let mut now = 0i64;
    let zero = at(&mut now);
    let mut semaphore: KSEMAPHORE = zeroed();
    let s = at(&mut semaphore);
    rig.call("KeInitializeSemaphore", &[s, 1, 2]);
    assert_eq!(rig.call("KeWaitForSingleObject", &[s, 0, 0, 0, zero]), SUCCESS);
    assert_eq!(rig.call("KeWaitForSingleObject", &[s, 0, 0, 0, zero]), TIMEOUT);
    assert_eq!(rig.call("KeReleaseSemaphore", &[s, 0, 2, 0]), 0);
    assert_eq!(rig.call("KeReadStateSemaphore", &[s]), 2);
    let over = rig.bugcheck("KeReleaseSemaphore", &[s, 0, 1, 0]);
    assert_eq!(over.code, BugCheck::KMODE_EXCEPTION_NOT_HANDLED);

    let rig = Rig::new();
    let mut mutex: KMUTANT = zeroed();
    let m = at(&mut mutex);
    rig.call("KeInitializeMutex", &[m, 0]);
    assert_eq!(rig.call("KeReadStateMutex", &[m]), 1);
    assert_eq!(rig.call("KeWaitForMutexObject", &[m, 0, 0, 0, zero]), SUCCESS);
    assert_eq!(rig.call("KeWaitForMutexObject", &[m, 0, 0, 0, zero]), SUCCESS, "recursion");
    assert_eq!(rig.call("KeAreApcsDisabled", &[]), 1);
    assert_eq!(rig.call("KeReleaseMutex", &[m, 0]) as i32, -1);
    assert_eq!(rig.call("KeReleaseMutex", &[m, 0]), 0);
    assert_eq!((rig.call("KeReadStateMutex", &[m]), rig.call("KeAreApcsDisabled", &[])), (1, 0));
    assert_eq!(rig.bugcheck("KeReleaseMutex", &[m, 0]).code, BugCheck::KMODE_EXCEPTION_NOT_HANDLED);
}

#[test]
fn waiting_for_several() {
    let rig = Rig::new();
    let (mut first, mut second): (KEVENT, KEVENT) = (zeroed(), zeroed());
    let (a, b) = (at(&mut first), at(&mut second));
    for event in [a, b] {
        rig.call("KeInitializeEvent", &[event, 1, 0]);
    }
    let mut objects = [a, b];
    let mut now = 0i64;
    let (list, zero) = (at(&mut objects), at(&mut now));
    rig.call("KeSetEvent", &[b, 0, 0]);
    // WaitAny is 1, WaitAll is 0.
    assert_eq!(rig.call("KeWaitForMultipleObjects", &[2, list, 0, 0, 0, 0, zero, 0]), TIMEOUT);
    assert_eq!(rig.call("KeWaitForMultipleObjects", &[2, list, 1, 0, 0, 0, zero, 0]), 1);
    assert_eq!(rig.call("KeWaitForMultipleObjects", &[2, list, 1, 0, 0, 0, zero, 0]), TIMEOUT);
    rig.call("KeSetEvent", &[a, 0, 0]);
    rig.call("KeSetEvent", &[b, 0, 0]);
    assert_eq!(rig.call("KeWaitForMultipleObjects", &[2, list, 0, 0, 0, 0, zero, 0]), SUCCESS);
    poke(&mut objects[1], 0x10);
    rig.faults("KeWaitForMultipleObjects", &[2, list, 1, 0, 0, 0, zero, 0]);
}

#[test]
fn time_passes_only_when_asked() {
    let rig = Rig::new();
    let read = |name: &str| {
        let mut time = 0i64;
        rig.call(name, &[at(&mut time)]);
        time
    };
    let start = read("KeQuerySystemTime");
    let mut interval = -10_000_000i64;
    assert_eq!(rig.call("KeDelayExecutionThread", &[0, 0, at(&mut interval)]), SUCCESS);
    assert_eq!(read("KeQuerySystemTimePrecise") - start, 10_000_000);
    rig.call("KeStallExecutionProcessor", &[50]);
    assert_eq!(rig.host.stalled.get(), 500);
    let mut frequency = 0i64;
    assert_eq!(rig.call("KeQueryPerformanceCounter", &[at(&mut frequency)]), 10_000_500);
    assert_eq!(frequency, 10_000_000);
    assert_eq!(rig.call("KeQueryInterruptTime", &[]), 10_000_500);
    assert_eq!(rig.call("KeQueryUnbiasedInterruptTime", &[]), 10_000_500);
    assert_eq!(rig.call("KeQueryInterruptTimePrecise", &[at(&mut frequency)]), 10_000_500);
    assert_eq!(rig.call("KeQueryTimeIncrement", &[]), 156_250);
    assert_eq!(read("KeQueryTickCount"), 64);
}

extern "win64-unwind" fn deferred(_dpc: u64, context: u64, first: u64, second: u64) -> u64 {
    let seen = core::ptr::with_exposed_provenance_mut::<[u64; 3]>(context as usize);
    // SAFETY: the context is the test's own array.
    let [calls, _, _] = unsafe { seen.read() };
    // SAFETY: as above.
    unsafe { seen.write([calls + 1, first, second]) };
    0
}

#[test]
fn deferred_procedure_calls() {
    let rig = Rig::new();
    let (mut dpc, mut seen): (KDPC, _) = (zeroed(), [0u64; 3]);
    let (d, s) = (at(&mut dpc), at(&mut seen));
    let routine = deferred as extern "win64-unwind" fn(u64, u64, u64, u64) -> u64 as usize as u64;
    rig.call("KeInitializeDpc", &[d, routine, s]);
    rig.call("KeSetImportanceDpc", &[d, 2]);
    assert_eq!((dpc.Type, dpc.Importance), (0x13, 2));
    rig.call("KfRaiseIrql", &[DISPATCH]);
    assert_eq!(rig.call("KeInsertQueueDpc", &[d, 1, 2]), 1);
    assert_eq!(rig.call("KeInsertQueueDpc", &[d, 3, 4]), 0, "queued already");
    assert_eq!(seen[0], 0, "not at DISPATCH_LEVEL");
    rig.call("KeLowerIrql", &[0]);
    assert_eq!(seen, [1, 1, 2]);
    rig.call("KfRaiseIrql", &[DISPATCH]);
    rig.call("KeInsertQueueDpc", &[d, 5, 6]);
    assert_eq!(rig.call("KeRemoveQueueDpc", &[d]), 1);
    assert_eq!(rig.call("KeRemoveQueueDpc", &[d]), 0);
    rig.call("KeLowerIrql", &[0]);
    assert_eq!(seen[0], 1);
    rig.call("KeInsertQueueDpc", &[d, 7, 8]);
    rig.call("KeFlushQueuedDpcs", &[]);
    assert_eq!(seen, [2, 7, 8]);
}

#[test]
fn processors_of_dpcs() {
    let rig = Rig::new();
    let (mut dpc, mut seen): (KDPC, _) = (zeroed(), [0u64; 3]);
    let (d, s) = (at(&mut dpc), at(&mut seen));
    let routine = deferred as extern "win64-unwind" fn(u64, u64, u64, u64) -> u64 as usize as u64;
    rig.call("KeInitializeDpc", &[d, routine, s]);
    rig.call("KeSetTargetProcessorDpc", &[d, 9]);
    assert_eq!(dpc.Number, 0, "there are four");
    rig.call("KeSetTargetProcessorDpc", &[d, 2]);
    // Processor 2 of the test runs nothing.
    assert_eq!(rig.call("KeInsertQueueDpc", &[d, 1, 2]), 1);
    assert_eq!(seen[0], 0);
    assert_eq!(rig.call("KeRemoveQueueDpc", &[d]), 1);
    let invalid = u64::from(nt::STATUS_INVALID_PARAMETER.0);
    for wrong in [[1u8, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]] {
        assert_eq!(rig.call("KeSetTargetProcessorDpcEx", &[d, wrong.as_ptr() as u64]), invalid);
    }
    assert_eq!(dpc.Number, 0x502, "as before");
    let mut third = [0u8, 0, 3, 0];
    assert_eq!(rig.call("KeSetTargetProcessorDpcEx", &[d, at(&mut third)]), SUCCESS);
    assert_eq!(dpc.Number, 0x503);
    rig.call("KeSetTargetProcessorDpc", &[d, 0]);
    rig.call("KeInsertQueueDpc", &[d, 1, 2]);
    assert_eq!(seen, [1, 1, 2]);
}

#[test]
fn timers() {
    let rig = Rig::new();
    let (mut timer, mut dpc, mut seen): (KTIMER, KDPC, _) = (zeroed(), zeroed(), [0u64; 3]);
    let (t, d, s) = (at(&mut timer), at(&mut dpc), at(&mut seen));
    let routine = deferred as extern "win64-unwind" fn(u64, u64, u64, u64) -> u64 as usize as u64;
    rig.call("KeInitializeDpc", &[d, routine, s]);
    rig.call("KeInitializeTimer", &[t]);
    assert_eq!(timer.Header.Type, 8);
    rig.call("KeInitializeTimerEx", &[t, 1]);
    assert_eq!(timer.Header.Type, 9);
    let due = (-1_000_000i64) as u64;
    assert_eq!(rig.call("KeSetTimer", &[t, due, d]), 0);
    assert_eq!(rig.call("KeSetTimerEx", &[t, due, 0, d]), 1, "set already");
    assert_eq!(rig.call("KeReadStateTimer", &[t]), 0);
    assert_eq!(rig.call("KeWaitForSingleObject", &[t, 0, 0, 0, 0]), SUCCESS);
    assert_eq!((rig.call("KeQueryInterruptTime", &[]), seen[0]), (1_000_000, 1));
    assert_eq!(rig.call("KeCancelTimer", &[t]), 0, "expired");
    assert_eq!(rig.call("KeSetCoalescableTimer", &[t, due, 0, 100, 0]), 0);
    assert_eq!(rig.call("KeCancelTimer", &[t]), 1);
}

#[test]
fn regions_hold_apcs_back() {
    let rig = Rig::new();
    let state = || (rig.call("KeAreApcsDisabled", &[]), rig.call("KeAreAllApcsDisabled", &[]));
    assert_eq!(state(), (0, 0));
    rig.call("KeEnterCriticalRegion", &[]);
    assert_eq!(state(), (1, 0));
    rig.call("KeEnterGuardedRegion", &[]);
    assert_eq!(state(), (1, 1));
    rig.call("KeLeaveGuardedRegion", &[]);
    rig.call("KeLeaveCriticalRegion", &[]);
    assert_eq!(state(), (0, 0));
}

#[test]
fn processors() {
    let rig = Rig::new();
    assert_eq!(rig.call("KeGetCurrentProcessorNumber", &[]), 0);
    assert_eq!(rig.call("KeGetCurrentProcessorIndex", &[]), 0);
    let mut number = [9u8; 4];
    assert_eq!(rig.call("KeGetCurrentProcessorNumberEx", &[at(&mut number)]), 0);
    assert_eq!(number, [0; 4]);
    assert_eq!(rig.call("KeQueryActiveProcessors", &[]), 0xF);
    let mut set = 0u64;
    assert_eq!(rig.call("KeQueryActiveProcessorCount", &[at(&mut set)]), 4);
    assert_eq!(set, 0xF);
    assert_eq!(rig.call("KeQueryActiveProcessorCountEx", &[0xFFFF]), 4);
    assert_eq!(rig.call("KeQueryActiveProcessorCountEx", &[1]), 0);
    assert_eq!(rig.call("KeQueryMaximumProcessorCount", &[]), 4);
    assert_eq!(rig.call("KeQueryMaximumProcessorCountEx", &[0]), 4);
    assert_eq!(rig.call("KeQueryActiveGroupCount", &[]), 1);
    assert_eq!(rig.call("KeQueryMaximumGroupCount", &[]), 1);
    assert_eq!(rig.call("KeQueryGroupAffinity", &[0]), 0xF);
    assert_eq!(rig.call("KeGetProcessorNumberFromIndex", &[3, at(&mut number)]), SUCCESS);
    assert_eq!(number, [0, 0, 3, 0]);
    assert_eq!(rig.call("KeGetProcessorIndexFromNumber", &[at(&mut number)]), 3);
    number[2] = 4;
    assert_eq!(rig.call("KeGetProcessorIndexFromNumber", &[at(&mut number)]), u64::from(u32::MAX));
    let invalid = u64::from(nt::STATUS_INVALID_PARAMETER.0);
    assert_eq!(rig.call("KeGetProcessorNumberFromIndex", &[4, at(&mut number)]), invalid);
    assert_eq!(rig.call("KeGetRecommendedSharedDataAlignment", &[]), 64);
}

#[test]
fn the_current_thread() {
    let rig = Rig::new();
    let thread = rig.call("KeGetCurrentThread", &[]);
    assert_ne!(thread, 0);
    assert_eq!(rig.call("PsGetCurrentThread", &[]), thread);
    let before = rig.call("KeQueryPriorityThread", &[thread]);
    assert_eq!(rig.call("KeSetPriorityThread", &[thread, 16]), before);
    assert_eq!(rig.call("KeQueryPriorityThread", &[thread]), 16);
}

#[test]
fn drivers_end_the_world() {
    let check = Rig::new().bugcheck("KeBugCheckEx", &[0xDEAD, 1, 2, 3, 4]);
    assert_eq!((check.code, check.parameters), (BugCheck(0xDEAD), [1, 2, 3, 4]));
    let check = Rig::new().bugcheck("KeBugCheck", &[0xBEEF]);
    assert_eq!((check.code, check.parameters), (BugCheck(0xBEEF), [0; 4]));
}

extern "win64-unwind" fn broadcast(seen: u64, _: u64, _: u64, _: u64) -> u64 {
    let seen = core::ptr::with_exposed_provenance_mut::<u64>(seen as usize);
    // SAFETY: the test passed the address of its own counter.
    unsafe { *seen += 1 };
    7
}

#[test]
fn a_call_on_all_processors() {
    let rig = Rig::new();
    let mut seen = [0u64; 1];
    let routine = broadcast as extern "win64-unwind" fn(u64, u64, u64, u64) -> u64 as usize as u64;
    for irql in [0, 2, 13] {
        rig.call("KfRaiseIrql", &[irql]);
        // The other processors of the test run nothing; the machine's tests have some that do.
        assert_eq!(rig.call("KeIpiGenericCall", &[routine, at(&mut seen)]), 7);
        assert_eq!(rig.call("KeGetCurrentIrql", &[]), irql);
        rig.call("KeLowerIrql", &[0]);
    }
    assert_eq!(seen, [3]);
}

#[test]
fn affinities_of_groups() {
    let rig = Rig::new();
    let bound = || rig.host.affinity.get();
    let set = |mask, group| nt::GROUP_AFFINITY { Mask: mask, Group: group, Reserved: [0; 3] };
    let mut before = set(9, 9);
    let mut change = |mut affinity: nt::GROUP_AFFINITY| {
        rig.call("KeSetSystemGroupAffinityThread", &[at(&mut affinity), at(&mut before)]);
        (before.Mask, before.Group)
    };
    assert_eq!((change(set(2, 0)), bound()), ((0, 0), Some(2)));
    assert_eq!((change(set(4, 0)), bound()), ((2, 0), Some(4)));
    // No such group, no such processor beside one that is there, none at all.
    for wrong in [set(1, 1), set(0x11, 0), set(0, 0)] {
        assert_eq!((change(wrong), bound()), ((0, 0), Some(4)));
    }
    assert_eq!(change(nt::GROUP_AFFINITY { Reserved: [0, 1, 0], ..set(1, 0) }), (0, 0));
    assert_eq!(bound(), Some(4));
    rig.call("KeSetSystemGroupAffinityThread", &[at(&mut set(8, 0)), 0]);
    assert_eq!(bound(), Some(8));
    rig.call("KeRevertToUserGroupAffinityThread", &[at(&mut set(2, 0))]);
    assert_eq!(bound(), Some(2));
    rig.call("KeRevertToUserGroupAffinityThread", &[at(&mut set(1, 1))]);
    assert_eq!(bound(), Some(2), "no such group");
    rig.call("KeRevertToUserGroupAffinityThread", &[at(&mut set(0, 0))]);
    assert_eq!(bound(), None);
}

#[test]
fn affinities_processes_and_stacks() {
    let rig = Rig::new();
    let bound = || rig.host.affinity.get();
    rig.call("KeSetSystemAffinityThread", &[0x12]);
    assert_eq!(bound(), Some(2), "of those that are there");
    rig.call("KeRevertToUserAffinityThread", &[]);
    assert_eq!(bound(), None);
    assert_eq!(rig.call("KeSetSystemAffinityThreadEx", &[1]), 0, "not bound before");
    assert_eq!(rig.call("KeSetSystemAffinityThreadEx", &[4]), 1);
    assert_eq!(rig.call("KeSetSystemAffinityThreadEx", &[0x10]), 0, "no such processor");
    assert_eq!(bound(), Some(4));
    rig.call("KeRevertToUserAffinityThreadEx", &[1]);
    assert_eq!(bound(), Some(1));
    rig.call("KeRevertToUserAffinityThreadEx", &[0]);
    assert_eq!(bound(), None);
    let process = rig.call("PsGetCurrentProcess", &[]);
    let (mut other, mut state): (nt::EPROCESS, nt::KAPC_STATE) = (zeroed(), zeroed());
    rig.call("KeStackAttachProcess", &[at(&mut other), at(&mut state)]);
    assert_eq!(rig.call("PsGetCurrentProcess", &[]), at(&mut other));
    rig.call("KeUnstackDetachProcess", &[at(&mut state)]);
    assert_eq!(rig.call("PsGetCurrentProcess", &[]), process);
    let (mut low, mut high) = (9u64, 9u64);
    rig.call("IoGetStackLimits", &[at(&mut low), at(&mut high)]);
    let thread: nt::KTHREAD = {
        let at = rig.call("KeGetCurrentThread", &[]);
        // SAFETY: the current thread is live.
        unsafe { core::ptr::with_exposed_provenance::<nt::KTHREAD>(at as usize).read() }
    };
    assert_eq!((low, high), (thread.StackLimit as u64, thread.StackBase as u64));
    assert_eq!(rig.call("IoWithinStackLimits", &[high + 8, 8]), 0);
    assert_eq!(rig.call("IoWithinStackLimits", &[low, (high - low) as usize as u64]), 1);
}
