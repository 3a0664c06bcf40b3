//! A Windows-shaped machine on Linux x86-64: kernel process, fibers, traps, event ring.
//!
//! Driver code is foreign machine code and never runs inside the caller's process. [`Machine::boot`] starts this very
//! program again as a *kernel process*, which is taken over before `main`, boots the executive and runs the drivers; the
//! caller keeps the time limit, the event stream and the verdict. On any other platform [`Machine::boot`] says that it
//! cannot.

mod config;
pub mod dump;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere;
mod error;
mod member;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod native;
mod outcome;
pub mod plan;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod wire;

pub use config::Config;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use elsewhere::{Base, Machine, interrupt};
pub use error::MachineError;
pub use member::{Done, Member};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use native::interrupt;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use native::{Base, Machine};
pub use outcome::{Outcome, Untrapped};
