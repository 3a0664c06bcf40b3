//! From the assembly into the export table and the scheduler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use ntoskrnl::CallFrame;

use super::processor::NOW;
use super::stack::{self, Entry};
use super::{exception, fault, giant, world};
use crate::plan;

/// Serves one export call. Called by [`export_entry`](super::context::export_entry) on the host stack.
///
/// # Safety
///
/// `frame` is the driver's stack pointer at the stub: a return address and four spilled arguments, which the entry
/// has just written, and the driver's further arguments above. `entry` is what the entry stored on the host stack; it
/// stays until this returns, and nobody else refers to it.
pub(crate) unsafe extern "C" fn dispatch(index: u32, frame: *mut u64, entry: *mut Entry) -> u64 {
    giant::enter();
    let address = frame.expose_provenance() as u64;
    // A driver that switched to a stack of its own may pass it; host memory it may not.
    if !plan::is_guest(address, 0x28) {
        fault::no_stack(address);
    }
    let Some(frame) = NonNull::new(frame) else { fault::no_stack(address) };
    // SAFETY: the caller's promise; a slot that is not mapped traps, and the trap ends the world.
    let frame = unsafe { CallFrame::new(frame) };
    // A language handler is called by the kernel itself: what it returns to lies in the host, and differs from run to run.
    let caller = Some(frame.return_address()).filter(|caller| plan::is_guest(*caller, 1)).unwrap_or(0);
    let outer = NOW.caller.swap(caller, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let outer_entry = unsafe { stack::enter(entry, index) };
    let served = catch_unwind(AssertUnwindSafe(|| ntoskrnl::dispatch(index, &frame)));
    NOW.entry.store(outer_entry, Ordering::Relaxed);
    NOW.caller.store(outer, Ordering::Relaxed);
    match served {
        Ok(value) => {
            world::before_driver();
            giant::leave();
            value
        }
        // An exception was raised in the call or in driver code that it called, and a handler took it.
        Err(payload) => exception::arrive(payload, entry.addr() as u64),
    }
}

/// Lets others run. Called by [`trap_entry`](super::context::trap_entry) on the host stack.
pub(crate) extern "C" fn trapped() {
    giant::enter();
    world::trapped();
    giant::leave();
}
