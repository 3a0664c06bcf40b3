//! `EX_CALLBACK`: fast references to routine blocks. Not callback objects.
//!
//! Process, thread and image notify routines live in arrays of these: one word per slot, which leads to a block of rundown
//! protection, routine and context (tag `Cbrb`). No object, no name, no list, no order but that of the slots. Spelled with a capital B in
//! NT (`ExAllocateCallBack`), and kept apart here as there: nothing in this file touches a callback object.
//!
//! A slot (`EX_FAST_REF`) has the block's address and, in its low four bits, how many references it has in store. Whoever fills a slot
//! takes sixteen references on the block: fifteen are in store, one is the slot's own. A reference is taken from the store
//! with one exchange; whoever takes the last fills it up again, and who finds it empty takes one from the block.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use nt::{EX_CALLBACK_ROUTINE_BLOCK, EX_FAST_REF, EX_RUNDOWN_REF, tag};

use super::Globals;
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// A routine block.
type Block = EX_CALLBACK_ROUTINE_BLOCK;

/// References that a slot can have in store: its low four bits on x64.
const STORE: usize = 15;

/// # Safety
///
/// `slot` leads to a slot that outlives the use of the word.
unsafe fn word<'a>(slot: *mut EX_FAST_REF) -> &'a AtomicUsize {
    // SAFETY: the caller's promise.
    field!(unsafe { Live::new(slot) }, EX_FAST_REF, Value).atomic()
}

/// The block that a slot's word leads to.
fn block_of(value: usize) -> *mut Block {
    core::ptr::with_exposed_provenance_mut(value & !STORE)
}

fn protection(block: *mut Block) -> *mut EX_RUNDOWN_REF {
    block.cast()
}

impl<P: Platform> Executive<P> {
    /// Allocates a block for a routine. Null where there is no memory.
    pub fn ExAllocateCallBack(&self, function: Routine, context: *mut c_void) -> *mut Block {
        let block: *mut Block =
            self.ExAllocatePoolWithTag(nt::PagedPool, size_of::<Block>(), tag::ROUTINE_BLOCK).cast();
        if !block.is_null() {
            // SAFETY: a new block of that size.
            let live = unsafe { Live::new(block) };
            let function = core::ptr::with_exposed_provenance_mut(function.0);
            live.set(Block { RundownProtect: 0, Function: function, Context: context });
        }
        block
    }

    /// Frees a block that is in no slot.
    ///
    /// # Safety
    ///
    /// `block` came from [`Executive::ExAllocateCallBack`], and nobody uses it any more: it was never in a slot, or
    /// [`Executive::ExWaitForCallBacks`] has returned.
    pub unsafe fn ExFreeCallBack(&self, block: *mut Block) {
        // SAFETY: the caller's promise.
        unsafe { self.ExFreePoolWithTag(block.cast(), tag::ROUTINE_BLOCK) };
    }

    /// Puts `new` (null for none) in the slot, if `old` is what is there. Returns whether it was. A block that is put in must be in
    /// no other slot, and one that was taken out may still be in use: see [`Executive::ExWaitForCallBacks`].
    ///
    /// # Safety
    ///
    /// `slot` is a slot; both blocks are null or blocks.
    pub unsafe fn ExCompareExchangeCallBack(
        &self,
        slot: *mut EX_FAST_REF,
        new: *mut Block,
        old: *mut Block,
    ) -> bool {
        if !new.is_null() {
            // SAFETY: a block by the caller's promise.
            let acquired = unsafe { self.ExAcquireRundownProtectionEx(protection(new), STORE as u32 + 1) };
            if !acquired {
                return false;
            }
        }
        let filled = if new.is_null() { 0 } else { new.expose_provenance() | STORE };
        let swap = |value: usize| (block_of(value) == old).then_some(filled);
        // SAFETY: the caller's promise.
        let before = unsafe { word(slot) }.fetch_update(Ordering::AcqRel, Ordering::Acquire, swap);
        let (gone, count) = match before {
            // What was in store, and the slot's own reference.
            Ok(value) => (old, (value & STORE) as u32 + 1),
            Err(_) => (new, STORE as u32 + 1),
        };
        if before.is_ok() && !old.is_null() {
            // Whoever found the store empty and is about to take a reference from the block itself does so under the lock; when it has
            // been held alone once, nobody is between the two any more.
            self.ex_flush_lock(true);
            self.ex_flush_unlock();
        }
        if !gone.is_null() {
            // SAFETY: a block, and these references are the slot's, or those taken above.
            unsafe { self.ExReleaseRundownProtectionEx(protection(gone), count) };
        }
        before.is_ok()
    }

    /// Takes a reference on the block in a slot. Null where the slot is empty, or its block on the way out.
    ///
    /// # Safety
    ///
    /// `slot` is a slot.
    pub unsafe fn ExReferenceCallBackBlock(&self, slot: *mut EX_FAST_REF) -> *mut Block {
        let take = |value: usize| (value & STORE != 0).then(|| value - 1);
        // SAFETY: the caller's promise.
        let word = unsafe { word(slot) };
        match word.fetch_update(Ordering::Acquire, Ordering::Acquire, take) {
            Ok(value) if value & STORE > 1 => return block_of(value),
            Ok(value) => {
                // SAFETY: the reference just taken keeps the block.
                unsafe { self.ex_fill_store(word, block_of(value)) };
                return block_of(value);
            }
            Err(0) => return null_mut(),
            Err(_) => {}
        }
        self.ex_flush_lock(false);
        let block = block_of(word.load(Ordering::Acquire));
        // SAFETY: in its slot while the lock is held, so whoever took it out has not come to free it.
        let acquired = !block.is_null() && unsafe { self.ExAcquireRundownProtectionEx(protection(block), 1) };
        self.ex_flush_unlock();
        if acquired { block } else { null_mut() }
    }

    /// Fills an empty store.
    ///
    /// # Safety
    ///
    /// The caller has a reference on the block.
    unsafe fn ex_fill_store(&self, word: &AtomicUsize, block: *mut Block) {
        // SAFETY: the caller's promise.
        if !unsafe { self.ExAcquireRundownProtectionEx(protection(block), STORE as u32) } {
            return;
        }
        let empty = block.expose_provenance();
        if word.compare_exchange(empty, empty | STORE, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: taken above.
            unsafe { self.ExReleaseRundownProtectionEx(protection(block), STORE as u32) };
        }
    }

    fn ex_flush_lock(&self, alone: bool) {
        let lock = field!(self.ex(), Globals, flush_lock).ptr();
        if alone {
            // SAFETY: the lock lies in the globals.
            unsafe { self.lock_exclusive_guarded(lock) };
        } else {
            // SAFETY: as above.
            unsafe { self.lock_shared_guarded(lock) };
        }
    }

    fn ex_flush_unlock(&self) {
        let lock = field!(self.ex(), Globals, flush_lock).ptr();
        // SAFETY: as above, and held.
        unsafe { self.unlock_guarded(lock) };
    }

    /// Gives a reference back: into the slot's store if the block is still there and the store has room, else to the block.
    ///
    /// # Safety
    ///
    /// `slot` is a slot; `block` came from [`Executive::ExReferenceCallBackBlock`] and is given back once.
    pub unsafe fn ExDereferenceCallBackBlock(&self, slot: *mut EX_FAST_REF, block: *mut Block) {
        let put = |value: usize| (block_of(value) == block && value & STORE < STORE).then(|| value + 1);
        // SAFETY: the caller's promise.
        let stored = unsafe { word(slot) }.fetch_update(Ordering::Release, Ordering::Acquire, put);
        if stored.is_err() {
            // SAFETY: the caller's reference.
            unsafe { self.ExReleaseRundownProtectionEx(protection(block), 1) };
        }
    }

    /// Waits until nobody uses a block that was taken out of its slot. Nobody ever will again.
    ///
    /// # Safety
    ///
    /// `block` is a block that is in no slot.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`.
    pub unsafe fn ExWaitForCallBacks(&self, block: *mut Block) {
        // SAFETY: the caller's promise.
        unsafe { self.ExWaitForRundownProtectionRelease(protection(block)) };
    }

    /// Calls the routine in a slot with the block's context and two arguments, if there is one. Returns whether there was.
    ///
    /// # Safety
    ///
    /// `slot` is a slot whose routine takes these arguments.
    pub unsafe fn ExCallCallBack(
        &self,
        slot: *mut EX_FAST_REF,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        // SAFETY: the caller's promise.
        let block = unsafe { self.ExReferenceCallBackBlock(slot) };
        if block.is_null() {
            return false;
        }
        // SAFETY: referenced.
        let all = unsafe { Live::new(block) }.get();
        // SAFETY: the caller's promise for the routine.
        unsafe { self.ex_call(Routine(all.Function.addr()), all.Context, argument1, argument2) };
        // SAFETY: referenced above.
        unsafe { self.ExDereferenceCallBackBlock(slot, block) };
        true
    }
}
