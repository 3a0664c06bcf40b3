//! shuttle plays whole scenarios with eight threads on the executive, under both protocols.
//!
//! loom looks at every execution of the core alone; here the whole executive runs, object manager and waits included, and shuttle draws
//! executions at random, half of them by priorities (PCT), which finds what needs few switches at the right places. Threads switch at every lock, barrier,
//! change of IRQL, wait and call. `RINGBELL_SHUTTLE` says how many executions each scenario gets; the same number draws the same ones. One that fails
//! is printed by shuttle, which can play it again.
#![cfg(target_arch = "x86_64")]

mod listeners;
mod names;
mod platform;
mod waits;

use std::env;

use executive::{CallbackObject, Executive, Protocol, Registration};
use nt::Profile;
use shuttle::Config;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};

use platform::Shuttle;

type Nt = &'static Executive<Shuttle>;
type Bell = CallbackObject<'static, Shuttle>;
type Listener = Registration<'static, Shuttle>;

/// Executions of each scenario where nobody asks for more.
const EXECUTIONS: usize = 300;
/// What the draws start from.
const SEED: u64 = 0x0052_696E_6762_656C;
/// Switches that an execution by priorities may need.
const DEPTH: usize = 4;

/// A world to play in.
#[derive(Clone, Copy)]
struct World {
    protocol: Protocol,
    profile: &'static Profile,
    /// Whether somebody wants events, which takes a notify another way.
    listening: bool,
}

/// Both protocols, the common way and the one with events.
fn worlds() -> impl Iterator<Item = World> {
    [Protocol::Reference, Protocol::Swift].into_iter().flat_map(|protocol| {
        [false, true].map(|listening| World { protocol, profile: Profile::DEFAULT, listening })
    })
}

/// Plays `scenario` in a fresh world as often as asked for, and looks whether it leaves anything behind.
fn explore(world: World, scenario: fn(Nt)) {
    let executions = match env::var("RINGBELL_SHUTTLE") {
        Ok(text) => text.parse().expect("`RINGBELL_SHUTTLE` is a number of executions"),
        Err(_) => EXECUTIONS,
    };
    let half = executions.div_ceil(2);
    play(RandomScheduler::new_from_seed(SEED, half), world, scenario);
    play(PctScheduler::new_from_seed(SEED, DEPTH, half), world, scenario);
}

fn play(scheduler: impl Scheduler + 'static, world: World, scenario: fn(Nt)) {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.silence_warnings = true;
    shuttle::Runner::new(scheduler, config).run(move || {
        let platform = Shuttle::new(world.listening);
        let nt = Executive::boot_with(platform, world.profile, world.protocol).expect("it boots");
        // Leaked meanwhile, because the threads of a scenario outlive every borrow.
        let nt: *mut Executive<Shuttle> = Box::into_raw(Box::new(nt));
        // SAFETY: freed below, after the last thread.
        let shared: Nt = unsafe { &*nt };
        let before = (shared.platform().blocks(), shared.snapshot().objects.len());
        shared.platform().race();
        scenario(shared);
        let after = (shared.platform().blocks(), shared.snapshot().objects.len());
        assert_eq!(before, after, "pool blocks and callback objects");
        // SAFETY: scenarios join their threads and drop what refers to it.
        drop(unsafe { Box::from_raw(nt) });
    });
}

/// Runs actions at once, one thread each, and waits for all.
fn at_once(actions: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = actions.into_iter().map(shuttle::thread::spawn).collect();
    for thread in threads {
        thread.join().expect("a thread");
    }
}
