//! A run in the short form: drivers loaded in order, actions played, drivers unloaded in reverse.

use std::path::PathBuf;

use nt::catalog;
use record::Report;

use crate::Ring;
use crate::scenario::{Act, DriverImage, Scenario, Step, Stopped};
use ::machine::Config;

/// Something to do between loading and unloading.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ring an object.
    Ring(Ring),
    /// Play an event of Windows.
    Event(&'static catalog::Event),
}

/// A whole run, where a [`Scenario`] would say no more.
#[derive(Clone, Debug, Default)]
pub struct Play {
    /// Settings of the machine.
    pub config: Config,
    /// Drivers in load order: file name and image.
    pub drivers: Vec<(String, Vec<u8>)>,
    /// What to do once they are loaded.
    pub actions: Vec<Action>,
    /// Where to write the machine as a crash dump, after the last action and before the drivers leave.
    pub dump: Option<PathBuf>,
    /// Whether the drivers stay loaded at the end. There is no departure audit then.
    pub keep_loaded: bool,
}

impl Play {
    /// Plays it.
    ///
    /// # Errors
    ///
    /// As for [`Scenario::run`].
    pub fn run(self) -> Result<Report, Stopped> {
        Scenario::from(self).run()
    }
}

impl From<Play> for Scenario {
    fn from(play: Play) -> Self {
        let loads = play.drivers.into_iter().map(|(name, image)| Act::Load(DriverImage::new(name, image)));
        let acts = play.actions.into_iter().map(|action| match action {
            Action::Ring(ring) => Act::Ring(ring),
            Action::Event(event) => Act::Event(event),
        });
        Self {
            config: play.config,
            steps: loads.chain(acts).map(Step::new).collect(),
            dump: play.dump,
            keep_loaded: play.keep_loaded,
            ..Self::default()
        }
    }
}
