//! `ringbell demo`: the bundled pair of drivers. One creates a callback object and listens, the other rings it.

use clap::Args;
use ringbell::bundled;
use ringbell::scenario::{DriverImage, Scenario};

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
    let drivers = [bundled::LISTENER, bundled::RINGER];
    let scenario = Scenario::of(drivers.map(|driver| DriverImage::new(driver.name, driver.image)));
    super::run::play(&scenario, arguments.format)
}
