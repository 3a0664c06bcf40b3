//! The store-buffer litmus test with `membarrier`, in short: the example `litmus` runs it a billion times.
#![cfg(target_os = "linux")]

#[path = "../../crates/executive/examples/threads/membarrier.rs"]
mod membarrier;

use ringbell_proofs::litmus::{self, Tally};

/// Overlapped batches after which the forbidden outcome must have shown where nothing prevents it. It shows in one of ten.
const PATIENCE: u64 = 20_000;

fn shown(heavy: impl Fn()) -> Tally {
    litmus::run(heavy, |tally| tally.forbidden != 0 || tally.overlapped >= PATIENCE)
}

#[test]
fn membarrier_keeps_the_light_side_in_order_and_nothing_less_does() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 || !membarrier::register() {
        assert!(std::env::var_os("RINGBELL_REQUIRE_ALL").is_none(), "needs two processors and `membarrier`");
        println!("skipped: needs two processors and `membarrier`");
        return;
    }
    for unsound in [shown(|| ()), shown(litmus::own_fence)] {
        assert_ne!(
            unsound.forbidden, 0,
            "the outcome never appears, so its absence says nothing: {unsound:?}"
        );
    }
    let tally = litmus::run(membarrier::issue, |tally| tally.overlapped >= 300);
    assert_eq!(tally.forbidden, 0, "{tally:?}");
}
