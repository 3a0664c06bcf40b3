//! Objects as they were found at one moment, live or in an image.

use alloc::string::String;
use alloc::vec::Vec;

/// One registration of a callback object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ListenerSnapshot {
    /// Address of the `CALLBACK_REGISTRATION`.
    pub registration: u64,
    /// `CallbackFunction`.
    pub routine: u64,
    /// Name of the routine where the kernel itself knows it (`nt!PopNewProcessorCallback`).
    pub routine_name: Option<String>,
    /// `CallbackContext`.
    pub context: u64,
    /// `Busy`: calls and enumerations in flight.
    pub busy: u32,
    /// `UnregisterWaiting`.
    pub waiting: bool,
}

/// One callback object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObjectSnapshot {
    /// Address of the body (`CALLBACK_OBJECT`).
    pub address: u64,
    /// Address of the `OBJECT_HEADER`.
    pub header: u64,
    /// Full path while a directory entry exists.
    pub name: Option<String>,
    /// Leaf name that is still stored although the directory entry is gone.
    pub former_name: Option<String>,
    /// `OB_FLAG_PERMANENT_OBJECT` set.
    pub permanent: bool,
    /// `AllowMultipleCallbacks`.
    pub allow_multiple: bool,
    /// `PointerCount`.
    pub pointer_count: i64,
    /// `HandleCount`.
    pub handle_count: i64,
    /// `OBJECT_HEADER.Flags`.
    pub flags: u8,
    /// `OBJECT_HEADER.InfoMask`.
    pub info_mask: u8,
    /// `OBJECT_HEADER.SecurityDescriptor`, 0 if none.
    pub security_descriptor: u64,
    /// Registrations in list order.
    pub listeners: Vec<ListenerSnapshot>,
}

/// One entry of the object namespace, as WinObj shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NamespaceEntry {
    /// Full path.
    pub path: String,
    /// Name of the object type (`Directory`, `Callback`).
    pub type_name: String,
    /// Address of the body.
    pub address: u64,
    /// Target, for a symbolic link.
    pub link_target: Option<String>,
}

/// Everything about callback objects at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// Every callback object, named or not, in creation order where the version keeps a global list.
    pub objects: Vec<ObjectSnapshot>,
    /// The namespace, sorted by path.
    pub namespace: Vec<NamespaceEntry>,
}

impl Snapshot {
    /// Returns the object whose body lies at `address`.
    pub fn object(&self, address: u64) -> Option<&ObjectSnapshot> {
        self.objects.iter().find(|object| object.address == address)
    }
}

impl ObjectSnapshot {
    /// Returns the name to show: the path, `was: name` for a former one, `(unnamed)` otherwise.
    pub fn display_name(&self) -> String {
        match (&self.name, &self.former_name) {
            (Some(name), _) => name.clone(),
            (None, Some(former)) => alloc::format!("(was: {former})"),
            (None, None) => "(unnamed)".into(),
        }
    }
}
