//! A run from beginning to end: drivers loaded in order, actions played, drivers unloaded in reverse.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

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
    /// Where to write the machine as a crash dump, after the last action and before the drivers leave. A machine that
    /// died before leaves no file.
    pub dump: Option<PathBuf>,
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
        let mut file = self.dump.as_ref().map(File::create).transpose().map_err(MachineError::Write)?;
        let report = self.play(file.as_mut());
        let written = file.is_some_and(|file| file.metadata().is_ok_and(|facts| facts.len() > 0));
        if let Some(path) = self.dump.filter(|_| !written) {
            std::fs::remove_file(path).map_err(MachineError::Write)?;
        }
        report
    }

    fn play(&self, dump: Option<&mut File>) -> Result<Report, MachineError> {
        let mut machine = Machine::boot(self.config.clone())?;
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
        if let Some(file) = dump
            && alive(machine.dump(&mut BufWriter::new(file)))?.is_none()
        {
            return Ok(machine.finish());
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
