//! Memory that goes, or is used anew, while the kernel uses an object in it, and objects in memory that the kernel cannot use.
//!
//! Models what Driver Verifier looks at (Microsoft's reference of the bugchecks 0xC4, first parameter 0x17, 0xC7 and 0xE4): pool that is freed must hold no
//! timer that is set, no queued DPC or work item, and no executive resource that was not deleted, and a timer that is set must not be
//! initialized again. An ordinary kernel notices nothing until it comes across what is left of the object. Memory that goes in another way, with a device
//! or a stack frame, is not looked at; of a timer in it the kernel at least says who set it.

use core::ops::Range;

use executive::Origin;
use executive::mm::describe_block;
use nt::{BugCheck, Irql, KTIMER, dispatcher};
use record::{Left, LeftKind, What};

use crate::audit::lock;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// First parameter of bugcheck 0xC4: pool that is freed holds an active `ERESOURCE`.
const RESOURCE_IN_FREED_POOL: u64 = 0x17;

/// First parameter of bugcheck 0xC7.
mod invalid {
    pub(super) const TIMER: u64 = 0;
    pub(super) const DPC: u64 = 1;
}

impl Kernel {
    /// Notes that a driver initialized a resource.
    pub(crate) fn resource_made(&self, resource: u64) {
        let origin = self.host().origin();
        lock(&self.account().resources).insert(resource, origin);
    }

    /// Notes that a driver deleted a resource.
    pub(crate) fn resource_deleted(&self, resource: u64) {
        lock(&self.account().resources).remove(&resource);
    }

    /// Ends the world where the pool block at `block`, which a driver is about to free, holds something that the kernel uses.
    pub(crate) fn check_freed(&self, block: u64) {
        let Some(known) = self.executive().pool_block(block as usize) else { return };
        let range = block..block + known.bytes as u64;
        let Some(thing) = self.used_in(&range) else {
            self.forget(&range);
            return;
        };
        let Some(place) = self.executive().pool_place(block as usize) else { return };
        self.host().emit(What::FreedInUse { block: place.block, thing: thing.clone() });
        let Left { kind, address, made, .. } = thing;
        let (code, parameters, how) = match kind {
            LeftKind::Timer => {
                let parameters = [invalid::TIMER, address, range.start, range.end];
                (BugCheck::TIMER_OR_DPC_INVALID, parameters, "is set, by")
            }
            LeftKind::Dpc => {
                let parameters = [invalid::DPC, address, range.start, range.end];
                (BugCheck::TIMER_OR_DPC_INVALID, parameters, "is queued, by")
            }
            LeftKind::WorkItem => {
                (BugCheck::WORKER_INVALID, [0, address, range.start, range.end], "is queued, by")
            }
            _ => {
                let parameters = [RESOURCE_IN_FREED_POOL, address, 0, block];
                (BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION, parameters, "is not deleted, initialized by")
            }
        };
        let reason = format!(
            "pool was freed while the {kind} at {address:#x} in it {how} @{:#x}: {}",
            made.caller,
            describe_block(&place.block)
        );
        self.bugcheck(code, parameters, reason)
    }

    /// Returns the first thing in `range` that the kernel uses.
    fn used_in(&self, range: &Range<u64>) -> Option<Left> {
        let account = self.account();
        let resource =
            lock(&account.resources).range(range.clone()).next().map(|(&at, &origin)| (at, origin));
        if let Some((address, origin)) = resource {
            return Some(self.left(LeftKind::LiveResource, address, origin));
        }
        if let Some(item) = crate::ex::work::queued_in(self, range) {
            return Some(item);
        }
        if self.host().irql() > Irql::DISPATCH {
            return None;
        }
        // The account says who asked, the queues say what is so.
        let timer = lock(&account.timers).range(range.clone()).next().is_some();
        if timer
            && let Some(timer) =
                self.executive().timers_set().into_iter().find(|timer| range.contains(&(timer.timer as u64)))
        {
            return Some(self.timer_left(timer));
        }
        let dpc = lock(&account.dpcs).range(range.clone()).next().is_some();
        let queued = if dpc { self.executive().dpcs_queued() } else { Vec::new() };
        let queued = queued.into_iter().find(|queued| range.contains(&(queued.dpc as u64)))?;
        Some(self.dpc_left(queued))
    }

    /// Forgets what was known of objects in memory that goes.
    fn forget(&self, range: &Range<u64>) {
        let account = self.account();
        for known in [&account.timers, &account.dpcs] {
            let mut known = lock(known);
            while let Some(address) = known.range(range.clone()).next().map(|(&address, _)| address) {
                known.remove(&address);
            }
        }
        lock(&account.paged).retain(|address| !range.contains(address));
    }

    /// Ends the world where a timer that is to be initialized is set.
    pub(crate) fn check_initialized(&self, timer: u64) {
        if self.host().irql() > Irql::DISPATCH || !lock(&self.account().timers).contains_key(&timer) {
            return;
        }
        let set = self.executive().timers_set().into_iter().find(|set| set.timer as u64 == timer);
        let Some(set) = set else { return };
        let setter = self.timer_left(set).made.caller;
        self.bugcheck(
            BugCheck::TIMER_OR_DPC_INVALID,
            [invalid::TIMER, timer, timer, timer + size_of::<KTIMER>() as u64],
            format!("the timer at @{timer:#x} was initialized again while it was set, by @{setter:#x}"),
        )
    }

    /// Returns the timer that a driver set last of those whose memory holds no timer any more, and who set it when.
    pub fn damaged_timer(&self) -> Option<(u64, Origin)> {
        let known = lock(&self.account().timers).clone();
        let damaged = |address: u64| {
            if self.host().is_paged_pool(address) {
                return false;
            }
            let kinds = dispatcher::NOTIFICATION_TIMER..=dispatcher::NOTIFICATION_TIMER + 1;
            !self.host().is_mapped(address) || !kinds.contains(&Guest::<u8>::new(self, address).read())
        };
        known.into_iter().filter(|(address, _)| damaged(*address)).max_by_key(|(_, origin)| origin.time)
    }

    /// Tells, once for each address, that a driver gave `export` an object in paged pool, which the kernel touches at `DISPATCH_LEVEL`.
    pub(crate) fn check_resident(&self, export: &str, object: u64) {
        if !self.host().is_paged_pool(object) || self.host().caller().is_none() {
            return;
        }
        let Some(place) = self.executive().pool_place(object as usize) else { return };
        if place.wrong.is_none() && lock(&self.account().paged).insert(object) {
            self.host().emit(What::PagedObject { export: export.into(), object, block: place.block });
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::testing::{Rig, at, zeroed};
    use nt::ERESOURCE;

    #[test]
    fn a_resource_is_left_as_long_as_it_is_not_deleted() {
        let rig = Rig::new();
        let mut resource: ERESOURCE = zeroed();
        let resource = at(&mut resource);
        rig.call("ExInitializeResourceLite", &[resource]);
        let range = resource..resource + 1;
        assert_eq!(rig.kernel.used_in(&range).map(|thing| thing.kind), Some(LeftKind::LiveResource));
        rig.call("ExReinitializeResourceLite", &[resource]);
        assert!(rig.kernel.used_in(&range).is_some());
        rig.call("ExDeleteResourceLite", &[resource]);
        assert_eq!(rig.kernel.used_in(&range), None);
    }

    #[test]
    fn a_timer_is_in_use_while_it_is_set() {
        let rig = Rig::new();
        let mut timer: KTIMER = zeroed();
        let timer = at(&mut timer);
        let range = timer..timer + size_of::<KTIMER>() as u64;
        rig.call("KeInitializeTimer", &[timer]);
        rig.call("KeSetTimer", &[timer, (-10_000_000_i64).cast_unsigned(), 0]);
        let thing = rig.kernel.used_in(&range).expect("it is set");
        assert_eq!((thing.kind, thing.address), (LeftKind::Timer, timer));
        rig.call("KeCancelTimer", &[timer]);
        assert_eq!(rig.kernel.used_in(&range), None);
        rig.call("KeInitializeTimer", &[timer]);
    }
}
