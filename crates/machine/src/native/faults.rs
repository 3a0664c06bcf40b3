//! Calls of drivers that are made to fail, as the settings say.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use ntoskrnl::EXPORTS;
use record::{FaultId, FaultPlan, Fnv1a, What};

use super::kernel_image;
use super::processor::NOW;
use super::stack::{self, From};
use super::world::World;

/// What has come of the plan so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    calls: Cell<u64>,
    seen: RefCell<BTreeSet<FaultId>>,
    done: Cell<bool>,
}

impl World {
    /// Whether the call of `export` that is being served fails. Each path to a call that can fail is told once.
    pub(super) fn make_fail(&self, export: &str) -> bool {
        let Some(plan) = &self.config().faults else { return false };
        if NOW.caller.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let fault = FaultId { export: export.into(), path: self.path() };
        let number = self.faults.calls.get() + 1;
        self.faults.calls.set(number);
        let failed = !self.faults.done.get()
            && match plan {
                FaultPlan::Watch => false,
                FaultPlan::Number(wanted) => *wanted == number,
                FaultPlan::At(wanted) => *wanted == fault,
            };
        if failed {
            self.faults.done.set(true);
        }
        if self.faults.seen.borrow_mut().insert(fault.clone()) || failed {
            self.record(What::FallibleCall { fault, failed });
        }
        failed
    }

    /// Returns a hash (FNV-1a) of the current call stack: names of modules and exports, and offsets, so that it is the same
    /// wherever an image lies.
    fn path(&self) -> u64 {
        let mut hash = Fnv1a::default();
        for address in stack::current(From::Driver).iter() {
            let export = kernel_image::stub_at(address).and_then(|number| EXPORTS.get(number));
            if let Some(export) = export {
                hash.add(export.name.as_bytes());
            } else if let Some((name, offset)) = self.drivers.borrow().locate(address) {
                hash.add(name.as_bytes());
                hash.add(&offset.to_le_bytes());
            }
            hash.add(&[0xff]);
        }
        hash.value()
    }
}
