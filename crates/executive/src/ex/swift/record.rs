//! A notifier's record: the names of the registrations that a thread is calling.

use core::fmt;
use core::sync::atomic::{AtomicPtr, Ordering};

use nt::LIST_ENTRY;

use super::protocol::Pointer;

/// Notifies that one thread can have under way inside each other before it falls back to *Reference*.
pub(super) const LEVELS: usize = 6;

impl<T> Pointer<T> for AtomicPtr<T> {
    #[inline]
    fn load(&self, order: Ordering) -> *mut T {
        self.load(order)
    }
    #[inline]
    fn store(&self, value: *mut T, order: Ordering) {
        self.store(value, order);
    }
}

/// Whether nobody uses a pair of slots. While a routine runs, the notify that called it has a name in one of its slots; and
/// what a thread does between two calls begins no notify.
#[inline(always)]
fn are_free(slots: &[AtomicPtr<LIST_ENTRY>; 2], order: Ordering) -> bool {
    slots[0].load(order).is_null() & slots[1].load(order).is_null()
}

/// What one thread is calling, for whoever wants to unregister it. 128 bytes, alone in its cache lines, because the
/// thread writes here at every call and others read only when they unregister.
///
/// A platform keeps one for each of its threads: see [`Platform::notifier`](crate::Platform::notifier).
#[repr(C, align(128))]
pub struct Notifier {
    slots: [[AtomicPtr<LIST_ENTRY>; 2]; LEVELS],
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("idle", &self.is_idle()).finish_non_exhaustive()
    }
}

impl Notifier {
    /// Makes a record that names nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [const { [const { AtomicPtr::new(core::ptr::null_mut()) }; 2] }; LEVELS] }
    }

    /// Returns whether the thread calls no routine. Only then may it end, or its record be given to another.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.iter().all(|slots| are_free(slots, Ordering::Acquire))
    }

    /// Returns the slots for a notify that is inside no other.
    #[inline(always)]
    pub(super) fn outermost(&self) -> Option<&[AtomicPtr<LIST_ENTRY>; 2]> {
        are_free(&self.slots[0], Ordering::Relaxed).then_some(&self.slots[0])
    }

    /// Returns the slots for one more notify, if there are any left.
    pub(super) fn innermost(&self) -> Option<&[AtomicPtr<LIST_ENTRY>; 2]> {
        self.slots.iter().find(|slots| are_free(slots, Ordering::Relaxed))
    }

    /// Counts the names of a registration.
    pub(super) fn names(&self, registration: *mut LIST_ENTRY) -> usize {
        let slots = self.slots.as_flattened().iter();
        slots.filter(|slot| slot.load(Ordering::Acquire) == registration).count()
    }
}

const _: () = assert!(size_of::<Notifier>() == 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_slots_for_six_notifies_and_takes_them_back() {
        let record = Notifier::new();
        let node = core::ptr::without_provenance_mut(0x1000);
        assert!(record.is_idle() && record.outermost().is_some());
        for level in 0..LEVELS {
            let Some(slots) = record.innermost() else { panic!("no slots for notify {level}") };
            slots[level % 2].store(node, Ordering::Relaxed);
            assert_eq!(record.names(node), level + 1);
            assert!(record.outermost().is_none() && !record.is_idle());
        }
        assert!(record.innermost().is_none());
        record.slots[3][1].store(core::ptr::null_mut(), Ordering::Relaxed);
        assert!(record.innermost().is_some_and(|slots| core::ptr::eq(slots, &raw const record.slots[3])));
    }
}
