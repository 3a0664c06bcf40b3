//! A type object, seen through the fields that its two generations share.

use alloc::string::String;
use core::sync::atomic::Ordering;

use nt::{OBJECT_TYPE, OBJECT_TYPE_INITIALIZER};

use crate::raw::{Live, field};

/// A type object. Only fields that both generations of `OBJECT_TYPE` have at the same place are reached through it; the executive finds the
/// others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectType(Live<OBJECT_TYPE>);

impl ObjectType {
    /// Wraps a type.
    ///
    /// # Safety
    ///
    /// `at` is a type object of this executive.
    pub(super) unsafe fn new(at: *mut OBJECT_TYPE) -> Self {
        // SAFETY: the caller's promise; types live as long as the executive.
        Self(unsafe { Live::new(at) })
    }

    pub(super) const fn ptr(self) -> *mut OBJECT_TYPE {
        self.0.ptr()
    }

    pub(super) const fn live(self) -> Live<OBJECT_TYPE> {
        self.0
    }

    pub(super) fn info(self) -> Live<OBJECT_TYPE_INITIALIZER> {
        field!(self.0, OBJECT_TYPE, TypeInfo)
    }

    pub(super) fn has_flag(self, flag: u8) -> bool {
        field!(self.info(), OBJECT_TYPE_INITIALIZER, ObjectTypeFlags).get() & flag != 0
    }

    pub(super) fn invalid_attributes(self) -> u32 {
        field!(self.info(), OBJECT_TYPE_INITIALIZER, InvalidAttributes).get()
    }

    pub(super) fn valid_access(self) -> u32 {
        field!(self.info(), OBJECT_TYPE_INITIALIZER, ValidAccessMask).get()
    }

    pub(super) fn mapping(self) -> nt::GENERIC_MAPPING {
        field!(self.info(), OBJECT_TYPE_INITIALIZER, GenericMapping).get()
    }

    pub(super) fn index(self) -> u8 {
        field!(self.0, OBJECT_TYPE, Index).get()
    }

    pub(super) fn name(self) -> String {
        let name = field!(self.0, OBJECT_TYPE, Name).get();
        // SAFETY: the buffer is the type's own and never changes.
        String::from_utf16_lossy(&unsafe { super::capture::copy_units(name.Buffer, name.Length) })
    }

    /// Counts objects up or down and keeps the high-water mark.
    pub(super) fn count_objects(self, up: bool) {
        let (now, high) = (
            field!(self.0, OBJECT_TYPE, TotalNumberOfObjects),
            field!(self.0, OBJECT_TYPE, HighWaterNumberOfObjects),
        );
        count(now, high, up);
    }

    /// Counts handles up or down and keeps the high-water mark.
    pub(super) fn count_handles(self, up: bool) {
        let (now, high) = (
            field!(self.0, OBJECT_TYPE, TotalNumberOfHandles),
            field!(self.0, OBJECT_TYPE, HighWaterNumberOfHandles),
        );
        count(now, high, up);
    }
}

fn count(now: Live<u32>, high: Live<u32>, up: bool) {
    if up {
        let value = now.atomic().fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        high.atomic().fetch_max(value, Ordering::Relaxed);
    } else {
        now.atomic().fetch_sub(1, Ordering::Relaxed);
    }
}
