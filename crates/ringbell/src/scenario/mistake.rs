//! What is wrong with a scenario, or with words of the command line that become one: a sentence, a place, the next step.

use std::fmt;

use crate::near;

/// Characters of an unknown name that are worth repeating.
const SHOWN: usize = 120;

/// Something that cannot be meant.
///
/// Displays as its sentence and, where it is known, the place: file, line and column, the line itself, and a caret under
/// the words that are wrong. [`Mistake::hint`] is the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    message: String,
    hint: String,
    pub(super) excerpt: Option<Excerpt>,
}

/// Where in a scenario file something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: std::sync::Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A place with the line's text and the words that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) place: Place,
    /// Column, from 1, in characters.
    pub(super) column: usize,
    /// The line, or a window of a long one, without anything that moves the cursor.
    pub(super) text: String,
    /// Characters of it before the words, and in them.
    pub(super) caret: (usize, usize),
}

impl Mistake {
    /// Says what is wrong, and the next step.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), excerpt: None }
    }

    /// Says that a name is not known, and names the nearest one that is.
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
        otherwise: &str,
    ) -> Self {
        if name.is_empty() {
            return Self::new(format!("the {what} is empty"), otherwise);
        }
        let shown: String = name.chars().take(SHOWN).collect();
        let more = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
        let message = format!("unknown {what} `{}{more}`", printable(&shown));
        match near::nearest(name, known) {
            Some(near) => Self::new(message, format!("did you mean `{near}`? {otherwise}")),
            None => Self::new(message, otherwise),
        }
    }

    /// Returns the sentence alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the next step.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(Excerpt { place, column, text, caret: (before, under) }) = &self.excerpt else {
            return Ok(());
        };
        let number = place.line.to_string();
        let width = number.len();
        write!(f, "\n{:width$}--> {place}:{column}", "")?;
        write!(f, "\n{:width$} |\n{number} | {text}\n{:width$} | ", "", "")?;
        write!(f, "{:before$}{:^<under$}", "", "^")
    }
}

impl std::error::Error for Mistake {}

impl From<crate::BadRing> for Mistake {
    fn from(bad: crate::BadRing) -> Self {
        Self::new(bad.to_string(), bad.hint())
    }
}

/// Makes control characters visible, so that no text can move the cursor or fake a line.
pub fn printable(text: &str) -> String {
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
