//! The host threads of a kernel process: one, or with `--parallel` one for each virtual processor.
//!
//! The first processor's is the process's own, which also talks to the parent. The others are made after the boot, when no thread
//! of the machine is under way. What Linux keeps for each thread is set up anew in each: GS, the alternate signal stack, Syscall
//! User Dispatch, the traps of `rdtsc` and `cpuid`. Handlers are the process's, and run in the thread that trapped.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use super::world::World;
use super::{confine, exit, giant, processor, sys};

/// Bytes of a stack on which a host thread chooses what to run. Fibers have their own.
const STACK: usize = 256 << 10;

/// What Linux calls each thread, 0 for none.
static NUMBERS: [AtomicI32; processor::MOST] = [const { AtomicI32::new(0) }; processor::MOST];

/// Gives each processor but the first a host thread. The calling thread, the first one's, has the giant lock from then on.
///
/// # Errors
///
/// Linux gives no thread.
pub(super) fn start(world: &'static World) -> io::Result<()> {
    giant::turn_on();
    note_number(0);
    for number in 1..world.scheduler.processors() {
        let thread = std::thread::Builder::new().name(format!("processor {number}")).stack_size(STACK);
        thread.spawn(move || live(world, number))?;
    }
    Ok(())
}

fn live(world: &'static World, number: u8) {
    if sys::install_signal_stack().is_err() {
        sys::exit_now(exit::NO_MACHINE);
    }
    processor::inhabit(number);
    confine::confine_thread();
    note_number(number);
    giant::enter();
    world.scheduler.serve();
}

/// Signal that stops a thread for good.
const STOP: libc::c_int = libc::SIGUSR2;

/// How many threads have stopped.
static STOPPED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_stop(_signal: libc::c_int, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    STOPPED.fetch_add(1, Ordering::Relaxed);
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Stops the threads of the other processors where they are. One that serves a trap stops before it returns to driver code, so it is not waited for
/// long. Callable from a signal handler.
pub(super) fn stop_others() {
    if !giant::is_on() || sys::handle_signal(STOP, on_stop).is_err() {
        return;
    }
    let own = sys::thread_number();
    let others =
        || NUMBERS.iter().map(|number| number.load(Ordering::Relaxed)).filter(|&it| it != 0 && it != own);
    others().for_each(|number| sys::signal_thread(number, STOP));
    for _ in 0..100 {
        if STOPPED.load(Ordering::Relaxed) >= others().count() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn note_number(processor: u8) {
    NUMBERS[usize::from(processor) % processor::MOST].store(sys::thread_number(), Ordering::Relaxed);
}

/// Returns what Linux calls the thread of the processor that says most about a hang, if that is not the calling thread: one that
/// runs driver code, or else one that serves a call. Callable from a signal handler.
pub(super) fn busiest() -> Option<i32> {
    if !giant::is_on() {
        return None;
    }
    let all = || (0..processor::MOST as u8).map(|number| (number, processor::moment(number)));
    let in_driver = all().find(|(_, moment)| moment.in_driver.load(Ordering::Relaxed));
    let serving = || all().find(|(_, moment)| moment.caller.load(Ordering::Relaxed) != 0);
    let (number, _) = in_driver.or_else(serving).filter(|(number, _)| *number != processor::number())?;
    Some(NUMBERS[usize::from(number)].load(Ordering::Relaxed)).filter(|number| *number != 0)
}
