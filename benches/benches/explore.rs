//! Schedules per second: the demo pair, loaded, rung, unloaded, audited and judged, in a machine forked off a base each time
//! against a machine booted each time.
//!
//! Aim: 1,000 schedules per second on two processors. Run with `cargo bench -p ringbell-benches --bench explore`.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use ringbell::scenario::DriverImage;
use ringbell::{Config, Ending, Explore, Machine, Report, Scenario, bundled};
use ringbell_benches::{compare, processor};

/// Schedules of one search.
const SCHEDULES: u64 = 2000;

fn main() {
    let drivers = [bundled::LISTENER, bundled::RINGER];
    let scenario =
        Scenario::of(drivers.iter().map(|driver| DriverImage::new(driver.name, driver.image.to_vec())));
    println!("explore: the demo pair, {}", processor());

    let mut base = machine(Config::default()).into_base();
    let seed = std::cell::Cell::new(0);
    let config = || {
        seed.set(seed.get() + 1);
        Config { seed: seed.get(), ..Config::default() }
    };
    let comparison = compare(
        31,
        Duration::from_millis(50),
        |times| (0..times).for_each(|_| check(scenario.run_on(machine(config())))),
        |times| {
            for _ in 0..times {
                let fork = base.fork(config()).unwrap_or_else(|error| panic!("{error}"));
                check(scenario.run_on(fork));
            }
        },
    );
    println!("\nmilliseconds per schedule, one at a time; median of {} pairs", comparison.pairs);
    println!("{:>10} {:>10} {:>8}   10 - 90 %", "booted", "forked", "ratio");
    println!(
        "{:>10.3} {:>10.3} {:>8.3}   {:.3} - {:.3}",
        comparison.base.nanoseconds / 1e6,
        comparison.other.nanoseconds / 1e6,
        comparison.ratio,
        comparison.band.0,
        comparison.band.1
    );

    println!("\nschedules per second, {SCHEDULES} of them\n{:>10} {:>10}", "jobs", "rate");
    let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for jobs in [NonZeroUsize::MIN, all, all.saturating_mul(NonZeroUsize::MIN.saturating_add(1))] {
        let mut explore = Explore::new(scenario.clone());
        (explore.schedules, explore.jobs, explore.keep_going) = (SCHEDULES, jobs, true);
        let start = Instant::now();
        let found = explore.run(|_| ()).unwrap_or_else(|stopped| panic!("{stopped}"));
        assert!(found.finds.is_empty(), "{:?}", found.finds[0].complaint);
        println!("{jobs:>10} {:>10.0}", SCHEDULES as f64 / start.elapsed().as_secs_f64());
    }
}

fn machine(config: Config) -> Machine {
    Machine::boot(config).unwrap_or_else(|error| panic!("{error}"))
}

fn check(done: Result<Report, ringbell::Stopped>) {
    let report = done.unwrap_or_else(|stopped| panic!("{stopped}"));
    assert_eq!(report.ending, Ending::Finished);
}
