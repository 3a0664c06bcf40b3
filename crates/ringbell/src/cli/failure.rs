//! Refusals: one lowercase sentence about what and where, and the next step.

use std::fmt;
use std::io::{self, Write as _};

use ringbell::scenario::Mistake;

/// Why a command gives no answer. Always ends in exit code 2.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
}

/// Characters of an unknown name that are worth repeating.
const SHOWN: usize = 120;

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
        if name.is_empty() {
            return Self::new(format!("the {what} is empty")).hint(otherwise);
        }
        let shown: String = name.chars().take(SHOWN).collect();
        let more = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
        let failure = Self::new(format!("unknown {what} `{}{more}`", printable(&shown)));
        match ringbell::near::nearest(name, known) {
            Some(near) => failure.hint(format!("did you mean `{near}`? {otherwise}")),
            None => failure.hint(otherwise),
        }
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

/// Makes control characters visible, so that a name can neither move the cursor nor fake a line.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_debug());
        } else {
            out.push(character);
        }
    }
    out
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
