//! Locks that somebody else holds: the waiter parks, another thread releases, the waiter goes on as the owner.

use core::cell::Cell;

use nt::{ERESOURCE, EX_RUNDOWN_REF, FAST_MUTEX};

use crate::testing::{Code, Rig, at, zeroed};

thread_local! {
    static RELEASE: Cell<Option<(&'static Rig, &'static str, [u64; 2])>> = const { Cell::new(None) };
}

/// Thread that calls one export: the release that the test set.
extern "win64-unwind" fn release(_: u64, _: u64, _: u64, _: u64) -> u64 {
    let (rig, name, arguments) = RELEASE.get().expect("the test has set it");
    rig.call(name, &arguments);
    0
}

fn rig() -> &'static Rig {
    Box::leak(Box::new(Rig::new()))
}

/// Starts a thread that will release, as soon as somebody waits.
fn later(rig: &'static Rig, name: &'static str, arguments: [u64; 2]) {
    RELEASE.set(Some((rig, name, arguments)));
    let mut handle = 0u64;
    let routine = release as Code as usize as u64;
    assert_eq!(rig.call("PsCreateSystemThread", &[at(&mut handle), 0, 0, 0, 0, routine, 0]), 0);
    rig.call("ZwClose", &[handle]);
}

#[test]
fn a_contended_fast_mutex_is_handed_on() {
    let rig = rig();
    let mut mutex: FAST_MUTEX = zeroed();
    let m = at(&mut mutex);
    rig.call("KeInitializeGuardedMutex", &[m]);
    rig.call("ExAcquireFastMutexUnsafe", &[m]);
    later(rig, "ExReleaseFastMutexUnsafe", [m, 0]);
    rig.call("ExAcquireFastMutexUnsafe", &[m]);
    assert_eq!((mutex.Count, mutex.Contention), (0, 1), "waited once and owns it");
    rig.call("ExReleaseFastMutexUnsafe", &[m]);
    assert_eq!(mutex.Count, 1);
}

/// Whoever this is, it is not the thread of the test.
const OTHER: usize = 0x1230;

#[test]
fn a_contended_resource_goes_to_who_waits() {
    let rig = rig();
    let mut resource: Box<ERESOURCE> = Box::new(zeroed());
    let r = at(&mut *resource);
    rig.call("ExInitializeResourceLite", &[r]);
    for (acquire, counts) in
        [("ExAcquireResourceExclusiveLite", (1, 1)), ("ExAcquireResourceSharedLite", (0, 1))]
    {
        assert_eq!(rig.call("ExAcquireResourceExclusiveLite", &[r, 1]), 1);
        resource.OwnerEntry.OwnerThread = OTHER;
        assert_eq!(rig.call(acquire, &[r, 0]), 0, "not without waiting");
        later(rig, "ExReleaseResourceForThreadLite", [r, OTHER as u64]);
        assert_eq!(rig.call(acquire, &[r, 1]), 1);
        let found = (
            rig.call("ExIsResourceAcquiredExclusiveLite", &[r]),
            rig.call("ExIsResourceAcquiredSharedLite", &[r]),
        );
        assert_eq!(found, counts, "{acquire}");
        assert_eq!((resource.NumberOfExclusiveWaiters, resource.NumberOfSharedWaiters), (0, 0));
        rig.call("ExReleaseResourceLite", &[r]);
        assert_eq!(resource.ActiveEntries, 0);
    }
    assert_eq!(resource.ContentionCount, 2);
    rig.call("ExDeleteResourceLite", &[r]);
}

#[test]
fn rundown_waits_for_the_last_user() {
    let rig = rig();
    let mut reference: EX_RUNDOWN_REF = zeroed();
    let r = at(&mut reference);
    rig.call("ExInitializeRundownProtection", &[r]);
    rig.call("ExAcquireRundownProtectionEx", &[r, 3]);
    later(rig, "ExReleaseRundownProtectionEx", [r, 3]);
    rig.call("ExWaitForRundownProtectionRelease", &[r]);
    assert_eq!(reference.Count, 1);
    assert_eq!(rig.call("ExAcquireRundownProtection", &[r]), 0);
}
