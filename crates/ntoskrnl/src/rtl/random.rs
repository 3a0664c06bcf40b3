//! Pseudorandom numbers.
//!
//! Both routines are documented as a uniform generator over `0..=MAXLONG-1` after D. H. Lehmer, with the state in the caller's seed.
//! `RtlRandomEx` shuffles through a table that the whole system shares; here it does not, so that what a driver draws depends on its
//! seed alone.

use crate::guest::Guest;
use crate::kernel::Kernel;

/// Advances the seed and returns it.
pub(crate) fn RtlRandom(_: &Kernel, seed: Guest<u32>) -> u32 {
    let next = (u64::from(seed.read()) * 0x7FFF_FFED + 0x7FFF_FFC3) % 0x7FFF_FFFF;
    seed.write(next as u32);
    next as u32
}

/// Advances the seed twice and returns the outcome.
pub(crate) fn RtlRandomEx(k: &Kernel, seed: Guest<u32>) -> u32 {
    RtlRandom(k, seed);
    RtlRandom(k, seed)
}
