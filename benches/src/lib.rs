//! Measuring two ways of doing a thing against each other.
//!
//! Machines are shared and noisy, and their speed drifts within seconds. So neither side is timed alone: both run in
//! turn, in slices short enough that a drift hits both, and what is reported is the ratio, slice by slice.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::{Duration, Instant};

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Time per operation, median over the slices, in nanoseconds.
    pub nanoseconds: f64,
}

/// Both sides, and their ratio.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The yardstick.
    pub base: Side,
    /// What is measured against it.
    pub other: Side,
    /// Median of the ratios other / base.
    pub ratio: f64,
    /// 10th and 90th percentile of the ratios.
    pub band: (f64, f64),
    /// How many pairs of slices.
    pub pairs: usize,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>10.2} {:>10.2} {:>8.2} {:>7.2} - {:<7.2}",
            self.base.nanoseconds, self.other.nanoseconds, self.ratio, self.band.0, self.band.1
        )
    }
}

/// Runs both sides in turn. Each closure performs its operation the given number of times; the count is chosen so that
/// a slice takes about `slice`.
pub fn compare(
    pairs: usize,
    slice: Duration,
    mut base: impl FnMut(u64),
    mut other: impl FnMut(u64),
) -> Comparison {
    let base_count = calibrate(slice, &mut base);
    let other_count = calibrate(slice, &mut other);
    let mut base_times = Vec::with_capacity(pairs);
    let mut other_times = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        // The order alternates, so that neither side always runs in the other's wake.
        if pair % 2 == 0 {
            base_times.push(time(base_count, &mut base));
            other_times.push(time(other_count, &mut other));
        } else {
            other_times.push(time(other_count, &mut other));
            base_times.push(time(base_count, &mut base));
        }
    }
    let mut ratios: Vec<f64> =
        base_times.iter().zip(&other_times).map(|(base, other)| other / base).collect();
    Comparison {
        base: Side { nanoseconds: percentile(&mut base_times, 50) },
        other: Side { nanoseconds: percentile(&mut other_times, 50) },
        ratio: percentile(&mut ratios, 50),
        band: (percentile(&mut ratios, 10), percentile(&mut ratios, 90)),
        pairs,
    }
}

/// Finds how many operations fill a slice.
fn calibrate(slice: Duration, operation: &mut impl FnMut(u64)) -> u64 {
    let mut count = 1;
    loop {
        let start = Instant::now();
        operation(count);
        let taken = start.elapsed();
        if taken >= slice || count >= 1 << 40 {
            return count;
        }
        count = if taken * 8 < slice { count * 8 } else { count * 2 };
    }
}

/// Nanoseconds per operation.
fn time(count: u64, operation: &mut impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    operation(count);
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Returns the value below which `percent` of `values` lie. Sorts them.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

/// Returns the processor's name, for the heading of a table.
pub fn processor() -> String {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown processor".into(), |(_, name)| name.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_values() {
        let mut values = vec![5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(percentile(&mut values, 50), 3.0);
        assert_eq!(percentile(&mut values, 0), 1.0);
        assert_eq!(percentile(&mut values, 100), 5.0);
    }

    #[test]
    fn both_sides_run_in_every_pair() {
        let (mut base, mut other) = (0, 0);
        let comparison = compare(3, Duration::ZERO, |_| base += 1, |_| other += 1);
        assert_eq!((base, other, comparison.pairs), (4, 4, 3));
    }
}
