//! Deferred procedure calls and timers.

use executive::Routine;
use nt::{KDPC, KTIMER, NTSTATUS, PROCESSOR_NUMBER, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use super::processor::KeGetProcessorIndexFromNumber;
use crate::export::{Address, LargeInteger};
use crate::guest::Guest;
use crate::kernel::Kernel;

/// Makes a DPC.
pub(crate) fn KeInitializeDpc(k: &Kernel, dpc: Guest<KDPC>, routine: Address, context: Address) {
    k.check_resident("KeInitializeDpc", dpc.address());
    // SAFETY: the DPC is checked guest memory of its size; that it stays alive while queued is the driver's contract.
    unsafe { k.executive().KeInitializeDpc(dpc.ptr(), Routine(routine.0 as usize), context.ptr()) }
}

/// Queues a DPC. Returns whether it was not queued already.
pub(crate) fn KeInsertQueueDpc(k: &Kernel, dpc: Guest<KDPC>, argument1: Address, argument2: Address) -> u8 {
    k.check_resident("KeInsertQueueDpc", dpc.address());
    k.dpc_queued(dpc.address());
    // SAFETY: the DPC is checked guest memory; that it is initialized and stays alive while queued is the driver's contract.
    u8::from(unsafe { k.executive().KeInsertQueueDpc(dpc.ptr(), argument1.ptr(), argument2.ptr()) })
}

/// Takes a DPC out of its queue. Returns whether it was in one.
pub(crate) fn KeRemoveQueueDpc(k: &Kernel, dpc: Guest<KDPC>) -> u8 {
    // SAFETY: as for `KeInsertQueueDpc`.
    u8::from(unsafe { k.executive().KeRemoveQueueDpc(dpc.ptr()) })
}

/// Sets where in its queue a DPC goes.
pub(crate) fn KeSetImportanceDpc(k: &Kernel, dpc: Guest<KDPC>, importance: u32) {
    // SAFETY: as for `KeInsertQueueDpc`.
    unsafe { k.executive().KeSetImportanceDpc(dpc.ptr(), importance as u8) }
}

/// Sets the processor a DPC runs on. One that there is not would never run it; nothing is set then, and that is told.
pub(crate) fn KeSetTargetProcessorDpc(k: &Kernel, dpc: Guest<KDPC>, number: u8) {
    if number >= k.host().processors() {
        return k.partial("KeSetTargetProcessorDpc", format!("there is no processor {number}"));
    }
    // SAFETY: as for `KeInsertQueueDpc`.
    unsafe { k.executive().KeSetTargetProcessorDpc(dpc.ptr(), number) }
}

/// Sets the processor a DPC runs on, by group and number. One that there is not is refused.
pub(crate) fn KeSetTargetProcessorDpcEx(
    k: &Kernel,
    dpc: Guest<KDPC>,
    number: Guest<PROCESSOR_NUMBER>,
) -> NTSTATUS {
    let Ok(index) = u8::try_from(KeGetProcessorIndexFromNumber(k, number)) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: as for `KeInsertQueueDpc`.
    unsafe { k.executive().KeSetTargetProcessorDpc(dpc.ptr(), index) };
    STATUS_SUCCESS
}

/// Waits until every DPC that was queued has run. Each processor runs its own whenever it falls below `DISPATCH_LEVEL`, so going to
/// each, up and down there, is enough.
pub(crate) fn KeFlushQueuedDpcs(k: &Kernel) {
    let processors = k.host().processors();
    let flush = || {
        let old = k.executive().KeRaiseIrql(nt::Irql::DISPATCH);
        k.executive().KeLowerIrql(old);
    };
    if processors == 1 {
        return flush();
    }
    let before = k.host().set_affinity(Some(1));
    flush();
    for number in 1..processors {
        k.host().set_affinity(Some(1 << number));
        flush();
    }
    k.host().set_affinity(before);
}

/// Makes a notification timer.
pub(crate) fn KeInitializeTimer(k: &Kernel, timer: Guest<KTIMER>) {
    KeInitializeTimerEx(k, timer, 0);
}

/// Makes a timer of either kind.
pub(crate) fn KeInitializeTimerEx(k: &Kernel, timer: Guest<KTIMER>, kind: u32) {
    k.check_resident("KeInitializeTimer", timer.address());
    k.check_initialized(timer.address());
    // SAFETY: the timer is checked guest memory of its size; that it stays alive while set is the driver's contract.
    unsafe { k.executive().KeInitializeTimerEx(timer.ptr(), kind) }
}

fn set(k: &Kernel, timer: Guest<KTIMER>, due: i64, period: u32, dpc: Option<Guest<KDPC>>) -> u8 {
    k.check_resident("KeSetTimer", timer.address());
    k.timer_set(timer.address());
    if let Some(dpc) = dpc {
        // Should the timer expire, its DPC is queued by whoever set it.
        k.check_resident("KeSetTimer", dpc.address());
        k.dpc_queued(dpc.address());
    }
    let dpc = dpc.map_or(core::ptr::null_mut(), Guest::ptr);
    // SAFETY: timer and DPC are checked guest memory; that both are initialized and stay alive while set is the driver's
    // contract.
    u8::from(unsafe { k.executive().KeSetTimerEx(timer.ptr(), due, period, dpc) })
}

/// Sets a timer. Returns whether it was set already.
pub(crate) fn KeSetTimer(
    k: &Kernel,
    timer: Guest<KTIMER>,
    due: LargeInteger,
    dpc: Option<Guest<KDPC>>,
) -> u8 {
    set(k, timer, due.0, 0, dpc)
}

/// Sets a timer that repeats every `period` milliseconds.
pub(crate) fn KeSetTimerEx(
    k: &Kernel,
    timer: Guest<KTIMER>,
    due: LargeInteger,
    period: i32,
    dpc: Option<Guest<KDPC>>,
) -> u8 {
    set(k, timer, due.0, period as u32, dpc)
}

/// Sets a timer that may be late. Nothing here saves power by being late, so it never is.
pub(crate) fn KeSetCoalescableTimer(
    k: &Kernel,
    timer: Guest<KTIMER>,
    due: LargeInteger,
    period: u32,
    _tolerable_delay: u32,
    dpc: Option<Guest<KDPC>>,
) -> u8 {
    set(k, timer, due.0, period, dpc)
}

/// Cancels a timer. Returns whether it was set.
pub(crate) fn KeCancelTimer(k: &Kernel, timer: Guest<KTIMER>) -> u8 {
    // SAFETY: the timer is checked guest memory; that it is initialized is the driver's contract.
    u8::from(unsafe { k.executive().KeCancelTimer(timer.ptr()) })
}

/// Returns whether a timer has expired.
pub(crate) fn KeReadStateTimer(k: &Kernel, timer: Guest<KTIMER>) -> u8 {
    // SAFETY: as for `KeCancelTimer`.
    u8::from(unsafe { k.executive().KeReadStateTimer(timer.ptr()) })
}
