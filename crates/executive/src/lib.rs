//! The Windows NT callback-object mechanism, and as much of the NT executive beneath it as the mechanism
//! stands on.
//!
//! A *callback object* is the kernel's named bell: one component creates it, others register routines on it,
//! and anyone who holds it rings it. This crate is that mechanism with NT's own structures in memory: what a
//! driver or a debugger finds when it walks `\Callback`, a `CALLBACK_OBJECT` or an `OBJECT_HEADER` on
//! Windows, it finds here.
//!
//! The crate needs no operating system: [`Platform`] is everything it asks of the world beneath it.
//!
//! Modules use NT's own prefixes: `ke` (IRQL, spin locks, waiting, DPCs, timers), `mm` (pool), `se`
//! (security), `ob` (objects) and `ex` (callback objects). Methods with NT's names are the raw layer: raw
//! pointers, NT's contracts. Methods with Rust names are the safe layer.
#![no_std]
#![expect(non_snake_case, reason = "the raw layer uses NT's own names")]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod alpc;
pub mod ex;
pub mod ke;
pub mod mm;
pub mod ob;
pub mod se;
pub mod solo;

mod callback;
mod executive;
mod platform;
mod raw;
mod symbols;

pub use callback::{CallbackObject, CallbackOptions, RegisterError, Registration, StatusError};
pub use ex::{Attempt, KernelRoutine, Notifier, Protocol, Replayed};
pub use executive::{BootError, Executive};
pub use platform::{Bugcheck, Deadlock, Origin, Platform, PoolKind, Routine, SingleThreaded};
pub use symbols::KernelSymbol;
