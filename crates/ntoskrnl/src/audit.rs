//! What a driver leaves behind: handles, names, timers, DPCs, work items, threads and spin locks, with who made them.
//!
//! Windows keeps no such account. What Driver Verifier knows of it, it learns when memory goes: a timer or DPC in it is bugcheck 0xC7
//! `TIMER_OR_DPC_INVALID`. Here the objects themselves say what is still open, set, queued or running, and what is kept beside
//! them says only who asked for it.

use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use executive::Origin;
use executive::ke::QueuedDpc;
use executive::ob::MadeObject;
use record::{Left, LeftKind, Made};

use crate::kernel::Kernel;

/// Timers and DPCs that are remembered before those that are over are forgotten.
const MOST_IDLE: usize = 1024;

/// A spin lock that a thread holds: its address, the thread, and who took it when.
#[derive(Clone, Copy, Debug)]
struct Held {
    lock: u64,
    thread: u64,
    origin: Origin,
}

/// Who set, queued or took what.
#[derive(Debug, Default)]
pub(crate) struct Account {
    timers: Mutex<BTreeMap<u64, Origin>>,
    dpcs: Mutex<BTreeMap<u64, Origin>>,
    spin_locks: Mutex<Vec<Held>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

    /// Notes that the current thread took a spin lock.
    pub(crate) fn spin_lock_taken(&self, address: u64) {
        let thread = self.host().current_thread().as_ptr().addr() as u64;
        // Without the call stack: locks are taken often, and the place says enough.
        let origin = Origin { caller: self.caller(), time: self.host().now(), stack: 0 };
        lock(&self.account().spin_locks).push(Held { lock: address, thread, origin });
    }

    /// Notes that a spin lock was given back, by whatever thread.
    pub(crate) fn spin_lock_given(&self, address: u64) {
        let thread = self.host().current_thread().as_ptr().addr() as u64;
        let mut held = lock(&self.account().spin_locks);
        let own = held.iter().rposition(|held| held.lock == address && held.thread == thread);
        if let Some(index) = own.or_else(|| held.iter().rposition(|held| held.lock == address)) {
            held.remove(index);
        }
    }

    /// Returns how many spin locks the current thread holds.
    pub fn spin_locks_held(&self) -> usize {
        let held = lock(&self.account().spin_locks);
        if held.is_empty() {
            return 0;
        }
        let thread = self.host().current_thread().as_ptr().addr() as u64;
        held.iter().filter(|held| held.thread == thread).count()
    }

    /// Returns the spin locks that the current thread took after it had held `before` of them, in that order.
    pub fn spin_locks_since(&self, before: usize) -> Vec<Left> {
        let thread = self.host().current_thread().as_ptr().addr() as u64;
        let held: Vec<Held> =
            lock(&self.account().spin_locks).iter().filter(|held| held.thread == thread).copied().collect();
        held.into_iter().skip(before).map(|held| self.held(held)).collect()
    }

    fn held(&self, held: Held) -> Left {
        self.left(LeftKind::SpinLock, held.lock, held.origin)
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
        left.extend(crate::ex::work::left(self, image));
        left.extend(crate::ps::thread::left(self, image));
        let locks: Vec<Held> =
            lock(&self.account().spin_locks).iter().filter(|held| own(held.origin)).copied().collect();
        left.extend(locks.into_iter().map(|held| self.held(held)));
        left
    }

    fn timers_of(&self, image: &Range<u64>) -> Vec<Left> {
        let runs =
            |dpc: QueuedDpc| image.contains(&(dpc.routine as u64)) || image.contains(&(dpc.dpc as u64));
        let mut left = Vec::new();
        for timer in self.executive().timers_set() {
            let address = timer.timer as u64;
            let origin = lock(&self.account().timers).get(&address).copied().unwrap_or_default();
            if image.contains(&origin.caller) || image.contains(&address) || timer.dpc.is_some_and(runs) {
                left.push(Left {
                    routine: timer.dpc.map(|dpc| dpc.routine as u64),
                    due: Some(timer.due),
                    ..self.left(LeftKind::Timer, address, origin)
                });
            }
        }
        left
    }

    fn dpcs_of(&self, image: &Range<u64>) -> Vec<Left> {
        let running = self.executive().dpcs_running().into_iter().map(|dpc| (dpc, true));
        let queued = self.executive().dpcs_queued().into_iter().map(|dpc| (dpc, false));
        let mut left = Vec::new();
        for (dpc, running) in running.chain(queued) {
            let (address, routine) = (dpc.dpc as u64, dpc.routine as u64);
            // One that runs may have been freed by its routine: only the routine tells.
            if image.contains(&routine) || !running && image.contains(&address) {
                let origin = lock(&self.account().dpcs).get(&address).copied().unwrap_or_default();
                let routine = Some(routine);
                left.push(Left { routine, running, ..self.left(LeftKind::Dpc, address, origin) });
            }
        }
        left
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
    use nt::{KDPC, KTIMER};

    fn kinds(rig: &Rig) -> Vec<(LeftKind, u64)> {
        let image = RETURN_ADDRESS - 0x100..RETURN_ADDRESS + 0x100;
        let mut left = rig.kernel.left_by(&image);
        // To the host of a test everything is asked for by driver code, the boot too.
        left.retain(|left| left.kind != LeftKind::Name);
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
        let before = rig.kernel.spin_locks_held();
        rig.call("KeAcquireSpinLockAtDpcLevel", &[lock + 8]);
        assert_eq!(rig.kernel.spin_locks_since(before)[0].address, lock + 8);
        rig.call("KeReleaseSpinLock", &[lock, old]);
        assert_eq!(kinds(&rig), [(LeftKind::SpinLock, lock + 8)]);
        rig.call("KeReleaseSpinLockFromDpcLevel", &[lock + 8]);
        assert!(kinds(&rig).is_empty() && rig.kernel.spin_locks_held() == 0);
    }
}
