//! What somebody who embeds the executive pays: several threads, unregistering, and many objects.
//!
//! Both sides run in turn in short slices, and the ratio of each pair is what counts. The yardsticks are a loop that calls the same
//! routines by hand, and a standard hash map of boxes that does what the namespace and the list do.
//!
//! Run with `cargo bench -p ringbell-benches --bench embedded`.

// The example platform names the crate as its users do.
extern crate executive as ringbell_executive;

#[path = "../../crates/executive/examples/threads/platform.rs"]
mod platform;

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use executive::{CallbackObject, CallbackOptions, Executive, Protocol, Routine};
use nt::Profile;
use platform::Threads;
use ringbell_benches::{compare, processor};

type Nt = Executive<Threads>;
type Bell<'e> = CallbackObject<'e, Threads>;
type Function = extern "win64" fn(*mut c_void, *mut c_void, *mut c_void);

/// Writes nothing that another thread reads.
extern "win64" fn nothing(context: *mut c_void, argument1: *mut c_void, argument2: *mut c_void) {
    black_box((context, argument1, argument2));
}

fn boot(protocol: Protocol) -> Nt {
    Executive::boot_with(Threads::new(), Profile::DEFAULT, protocol).expect("the executive boots")
}

fn bell(nt: &Nt, routines: usize) -> Bell<'_> {
    let bell = nt.create_callback(&CallbackOptions::unnamed()).expect("an unnamed object");
    for _ in 0..routines {
        // SAFETY: `nothing` is a callback routine and uses its context as a number only.
        let registration =
            unsafe { bell.register_raw(Routine(nothing as Function as usize), ptr::null_mut()) };
        registration.expect("a registration").leak();
    }
    bell
}

fn by_hand(times: u64) {
    let bare: Vec<(Function, *mut c_void)> = vec![(black_box(nothing as Function), ptr::null_mut())];
    for _ in 0..times {
        for (function, context) in black_box(&bare) {
            function(
                *context,
                black_box(ptr::without_provenance_mut(1)),
                black_box(ptr::without_provenance_mut(2)),
            );
        }
    }
}

fn ring(bell: &Bell<'_>, times: u64) {
    for _ in 0..times {
        bell.notify(black_box(1), black_box(2));
    }
}

/// Nanoseconds per operation of `threads` threads together, which begin at once.
fn together(threads: usize, times: u64, operation: &(impl Fn(u64) + Sync)) -> f64 {
    let gate = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    operation(1);
                    gate.wait();
                    operation(times);
                })
            })
            .collect();
        gate.wait();
        let start = Instant::now();
        running.into_iter().for_each(|thread| thread.join().expect("a thread"));
        start.elapsed().as_nanos() as f64 / (times * threads as u64) as f64
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn two_threads() {
    const TIMES: u64 = 1_000_000;
    let (swift, reference) = (boot(Protocol::Swift), boot(Protocol::Reference));
    let (fast, slow) = (bell(&swift, 1), bell(&reference, 1));
    let mut figures: [Vec<f64>; 6] = Default::default();
    for _ in 0..31 {
        for (index, threads) in [1, 2].into_iter().enumerate() {
            figures[index].push(together(threads, TIMES, &by_hand));
            figures[2 + index].push(together(threads, TIMES, &|times| ring(&fast, times)));
            figures[4 + index].push(together(threads, TIMES / 10, &|times| ring(&slow, times)));
        }
    }
    let [hand1, hand2, swift1, swift2, reference1, reference2] = figures.map(median);
    println!(
        "two threads on one object, one routine that writes nothing shared; ns per call, all threads together"
    );
    println!("{:>10} {:>10} {:>11} {:>6}", "", "one thread", "two threads", "gain");
    for (name, one, two) in
        [("bare loop", hand1, hand2), ("Swift", swift1, swift2), ("Reference", reference1, reference2)]
    {
        println!("{name:>10} {one:>10.2} {two:>11.2} {:>6.2}", one / two);
    }
    println!("Swift: {:.1} times the throughput of Reference in two threads;", reference2 / swift2);
    println!("its gain is {:.2} of the bare loop's\n", (swift1 / swift2) / (hand1 / hand2));
}

fn disturbed() {
    println!(
        "notify while another thread registers and unregisters, 20 us between its rounds; against undisturbed"
    );
    for routines in [1_usize, 16] {
        let nt = boot(Protocol::Swift);
        let (still, restless) = (bell(&nt, routines), bell(&nt, routines));
        let (stop, run) = (AtomicBool::new(false), AtomicBool::new(false));
        let rounds = AtomicU64::new(0);
        let comparison = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if run.load(Ordering::Relaxed) {
                        drop(restless.register_fn(|_, _| ()).expect("a registration"));
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                    let pause = Instant::now();
                    while pause.elapsed() < Duration::from_micros(20) {
                        std::hint::spin_loop();
                    }
                }
            });
            let comparison = compare(
                201,
                Duration::from_millis(2),
                |times| ring(&still, times),
                |times| {
                    run.store(true, Ordering::Relaxed);
                    ring(&restless, times);
                    run.store(false, Ordering::Relaxed);
                },
            );
            stop.store(true, Ordering::Relaxed);
            comparison
        });
        println!("{routines:>10} {comparison}   ({} rounds)", rounds.load(Ordering::Relaxed));
    }
    println!();
}

fn unregister() {
    println!("register and unregister, nobody inside, by the number of notifier records; us per pair");
    for records in [1_usize, 4, 16, 64, 256] {
        let nt = boot(Protocol::Swift);
        let bell = bell(&nt, 1);
        let gate = Barrier::new(records);
        thread::scope(|scope| {
            for _ in 1..records {
                scope.spawn(|| {
                    bell.notify(0, 0);
                    gate.wait();
                });
            }
            bell.notify(0, 0);
            gate.wait();
        });
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..51 {
            let start = Instant::now();
            for _ in 0..100 {
                drop(bell.register_fn(|_, _| ()).expect("a registration"));
            }
            times.push(start.elapsed().as_nanos() as f64 / 100_000.0);
        }
        println!("{records:>10} {:>10.2}", median(times));
    }
}

fn main() {
    println!("the executive embedded, {}\n", processor());
    two_threads();
    disturbed();
    unregister();
}
