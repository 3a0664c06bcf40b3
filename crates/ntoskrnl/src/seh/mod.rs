//! Structured exceptions: not modeled. What is here lets drivers that use `__try` load and run as long as nothing is raised.

use nt::NTSTATUS;

use crate::export::Address;
use crate::kernel::Kernel;

/// Would find the `__except` of a function. Nothing calls it: the machine ends the world at the fault itself, and says that the fault
/// lay inside a `__try`.
pub(crate) fn __C_specific_handler(
    k: &Kernel,
    record: crate::guest::Guest<u32>,
    _frame: Address,
    _context: Address,
    _dispatcher: Address,
) -> i32 {
    k.partial("__C_specific_handler", "exceptions are not dispatched");
    k.raise(NTSTATUS(record.read()), "an exception handler was called")
}
