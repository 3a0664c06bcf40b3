//! Who waits in `ExUnregisterCallback`: the threads on the wait list of `ExpCallbackEvent`.
//!
//! One event serves all callback objects, so the threads are told for the image and not for an object; which routine a thread waits for is
//! told by the registrations whose `UnregisterWaiting` is set. The event is a variable that only symbols name. Its wait list links
//! `KWAIT_BLOCK` structures, which since Windows 8 have their thread at 0x18 and the object waited for at 0x20, and before at 0x10 and
//! 0x18 (public PDBs).

use nt::{DISPATCHER_HEADER, KEVENT};
use record::{Value, Waiter};

use super::shape::{Shape, offset};
use super::walk::walk;
use super::words;
use crate::memory::{Memory, MemoryExt as _};

/// The most threads that are followed.
const MAX_WAITERS: usize = 4096;

/// Reads the threads that wait on the event at `event`.
pub(crate) fn read(memory: &dyn Memory, shape: &Shape, event: Option<u64>) -> Value<Vec<Waiter>> {
    let Some(event) = event else { return Value::not_found("no symbols name `ExpCallbackEvent`") };
    let list = event.wrapping_add(offset(&DISPATCHER_HEADER::LAYOUT, "WaitListHead"));
    // The size of an event in words of 32 bits: symbols of another kernel lead to something else.
    let size = match memory.u8(event.wrapping_add(2)) {
        Ok(size) => size,
        Err(missing) => return words::value(Err(missing)),
    };
    if usize::from(size) * 4 != size_of::<KEVENT>() {
        return Value::not_found(format!(
            "there is no event at {event:#x}, where symbols place `ExpCallbackEvent`"
        ));
    }
    let (thread, object) =
        if (shape.profile.major, shape.profile.minor) < (6, 2) { (0x10, 0x18) } else { (0x18, 0x20) };
    let walk = walk(memory, list, MAX_WAITERS);
    if let Some(why) = walk.end.why(MAX_WAITERS) {
        return Value::not_found(format!("the wait list of `ExpCallbackEvent` cannot be followed: {why}"));
    }
    let waits = walk.nodes.iter().filter(|block| memory.u64(block.wrapping_add(object)) == Ok(event));
    Value::Known(
        waits
            .filter_map(|block| memory.u64(block.wrapping_add(thread)).ok())
            .map(|thread| Waiter { thread })
            .collect(),
    )
}
