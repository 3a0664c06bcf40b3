//! What a debugger's log says about callback objects, read back.

use alloc::string::String;
use alloc::vec::Vec;

/// The name an attempt asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum AskedName {
    /// `ObjectName` was NULL.
    Unnamed,
    /// This path, spelled as the caller spelled it.
    Path(String),
    /// The debugger could not read it; its words.
    Unreadable(String),
}

impl AskedName {
    /// Returns the path, where there is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Path(path) => Some(path),
            Self::Unnamed | Self::Unreadable(_) => None,
        }
    }
}

/// What an attempt came to, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum AttemptVerdict {
    /// A new named object.
    Created,
    /// A new object without a name.
    Unnamed,
    /// An object that was there.
    Opened,
    /// Nothing.
    Failed,
    /// The log and the catalog do not decide it.
    Unknown,
}

impl AttemptVerdict {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unnamed => "unnamed",
            Self::Opened => "opened",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Where the `UNICODE_STRING` of an attempt lay, judged by its address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum NamePlace {
    /// Nowhere: there was no name, or no address was logged.
    None,
    /// In the range that Windows gives to images: a static string of a module.
    Image,
    /// Elsewhere in kernel space: a stack, or pool.
    StackOrPool,
    /// Below kernel space.
    User,
}

/// One call of `ExCreateCallback` that a log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceAttempt {
    /// Position among the attempts of its log, from 1.
    pub number: u32,
    /// Line of the log, from 1.
    pub line: u32,
    /// Name asked for.
    pub name: AskedName,
    /// Address of the `UNICODE_STRING`, where it was logged and is not NULL.
    pub name_at: Option<u64>,
    /// Where that address lies.
    pub place: NamePlace,
    /// The latest earlier attempt whose string lay at the same address: the same stack slot used again (a loop, or calls
    /// from one place), or the same static string.
    pub same_slot_as: Option<u32>,
    /// `OBJECT_ATTRIBUTES.Attributes`, where logged.
    pub attributes: Option<u32>,
    /// The `Create` argument, where logged.
    pub create: Option<bool>,
    /// The `AllowMultipleCallbacks` argument, where logged.
    pub multiple: Option<bool>,
    /// Status the call returned, where logged.
    pub status: Option<u32>,
    /// Who called, where a stack or the breakpoint says so.
    pub caller: Option<String>,
    /// Module whose symbols the debugger looked for just before: probably the caller.
    pub symbols_sought: Option<String>,
    /// What it came to.
    pub verdict: AttemptVerdict,
    /// How far to trust the verdict: `certain`, `high`, `inferred` or `assumed`.
    pub certainty: String,
    /// Why this verdict, one sentence.
    pub why: String,
    /// What the catalog calls the object, where it knows it.
    pub known_as: Option<String>,
}

/// One line of a `!object` directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListedObject {
    /// Line of the log, from 1.
    pub line: u32,
    /// Name of the directory.
    pub directory: String,
    /// Hash bucket.
    pub bucket: Option<u32>,
    /// Address of the body.
    pub address: u64,
    /// Name of the type.
    pub type_name: String,
    /// Name of the object.
    pub name: String,
}

/// What one log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceLog {
    /// Where the log came from.
    pub source: String,
    /// Lines in it.
    pub lines: u32,
    /// The attempts in order.
    pub attempts: Vec<TraceAttempt>,
    /// Objects that directory listings show.
    pub listed: Vec<ListedObject>,
    /// Which hash of names the listing's buckets agree with, where there is one and it does.
    pub hash: Option<String>,
    /// Whether the kernel's own first creations are in the log, so that it covers the boot from the start.
    pub from_boot: bool,
    /// Lines that say nothing about callback objects, by kind.
    pub skipped: Vec<(String, u32)>,
}

impl TraceLog {
    /// Counts the lines that were skipped.
    pub fn skipped_lines(&self) -> u32 {
        self.skipped.iter().map(|(_, count)| count).sum()
    }

    /// Counts the attempts with a verdict.
    pub fn count(&self, verdict: AttemptVerdict) -> usize {
        self.attempts.iter().filter(|attempt| attempt.verdict == verdict).count()
    }
}
