//! Refusals: one lowercase sentence about what and where, and the next step.

use std::fmt;
use std::io::{self, Write as _};

use ringbell::scenario::Mistake;
pub(super) use ringbell::scenario::printable;

/// Why a command gives no answer. Always ends in exit code 2.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds the next step.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Refuses a name that is not known, with the nearest one that is.
    pub(super) fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
        otherwise: &str,
    ) -> Self {
        Mistake::unknown(what, name, known, otherwise).into()
    }

    /// Prints it to stderr; there is nobody to tell where that fails.
    pub(super) fn print(&self) {
        let _ = write!(io::stderr().lock(), "{self}");
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        Self::new(mistake.to_string()).hint(mistake.hint())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}
