//! `ringbell demo`: the bundled pair of drivers. One creates a callback object and listens, the other rings it.

use clap::Args;
use ringbell::{Play, bundled};

use super::Failure;
use super::options::Format;
use super::output::Answer;

/// Arguments of `ringbell demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let drivers = [bundled::LISTENER, bundled::RINGER]
        .iter()
        .map(|driver| (driver.name.to_owned(), driver.image.to_vec()))
        .collect();
    let play = Play { drivers, ..Play::default() };
    super::run::play(play, arguments.format, &super::run::Levels::default())
}
