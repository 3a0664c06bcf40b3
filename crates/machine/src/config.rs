//! What a machine is asked to be.

use std::time::Duration;

/// Settings of one machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Version profile, as spelled on the command line (`win11-24h2`).
    pub profile: String,
    /// Seed of everything that is a choice: cookies, handles, scheduling.
    pub seed: u64,
    /// Order of threads to play again, instead of the one the seed chooses.
    #[serde(skip)]
    pub schedule: Option<record::Schedule>,
    /// A call of a driver to make fail, for a look at its error paths.
    pub faults: Option<record::FaultPlan>,
    /// Virtual processors, 1 to 64.
    pub processors: u8,
    /// Whether each processor has a host thread, so that driver code runs at the same time. Such a run cannot be had again.
    pub parallel: bool,
    /// Wall time one step (a load, a notify, an unload) may take before the machine is stopped. The clock drivers see
    /// is virtual and has nothing to do with it.
    pub timeout: Duration,
    /// Whether every export call and return is an event.
    pub trace_exports: bool,
    /// Whether the kernel's own listeners are registered at boot.
    pub kernel_listeners: bool,
    /// Most events of a run; one more ends it.
    pub event_limit: u64,
    /// Bytes of the event ring, a power of two of at least 4096. The kernel process waits where it is full.
    pub ring_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: "win11-24h2".into(),
            seed: 0,
            schedule: None,
            faults: None,
            processors: 1,
            parallel: false,
            timeout: Duration::from_secs(10),
            trace_exports: false,
            kernel_listeners: true,
            event_limit: 1_000_000,
            ring_bytes: 1 << 20,
        }
    }
}
