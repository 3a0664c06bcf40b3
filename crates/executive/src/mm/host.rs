//! Bookkeeping in ordinary host memory, hung up in the executive's zeroed globals.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value behind a spin flag. All zero bytes are an empty cell; the value comes into being on first use.
///
/// The flag is not an NT lock: the closure given to [`HostCell::with`] must neither call the platform nor enter another cell, so
/// that no other fiber can run while it is set.
#[repr(C)]
pub(crate) struct HostCell<T> {
    value: UnsafeCell<*mut T>,
    busy: AtomicBool,
}

// SAFETY: the value is reached under the flag only, one thread at a time.
unsafe impl<T: Send> Sync for HostCell<T> {}

/// Clears the flag, on unwinding too.
struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T: Default> HostCell<T> {
    /// Calls `f` with the value while nobody else has it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        self.run(f)
    }

    /// Calls `f` with the value, unless somebody has it.
    pub(crate) fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let free = self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| self.run(f))
    }

    /// The flag is ours, and is cleared at the end.
    fn run<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _release = Release(&self.busy);
        let slot = self.value.get();
        // SAFETY: the flag is ours, nobody else looks at the pointer.
        let mut value = unsafe { *slot };
        if value.is_null() {
            value = Box::into_raw(Box::default());
            // SAFETY: as above.
            unsafe { *slot = value };
        }
        // SAFETY: the pointer came from `Box::into_raw` and the flag makes this the only reference.
        f(unsafe { &mut *value })
    }

    /// Drops the value; the cell is empty again.
    pub(crate) fn dispose(&self) {
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        let release = Release(&self.busy);
        let slot = self.value.get();
        // SAFETY: the flag is ours.
        let value = unsafe { *slot };
        // SAFETY: the flag is ours.
        unsafe { *slot = ptr::null_mut() };
        drop(release);
        if !value.is_null() {
            // SAFETY: the pointer came from `Box::into_raw` and the cell has forgotten it.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}
