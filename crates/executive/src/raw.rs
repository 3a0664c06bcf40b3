//! Typed access to NT structures that live in raw memory.
//!
//! NT's structures are shared: a driver, another thread or a debugger may look at them at any time, so the executive never
//! holds a Rust reference into one. [`Live`] is a raw pointer whose creator has promised that the structure is
//! there; reading and writing through it is then an ordinary operation, one place to argue about instead of hundreds.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, AtomicUsize};

use nt::layout::Pod;

/// A pointer to a structure that is there.
///
/// Reads and writes copy whole values and are not atomic: whoever shares the structure holds the NT lock that guards it.
pub(crate) struct Live<T>(NonNull<T>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Live<T> {}
impl<T> PartialEq for Live<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Live<T> {}

impl<T> Live<T> {
    /// Wraps a pointer.
    ///
    /// # Safety
    ///
    /// `pointer` is not null, is aligned, and leads to a `T` that stays readable and writable for as long as this value or
    /// anything projected from it is used. Conflicting accesses are kept apart by the NT lock of the structure.
    pub(crate) const unsafe fn new(pointer: *mut T) -> Self {
        // SAFETY: not null by the contract of this function.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Returns the pointer.
    pub(crate) const fn ptr(self) -> *mut T {
        self.0.as_ptr()
    }

    /// Returns the address.
    pub(crate) fn addr(self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Steps to a field. Use [`field!`], which computes `offset` and the type from the field's name.
    pub(crate) fn project<F>(self, offset: usize, _witness: fn(&T) -> &F) -> Live<F> {
        let field = self.0.as_ptr().wrapping_byte_add(offset).cast::<F>();
        // SAFETY: `field!` gives the offset of a field of `T`, so the result is inside the same live structure.
        unsafe { Live::new(field) }
    }

    /// Copies the value out.
    pub(crate) fn get(self) -> T
    where
        T: Pod,
    {
        // SAFETY: live and aligned by the contract of `new`; `Pod` makes every bit pattern a value. Volatile because driver code that
        // the compiler cannot see writes here too.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    /// Replaces the value.
    pub(crate) fn set(self, value: T)
    where
        T: Pod,
    {
        // SAFETY: live and aligned by the contract of `new`.
        unsafe { self.0.as_ptr().write_volatile(value) }
    }
}

impl<T, const N: usize> Live<[T; N]> {
    /// Steps to an element.
    pub(crate) fn element(self, index: usize) -> Live<T> {
        assert!(index < N, "index of a kernel array");
        let element = self.0.as_ptr().cast::<T>().wrapping_add(index);
        // SAFETY: inside the live array, checked above.
        unsafe { Live::new(element) }
    }
}

impl Live<usize> {
    /// Views the word as an atomic.
    pub(crate) fn atomic<'a>(self) -> &'a AtomicUsize {
        // SAFETY: live and aligned by the contract of `new`; words reached this way are only accessed atomically where they race.
        unsafe { AtomicUsize::from_ptr(self.0.as_ptr()) }
    }
}

impl Live<i64> {
    /// Views the counter as an atomic.
    pub(crate) fn atomic<'a>(self) -> &'a AtomicI64 {
        // SAFETY: live and aligned by the contract of `new`; counters reached this way are only accessed atomically where they race.
        unsafe { AtomicI64::from_ptr(self.0.as_ptr()) }
    }
}

impl Live<u32> {
    /// Views the counter as an atomic.
    pub(crate) fn atomic<'a>(self) -> &'a AtomicU32 {
        // SAFETY: live and aligned by the contract of `new`; counters reached this way are only accessed atomically where they race.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr()) }
    }
}

impl<T> Live<*mut T> {
    /// Views the pointer as an atomic.
    pub(crate) fn atomic_ptr<'a>(self) -> &'a AtomicPtr<T> {
        // SAFETY: live and aligned by the contract of `new`; used where a race is part of NT's algorithm.
        unsafe { AtomicPtr::from_ptr(self.0.as_ptr()) }
    }
}

/// Steps from a [`Live`] structure to one of its fields: `field!(thread, KTHREAD, Header.SignalState)`.
macro_rules! field {
    ($live:expr, $type:ty, $($field:ident).+) => {
        $crate::raw::Live::<$type>::project(
            $live,
            ::core::mem::offset_of!($type, $($field).+),
            |whole: &$type| &whole.$($field).+,
        )
    };
}
pub(crate) use field;
