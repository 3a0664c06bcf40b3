//! `EX_SPIN_LOCK`: many readers or one writer, spinning. Bit 31 is the writer, the rest counts readers.

use nt::Irql;
use record::LeftKind;

use crate::guest::Guest;
use crate::kernel::Kernel;

const WRITER: i32 = i32::MIN;

fn spin(k: &Kernel, lock: Guest<i32>, attempt: impl Fn() -> bool) {
    while !attempt() {
        k.host().spin_wait(word(lock));
    }
    k.host().holds(k.host().current_thread(), lock.address() as usize);
    k.lock_taken(LeftKind::SpinLock, lock.address());
}

fn let_go(k: &Kernel, lock: Guest<i32>) {
    k.host().lets_go(k.host().current_thread(), lock.address() as usize);
    k.lock_given(LeftKind::SpinLock, lock.address(), lock.read() != 0);
}

fn share(k: &Kernel, lock: Guest<i32>) {
    k.host().lock_point();
    spin(k, lock, || {
        let value = lock.read();
        value & WRITER == 0 && lock.compare_exchange(value, value + 1)
    });
}

/// Acquires as a writer and returns the old IRQL.
pub(crate) fn ExAcquireSpinLockExclusive(k: &Kernel, lock: Guest<i32>) -> Irql {
    let old = k.executive().KeRaiseIrql(Irql::DISPATCH);
    ExAcquireSpinLockExclusiveAtDpcLevel(k, lock);
    old
}

/// Acquires as a writer at `DISPATCH_LEVEL`.
pub(crate) fn ExAcquireSpinLockExclusiveAtDpcLevel(k: &Kernel, lock: Guest<i32>) {
    k.host().lock_point();
    spin(k, lock, || lock.compare_exchange(0, WRITER));
}

/// Views the lock as what the machine knows of locks: an address.
fn word(lock: Guest<i32>) -> *const nt::KSPIN_LOCK {
    lock.ptr().cast_const().cast()
}

/// Acquires as a reader and returns the old IRQL.
pub(crate) fn ExAcquireSpinLockShared(k: &Kernel, lock: Guest<i32>) -> Irql {
    let old = k.executive().KeRaiseIrql(Irql::DISPATCH);
    share(k, lock);
    old
}

/// Acquires as a reader at `DISPATCH_LEVEL`.
pub(crate) fn ExAcquireSpinLockSharedAtDpcLevel(k: &Kernel, lock: Guest<i32>) {
    share(k, lock);
}

/// Releases as a writer at `DISPATCH_LEVEL`.
pub(crate) fn ExReleaseSpinLockExclusiveFromDpcLevel(k: &Kernel, lock: Guest<i32>) {
    let_go(k, lock);
    lock.write(0);
    k.host().lock_point();
}

/// Releases as a reader at `DISPATCH_LEVEL`.
pub(crate) fn ExReleaseSpinLockSharedFromDpcLevel(k: &Kernel, lock: Guest<i32>) {
    let_go(k, lock);
    lock.fetch_add(-1);
}

/// Releases as a writer and lowers the IRQL.
pub(crate) fn ExReleaseSpinLockExclusive(k: &Kernel, lock: Guest<i32>, old: Irql) {
    ExReleaseSpinLockExclusiveFromDpcLevel(k, lock);
    k.executive().KeLowerIrql(old);
}

/// Releases as a reader and lowers the IRQL.
pub(crate) fn ExReleaseSpinLockShared(k: &Kernel, lock: Guest<i32>, old: Irql) {
    let_go(k, lock);
    lock.fetch_add(-1);
    k.executive().KeLowerIrql(old);
}

/// Turns a reader into a writer if it is the only one.
pub(crate) fn ExTryConvertSharedSpinLockExclusive(_: &Kernel, lock: Guest<i32>) -> u8 {
    u8::from(lock.compare_exchange(1, WRITER))
}
