//! Options that several commands share.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use nt::Profile;

use super::Failure;

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // For people. No documentation comments here: clap would make a list of them in every help text.
    #[default]
    Text,
    // For programs.
    Json,
}

/// Finds the version profile named by `--os`, or the default one.
pub(super) fn profile(name: Option<&str>) -> Result<&'static Profile, Failure> {
    match name {
        None => Ok(Profile::DEFAULT),
        Some(name) => Ok(ringbell::scenario::profile(name)?),
    }
}

/// Reads a whole number.
pub(super) fn number(text: &str) -> Result<u64, String> {
    within(text, 0)
}

fn within(text: &str, least: u64) -> Result<u64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it takes a whole number, such as `1000`".into());
    }
    let number = text.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("it takes a number from {least} to {}", u64::MAX))
}

/// Reads a number of which there is at least one.
pub(super) fn count(text: &str) -> Result<NonZeroUsize, String> {
    let number = usize::try_from(within(text, 1)?).unwrap_or(usize::MAX);
    Ok(NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN))
}
