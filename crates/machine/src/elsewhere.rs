//! Platforms that cannot run drivers.

use record::{Event, Snapshot, UnloadOutcome};

use crate::{Config, Done, MachineError, Member, Outcome};

/// A machine that cannot be had on this platform: [`Machine::boot`] always fails.
#[derive(Debug)]
pub enum Machine {}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "documented on the platform that has machines")]
impl Machine {
    pub fn boot(_config: Config) -> Result<Self, MachineError> {
        Err(MachineError::Unsupported)
    }

    pub fn config(&self) -> &Config {
        match *self {}
    }

    pub fn build(&self) -> u32 {
        match *self {}
    }

    pub fn process_id(&self) -> u32 {
        match *self {}
    }

    pub fn events(&self) -> &[Event] {
        match *self {}
    }

    pub fn has_ended(&self) -> bool {
        match *self {}
    }

    pub fn keep_remains(&mut self) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn name_run(&mut self, _name: u64) {
        match *self {}
    }

    pub fn has_remains(&self) -> bool {
        match *self {}
    }

    pub fn never_fork(&mut self) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn step(&mut self, _text: &str) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn advance(&mut self, _ticks: u64) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn snapshot(&mut self) -> Result<Snapshot, MachineError> {
        match *self {}
    }

    pub fn dump(
        &mut self,
        _form: crate::dump::Form,
        _out: &mut impl std::io::Write,
    ) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn notify(
        &mut self,
        _object: &str,
        _argument1: u64,
        _argument2: u64,
        _irql: u8,
    ) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn event(&mut self, _name: &str) -> Result<(), MachineError> {
        match *self {}
    }

    pub fn load(&mut self, _name: &str, _image: &[u8]) -> Result<(String, u32), MachineError> {
        match *self {}
    }

    pub fn unload(&mut self, _driver: &str) -> Result<UnloadOutcome, MachineError> {
        match *self {}
    }

    pub fn parallel(&mut self, _members: &[Member<'_>]) -> Result<Vec<Done>, MachineError> {
        match *self {}
    }

    pub fn finish(self) -> Outcome {
        match self {}
    }

    pub fn into_base(self) -> Base {
        match self {}
    }
}

/// A machine that cannot be had on this platform, and cannot be forked.
#[derive(Debug)]
pub enum Base {}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "documented on the platform that has machines")]
impl Base {
    pub fn fork(&mut self, _config: Config) -> Result<Machine, MachineError> {
        match *self {}
    }

    pub fn config(&self) -> &Config {
        match *self {}
    }

    pub fn process_id(&self) -> u32 {
        match *self {}
    }

    pub fn into_machine(self) -> Machine {
        match self {}
    }
}

/// Ctrl-C, which ends the program here as it always does.
pub mod interrupt {
    /// Does nothing.
    ///
    /// # Errors
    ///
    /// Never fails.
    pub fn catch() -> std::io::Result<()> {
        Ok(())
    }

    /// Returns that no signal was caught.
    pub fn caught() -> Option<i32> {
        None
    }
}
