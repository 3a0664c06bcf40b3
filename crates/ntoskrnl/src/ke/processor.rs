//! Processors.

use nt::{Irql, NTSTATUS, PROCESSOR_NUMBER, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::kernel::Kernel;

fn mask(k: &Kernel) -> u64 {
    u64::MAX >> (64 - u32::from(k.host().processors().clamp(1, 64)))
}

/// Returns the number of the current processor.
pub(crate) fn KeGetCurrentProcessorNumber(k: &Kernel) -> u32 {
    u32::from(k.host().processor())
}

/// Returns the number of the current processor, and where asked its group and number.
pub(crate) fn KeGetCurrentProcessorNumberEx(k: &Kernel, number: Option<Guest<PROCESSOR_NUMBER>>) -> u32 {
    let index = k.host().processor();
    if let Some(number) = number {
        number.write(PROCESSOR_NUMBER { Group: 0, Number: index, Reserved: 0 });
    }
    u32::from(index)
}

/// Returns the set of active processors.
pub(crate) fn KeQueryActiveProcessors(k: &Kernel) -> u64 {
    mask(k)
}

/// Returns the number of active processors, and where asked the set of them.
pub(crate) fn KeQueryActiveProcessorCount(k: &Kernel, set: Option<Guest<u64>>) -> u32 {
    if let Some(set) = set {
        set.write(mask(k));
    }
    u32::from(k.host().processors())
}

/// `ALL_PROCESSOR_GROUPS`
const ALL_GROUPS: u16 = 0xFFFF;

/// Returns the number of active processors of a group. There is one group.
pub(crate) fn KeQueryActiveProcessorCountEx(k: &Kernel, group: u16) -> u32 {
    if group == 0 || group == ALL_GROUPS { u32::from(k.host().processors()) } else { 0 }
}

/// Returns the number of active groups.
pub(crate) fn KeQueryActiveGroupCount(_: &Kernel) -> u16 {
    1
}

/// Returns the set of active processors of a group.
pub(crate) fn KeQueryGroupAffinity(k: &Kernel, group: u16) -> u64 {
    if group == 0 { mask(k) } else { 0 }
}

/// Returns the index for a group and number.
pub(crate) fn KeGetProcessorIndexFromNumber(k: &Kernel, number: Guest<PROCESSOR_NUMBER>) -> u32 {
    let known = field!(number, PROCESSOR_NUMBER, Group).read() == 0
        && field!(number, PROCESSOR_NUMBER, Reserved).read() == 0
        && field!(number, PROCESSOR_NUMBER, Number).read() < k.host().processors();
    // `INVALID_PROCESSOR_INDEX`
    if known { u32::from(field!(number, PROCESSOR_NUMBER, Number).read()) } else { u32::MAX }
}

/// Returns the group and number for an index.
pub(crate) fn KeGetProcessorNumberFromIndex(
    k: &Kernel,
    index: u32,
    number: Guest<PROCESSOR_NUMBER>,
) -> NTSTATUS {
    if index >= u32::from(k.host().processors()) {
        return STATUS_INVALID_PARAMETER;
    }
    number.write(PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 });
    STATUS_SUCCESS
}

/// Returns the alignment at which data of two processors do not share a cache line.
pub(crate) fn KeGetRecommendedSharedDataAlignment(_: &Kernel) -> u32 {
    64
}

/// Returns the number of processors that there may ever be.
pub(crate) fn KeQueryMaximumProcessorCount(k: &Kernel) -> u32 {
    u32::from(k.host().processors())
}

/// `SYNCH_LEVEL` of a machine with several processors: interrupts between processors still come through.
const SYNCH: Irql = Irql(12);

/// Calls a routine on all processors at the same time, at `IPI_LEVEL`, and returns what it returned on this one.
///
/// No processor begins before all are there, and this one goes on when all are done. One call is under way at a time; a second one waits at
/// `SYNCH_LEVEL`, where its processor takes part in the first. (Microsoft's documentation; decompiled kernels.) Processors take the
/// interrupt at scheduling points.
pub(crate) fn KeIpiGenericCall(k: &Kernel, routine: Address, context: u64) -> u64 {
    let old = k.host().irql();
    if old < SYNCH {
        k.executive().KeRaiseIrql(SYNCH);
    }
    // SAFETY: that the routine is code with this contract is the driver's promise.
    let value = unsafe { k.host().on_all_processors(routine.0, context) };
    if old < SYNCH {
        k.executive().KeLowerIrql(old);
    }
    value
}
