//! Raising and unwinding on a driver's own account.

use core::convert::Infallible;

use nt::{CONTEXT, EXCEPTION_MAXIMUM_PARAMETERS, EXCEPTION_RECORD, NTSTATUS};

use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::host::{Exception, Unwind};
use crate::kernel::Kernel;

/// Raises what a record says. Its address becomes that of the call.
pub(crate) fn RtlRaiseException(k: &Kernel, record: Guest<EXCEPTION_RECORD>) {
    let count = field!(record, EXCEPTION_RECORD, NumberParameters).read() as usize;
    let information = field!(record, EXCEPTION_RECORD, ExceptionInformation).read();
    // Does not return here: who goes on behind the call does so with the registers of the record.
    k.host().raise(&Exception {
        code: NTSTATUS(field!(record, EXCEPTION_RECORD, ExceptionCode).read()),
        flags: field!(record, EXCEPTION_RECORD, ExceptionFlags).read(),
        previous: field!(record, EXCEPTION_RECORD, ExceptionRecord).read() as u64,
        information: &information[..count.min(EXCEPTION_MAXIMUM_PARAMETERS)],
        reason: "a driver raised an exception",
    })
}

/// Unwinds to a frame and goes on there.
pub(crate) fn RtlUnwindEx(
    k: &Kernel,
    frame: Address,
    target: Address,
    record: Option<Guest<EXCEPTION_RECORD>>,
    value: Address,
    _context: Guest<CONTEXT>,
    _history: Address,
) {
    RtlUnwind(k, frame, target, record, value);
}

/// The same without a place for the registers.
pub(crate) fn RtlUnwind(
    k: &Kernel,
    frame: Address,
    target: Address,
    record: Option<Guest<EXCEPTION_RECORD>>,
    value: Address,
) {
    if frame.0 == 0 {
        k.partial("RtlUnwind", "unwinding to the end of the stack");
    }
    let record = record.map_or(0, Guest::address);
    k.host().unwind(&Unwind { frame: frame.0, target: target.0, record, value: value.0 })
}

/// Leaves a `__try` by a jump: runs what is `__finally` on the way.
pub(crate) fn _local_unwind(k: &Kernel, frame: Address, target: Address) -> Infallible {
    k.host().unwind(&Unwind { frame: frame.0, target: target.0, record: 0, value: 0 })
}
