//! What an object and a registration take beyond NT's own memory.
//!
//! NT's own is what lies in pool: each block with its header, in units of 16 bytes. Everything else that the allocator was asked for and that was
//! not given back is counted against us: the pool's bookkeeping, the table of names, room in tables that is not used yet. Tables grow by
//! doubling, so the figure rises and falls; it is looked at on the way, about 30 times from one power of ten to the next, and the worst counts.
//! Aims: at most 64 bytes per registration and 128 per object; the program fails where one is missed.
//!
//! Run with `cargo bench -p ringbell-benches --bench memory`.

// The example platform names the crate as its users do.
extern crate executive as ringbell_executive;

#[path = "../../crates/executive/examples/threads/platform.rs"]
mod platform;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use executive::{CallbackObject, CallbackOptions, Executive, Protocol, Routine};
use nt::Profile;
use platform::Threads;

/// Bytes asked for and not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts what the system's allocator is asked for.
struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Nt = Executive<Threads>;

/// The first and the last count that is looked at.
const COUNTS: std::ops::RangeInclusive<usize> = 1_000..=1_000_000;

extern "win64" fn nothing(_: *mut core::ffi::c_void, _: *mut core::ffi::c_void, _: *mut core::ffi::c_void) {}

/// Bytes that the blocks in pool take on Windows.
fn pool(nt: &Nt) -> usize {
    nt.pool_blocks().iter().map(|block| (block.bytes + 16).next_multiple_of(16)).sum()
}

/// Adds one thing at a time and looks at what they take beyond NT's own.
fn grow(nt: &Nt, what: &str, aim: f64, mut add: impl FnMut(usize)) -> bool {
    // What the first of its kind needs, others do not: a kind, a thread's place, a descriptor to share.
    add(0);
    let (before, own_before) = (LIVE.load(Ordering::Relaxed), pool(nt));
    let (mut next, mut own) = (*COUNTS.start(), 0);
    let (mut worst, mut worst_at) = (0.0, 0);
    print!("{what:<34}");
    for count in 1..=*COUNTS.end() {
        add(count);
        if count == 64 {
            own = (pool(nt) - own_before) / 64;
        }
        if count != next {
            continue;
        }
        let beyond = (LIVE.load(Ordering::Relaxed) - before) as f64 / count as f64 - own as f64;
        if beyond > worst {
            (worst, worst_at) = (beyond, count);
        }
        let powers = [1_000, 10_000, 100_000, 1_000_000];
        if powers.contains(&count) {
            print!(" {beyond:>8.1}");
        }
        let step = next + next / 13;
        next = powers
            .into_iter()
            .find(|power| (next + 1..step).contains(power))
            .unwrap_or(step)
            .min(*COUNTS.end());
    }
    println!(" {worst:>8.1} at {worst_at:<8} {own:>6} {aim:>6}");
    worst <= aim
}

fn measure(protocol: Protocol) -> bool {
    let boot = || Nt::boot_with(Threads::new(), Profile::DEFAULT, protocol).expect("the executive boots");
    let routine = Routine(nothing as extern "win64" fn(_, _, _) as usize);
    let register = |bell: &CallbackObject<'_, Threads>| {
        // SAFETY: the routine looks at nothing.
        let registration = unsafe { bell.register_raw(routine, null_mut()) };
        registration.expect("a registration").leak();
    };
    let nt = boot();
    let named = grow(&nt, &format!("{protocol:?}: object with a name"), 128.0, |number| {
        let options = CallbackOptions::named(&format!(r"\Callback\Bell{number:07}")).permanent();
        drop(nt.create_callback(&options).expect("an object"));
    });
    let nt = boot();
    let unnamed = grow(&nt, &format!("{protocol:?}: object without"), 128.0, |_| {
        let _ = nt.create_callback(&CallbackOptions::unnamed()).expect("an object").into_raw();
    });
    let nt = boot();
    let bell = nt.create_callback(&CallbackOptions::unnamed()).expect("an object");
    let listeners = grow(&nt, &format!("{protocol:?}: registration"), 64.0, |_| register(&bell));
    named && unnamed && listeners
}

fn main() -> ExitCode {
    println!("memory: bytes beyond NT's own, by how many there are\n");
    println!(
        "{:<34} {:>8} {:>8} {:>8} {:>8} {:>8} {:<11} {:>6} {:>6}",
        "", "10^3", "10^4", "10^5", "10^6", "worst", "", "own", "aim"
    );
    let reference = measure(Protocol::Reference);
    if measure(Protocol::Swift) && reference { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
