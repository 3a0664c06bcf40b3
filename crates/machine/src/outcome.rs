//! What a machine leaves behind.

use record::{DriverRecord, Ending, Event, HostFacts, Modules, Schedule, Snapshot};

/// An instruction in a driver's code that shows it the host, and that this host cannot trap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrapped {
    /// Where it lies in the image.
    pub rva: u32,
    /// Its name: `cpuid`.
    pub instruction: String,
    /// Whether it is an instruction beyond doubt. Outside of the functions that an image lists, bytes may only look like one.
    pub certain: bool,
}

/// Everything about a run that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The event stream, complete up to the end however it came.
    pub events: Vec<Event>,
    /// Where the order of threads left that of seed 0; `None` where that was too often to be kept.
    pub schedule: Option<Schedule>,
    /// How the run ended.
    pub ending: Ending,
    /// Every module that was ever mapped, with symbols; the kernel first.
    pub modules: Modules,
    /// Drivers in load order.
    pub drivers: Vec<DriverRecord>,
    /// By driver: the instructions found in it that show the host and do not trap.
    pub untrapped: Vec<(String, Vec<Untrapped>)>,
    /// Callback objects at the end, where the machine lived to tell.
    pub last: Option<Snapshot>,
    /// Exports that were called and only pretend, by name with the number of calls.
    pub stubs_called: Vec<(String, u64)>,
    /// Why the events may not be trusted. Empty is good.
    pub tainted: Vec<String>,
    /// What the kernel process itself wrote to its standard error. Empty is good.
    pub host_output: String,
    /// Facts of the host.
    pub host: HostFacts,
}
