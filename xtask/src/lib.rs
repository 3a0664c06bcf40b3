//! Chores of the project that are not part of the product: rebuilding the bundled drivers and comparing them with what is committed.
//!
//! The binary is a thin `match` over these modules, so that tests reach the same code.

pub mod callgrind;
pub mod drivers;
pub mod manifest;
pub mod pe;
pub mod toolchain;

use std::fmt;
use std::path::PathBuf;

/// Holds what went wrong and what to do about it; printed as one lowercase sentence and a `hint:` line.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: Option<String>,
}

impl Failure {
    /// Makes a failure without a next step.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Returns the root of the workspace, whatever the current folder is.
#[must_use]
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Reads a whole file, naming it where that fails.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}

/// Writes a whole file, naming it where that fails.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))
}
