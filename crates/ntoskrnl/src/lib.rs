//! What Windows drivers import from `ntoskrnl.exe` and `hal.dll`.
//!
//! # How a call arrives
//!
//! The machine puts a stub for each entry of [`EXPORTS`] into its kernel image. A driver calls the stub, the machine leaves
//! the driver's stack, and [`dispatch`] is called with the entry's number and a [`CallFrame`] over the arguments. The entry decodes
//! them ([`mod@export`]), judges the IRQL, and calls a safe Rust function over checked guest pointers ([`guest`]). That function
//! usually hands on to the executive.
//!
//! What the exports need from the machine is the trait [`Host`]; what they need from the executive is
//! [`Executive`](executive::Executive). State beside it is in [`Kernel`].
//!
//! # How to add an export
//!
//! 1. Write `pub(crate) fn KeName(k: &Kernel, event: Guest<KEVENT>, wait: u8) -> NTSTATUS` in the file of its family (by
//!    prefix: `ke/…`, `rtl/…`). Take [`Guest`](guest::Guest) for what must be an address, `Option<Guest>` for what may be
//!    null, [`Address`](export::Address) for what is not followed, integers of the width the header says.
//! 2. Add a line to `table.rs`, in alphabetical order: name, module, highest IRQL, state, function.
//! 3. Change its line in `exports.toml`: the same state and IRQL, and for `full` the test that holds it.
//!
//! Tests hold the order, the agreement of table and ledger, the existence of the named tests, and (where mingw-w64's
//! headers are installed) the prototype.

#![expect(non_snake_case, reason = "exports have NT's own names")]

pub mod export;
pub mod guest;
pub mod ledger;

mod audit;
mod crt;
mod data;
mod dbg;
mod ex;
mod failure;
mod format;
mod frame;
mod host;
mod in_use;
mod io;
mod ke;
mod kernel;
mod mm;
mod ob;
#[cfg(test)]
mod prototypes;
mod ps;
mod rtl;
mod se_exports;
mod seh;
mod table;
#[cfg(all(test, target_arch = "x86_64"))]
mod testing;

pub use export::{DataExport, Export, Module, State};
pub use frame::CallFrame;
pub use host::{Exception, Host, ThreadBody, Unwind, UnwoundFrame};
pub use kernel::{Kernel, Nt, dispatch, install, kernel};
pub use ledger::{LedgerEntry, lookup};
pub use table::{DATA, EXPORTS};
