//! The kernel process looks after itself: it notices that its parent is gone, and says where it is when asked.
//!
//! Both are signals, because driver code may loop for ever with the machine's only thread, or with all of them. The parent's death is a
//! hang-up of the socket, looked for on every tick of an interval timer (`PR_SET_PDEATHSIG` follows the spawning
//! thread, not the process). Handlers touch atomics and shared memory only.

use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::fault::{self, RIP};
use super::last_words::{Kind, Pen};
use super::process::ASK;
use super::registers::Context;
use super::shared::Shared;
use super::{exit, host_thread, sys};

/// Milliseconds between two looks at the parent.
const TICK: u32 = 100;

static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// Whether the parent asked where the machine is.
static ASKED: AtomicBool = AtomicBool::new(false);
static SHARED: OnceLock<&'static Shared> = OnceLock::new();

/// Returns where last words go. Callable from a signal handler.
pub(crate) fn pen() -> Option<Pen<'static>> {
    // `OnceLock::get` is one acquire load.
    SHARED.get().map(|shared| Pen(shared.last_words()))
}

/// Appends to the schedule that was run.
pub(crate) fn record_switch(switch: record::Switch) {
    if let Some(shared) = SHARED.get() {
        shared.record_switch(switch);
    }
}

/// Installs the alternate stack and both handlers.
pub(crate) fn install(shared: &'static Shared, socket: RawFd) -> std::io::Result<()> {
    SOCKET.store(socket, Ordering::Relaxed);
    let _ = SHARED.set(shared);
    sys::install_signal_stack()?;
    sys::handle_signal(libc::SIGALRM, on_tick)?;
    sys::handle_signal(ASK, on_ask)?;
    std::panic::set_hook(Box::new(|info| {
        // The parent keeps this text; the process must not go on with whatever the panic left half done.
        eprintln!("{info}");
        if let Some(pen) = pen() {
            pen.text(info.to_string().as_bytes());
            pen.done(Kind::HostPanic);
        }
        sys::exit_now(exit::LAST_WORDS);
    }));
    tick()
}

/// Starts looking at the parent from time to time. A process that was forked off does so again: timers are not inherited, while
/// handlers and their stack are.
pub(crate) fn tick() -> std::io::Result<()> {
    sys::start_ticks(TICK)
}

extern "C" fn on_tick(_signal: libc::c_int, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    if sys::is_hung_up(SOCKET.load(Ordering::Relaxed)) {
        sys::exit_now(exit::ORPHAN);
    }
}

extern "C" fn on_ask(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // The signal goes to any thread of the process; one of the others may have more to tell.
    if !ASKED.swap(true, Ordering::Relaxed)
        && let Some(thread) = host_thread::busiest()
    {
        return sys::signal_thread(thread, ASK);
    }
    // SAFETY: the kernel passes a valid context to an `SA_SIGINFO` handler; it is this handler's alone.
    if let Some(context) = unsafe { Context::new(context) } {
        let registers = context.words();
        fault::hang(registers[RIP], &registers);
    }
    sys::exit_now(exit::LAST_WORDS);
}
