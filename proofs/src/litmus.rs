//! The store-buffer litmus test of asymmetric barriers.
//!
//! *Swift* rests on one thing that loom does not model: where the heavy side of two barriers makes every running thread execute a
//! full barrier, the light side need only keep the compiler in order. In small, with two words that are zero:
//!
//! | light side | heavy side |
//! |---|---|
//! | store 1 to `x` | store 1 to `y` |
//! | `compiler_fence` | heavy barrier |
//! | load `y` | load `x` |
//!
//! At least one of the two must read 1. A notify is the light side (it names, then reads the link and the mark again), an unregistration the
//! heavy one (it marks or unlinks, then looks for names).
//!
//! Barriers cost more than stores, so a batch of [`INSTANCES`] pairs of words shares one. The stores of the light side go to cache lines that
//! the other processor read last: they wait in the store buffer, for up to microseconds, while the loads run ahead.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};
use std::thread;

/// Pairs of words that share a heavy barrier.
pub const INSTANCES: usize = 256;
/// Words of a bit for each pair.
const WORDS: usize = INSTANCES / 64;

/// A word alone in its cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Alone(AtomicU64);

/// What both sides share. A batch stores its number instead of 1, so that nothing has to be cleared.
struct Shared {
    x: Box<[Alone]>,
    y: Box<[AtomicU64]>,
    /// Batch that both sides are to run; [`u64::MAX`] ends the light side.
    go: Alone,
    /// Batch that the light side has run.
    done: Alone,
    /// What the light side read in it, a bit for each pair: set where it saw the store.
    saw: [AtomicU64; WORDS],
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches, each with one heavy barrier.
    pub batches: u64,
    /// Pairs in which neither side saw the other's store.
    pub forbidden: u64,
    /// Batches in which the heavy side's stores became visible while the light side was on its way. Only there can it go wrong.
    pub overlapped: u64,
}

impl Tally {
    /// Returns how many pairs of words were tried.
    #[must_use]
    pub fn instances(&self) -> u64 {
        self.batches * INSTANCES as u64
    }
}

/// Waits a moment; on a busy machine the other side may need this processor.
fn pause(turn: &mut u32) {
    *turn += 1;
    if turn.is_multiple_of(4096) {
        thread::yield_now();
    }
    spin_loop();
}

/// Runs batches until `enough` says so, with `heavy` as the barrier of the heavy side.
///
/// # Panics
///
/// Panics where no second thread can be had.
pub fn run(heavy: impl Fn(), enough: impl Fn(&Tally) -> bool) -> Tally {
    let shared = Shared {
        x: (0..INSTANCES).map(|_| Alone::default()).collect(),
        y: (0..INSTANCES).map(|_| AtomicU64::new(0)).collect(),
        go: Alone::default(),
        done: Alone::default(),
        saw: [const { AtomicU64::new(0) }; WORDS],
    };
    let mut tally = Tally::default();
    let mut delay = 0;
    thread::scope(|scope| {
        scope.spawn(|| light_side(&shared));
        while !enough(&tally) {
            heavy_side(&shared, &heavy, &mut delay, &mut tally);
        }
        shared.go.0.store(u64::MAX, Release);
    });
    tally
}

fn light_side(shared: &Shared) {
    let mut turn = 0;
    for batch in 1.. {
        while shared.go.0.load(Acquire) < batch {
            pause(&mut turn);
        }
        if shared.go.0.load(Acquire) == u64::MAX {
            return;
        }
        let mut saw = [0_u64; WORDS];
        for (index, (x, y)) in shared.x.iter().zip(&shared.y).enumerate() {
            x.0.store(batch, Relaxed);
            compiler_fence(Ordering::SeqCst);
            saw[index / 64] |= u64::from(y.load(Relaxed) == batch) << (index % 64);
        }
        for (published, saw) in shared.saw.iter().zip(saw) {
            published.store(saw, Relaxed);
        }
        shared.done.0.store(batch, Release);
    }
}

/// Waits `delay` turns before its stores, and corrects that by what the light side saw: the two should meet.
fn heavy_side(shared: &Shared, heavy: &impl Fn(), delay: &mut u32, tally: &mut Tally) {
    let batch = tally.batches + 1;
    shared.go.0.store(batch, Release);
    for _ in 0..*delay {
        spin_loop();
    }
    for y in &shared.y {
        y.store(batch, Relaxed);
    }
    heavy();
    let mut seen = [0_u64; WORDS];
    for (index, x) in shared.x.iter().enumerate() {
        seen[index / 64] |= u64::from(x.0.load(Relaxed) == batch) << (index % 64);
    }
    let mut turn = 0;
    while shared.done.0.load(Acquire) != batch {
        pause(&mut turn);
    }
    let saw = shared.saw.each_ref().map(|saw| saw.load(Relaxed));
    tally.batches = batch;
    tally.forbidden +=
        saw.iter().zip(seen).map(|(saw, seen)| u64::from((!saw & !seen).count_ones())).sum::<u64>();
    if saw.iter().all(|saw| *saw == 0) {
        *delay = delay.saturating_sub(1 + *delay / 16);
    } else if saw.iter().all(|saw| *saw == u64::MAX) {
        *delay += 1;
    } else {
        tally.overlapped += 1;
    }
}

/// A full barrier of the calling processor, which reaches no other: what a heavy barrier must not be.
pub fn own_fence() {
    fence(Ordering::SeqCst);
}
