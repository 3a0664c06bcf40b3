//! What the machine costs a driver: one export call, with and without a trace, a switch between two threads, and a pool block.
//!
//! The driver `bench-work` does the work; both sides of each line run in machines of the same process, in turn. Run with
//! `cargo bench -p ringbell-benches --bench machine`.

use std::path::Path;
use std::time::Duration;

use ringbell::{Config, Machine, Ring};
use ringbell_benches::{Comparison, compare, processor};

/// Kinds of work, as the driver numbers them.
const LOOP: u64 = 0;
const CALL: u64 = 1;
const PING_PONG: u64 = 2;
const FOUR_CALLS: u64 = 3;
const POOL: u64 = 4;

fn main() {
    println!("machine: what driver code pays, {}", processor());
    println!(
        "\nnanoseconds each; median of pairs of slices\n{:<44} {:>10} {:>10} {:>8}   10 - 90 %",
        "", "one", "other", "ratio"
    );
    let [mut plain, mut other] = [false, false].map(machine);
    line("turn of an empty loop, export call", &pair(&mut plain, LOOP, &mut other, CALL, 2));
    let mut traced = machine(true);
    line("export call, the same traced", &pair(&mut plain, CALL, &mut traced, CALL, 1));
    line("export call, allocating and freeing a block", &pair(&mut plain, CALL, &mut other, POOL, 2));
    let switch = pair(&mut plain, FOUR_CALLS, &mut other, PING_PONG, 2);
    line("four calls, four calls with two switches", &switch);
    let each = (switch.other.nanoseconds - switch.base.nanoseconds) / 2.0;
    println!(
        "\na switch between two threads: {each:.0} ns, {:.2} times four calls",
        each / switch.base.nanoseconds
    );
}

fn machine(trace_exports: bool) -> Machine {
    let config = Config {
        trace_exports,
        event_limit: u64::MAX,
        timeout: Duration::from_secs(600),
        ..Config::default()
    };
    let mut machine = Machine::boot(config).unwrap_or_else(|error| panic!("{error}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/bin/bench-work.sys");
    let image = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    machine.load("bench-work.sys", &image).unwrap_or_else(|error| panic!("{error}"));
    machine
}

/// Has work done so many times. That it is asked for costs one ring, which hardly counts.
fn work(machine: &mut Machine, kind: u64, times: u64) {
    let ring: Ring = format!("BenchWork={kind},{times}").parse().unwrap_or_else(|error| panic!("{error}"));
    machine.ring(&ring).unwrap_or_else(|error| panic!("{error}"));
}

fn pair(one: &mut Machine, first: u64, other: &mut Machine, second: u64, milliseconds: u64) -> Comparison {
    compare(
        101,
        Duration::from_millis(milliseconds * 2),
        |times| work(one, first, times),
        |times| work(other, second, times),
    )
}

fn line(what: &str, comparison: &Comparison) {
    println!(
        "{what:<44} {:>10.1} {:>10.1} {:>8.2}   {:.2} - {:.2}",
        comparison.base.nanoseconds,
        comparison.other.nanoseconds,
        comparison.ratio,
        comparison.band.0,
        comparison.band.1
    );
}
