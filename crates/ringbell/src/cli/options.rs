//! Options that several commands share.

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
