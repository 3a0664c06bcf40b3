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
    let Some(name) = name else { return Ok(Profile::DEFAULT) };
    Profile::by_name(name).ok_or_else(|| {
        let known: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
        Failure::unknown("profile", name, known.iter().copied(), &format!("profiles: {}", known.join(", ")))
    })
}
