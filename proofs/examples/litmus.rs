//! Counts the forbidden outcome of the store-buffer litmus test: with no barrier on the heavy side, with one that reaches nobody else, and
//! with `membarrier`, which must never show it.
//!
//! Run with `cargo run --release -p ringbell-proofs --example litmus -- [INSTANCES]`, by default 10⁹. Exits with 1 where
//! `membarrier` shows it or where nothing else does.

#[path = "../../crates/executive/examples/threads/membarrier.rs"]
mod membarrier;

use std::process::ExitCode;
use std::time::Instant;

use ringbell_proofs::litmus::{self, INSTANCES, Tally};

fn report(what: &str, run: impl FnOnce() -> Tally) -> Tally {
    let start = Instant::now();
    let tally = run();
    println!(
        "{what:<44} {:>13} instances in {:>9} batches, {:>9} of them overlapped: {:>9} forbidden, {:.0} s",
        tally.instances(),
        tally.batches,
        tally.overlapped,
        tally.forbidden,
        start.elapsed().as_secs_f64(),
    );
    tally
}

fn main() -> ExitCode {
    let wanted =
        std::env::args().nth(1).map_or(Ok(1_000_000_000), |text| text.replace('_', "").parse::<u64>());
    let Ok(wanted) = wanted else {
        eprintln!("litmus: the number of instances is not a number");
        return ExitCode::FAILURE;
    };
    let batches = wanted.div_ceil(INSTANCES as u64);
    let control = batches.min(20_000);
    if !membarrier::register() {
        eprintln!("litmus: this system has no `membarrier`");
        return ExitCode::FAILURE;
    }
    let controls = [
        report("no barrier", || litmus::run(|| (), |tally| tally.batches == control)),
        report("a fence on the heavy side only", || {
            litmus::run(litmus::own_fence, |tally| tally.batches == control)
        }),
    ];
    let found = report("`membarrier`", || litmus::run(membarrier::issue, |tally| tally.batches == batches));
    if found.forbidden != 0 {
        eprintln!("litmus: `membarrier` does not keep the light side in order here");
        return ExitCode::FAILURE;
    }
    if controls.iter().any(|control| control.forbidden == 0) {
        eprintln!(
            "litmus: nothing was shown, because the outcome does not appear without the barrier either"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
