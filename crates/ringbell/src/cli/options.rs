//! Options that several commands share.

use std::num::{IntErrorKind, NonZeroUsize, ParseIntError};

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

/// Reads a whole number that is not 0.
pub(super) fn positive(text: &str) -> Result<u64, String> {
    within(text, 1)
}

fn within(text: &str, least: u64) -> Result<u64, String> {
    let number = whole(text)?.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("it takes a number from {least} to {}", u64::MAX))
}

/// Returns the text where it is a whole number, of any size.
fn whole(text: &str) -> Result<&str, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it takes a whole number, such as `1000`".into());
    }
    Ok(text)
}

/// Reads a number of machines. There is at least one, and one too many is no mistake: fewer are used.
pub(super) fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    whole(text)?.parse().or_else(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => Ok(NonZeroUsize::MAX),
        _ => Err(format!("it takes a number from 1 on; {} is the most used", ringbell::explore::most_jobs())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_names_the_numbers_that_it_takes() {
        assert_eq!((number("0"), positive("1")), (Ok(0), Ok(1)));
        for (said, least) in [(number("-3"), 0), (positive("-3"), 1), (positive("0"), 1)] {
            assert_eq!(said, Err(format!("it takes a number from {least} to 18446744073709551615")));
        }
        assert_eq!(jobs("3"), Ok(NonZeroUsize::new(3).unwrap()));
        assert_eq!(jobs("99999999999999999999"), Ok(NonZeroUsize::MAX));
        let most = ringbell::explore::most_jobs();
        for text in ["0", "-0", "-3", "-99999999999999999999"] {
            assert_eq!(
                jobs(text),
                Err(format!("it takes a number from 1 on; {most} is the most used")),
                "{text}"
            );
        }
        for text in ["", "-", "many", "+1", "1.5"] {
            assert!(jobs(text).is_err_and(|error| error.starts_with("it takes a whole number")), "{text}");
        }
    }
}
