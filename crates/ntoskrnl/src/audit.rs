//! What a driver leaves behind: handles, names, timers, DPCs, work items, threads and locks, with who made them.
//!
//! Windows keeps no such account. What Driver Verifier knows of it, it learns when memory goes: a timer or DPC in it is bugcheck 0xC7
//! `TIMER_OR_DPC_INVALID`. Here the objects themselves say what is still open, set, queued or running, and what is kept beside
//! them says only who asked for it.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use executive::Origin;
use executive::ke::{QueuedDpc, SetTimer};
use executive::ob::MadeObject;
use nt::Irql;
use record::{Left, LeftKind, Made, What};

use crate::kernel::Kernel;

/// Timers and DPCs that are remembered before those that are over are forgotten.
const MOST_IDLE: usize = 1024;

/// A lock that a thread holds: its kind and address, the thread, and who took it when.
#[derive(Clone, Copy, Debug)]
struct Held {
    kind: LeftKind,
    lock: u64,
    thread: u64,
    origin: Origin,
}

/// How many locks a thread held, and how often it had entered a region or raised its IRQL, at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holds {
    locks: usize,
    entered: usize,
}

/// Who set, queued or took what.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) timers: Mutex<BTreeMap<u64, Origin>>,
    pub(crate) dpcs: Mutex<BTreeMap<u64, Origin>>,
    locks: Mutex<Vec<Held>>,
    /// Regions entered, mutexes taken and IRQLs raised, and not undone.
    entered: Mutex<Vec<Held>>,
    /// Executive resources that were initialized and not deleted.
    pub(crate) resources: Mutex<BTreeMap<u64, Origin>>,
    /// Objects in paged pool that were told of.
    pub(crate) paged: Mutex<BTreeSet<u64>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while one is held, and a panic in the kernel process ends it anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    /// Notes that a driver set a timer.
    pub(crate) fn timer_set(&self, timer: u64) {
        let origin = self.host().origin();
        let mut timers = lock(&self.account().timers);
        let new = timers.insert(timer, origin).is_none();
        if new && timers.len().is_multiple_of(MOST_IDLE) {
            drop(timers);
            let set = self.executive().timers_set();
            lock(&self.account().timers)
                .retain(|timer, _| set.iter().any(|other| other.timer as u64 == *timer));
        }
    }

    /// Notes that a driver queued a DPC.
    pub(crate) fn dpc_queued(&self, dpc: u64) {
        let origin = self.host().origin();
        let mut dpcs = lock(&self.account().dpcs);
        if dpcs.len() >= MOST_IDLE {
            // Those that have run are forgotten with the rest: what is left of it is only who queued it.
            dpcs.clear();
        }
        dpcs.insert(dpc, origin);
    }

    /// Notes that the current thread took a lock; once more where it has it already.
    pub(crate) fn lock_taken(&self, kind: LeftKind, address: u64) {
        let thread = self.thread_address();
        // Without the call stack: locks are taken often, and the place says enough.
        let origin = Origin { caller: self.caller(), time: self.host().now(), stack: 0 };
        lock(&self.account().locks).push(Held { kind, lock: address, thread, origin });
    }

    /// Notes that a lock was given back by `thread`, or for it. Returns whether it had it.
    pub(crate) fn lock_given_by(&self, thread: u64, address: u64) -> bool {
        let mut held = lock(&self.account().locks);
        let own = held.iter().rposition(|held| held.lock == address && held.thread == thread);
        if let Some(index) = own {
            held.remove(index);
        }
        own.is_some()
    }

    /// Notes that the current thread gave a lock back, and tells where it did not have it: `held` says whether somebody else does.
    pub(crate) fn lock_given(&self, kind: LeftKind, address: u64, held: bool) {
        if self.lock_given_by(self.thread_address(), address) {
            return;
        }
        let mut others = lock(&self.account().locks);
        let other = others.iter().rposition(|held| held.lock == address);
        if let Some(index) = other {
            others.remove(index);
        }
        drop(others);
        let held = held || other.is_some();
        // A spin lock belongs to the processor: one that is held may have been taken without a call.
        if !(held && kind == LeftKind::SpinLock) {
            self.host().emit(What::LockMisused { kind, lock: address, held });
        }
    }

    /// Forgets a lock that is made anew, or is no more.
    pub(crate) fn lock_over(&self, address: u64) {
        lock(&self.account().locks).retain(|held| held.lock != address);
    }

    fn thread_address(&self) -> u64 {
        self.host().current_thread().as_ptr().addr() as u64
    }

    /// Notes that the current thread entered a region, took a mutex or raised its IRQL: `address` is the mutex or the level.
    pub(crate) fn entered(&self, kind: LeftKind, address: u64) {
        let thread = self.thread_address();
        let origin = Origin { caller: self.caller(), time: self.host().now(), stack: 0 };
        lock(&self.account().entered).push(Held { kind, lock: address, thread, origin });
    }

    /// Notes that the current thread left a region or gave a mutex back.
    pub(crate) fn left_again(&self, kind: LeftKind, address: u64) {
        let thread = self.thread_address();
        let mut entered = lock(&self.account().entered);
        let last = entered
            .iter()
            .rposition(|held| held.thread == thread && held.kind == kind && held.lock == address);
        last.map(|last| entered.remove(last));
    }

    /// Notes that the current thread lowered its IRQL to `level`.
    pub(crate) fn lowered(&self, level: Irql) {
        let mut entered = lock(&self.account().entered);
        if !entered.is_empty() {
            let thread = self.thread_address();
            entered.retain(|held| {
                held.thread != thread || held.kind != LeftKind::Irql || held.lock <= u64::from(level.0)
            });
        }
    }

    /// Returns how much the current thread holds and has entered, to be asked about again later.
    pub fn held(&self) -> Holds {
        let thread = self.thread_address();
        let count = |all: &[Held]| all.iter().filter(|held| held.thread == thread).count();
        Holds { locks: count(&lock(&self.account().locks)), entered: count(&lock(&self.account().entered)) }
    }

    /// Returns the locks that the current thread took since `before` and still holds, and the calls that raised its IRQL above `level`,
    /// where it is still there.
    pub fn kept_since(&self, before: &Holds, level: Irql) -> Vec<Left> {
        let mut kept = self.since(&self.account().locks, before.locks);
        if self.host().irql() > level {
            let entered = self.since(&self.account().entered, before.entered).into_iter();
            kept.extend(entered.filter(|left| left.kind == LeftKind::Irql));
        } else {
            self.lowered(level);
        }
        kept
    }

    /// Returns the regions that the current thread entered, and the mutexes it took, since `before`, and has not left.
    pub fn entered_since(&self, before: &Holds) -> Vec<Left> {
        let entered = self.since(&self.account().entered, before.entered).into_iter();
        entered.filter(|left| left.kind != LeftKind::Irql).collect()
    }

    fn since(&self, all: &Mutex<Vec<Held>>, before: usize) -> Vec<Left> {
        let thread = self.thread_address();
        let held: Vec<Held> =
            lock(all).iter().filter(|held| held.thread == thread).skip(before).copied().collect();
        held.into_iter().map(|held| self.describe(held)).collect()
    }

    fn describe(&self, held: Held) -> Left {
        self.left(held.kind, held.lock, held.origin)
    }

    /// Returns what the driver whose image lies in `image` leaves behind, other than pool, lookaside lists and devices. The machine
    /// asks once `DriverUnload` has returned.
    ///
    /// Handles, names and locks are told of where its code asked for them, whatever is called later where that is its code.
    pub fn left_by(&self, image: &Range<u64>) -> Vec<Left> {
        let own = |origin: Origin| image.contains(&origin.caller);
        let mut left = Vec::new();
        let made = |kind, made: MadeObject| Left {
            object_type: Some(made.type_name),
            name: made.name,
            ..self.left(kind, made.address as u64, made.origin)
        };
        let handles = self.executive().handles_of_drivers().into_iter().filter(|handle| own(handle.origin));
        left.extend(handles.map(|handle| made(LeftKind::Handle, handle)));
        // Callback objects and devices have events of their own.
        let told = |name: &MadeObject| ["Callback", "Device"].contains(&&*name.type_name);
        let names = self.executive().names_of_drivers().into_iter();
        let names = names.filter(|name| own(name.origin) && !told(name));
        left.extend(names.map(|name| made(LeftKind::Name, name)));
        left.extend(self.timers_of(image));
        left.extend(self.dpcs_of(image));
        let resources: Vec<(u64, Origin)> =
            lock(&self.account().resources).iter().map(|(&address, &origin)| (address, origin)).collect();
        let resources =
            resources.into_iter().filter(|(address, origin)| own(*origin) || image.contains(address));
        left.extend(resources.map(|(address, origin)| self.left(LeftKind::LiveResource, address, origin)));
        left.extend(crate::ex::work::left(self, image));
        left.extend(crate::ps::thread::left(self, image));
        let locks: Vec<Held> =
            lock(&self.account().locks).iter().filter(|held| own(held.origin)).copied().collect();
        left.extend(locks.into_iter().map(|held| self.describe(held)));
        left
    }

    fn timers_of(&self, image: &Range<u64>) -> Vec<Left> {
        let runs =
            |dpc: QueuedDpc| image.contains(&(dpc.routine as u64)) || image.contains(&(dpc.dpc as u64));
        let mut left = Vec::new();
        for timer in self.executive().timers_set() {
            let thing = self.timer_left(timer);
            let own = image.contains(&thing.made.caller) || image.contains(&thing.address);
            if own || timer.dpc.is_some_and(runs) {
                left.push(thing);
            }
        }
        left
    }

    /// Tells of a timer that is set.
    pub(crate) fn timer_left(&self, timer: SetTimer) -> Left {
        let address = timer.timer as u64;
        let origin = lock(&self.account().timers).get(&address).copied().unwrap_or_default();
        Left {
            routine: timer.dpc.map(|dpc| dpc.routine as u64),
            due: Some(timer.due),
            ..self.left(LeftKind::Timer, address, origin)
        }
    }

    fn dpcs_of(&self, image: &Range<u64>) -> Vec<Left> {
        let running = self.executive().dpcs_running().into_iter().map(|dpc| (dpc, true));
        let queued = self.executive().dpcs_queued().into_iter().map(|dpc| (dpc, false));
        let mut left = Vec::new();
        for (dpc, running) in running.chain(queued) {
            // One that runs may have been freed by its routine: only the routine tells.
            if image.contains(&(dpc.routine as u64)) || !running && image.contains(&(dpc.dpc as u64)) {
                left.push(Left { running, ..self.dpc_left(dpc) });
            }
        }
        left
    }

    /// Tells of a DPC that is queued.
    pub(crate) fn dpc_left(&self, dpc: QueuedDpc) -> Left {
        let address = dpc.dpc as u64;
        let origin = lock(&self.account().dpcs).get(&address).copied().unwrap_or_default();
        Left { routine: Some(dpc.routine as u64), ..self.left(LeftKind::Dpc, address, origin) }
    }

    pub(crate) fn left(&self, kind: LeftKind, address: u64, origin: Origin) -> Left {
        Left {
            kind,
            address,
            object_type: None,
            name: None,
            thread: None,
            routine: None,
            due: None,
            running: false,
            made: self.made(origin),
        }
    }

    /// Returns an origin as the records tell it.
    pub fn made(&self, origin: Origin) -> Made {
        let stack = self.host().call_stack(origin.stack);
        Made { caller: origin.caller, time: origin.time.cast_unsigned(), stack }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::testing::{RETURN_ADDRESS, Rig, at, zeroed};
    use nt::{ERESOURCE, FAST_MUTEX, KDPC, KMUTANT, KTIMER};

    fn kinds(rig: &Rig) -> Vec<(LeftKind, u64)> {
        let image = RETURN_ADDRESS - 0x100..RETURN_ADDRESS + 0x100;
        let mut left = rig.kernel.left_by(&image);
        // To the host of a test everything is asked for by driver code, the boot too.
        left.retain(|left| ![LeftKind::Name, LeftKind::LiveResource].contains(&left.kind));
        left.into_iter().map(|left| (left.kind, left.address)).collect()
    }

    #[test]
    fn a_timer_is_left_as_long_as_it_is_set() {
        let rig = Rig::new();
        let mut timer: KTIMER = zeroed();
        let timer = at(&mut timer);
        rig.call("KeInitializeTimer", &[timer]);
        assert!(kinds(&rig).is_empty());
        rig.call("KeSetTimer", &[timer, (-10_000_000_i64).cast_unsigned(), 0]);
        assert_eq!(kinds(&rig), [(LeftKind::Timer, timer)]);
        rig.call("KeCancelTimer", &[timer]);
        assert!(kinds(&rig).is_empty());
    }

    #[test]
    fn a_dpc_is_left_as_long_as_it_is_queued() {
        let rig = Rig::new();
        let mut dpc: KDPC = zeroed();
        let dpc = at(&mut dpc);
        rig.call("KeInitializeDpc", &[dpc, RETURN_ADDRESS, 0]);
        rig.call("KeSetTargetProcessorDpc", &[dpc, 3]);
        rig.call("KeInsertQueueDpc", &[dpc, 0, 0]);
        assert_eq!(kinds(&rig), [(LeftKind::Dpc, dpc)]);
        rig.call("KeRemoveQueueDpc", &[dpc]);
        assert!(kinds(&rig).is_empty());
    }

    #[test]
    fn a_spin_lock_is_left_as_long_as_it_is_held() {
        let rig = Rig::new();
        let mut locks = [0_u64; 2];
        let lock = at(&mut locks);
        let old = rig.call("KeAcquireSpinLockRaiseToDpc", &[lock]);
        let before = rig.kernel.held();
        rig.call("KeAcquireSpinLockAtDpcLevel", &[lock + 8]);
        assert_eq!(rig.kernel.kept_since(&before, Irql::DISPATCH)[0].address, lock + 8);
        rig.call("KeReleaseSpinLock", &[lock, old]);
        assert_eq!(kinds(&rig), [(LeftKind::SpinLock, lock + 8)]);
        rig.call("KeReleaseSpinLockFromDpcLevel", &[lock + 8]);
        assert!(kinds(&rig).is_empty() && rig.kernel.held().locks == 0);
    }

    #[test]
    fn mutexes_and_resources_are_left_as_long_as_they_are_held() {
        let rig = Rig::new();
        let mut mutex: FAST_MUTEX = zeroed();
        let m = at(&mut mutex);
        let mut resource: Box<ERESOURCE> = Box::new(zeroed());
        let r = at(&mut *resource);
        rig.call("KeInitializeGuardedMutex", &[m]);
        rig.call("ExInitializeResourceLite", &[r]);
        rig.call("ExAcquireFastMutex", &[m]);
        assert_eq!(kinds(&rig), [(LeftKind::FastMutex, m)]);
        rig.call("ExReleaseFastMutex", &[m]);
        assert_eq!(rig.call("ExAcquireResourceExclusiveLite", &[r, 1]), 1);
        assert_eq!(rig.call("ExAcquireResourceSharedLite", &[r, 1]), 1);
        rig.call("ExReleaseResourceLite", &[r]);
        assert_eq!(kinds(&rig), [(LeftKind::Resource, r)], "taken twice, given back once");
        rig.call("ExReleaseResourceLite", &[r]);
        assert!(kinds(&rig).is_empty() && rig.kernel.held().locks == 0);
        rig.call("ExAcquireResourceExclusiveLite", &[r, 1]);
        rig.call("ExDeleteResourceLite", &[r]);
        assert!(kinds(&rig).is_empty(), "what is no more is held by nobody");
    }

    #[test]
    fn a_lock_that_is_released_and_not_held_is_told() {
        let rig = Rig::new();
        let mut lock = 0_u64;
        let l = at(&mut lock);
        let mut mutex: FAST_MUTEX = zeroed();
        let m = at(&mut mutex);
        rig.call("KeInitializeGuardedMutex", &[m]);
        let misused = |kind, lock| What::LockMisused { kind, lock, held: false };
        rig.events();
        rig.call("KeReleaseSpinLockFromDpcLevel", &[l]);
        rig.call("ExReleaseFastMutexUnsafe", &[m]);
        let told: Vec<What> =
            rig.events().into_iter().filter(|event| matches!(event, What::LockMisused { .. })).collect();
        assert_eq!(told, [misused(LeftKind::SpinLock, l), misused(LeftKind::FastMutex, m)]);
        rig.call("KeInitializeGuardedMutex", &[m]);
        let old = rig.call("KeAcquireSpinLockRaiseToDpc", &[l]);
        rig.call("KeReleaseSpinLock", &[l, old]);
        rig.call("ExAcquireFastMutexUnsafe", &[m]);
        rig.call("ExReleaseFastMutexUnsafe", &[m]);
        // Taken without a call, as by code of a driver's own.
        let mut taken = 1_u64;
        let old = rig.call("KeRaiseIrqlToDpcLevel", &[]);
        rig.call("KeReleaseSpinLock", &[at(&mut taken), old]);
        let told = rig.events();
        assert!(!told.iter().any(|event| matches!(event, What::LockMisused { .. })), "{told:?}");
    }

    #[test]
    fn what_was_entered_and_raised_is_told_until_it_is_undone() {
        let rig = Rig::new();
        let before = rig.kernel.held();
        rig.call("KeEnterCriticalRegion", &[]);
        rig.call("KeEnterGuardedRegion", &[]);
        rig.call("KeLeaveGuardedRegion", &[]);
        let entered: Vec<LeftKind> =
            rig.kernel.entered_since(&before).into_iter().map(|left| left.kind).collect();
        assert_eq!(entered, [LeftKind::CriticalRegion]);
        rig.call("KeLeaveCriticalRegion", &[]);
        let old = rig.call("KeRaiseIrqlToDpcLevel", &[]);
        let raised = rig.kernel.kept_since(&before, Irql::PASSIVE);
        assert_eq!((raised.len(), raised[0].kind, raised[0].address), (1, LeftKind::Irql, 2));
        assert_eq!(raised[0].made.caller, RETURN_ADDRESS);
        rig.call("KeLowerIrql", &[old]);
        assert!(rig.kernel.kept_since(&before, Irql::PASSIVE).is_empty());
        let mut mutex: KMUTANT = zeroed();
        let m = at(&mut mutex);
        rig.call("KeInitializeMutex", &[m, 0]);
        rig.call("KeWaitForSingleObject", &[m, 0, 0, 0, 0]);
        let entered = rig.kernel.entered_since(&before);
        assert_eq!((entered.len(), entered[0].kind, entered[0].address), (1, LeftKind::Mutex, m));
        rig.call("KeReleaseMutex", &[m, 0]);
        assert!(rig.kernel.entered_since(&before).is_empty());
    }
}
