//! What the catalog says about an object.

use core::fmt;

use super::Structure;
use crate::{Irql, Profile};

/// How far to trust a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Nobody has found out; the value used is a choice of this project.
    Assumed,
    /// Follows from other facts, but was not observed itself.
    Inferred,
    /// Read in one decompiled build, or reported by one careful source.
    High,
    /// Two independent sources agree, or Microsoft documents it.
    Certain,
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Assumed => "assumed",
            Self::Inferred => "inferred",
            Self::High => "high",
            Self::Certain => "certain",
        })
    }
}

/// Where a statement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Microsoft's driver documentation and headers.
    Documentation,
    /// Symbol names in public PDB files of the kernel.
    Symbols,
    /// Decompilations of shipped x64 kernels, Windows 8.1 to builds after 24H2.
    Kernel,
    /// Decompilation of an in-box driver.
    Driver(&'static str),
    /// The ReactOS project's tests and sources, read for behavior.
    ReactOs,
    /// The research repository `0xcpu/ExecutiveCallbackObjects`, made on Windows 10 20H1.
    Research,
    /// The blog post "Kernel Callback Internals" of August 2025.
    Blog,
    /// The boot trace published with that post: a breakpoint on `nt!ExCreateCallback`.
    BootTrace,
    /// Headers that a vendor publishes with its driver.
    VendorHeaders(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documentation => f.write_str("Microsoft driver documentation"),
            Self::Symbols => f.write_str("public kernel symbols"),
            Self::Kernel => f.write_str("decompilation of shipped x64 kernels"),
            Self::Driver(name) => write!(f, "decompilation of {name}"),
            Self::ReactOs => f.write_str("ReactOS tests and behavior"),
            Self::Research => f.write_str("github.com/0xcpu/ExecutiveCallbackObjects (Windows 10 20H1)"),
            Self::Blog => f.write_str("blog post \"Kernel Callback Internals\", 2025"),
            Self::BootTrace => f.write_str("debugger trace of one boot, 76 calls of ExCreateCallback"),
            Self::VendorHeaders(vendor) => write!(f, "headers published by {vendor}"),
        }
    }
}

/// How an object is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Full path, spelled as the creator spells it.
    Path(&'static str),
    /// A family of names: this path, followed by sixteen hexadecimal digits.
    Numbered {
        /// Path up to the digits.
        prefix: &'static str,
        /// What the digits are.
        digits: &'static str,
    },
    /// No name at all; people know the object by the ALPC port that rings it.
    Unnamed {
        /// Path of the port.
        port: &'static str,
    },
}

/// Whether the name stays when the call that created the object returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// Created with `OBJ_PERMANENT`: the name stays.
    Permanent,
    /// Created without: the name is gone before `ExCreateCallback` returns, though the object lives.
    Temporary,
    /// There is no name to keep.
    Unnamed,
    /// The creator's attributes are not known.
    Unknown,
}

/// How many routines an object takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// `AllowMultipleCallbacks` is TRUE.
    Multiple,
    /// `AllowMultipleCallbacks` is FALSE: the second registration is refused.
    Single,
    /// Not known.
    Unknown,
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Multiple => "multiple",
            Self::Single => "single",
            Self::Unknown => "unknown",
        })
    }
}

/// Somebody who creates or opens an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Module or routine: `nt!ExpInitializeCallbacks`, `pci.sys`.
    pub who: &'static str,
    /// `OBJECT_ATTRIBUTES.Attributes` it passes, where known.
    pub attributes: Option<u32>,
    /// When and under which condition; may be empty.
    pub when: &'static str,
    /// How far to trust this.
    pub certainty: Certainty,
}

/// A routine known to be registered on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `module!routine`.
    pub routine: &'static str,
    /// How it gets there and under which condition; may be empty.
    pub how: &'static str,
    /// Whether an ordinary boot of the kernel registers it, without any driver and without special hardware.
    pub at_boot: bool,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Always NULL.
    Null,
    /// A number carried in the pointer.
    Number,
    /// Address of a structure.
    Pointer(Structure),
    /// Not known.
    Unknown,
}

/// One of the two arguments of a notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// What it is.
    pub shape: Shape,
    /// What it means.
    pub meaning: &'static str,
}

/// Versions in which an object is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// One of the names that `ExpInitializeCallbacks` creates; the profile knows.
    BuiltIn,
    /// In these profiles; where the others stand is not known.
    Profiles(&'static [&'static str]),
    /// Wherever its driver runs.
    WithDriver,
}

/// Which table of the catalog an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// Created from the kernel's array of names.
    BuiltIn,
    /// Created or used by other parts of the kernel.
    Kernel,
    /// Created by the kernel without a name.
    Unnamed,
    /// Created by a driver.
    Driver,
}

/// One callback object, or one family of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Leaf of the name, or the port's name: what people call it.
    pub key: &'static str,
    /// Which table it stands in.
    pub gathered: Gathered,
    /// How it is named.
    pub name: Name,
    /// What it is for, in one sentence.
    pub summary: &'static str,
    /// Kernel variable that points to it.
    pub variable: Option<&'static str>,
    /// Who creates it; `None` where nobody has found out.
    pub creator: Option<Party>,
    /// Who opens it.
    pub openers: &'static [Party],
    /// Whether its name stays.
    pub permanence: Permanence,
    /// How many routines it takes.
    pub sharing: Sharing,
    /// Routines known to be registered on it.
    pub listeners: &'static [Listener],
    /// What makes it ring; `None` where no notifier is known.
    pub trigger: Option<&'static str>,
    /// Its two arguments.
    pub arguments: [Parameter; 2],
    /// IRQL the routines run at, where known or reasoned.
    pub irql: Option<(Irql, Certainty)>,
    /// Where it exists.
    pub presence: Presence,
    /// Where all this comes from.
    pub sources: &'static [Source],
    /// How far to trust the entry as a whole.
    pub certainty: Certainty,
    /// A popular misreading, and what is right.
    pub misreading: Option<&'static str>,
    /// What else is worth knowing, one sentence each.
    pub notes: &'static [&'static str],
}

impl Entry {
    /// Tells the name for people: the path, the path with its digits' meaning, or the port.
    #[must_use]
    pub const fn path(&self) -> Option<&'static str> {
        match self.name {
            Name::Path(path) => Some(path),
            Name::Numbered { .. } | Name::Unnamed { .. } => None,
        }
    }

    /// Tells whether the version `profile` has the object; `None` where it is not known.
    #[must_use]
    pub fn exists_in(&self, profile: &Profile) -> Option<bool> {
        match self.presence {
            Presence::BuiltIn => Some(profile.builtin_names.value.contains(&self.key)),
            Presence::Profiles(names) => names.contains(&profile.name).then_some(true),
            Presence::WithDriver => None,
        }
    }

    /// Lists the listeners that an ordinary boot registers.
    pub fn boot_listeners(&self) -> impl Iterator<Item = &'static Listener> + use<> {
        self.listeners.iter().filter(|listener| listener.at_boot)
    }
}

/// Shorthands for the tables.
impl Parameter {
    pub(super) const NULL: Self = Self { shape: Shape::Null, meaning: "NULL" };
    pub(super) const UNKNOWN: Self = Self { shape: Shape::Unknown, meaning: "not known" };

    pub(super) const fn number(meaning: &'static str) -> Self {
        Self { shape: Shape::Number, meaning }
    }

    pub(super) const fn pointer(structure: Structure, meaning: &'static str) -> Self {
        Self { shape: Shape::Pointer(structure), meaning }
    }
}

impl Listener {
    pub(super) const fn at_boot(routine: &'static str, how: &'static str) -> Self {
        Self { routine, how, at_boot: true }
    }

    pub(super) const fn on_condition(routine: &'static str, how: &'static str) -> Self {
        Self { routine, how, at_boot: false }
    }
}

impl Party {
    pub(super) const fn certain(who: &'static str, attributes: u32, when: &'static str) -> Self {
        Self { who, attributes: Some(attributes), when, certainty: Certainty::Certain }
    }

    pub(super) const fn high(who: &'static str, attributes: Option<u32>, when: &'static str) -> Self {
        Self { who, attributes, when, certainty: Certainty::High }
    }

    pub(super) const fn inferred(who: &'static str, attributes: Option<u32>, when: &'static str) -> Self {
        Self { who, attributes, when, certainty: Certainty::Inferred }
    }
}
