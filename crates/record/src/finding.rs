//! What the rules say about a run.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Number of a rule; displays as `RB004`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct RuleId(pub u16);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RB{:03}", self.0)
    }
}

impl core::str::FromStr for RuleId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("RB").or_else(|| text.strip_prefix("rb"));
        match digits.filter(|digits| digits.len() == 3).and_then(|digits| digits.parse().ok()) {
            Some(number) => Ok(Self(number)),
            None => Err(alloc::format!("`{text}` is not a rule (rules look like `RB004`)")),
        }
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        alloc::format!("{id}")
    }
}

impl TryFrom<String> for RuleId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How bad a finding is. The exit code turns 1 from `Warning` up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Severity {
    /// Worth knowing; does not change the exit code.
    Note,
    /// Wrong, though Windows goes on.
    Warning,
    /// Wrong, and Windows crashes or misbehaves because of it.
    Error,
}

/// One thing that must not happen and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Finding {
    /// Which rule.
    pub rule: RuleId,
    /// The rule's slug: `registration-left-at-unload`.
    pub slug: String,
    /// How bad.
    pub severity: Severity,
    /// File name of the driver it concerns.
    pub driver: Option<String>,
    /// What happened, where and when it was made: one lowercase sentence.
    pub message: String,
    /// What real Windows would do.
    pub windows: String,
    /// What to change.
    pub fix: String,
    /// Code address it points at.
    pub at: Option<u64>,
    /// Call stack of the driver there, as in [`Event::stack`](crate::Event::stack).
    pub stack: Vec<u64>,
    /// Sequence numbers of the events that show it.
    pub evidence: Vec<u64>,
}
