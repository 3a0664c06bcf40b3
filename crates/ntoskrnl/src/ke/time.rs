//! Clocks. All of them are the machine's virtual one.

use crate::export::LargeInteger;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// Ticks of the performance counter per second, as on machines with an invariant time stamp counter.
const FREQUENCY: i64 = 10_000_000;
/// Length of a clock tick in units of 100 ns: 15.625 ms.
pub(crate) const TICK: u32 = 156_250;

/// Stores the time since 1601 in units of 100 ns.
pub(crate) fn KeQuerySystemTime(k: &Kernel, time: Guest<i64>) {
    time.write(k.executive().KeQuerySystemTime());
}

/// Returns the time since boot in units of 100 ns.
pub(crate) fn KeQueryInterruptTime(k: &Kernel) -> u64 {
    k.executive().KeQueryInterruptTime()
}

/// Returns the time since boot, and where asked the performance counter of the same moment.
pub(crate) fn KeQueryInterruptTimePrecise(k: &Kernel, counter: Guest<u64>) -> u64 {
    let now = k.executive().KeQueryInterruptTime();
    counter.write(now);
    now
}

/// Returns the time since boot without time asleep; the machine never sleeps.
pub(crate) fn KeQueryUnbiasedInterruptTime(k: &Kernel) -> u64 {
    k.executive().KeQueryInterruptTime()
}

/// Returns the performance counter, and where asked its frequency. It counts the virtual clock's units.
pub(crate) fn KeQueryPerformanceCounter(k: &Kernel, frequency: Option<Guest<i64>>) -> LargeInteger {
    if let Some(frequency) = frequency {
        frequency.write(FREQUENCY);
    }
    LargeInteger(k.host().now())
}

/// Stores the number of clock ticks since boot. A macro over shared data in the driver kit; old drivers import it.
pub(crate) fn KeQueryTickCount(k: &Kernel, count: Guest<i64>) {
    count.write(k.host().now() / i64::from(TICK));
}

/// Returns the length of a clock tick.
pub(crate) fn KeQueryTimeIncrement(_: &Kernel) -> u32 {
    TICK
}

/// Spins for so many microseconds.
pub(crate) fn KeStallExecutionProcessor(k: &Kernel, microseconds: u32) {
    k.host().stall(i64::from(microseconds) * 10);
}
