//! Structured exception handling: what the exports of the kernel have to do with it.
//!
//! A `__try` costs nothing until something is raised. Then the machine walks the frames of the stack by their unwind data and calls the
//! language handler of each; for C that is [`__C_specific_handler`], which looks the scope table of the function up. In the first pass
//! it asks filters; one that takes the exception starts the second pass, which runs the `__finally` routines of
//! everything below and ends in the `__except` block. Source: Microsoft docs, "x64 exception handling"; `winnt.h`.

mod handler;
mod raise;
mod walk;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

pub(crate) use handler::__C_specific_handler;
pub(crate) use raise::{_local_unwind, RtlRaiseException, RtlUnwind, RtlUnwindEx};
pub(crate) use walk::{
    RtlCaptureContext, RtlCaptureStackBackTrace, RtlLookupFunctionEntry, RtlPcToFileHeader, RtlVirtualUnwind,
};
