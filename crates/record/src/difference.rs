//! What differs between two memory images.

use alloc::string::String;
use alloc::vec::Vec;

/// What became of something from the first image to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Change {
    /// Only the second image has it.
    Added,
    /// Only the first image has it.
    Removed,
    /// Another one stands in its place.
    Replaced,
    /// The same one, and something about it differs.
    Changed,
}

impl Change {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Changed => "changed",
        }
    }
}

/// A listener that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListenerChange {
    /// What became of it.
    pub change: Change,
    /// The routine in the first image: `module+offset`, or its address.
    pub before: Option<String>,
    /// The routine in the second image.
    pub after: Option<String>,
    /// Address of the registration in the first image.
    pub registration_before: Option<u64>,
    /// Address of the registration in the second image.
    pub registration_after: Option<u64>,
    /// What differs, one lowercase sentence; may be empty.
    pub what: String,
}

/// An object that differs, or whose listeners do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObjectChange {
    /// What became of it.
    pub change: Change,
    /// Name to show.
    pub name: String,
    /// Address of the body in the first image.
    pub address_before: Option<u64>,
    /// Address of the body in the second image.
    pub address_after: Option<u64>,
    /// What differs about the object itself, one lowercase sentence each.
    pub what: Vec<String>,
    /// Listeners that differ; all of them where the object was added or removed.
    pub listeners: Vec<ListenerChange>,
}

/// Whether two images are of one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Boots {
    /// They are.
    Same,
    /// They are not.
    Different,
    /// They do not tell.
    Unknown,
}

/// Two images compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Difference {
    /// Version of this form.
    pub schema: u32,
    /// Name of the first image.
    pub before: String,
    /// Name of the second image.
    pub after: String,
    /// Whether both images are of one boot, as far as they tell.
    pub boots: Boots,
    /// How that is known, or why it is not, as a clause.
    pub boots_because: String,
    /// Addresses are compared: both images are of one boot; or that cannot be told, and they look so, because the kernel and most objects lie where
    /// they lay.
    pub same_boot: bool,
    /// Objects of each image.
    pub objects: (u64, u64),
    /// Objects that are the same in both.
    pub unchanged: u64,
    /// What differs, by name.
    pub changes: Vec<ObjectChange>,
    /// What to keep in mind: builds that differ, partial images.
    pub notes: Vec<String>,
    /// Why something may be missing in the comparison; empty if both images were read completely.
    pub partial: Vec<String>,
}

impl Difference {
    /// The version of the form that this crate writes.
    pub const SCHEMA: u32 = 1;

    /// Counts the objects with a change.
    pub fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|it| it.change == change).count()
    }
}
