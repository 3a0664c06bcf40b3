//! Ctrl-C, noticed: whoever waits for a kernel process stops waiting, takes what there is, and ends it.
//!
//! Only a program that asks for it by [`catch`] has it so; a library does not take signals away from its user. Kernel processes ignore Ctrl-C,
//! which a terminal sends to them too: their parent ends them, and first asks where they are.

use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::sys;

static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// Both ends of a pipe that has something to read once a signal has come; nobody ever reads it. Negative: there is none.
static WAKE: AtomicI32 = AtomicI32::new(-1);
static WAKEN: AtomicI32 = AtomicI32::new(-1);

/// Catches Ctrl-C (SIGINT) and SIGTERM from now on, each once: a second one ends this process at once.
///
/// # Errors
///
/// Fails where the host gives no pipe or handler.
pub fn catch() -> io::Result<()> {
    if WAKEN.load(Ordering::Relaxed) >= 0 {
        return Ok(());
    }
    let (reader, writer) = io::pipe()?;
    sys::set_nonblocking(writer.as_raw_fd())?;
    WAKEN.store(reader.into_raw_fd(), Ordering::Relaxed);
    WAKE.store(writer.into_raw_fd(), Ordering::Relaxed);
    sys::handle_signal_once(libc::SIGINT, on_signal)?;
    sys::handle_signal_once(libc::SIGTERM, on_signal)
}

/// Returns the signal that was caught, if one was.
pub fn caught() -> Option<i32> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// Returns a descriptor that becomes readable when a signal is caught, or -1.
pub(super) fn descriptor() -> RawFd {
    WAKEN.load(Ordering::Relaxed)
}

extern "C" fn on_signal(signal: libc::c_int, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    CAUGHT.store(signal, Ordering::Relaxed);
    sys::poke(WAKE.load(Ordering::Relaxed));
}
