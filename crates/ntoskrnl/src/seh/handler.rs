//! The language handler of C.

use image::unwind::{Filter, ScopeTable};
use nt::exception_flags::{EXCEPTION_EXIT_UNWIND, EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWINDING};
use nt::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_RECORD, disposition};

use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::host::Unwind;
use crate::kernel::Kernel;

/// Serves a frame that has a scope table: in the first pass asks its filters, in the second runs its termination routines.
///
/// The table is read where the dispatcher says, word by word; an entry that is not in memory faults like any other access.
pub(crate) fn __C_specific_handler(
    k: &Kernel,
    record: Guest<EXCEPTION_RECORD>,
    frame: Address,
    context: Guest<CONTEXT>,
    dispatcher: Guest<DISPATCHER_CONTEXT>,
) -> u32 {
    let base = field!(dispatcher, DISPATCHER_CONTEXT, ImageBase).read();
    let data = field!(dispatcher, DISPATCHER_CONTEXT, HandlerData).read() as u64;
    let relative = |address: u64| address.wrapping_sub(base) as u32;
    let absolute = |rva: u32| base.wrapping_add(u64::from(rva));
    let pc = relative(field!(dispatcher, DISPATCHER_CONTEXT, ControlPc).read());
    let index = field!(dispatcher, DISPATCHER_CONTEXT, ScopeIndex);
    let flags = field!(record, EXCEPTION_RECORD, ExceptionFlags).read();
    let mut table = ScopeTable::new(|word| {
        let at = data.checked_add(u64::from(word) * 4)?;
        Some(Guest::<u32>::new(k, at).read())
    });
    let mut from = index.read();
    if flags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND) != 0 {
        let target = relative(field!(dispatcher, DISPATCHER_CONTEXT, TargetIp).read());
        let to = (flags & EXCEPTION_TARGET_UNWIND != 0).then_some(target);
        while let Some((number, routine)) = table.finally(pc, from, to) {
            from = number + 1;
            // Who comes upon this unwind while the routine runs goes on behind it.
            index.write(from);
            // SAFETY: the image's own routine, by its scope table: whether it is left abnormally, and the frame.
            unsafe { k.host().call_driver(absolute(routine), &[1, frame.0]) };
        }
        return disposition::ExceptionContinueSearch;
    }
    while let Some((number, filter, target)) = table.except(pc, from) {
        from = number + 1;
        let verdict = match filter {
            Filter::Always => 1,
            Filter::Routine(routine) => {
                let pointers = [record.address(), context.address()];
                // SAFETY: the image's own filter, by its scope table: `EXCEPTION_POINTERS` and the frame.
                unsafe { k.host().call_with_words(absolute(routine), &pointers, frame.0) as i32 }
            }
        };
        if verdict < 0 {
            return disposition::ExceptionContinueExecution;
        }
        if verdict > 0 {
            let code = field!(record, EXCEPTION_RECORD, ExceptionCode).read();
            k.host().unwind(&Unwind {
                frame: frame.0,
                target: absolute(target),
                record: record.address(),
                value: u64::from(code),
            });
        }
    }
    disposition::ExceptionContinueSearch
}
