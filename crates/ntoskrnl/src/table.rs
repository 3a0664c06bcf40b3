//! The export table: one line per routine, sorted by name.
//!
//! Highest IRQL and state stand in `exports.toml` too, with the test and the notes; a test holds both together.

use crate::dbg;
use crate::export;
use crate::export::{DataExport, Export};

/// Every routine that drivers can call, sorted by name. The position of an entry is its number for
/// [`dispatch`](crate::dispatch).
#[rustfmt::skip]
pub static EXPORTS: &[Export] = &[
    export!(DbgPrint, Ntoskrnl, HIGH, Full, dbg::DbgPrint),
    export!(DbgPrintEx, Ntoskrnl, HIGH, Full, dbg::DbgPrintEx),
    export!(vDbgPrintEx, Ntoskrnl, HIGH, Full, dbg::vDbgPrintEx),
    export!(vDbgPrintExWithPrefix, Ntoskrnl, HIGH, Full, dbg::vDbgPrintExWithPrefix),
];

/// Every variable that drivers can import, sorted by name.
pub static DATA: &[DataExport] = &[];
