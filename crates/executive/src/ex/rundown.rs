//! Rundown protection: users come and go until somebody waits for the last of them.
//!
//! `EX_RUNDOWN_REF` is twice the number of users; bit 0 means that rundown has begun. While somebody waits, the word is the
//! address of a block with the count and an event, plus bit 0. NT has that block on the waiter's stack; here it comes from pool, because
//! the stack of a platform may lie where nobody else looks.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use nt::{EX_RUNDOWN_REF, KEVENT, SynchronizationEvent};

use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

const ACTIVE: usize = 1;
const USER: usize = 2;
const TAG: u32 = nt::pool_tag(b"ExRw");

/// What the word leads to while somebody waits.
#[repr(C)]
struct WaitBlock {
    /// Users left.
    count: usize,
    event: KEVENT,
}

/// # Safety
///
/// `reference` leads to rundown protection that outlives the use of the word.
unsafe fn word<'a>(reference: *mut EX_RUNDOWN_REF) -> &'a AtomicUsize {
    // SAFETY: the caller's promise.
    field!(unsafe { Live::new(reference) }, EX_RUNDOWN_REF, Count).atomic()
}

impl<P: Platform> Executive<P> {
    /// Makes protection that nobody uses.
    ///
    /// # Safety
    ///
    /// `reference` is writable and not in use.
    pub unsafe fn ExInitializeRundownProtection(&self, reference: *mut EX_RUNDOWN_REF) {
        // SAFETY: the caller's promise.
        unsafe { word(reference) }.store(0, Ordering::Release);
    }

    /// Makes protection usable again after rundown.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExInitializeRundownProtection`].
    pub unsafe fn ExReInitializeRundownProtection(&self, reference: *mut EX_RUNDOWN_REF) {
        // SAFETY: the caller's promise.
        unsafe { self.ExInitializeRundownProtection(reference) };
    }

    /// Becomes `count` users, unless rundown has begun. Returns whether it did.
    ///
    /// # Safety
    ///
    /// `reference` leads to initialized rundown protection.
    ///
    /// # IRQL
    ///
    /// Any.
    pub unsafe fn ExAcquireRundownProtectionEx(&self, reference: *mut EX_RUNDOWN_REF, count: u32) -> bool {
        let more = |value: usize| (value & ACTIVE == 0).then(|| value.wrapping_add(USER * count as usize));
        // SAFETY: the caller's promise.
        let word = unsafe { word(reference) };
        word.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    /// Stops being `count` users. The last one after rundown has begun wakes whoever waits.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExAcquireRundownProtectionEx`]; the caller is that many users.
    ///
    /// # IRQL
    ///
    /// At most `DISPATCH_LEVEL`.
    pub unsafe fn ExReleaseRundownProtectionEx(&self, reference: *mut EX_RUNDOWN_REF, count: u32) {
        let fewer = |value: usize| (value & ACTIVE == 0).then(|| value.wrapping_sub(USER * count as usize));
        // SAFETY: the caller's promise.
        let word = unsafe { word(reference) };
        let Err(value) = word.fetch_update(Ordering::Release, Ordering::Acquire, fewer) else { return };
        let block = core::ptr::with_exposed_provenance_mut::<WaitBlock>(value & !ACTIVE);
        if block.is_null() {
            return;
        }
        // SAFETY: somebody waits, and keeps the block until the count, to which the caller still belongs, is zero.
        let block = unsafe { Live::new(block) };
        let left = field!(block, WaitBlock, count).atomic().fetch_sub(count as usize, Ordering::AcqRel);
        if left == count as usize {
            // SAFETY: as above; the waiter looks at nothing but the event.
            unsafe { self.KeSetEvent(field!(block, WaitBlock, event).ptr(), 0, false) };
        }
    }

    /// Begins rundown and waits until the last user is gone.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExAcquireRundownProtectionEx`]; one caller at a time.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`.
    pub unsafe fn ExWaitForRundownProtectionRelease(&self, reference: *mut EX_RUNDOWN_REF) {
        // SAFETY: the caller's promise.
        let word = unsafe { word(reference) };
        match word.compare_exchange(0, ACTIVE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(ACTIVE) => return,
            Err(_) => {}
        }
        let block = self.ExAllocatePoolWithTag(nt::NonPagedPoolNx, size_of::<WaitBlock>(), TAG);
        let Some(block) = NonNull::new(block.cast::<WaitBlock>()) else {
            // Nothing to wait with: look again and again, which at least lets others run.
            while word.compare_exchange(0, ACTIVE, Ordering::AcqRel, Ordering::Acquire).is_err() {
                self.ke_outside(|| self.platform().spin_wait(reference.cast()));
            }
            return;
        };
        // SAFETY: a new block of that size.
        let live = unsafe { Live::new(block.as_ptr()) };
        let event = field!(live, WaitBlock, event).ptr();
        // SAFETY: inside the new block.
        unsafe { self.KeInitializeEvent(event, SynchronizationEvent, false) };
        let count = field!(live, WaitBlock, count).atomic();
        let wait_word = block.as_ptr().expose_provenance() | ACTIVE;
        let begin = |value: usize| {
            count.store(value / USER, Ordering::Relaxed);
            Some(wait_word)
        };
        let before = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin).unwrap_or_default();
        if before / USER > 0 {
            let (reason, mode) = (nt::Executive, nt::KernelMode);
            self.platform().waits_for(Some((record::WaitKind::Rundown, reference.addr())));
            // SAFETY: the event stays until this returns; no timeout.
            unsafe { self.KeWaitForSingleObject(event.cast(), reason, mode, 0, core::ptr::null()) };
            self.platform().waits_for(None);
        }
        word.store(ACTIVE, Ordering::Release);
        // SAFETY: allocated above, and no user is left to look at it.
        unsafe { self.ExFreePoolWithTag(block.as_ptr().cast(), TAG) };
    }

    /// Marks rundown as done, so that nobody can become a user.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExAcquireRundownProtectionEx`].
    pub unsafe fn ExRundownCompleted(&self, reference: *mut EX_RUNDOWN_REF) {
        // SAFETY: the caller's promise.
        unsafe { word(reference) }.store(ACTIVE, Ordering::Release);
    }
}
