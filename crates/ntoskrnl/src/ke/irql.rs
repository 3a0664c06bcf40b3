//! IRQL: reading, raising, lowering.

use nt::Irql;
use record::LeftKind;

use crate::guest::Guest;
use crate::kernel::Kernel;

/// Returns the current IRQL.
pub(crate) fn KeGetCurrentIrql(k: &Kernel) -> Irql {
    k.executive().KeGetCurrentIrql()
}

/// Raises the IRQL and returns the old one.
pub(crate) fn KfRaiseIrql(k: &Kernel, new: Irql) -> Irql {
    let old = k.executive().KeRaiseIrql(new);
    if new > old {
        k.entered(LeftKind::Irql, u64::from(new.0));
    }
    old
}

/// Raises the IRQL and stores the old one. A macro in the driver kit; old drivers import it.
pub(crate) fn KeRaiseIrql(k: &Kernel, new: Irql, old: Guest<u8>) {
    old.write(KfRaiseIrql(k, new).0);
}

/// Raises to `DISPATCH_LEVEL` and returns the old IRQL.
pub(crate) fn KeRaiseIrqlToDpcLevel(k: &Kernel) -> Irql {
    KfRaiseIrql(k, Irql::DISPATCH)
}

/// Lowers the IRQL. `KfLowerIrql` is another name for it.
pub(crate) fn KeLowerIrql(k: &Kernel, new: Irql) {
    k.executive().KeLowerIrql(new);
    k.lowered(new);
}
