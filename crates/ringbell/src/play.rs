//! A run from beginning to end: drivers loaded in order, actions played, drivers unloaded in reverse.

use nt::catalog;
use record::Report;

use crate::{Machine, Ring};
use ::machine::{Config, MachineError};

/// Something to do between loading and unloading.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ring an object.
    Ring(Ring),
    /// Play an event of Windows.
    Event(&'static catalog::Event),
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Play {
    /// Settings of the machine.
    pub config: Config,
    /// Drivers in load order: file name and image.
    pub drivers: Vec<(String, Vec<u8>)>,
    /// What to do once they are loaded.
    pub actions: Vec<Action>,
    /// Whether the drivers stay loaded at the end. There is no departure audit then.
    pub keep_loaded: bool,
}

impl Play {
    /// Plays it. A driver whose `DriverEntry` fails is out of the run, and the others go on, as on Windows; a
    /// machine that dies ends the run, and the report tells how.
    ///
    /// # Errors
    ///
    /// Fails where the machine cannot be had, where an image is refused, and where an action names an object that does not
    /// exist. Nothing is lost: the error names the step.
    pub fn run(self) -> Result<Report, MachineError> {
        let mut machine = Machine::boot(self.config)?;
        let mut loaded = Vec::new();
        for (name, image) in &self.drivers {
            let Some(driver) = alive(machine.load(name, image))? else { return Ok(machine.finish()) };
            if driver.status.is_success() {
                loaded.push(driver);
            }
        }
        for action in &self.actions {
            let done = match action {
                Action::Ring(ring) => machine.ring(ring),
                Action::Event(event) => machine.event(event),
            };
            if alive(done)?.is_none() {
                return Ok(machine.finish());
            }
        }
        if !self.keep_loaded {
            for driver in loaded.iter().rev() {
                if alive(machine.unload(driver))?.is_none() {
                    break;
                }
            }
        }
        Ok(machine.finish())
    }
}

/// Tells a machine that died, which is a result, from one that refused, which is an error.
fn alive<T>(result: Result<T, MachineError>) -> Result<Option<T>, MachineError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MachineError::Ended) => Ok(None),
        Err(error) => Err(error),
    }
}
