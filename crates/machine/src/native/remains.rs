//! What is left of a machine that died: memory, which its process shows to the parent before it goes.
//!
//! Windows writes MEMORY.DMP at a bugcheck; here the parent writes it, and reads memory over the socket as it does while the machine lives. Nothing of
//! the machine runs any more meanwhile: the thread that died never returns to it, and with `--parallel` the others are stopped where they are.
//! It happens only where the parent asked for it, because otherwise a process ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{host_thread, world};

static KEPT: AtomicBool = AtomicBool::new(false);

/// Makes the process stay when the machine dies.
pub(super) fn keep() {
    KEPT.store(true, Ordering::Relaxed);
}

/// Shows what is left, where the parent asked for it. Called when the last words have been written. Callable from a signal handler.
pub(super) fn show() {
    if KEPT.load(Ordering::Relaxed) {
        host_thread::stop_others();
        world::show_remains();
    }
}
