//! Memory of the host's heap.

use alloc::alloc::{alloc, alloc_zeroed, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Memory that goes away with the platform.
pub(super) struct Owned {
    pub(super) at: NonNull<u8>,
    pub(super) layout: Layout,
}

impl Owned {
    /// Allocates bytes that are not zero: Windows leaves garbage, and a fixed one finds what relies on zeros.
    pub(super) fn garbage(bytes: usize) -> Option<Self> {
        let layout = Layout::from_size_align(bytes.max(1), 16).ok()?;
        // SAFETY: the layout has a size, at least 1.
        let at = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: just allocated with that many bytes.
        unsafe { at.as_ptr().write_bytes(0xA5, layout.size()) };
        Some(Self { at, layout })
    }

    pub(super) fn zeroed(bytes: usize, align: usize) -> Self {
        let Ok(layout) = Layout::from_size_align(bytes.max(1), align) else {
            unreachable!("an alignment of the executive is a power of two")
        };
        // SAFETY: the layout has a size, at least 1.
        let at = unsafe { alloc_zeroed(layout) };
        let Some(at) = NonNull::new(at) else { handle_alloc_error(layout) };
        Self { at, layout }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}
