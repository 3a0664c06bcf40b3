//! What was found in a memory image.
//!
//! An image has holes. A value that is not there is [`Value::Absent`] and carries its reason; it is never a zero or a
//! blank that could be mistaken for one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Severity;

/// Why a value is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Because {
    /// The image does not hold the page.
    NotInImage,
    /// The content was in a paging file.
    PagedOut,
    /// The bytes are not there for another reason, or make no sense.
    Unreadable,
    /// Nothing of the kind exists here.
    NotApplicable,
    /// It was looked for and not found.
    NotFound,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotInImage => "not in the image",
            Self::PagedOut => "paged out",
            Self::Unreadable => "unreadable",
            Self::NotApplicable => "not applicable",
            Self::NotFound => "not found",
        })
    }
}

/// A value, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(untagged))]
pub enum Value<T> {
    /// The value.
    Known(T),
    /// No value.
    Absent {
        /// The kind of reason.
        absent: Because,
        /// The reason in words.
        why: String,
    },
}

impl<T> Value<T> {
    /// Says that there is nothing of the kind.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::Absent { absent: Because::NotApplicable, why: why.into() }
    }

    /// Says that it was looked for in vain.
    pub fn not_found(why: impl Into<String>) -> Self {
        Self::Absent { absent: Because::NotFound, why: why.into() }
    }

    /// Returns the value, if there is one.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent { .. } => None,
        }
    }

    /// Converts the value, and keeps the reason where there is none.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Value<U> {
        match self {
            Self::Known(value) => Value::Known(convert(value)),
            Self::Absent { absent, why } => Value::Absent { absent, why },
        }
    }
}

impl<T: Copy> Value<T> {
    /// Returns a copy of the value, if there is one.
    pub fn get(&self) -> Option<T> {
        self.known().copied()
    }
}

/// How far to trust a found object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Confidence {
    /// Something about it does not fit.
    Guessed,
    /// Seen one way, and its headers fit.
    Derived,
    /// Seen in several independent ways, and its headers fit.
    Verified,
}

impl Confidence {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guessed => "guessed",
            Self::Derived => "derived",
            Self::Verified => "verified",
        }
    }
}

/// Which views show an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evidence {
    /// The global list.
    pub list: bool,
    /// A directory of the namespace.
    pub namespace: bool,
    /// Its signature in memory.
    pub carve: bool,
}

impl Evidence {
    /// Counts the views.
    pub const fn count(self) -> usize {
        self.list as usize + self.namespace as usize + self.carve as usize
    }
}

/// Something that does not belong, in neutral words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Anomaly {
    /// Which kind: `routine-outside-modules`.
    pub kind: String,
    /// How much it weighs. Notes do not turn the exit code.
    pub severity: Severity,
    /// What was seen, one lowercase sentence.
    pub message: String,
    /// What harmless explanation there is; empty where none is known.
    pub benign: String,
    /// Where.
    pub at: Option<u64>,
}

/// One registration found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FoundListener {
    /// Address of the `CALLBACK_REGISTRATION`.
    pub registration: u64,
    /// `CallbackFunction`.
    pub routine: Value<u64>,
    /// The routine as `module+offset`.
    pub place: Value<String>,
    /// Name of the routine.
    pub symbol: Value<String>,
    /// `CallbackContext`.
    pub context: Value<u64>,
    /// `Busy`: calls and enumerations in flight.
    pub busy: Value<u32>,
    /// `UnregisterWaiting`.
    pub waiting: Value<bool>,
    /// What does not belong.
    pub anomalies: Vec<Anomaly>,
}

/// One callback object found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FoundObject {
    /// Address of the body (`CALLBACK_OBJECT`).
    pub address: u64,
    /// Address of the `OBJECT_HEADER`.
    pub header: u64,
    /// Full path.
    pub name: Value<String>,
    /// Leaf name that is still stored although the object is in no directory.
    pub former_name: Option<String>,
    /// What an object without a name serves, and how that was found.
    pub attribution: Value<String>,
    /// What the catalog calls it.
    pub known_as: Option<String>,
    /// `OB_FLAG_PERMANENT_OBJECT` set.
    pub permanent: Value<bool>,
    /// `AllowMultipleCallbacks`.
    pub allow_multiple: Value<bool>,
    /// `PointerCount`.
    pub pointer_count: Value<i64>,
    /// `HandleCount`.
    pub handle_count: Value<i64>,
    /// `OBJECT_HEADER.Flags`.
    pub flags: Value<u8>,
    /// `OBJECT_HEADER.InfoMask`.
    pub info_mask: Value<u8>,
    /// `OBJECT_HEADER.SecurityDescriptor`, 0 if none.
    pub security_descriptor: Value<u64>,
    /// `Lock`.
    pub lock: Value<u64>,
    /// How it stands on the global list, in words.
    pub linkage: Value<String>,
    /// How its pool block looks, in words.
    pub pool: Value<String>,
    /// Registrations in list order.
    pub listeners: Vec<FoundListener>,
    /// Why the list of registrations is not complete.
    pub listeners_cut: Option<String>,
    /// Which views show it.
    pub evidence: Evidence,
    /// How far to trust it.
    pub confidence: Confidence,
    /// What does not belong.
    pub anomalies: Vec<Anomaly>,
}

impl FoundObject {
    /// Returns the name to show: the path, `(was: name)`, `(unnamed: PowerPort)`, `(unnamed)`, or why there is none.
    pub fn display_name(&self) -> String {
        match (&self.name, &self.former_name, &self.attribution) {
            (Value::Known(name), ..) => name.clone(),
            (_, Some(former), _) => alloc::format!("(was: {former})"),
            (Value::Absent { absent: Because::NotApplicable, .. }, None, Value::Known(whose)) => {
                alloc::format!("(unnamed: {whose})")
            }
            (Value::Absent { absent: Because::NotApplicable, .. }, ..) => "(unnamed)".into(),
            (Value::Absent { absent, .. }, ..) => alloc::format!("(name {absent})"),
        }
    }

    /// Lists every anomaly, those of the listeners included.
    pub fn all_anomalies(&self) -> impl Iterator<Item = &Anomaly> {
        self.anomalies.iter().chain(self.listeners.iter().flat_map(|listener| &listener.anomalies))
    }
}

/// What remains of an object that was freed. History, not a live object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Remnant {
    /// Address of the body.
    pub address: u64,
    /// Leaf name, where it can still be read.
    pub former_name: Value<String>,
    /// Why it counts as freed.
    pub why: String,
}

/// What one way of looking brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ViewResult {
    /// `list`, `namespace` or `carve`.
    pub view: String,
    /// Objects it shows; absent where the view was not possible.
    pub objects: Value<u64>,
    /// How it began: which anchor, found how.
    pub how: String,
    /// Why it is not complete.
    pub cut: Option<String>,
}

/// A driver that was unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnloadedRange {
    /// File name.
    pub name: String,
    /// First address it had.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// A thread that waits in `ExUnregisterCallback` for calls of the routine to end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Waiter {
    /// Address of its `KTHREAD`.
    pub thread: u64,
}

/// A bugcheck that the header of a crash dump tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FoundBugcheck {
    /// Its code.
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
}

/// What tells one boot of a machine from another. Times are in units of 100 ns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FoundBoot {
    /// `BootId` of `KUSER_SHARED_DATA`, which counts the boots of an installation.
    pub id: Value<u32>,
    /// When the image was taken, since 1601 in UTC.
    pub system_time: Value<u64>,
    /// How long the machine had been up.
    pub up_time: Value<u64>,
    /// Where the times were read: `KUSER_SHARED_DATA` or the dump header. Empty where there are none.
    pub times_from: String,
}

impl FoundBoot {
    /// Returns when the machine was booted, since 1601 in UTC.
    #[must_use]
    pub fn time(&self) -> Option<u64> {
        self.system_time.get()?.checked_sub(self.up_time.get()?)
    }
}

/// Everything found in one image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Inspection {
    /// Version of this form.
    pub schema: u32,
    /// The image's file name.
    pub source: String,
    /// What kind of image it is.
    pub format: String,
    /// Build of the kernel.
    pub build: Value<u32>,
    /// Version profile whose layouts were used.
    pub profile: String,
    /// Why that profile.
    pub profile_because: String,
    /// What Windows stopped for, where the image is the dump of a bugcheck.
    pub bugcheck: Value<FoundBugcheck>,
    /// Which boot it is of.
    pub boot: FoundBoot,
    /// Base of the kernel image.
    pub kernel: Value<u64>,
    /// Loaded modules.
    pub modules: Value<u64>,
    /// Unloaded modules.
    pub unloaded: Value<Vec<UnloadedRange>>,
    /// Threads that wait on `ExpCallbackEvent`, which all of `ExUnregisterCallback` waits on.
    pub waiters: Value<Vec<Waiter>>,
    /// The three views.
    pub views: Vec<ViewResult>,
    /// Callback objects, sorted by name and address.
    pub objects: Vec<FoundObject>,
    /// What does not belong to any one object.
    pub findings: Vec<Anomaly>,
    /// What remains of freed objects.
    pub remnants: Vec<Remnant>,
    /// What else was noticed.
    pub notes: Vec<String>,
    /// Why the result is partial; empty when it is complete.
    pub partial: Vec<String>,
}

impl Inspection {
    /// The version of the form that this crate writes.
    pub const SCHEMA: u32 = 1;

    /// Lists every anomaly of the image.
    pub fn anomalies(&self) -> impl Iterator<Item = &Anomaly> {
        self.findings.iter().chain(self.objects.iter().flat_map(FoundObject::all_anomalies))
    }

    /// Counts the anomalies that turn the exit code.
    pub fn weighty(&self) -> usize {
        self.anomalies().filter(|anomaly| anomaly.severity >= Severity::Warning).count()
    }
}
