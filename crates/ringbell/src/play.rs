//! A run from beginning to end: drivers loaded in order, actions played, drivers unloaded in reverse.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use nt::catalog;
use record::Report;

use crate::{Driver, Machine, Ring};
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
    /// Fails where the machine cannot be had, where an image is refused, where an action names an object that does not
    /// exist, and where the dump cannot be written. What happened until then is in the error's report; the drivers that
    /// were loaded have been asked to leave all the same.
    pub fn run(self) -> Result<Report, Stopped> {
        let named = |error: io::Error| {
            let path = self.dump.as_deref().unwrap_or(Path::new("")).display();
            MachineError::Write(io::Error::new(error.kind(), format!("`{path}`: {error}")))
        };
        let mut dump = self.dump.as_ref().map(File::create).transpose().map_err(named)?;
        let played = Machine::boot(self.config.clone()).map(|mut machine| {
            let done = self.play(&mut machine, dump.as_mut());
            (done, machine.finish())
        });
        if let Some(path) = &self.dump
            && dump.is_none_or(|file| file.metadata().map_or(0, |facts| facts.len()) == 0)
        {
            std::fs::remove_file(path).map_err(named)?;
        }
        match played? {
            (Ok(()) | Err(MachineError::Ended), report) => Ok(report),
            (Err(error), report) => Err(Stopped { error, report: Some(Box::new(report)) }),
        }
    }

    fn play(&self, machine: &mut Machine, dump: Option<&mut File>) -> Result<(), MachineError> {
        let mut loaded = Vec::new();
        let done = self.load_and_act(machine, &mut loaded, dump);
        if !self.keep_loaded {
            for driver in loaded.iter().rev() {
                machine.unload(driver)?;
            }
        }
        done
    }

    fn load_and_act(
        &self,
        machine: &mut Machine,
        loaded: &mut Vec<Driver>,
        dump: Option<&mut File>,
    ) -> Result<(), MachineError> {
        for (name, image) in &self.drivers {
            let driver = machine.load(name, image)?;
            if driver.status.is_success() {
                loaded.push(driver);
            }
        }
        for action in &self.actions {
            match action {
                Action::Ring(ring) => machine.ring(ring)?,
                Action::Event(event) => machine.event(event)?,
            }
        }
        dump.map_or(Ok(()), |file| machine.dump(&mut BufWriter::new(file)))
    }
}

/// A run that was stopped by something that is not the drivers' doing.
#[derive(Debug)]
pub struct Stopped {
    /// What stopped it.
    pub error: MachineError,
    /// What happened until then, where there was a machine.
    pub report: Option<Box<Report>>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<MachineError> for Stopped {
    fn from(error: MachineError) -> Self {
        Self { error, report: None }
    }
}
