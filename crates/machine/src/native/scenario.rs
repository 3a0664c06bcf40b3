//! What the parent can ask for beside drivers: ring an object, let time pass, describe what is there.

use record::Snapshot;

use super::world::World;

impl World {
    /// Lets `ticks` of virtual time pass, in units of 100 ns.
    pub(super) fn sleep(&self, ticks: u64) {
        let until = self.scheduler.now().saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
        while self.scheduler.now() < until {
            self.scheduler.park(Some(until));
        }
    }

    /// Describes all callback objects.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    /// Rings the callback object named `object` at `irql`, as `ExNotifyCallback` called from the kernel itself.
    pub(super) fn ring(&self, object: &str, _arguments: [u64; 2], _irql: u8) -> Result<(), String> {
        Err(format!("no callback object `{object}` exists"))
    }

    /// Plays an event of the catalog.
    pub(super) fn play(&self, name: &str) -> Result<(), String> {
        Err(format!("no event `{name}` exists"))
    }
}
