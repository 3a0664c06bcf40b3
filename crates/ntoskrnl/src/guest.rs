//! Checked pointers into the memory that drivers live in.
//!
//! A driver hands the kernel addresses, and the kernel follows them. On Windows a bad one faults and the machine dies with
//! `PAGE_FAULT_IN_NONPAGED_AREA`. Here an address must first lie in guest memory at all: outside of it are the host's own
//! code and data, which no driver may read or change through an export. [`Guest`] is the proof of that check. A page that
//! is guest memory but not mapped faults when it is touched, and the machine turns that into the same bugcheck.
//!
//! What a `Guest` points to belongs to the driver, which may change it at any time from another thread: every access is a
//! volatile copy, no Rust reference to guest memory ever exists, and a length that was checked is never read twice.

use core::fmt;
use core::marker::PhantomData;

use nt::{Pod, STRING, UNICODE_STRING};

/// What decides which addresses are guest memory.
pub trait Arena {
    /// Returns if the `bytes` from `address` up are guest memory, and ends the world otherwise.
    fn admit(&self, address: u64, bytes: usize, write: bool);
}

/// A pointer to a `T` in guest memory: never null, and the whole `T` lies inside.
#[repr(transparent)]
pub struct Guest<T>(u64, PhantomData<*mut T>);

impl<T> Clone for Guest<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Guest<T> {}

impl<T> PartialEq for Guest<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> fmt::Debug for Guest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<T> Guest<T> {
    /// Checks `address`. Does not return where it is not guest memory.
    pub fn new(arena: &(impl Arena + ?Sized), address: u64) -> Self {
        arena.admit(address, size_of::<T>(), false);
        Self(address, PhantomData)
    }

    /// Checks `address` and takes zero for "none".
    pub fn optional(arena: &(impl Arena + ?Sized), address: u64) -> Option<Self> {
        (address != 0).then(|| Self::new(arena, address))
    }

    /// Returns the address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// Returns the address as a pointer, for the executive's raw layer.
    #[must_use]
    pub fn ptr(self) -> *mut T {
        pointer(self.0)
    }

    /// Narrows the pointer to a part of the `T`. [`field!`](crate::field) computes `offset` and names the part's type.
    ///
    /// # Panics
    ///
    /// Panics where the part sticks out of the whole.
    #[must_use]
    pub const fn project<F>(self, offset: usize, _field: fn(&T) -> &F) -> Guest<F> {
        assert!(offset + size_of::<F>() <= size_of::<T>());
        Guest(self.0 + offset as u64, PhantomData)
    }
}

impl<T: Pod> Guest<T> {
    /// Copies the value out.
    #[must_use]
    pub fn read(self) -> T {
        // SAFETY: the range is guest memory, so no Rust object lies there; any bytes are a valid `T`; a page that is
        // not mapped traps and the trap never returns here.
        unsafe { self.ptr().cast::<Unaligned<T>>().read_volatile() }.0
    }

    /// Copies `value` in. Padding bytes of a structure go along: write the fields where a driver could see them.
    pub fn write(self, value: T) {
        // SAFETY: as in `read`: guest memory holds no Rust object whose invariants could break.
        unsafe { self.ptr().cast::<Unaligned<T>>().write_volatile(Unaligned(value)) }
    }
}

macro_rules! atomics {
    ($($t:ty = $atomic:ty),*) => { $(
        impl Guest<$t> {
            /// Adds, as one step, and returns the value before. A misaligned word is changed in two steps.
            pub fn fetch_add(self, delta: $t) -> $t {
                match self.atomic() {
                    Some(atomic) => atomic.fetch_add(delta, core::sync::atomic::Ordering::SeqCst),
                    None => {
                        let before = self.read();
                        self.write(before.wrapping_add(delta));
                        before
                    }
                }
            }

            /// Replaces `old` by `new`, as one step. Returns whether the word was `old`.
            pub fn compare_exchange(self, old: $t, new: $t) -> bool {
                use core::sync::atomic::Ordering::SeqCst;
                match self.atomic() {
                    Some(atomic) => atomic.compare_exchange(old, new, SeqCst, SeqCst).is_ok(),
                    None => {
                        let equal = self.read() == old;
                        if equal {
                            self.write(new);
                        }
                        equal
                    }
                }
            }

            fn atomic(self) -> Option<&'static $atomic> {
                let aligned = self.address() as usize % align_of::<$atomic>() == 0;
                // SAFETY: aligned guest memory, where no Rust object lies; an unmapped page traps. The machine never gives guest
                // memory back to the host, so the lifetime holds.
                aligned.then(|| unsafe { <$atomic>::from_ptr(self.ptr()) })
            }
        }
    )* };
}
atomics!(i32 = core::sync::atomic::AtomicI32, u64 = core::sync::atomic::AtomicU64);

/// Lets drivers pass misaligned addresses, which x86-64 tolerates.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Narrows a [`Guest`] structure to one of its fields: `field!(string, UNICODE_STRING, Length)`.
#[macro_export]
macro_rules! field {
    ($guest:expr, $structure:ty, $($field:tt).+) => {
        $guest.project(::core::mem::offset_of!($structure, $($field).+), |whole: &$structure| &whole.$($field).+)
    };
}

/// An array in guest memory, checked as a whole.
pub struct GuestSlice<T> {
    start: u64,
    len: usize,
    of: PhantomData<*mut T>,
}

impl<T> Clone for GuestSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestSlice<T> {}

impl<T: Pod> GuestSlice<T> {
    /// Checks `len` elements from `address` up. An empty slice may lie anywhere.
    pub fn new(arena: &(impl Arena + ?Sized), address: u64, len: usize) -> Self {
        if len > 0 {
            // A length whose bytes do not fit an address is longer than any memory.
            arena.admit(address, len.saturating_mul(size_of::<T>()), false);
        }
        Self { start: address, len, of: PhantomData }
    }

    /// Returns the number of elements.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len
    }

    /// Returns whether there are no elements.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the pointer to element `index`.
    ///
    /// # Panics
    ///
    /// Panics past the end: an export's own mistake, never the driver's.
    #[must_use]
    pub const fn at(self, index: usize) -> Guest<T> {
        assert!(index < self.len, "guest slice index");
        Guest(self.start + (index * size_of::<T>()) as u64, PhantomData)
    }

    /// Copies the elements out.
    #[must_use]
    pub fn to_vec(self) -> Vec<T> {
        (0..self.len).map(|index| self.at(index).read()).collect()
    }

    /// Copies `values` to the front.
    ///
    /// # Panics
    ///
    /// Panics where they do not fit.
    pub fn fill_from(self, values: &[T]) {
        for (index, value) in values.iter().enumerate() {
            self.at(index).write(*value);
        }
    }
}

impl GuestSlice<u8> {
    /// Copies `source` here, front to front; the two may overlap, as for `memmove`.
    ///
    /// # Panics
    ///
    /// Panics where it does not fit.
    pub fn copy_from(self, source: Self) {
        assert!(source.len <= self.len, "guest copy");
        let (from, to) = (pointer::<u8>(source.start), pointer::<u8>(self.start));
        // SAFETY: both ranges are guest memory, where no Rust object lies; overlap is allowed; an unmapped page traps
        // and the trap never returns here.
        unsafe { core::ptr::copy(from, to, source.len) }
    }

    /// Sets every byte to `value`.
    pub fn fill(self, value: u8) {
        if self.len > 0 {
            // SAFETY: the range is guest memory, where no Rust object lies; an unmapped page traps.
            unsafe { core::ptr::write_bytes(pointer::<u8>(self.start), value, self.len) }
        }
    }
}

fn pointer<T>(address: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// An element of a string: a byte or a UTF-16 unit.
pub trait Unit: Pod + PartialEq + Into<u16> {
    /// The terminator.
    const NUL: Self;
}

impl Unit for u8 {
    const NUL: Self = 0;
}

impl Unit for u16 {
    const NUL: Self = 0;
}

const PAGE: u64 = 0x1000;

/// Walks units from `address` up without an end, checking each page as it is entered.
pub fn units<U: Unit>(arena: &(impl Arena + ?Sized), address: u64) -> impl Iterator<Item = U> {
    let size = size_of::<U>();
    let mut next = address;
    let mut admitted_to = address;
    core::iter::from_fn(move || {
        let end = next.saturating_add(size as u64);
        if end > admitted_to || end == u64::MAX {
            arena.admit(next, size, false);
            // The rest of the page is guest memory if one byte of it is: the arena is made of pages.
            admitted_to = (end - 1) / PAGE * PAGE + PAGE;
        }
        let unit = Guest::<U>(next, PhantomData).read();
        next = end;
        Some(unit)
    })
}

/// Returns the units before the terminator.
pub fn terminated<U: Unit>(arena: &(impl Arena + ?Sized), address: u64) -> Vec<U> {
    units::<U>(arena, address).take_while(|unit| *unit != U::NUL).collect()
}

/// Returns the units before the terminator, and at most `limit` of them: nothing behind those is touched.
pub fn terminated_within<U: Unit>(arena: &(impl Arena + ?Sized), address: u64, limit: usize) -> Vec<U> {
    units::<U>(arena, address).take(limit).take_while(|unit| *unit != U::NUL).collect()
}

/// Copies the text of a counted wide string. A null buffer is an empty string.
pub fn wide(arena: &(impl Arena + ?Sized), string: Guest<UNICODE_STRING>) -> Vec<u16> {
    let bytes = field!(string, UNICODE_STRING, Length).read();
    let buffer = field!(string, UNICODE_STRING, Buffer).read() as u64;
    if buffer == 0 {
        return Vec::new();
    }
    GuestSlice::<u16>::new(arena, buffer, usize::from(bytes / 2)).to_vec()
}

/// Copies the text of a counted byte string. A null buffer is an empty string.
pub fn narrow(arena: &(impl Arena + ?Sized), string: Guest<STRING>) -> Vec<u8> {
    let bytes = field!(string, STRING, Length).read();
    let buffer = field!(string, STRING, Buffer).read() as u64;
    if buffer == 0 {
        return Vec::new();
    }
    GuestSlice::<u8>::new(arena, buffer, usize::from(bytes)).to_vec()
}

/// Takes every address for guest memory. For tests, whose "guest" is the test itself.
#[cfg(test)]
pub(crate) struct Everywhere;

#[cfg(test)]
impl Arena for Everywhere {
    fn admit(&self, _address: u64, _bytes: usize, _write: bool) {}
}
