//! What headers and directories say, as values: for snapshots, audits and tests.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::Ordering;

use nt::OBJECT_HEADER;
use record::NamespaceEntry;

use super::directory::Directory;
use super::globals::{Globals, nt_string};
use super::header::Header;
use super::lookup::{Found, Lookup};
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::field;

/// What an object's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Address of the body.
    pub body: usize,
    /// Address of the header.
    pub header: usize,
    /// Address of the pool block.
    pub allocation: usize,
    /// `PointerCount`.
    pub pointer_count: i64,
    /// `HandleCount`.
    pub handle_count: i64,
    /// `Flags`.
    pub flags: u8,
    /// `InfoMask`.
    pub info_mask: u8,
    /// Type index, decoded.
    pub type_index: u8,
    /// Name of the type.
    pub type_name: String,
    /// `SecurityDescriptor`, as stored.
    pub security_descriptor: usize,
    /// `NAME_INFO.Directory`, 0 where there is no entry.
    pub directory: usize,
    /// Path, while there is an entry.
    pub name: Option<String>,
    /// What `NAME_INFO.Name` holds.
    pub stored_name: Option<String>,
}

impl<P: Platform> Executive<P> {
    pub(super) fn facts(&self, header: Header) -> ObjectFacts {
        let stored = header.stored_name();
        ObjectFacts {
            body: header.body().addr(),
            header: header.live().addr(),
            allocation: header.allocation().addr(),
            pointer_count: header.pointer_count().load(Ordering::Relaxed),
            handle_count: header.handle_count().load(Ordering::Relaxed),
            flags: header.flags(),
            info_mask: header.info_mask(),
            type_index: self.type_index(header),
            type_name: self.type_of(header).name(),
            security_descriptor: field!(header.live(), OBJECT_HEADER, SecurityDescriptor).get(),
            directory: header.directory().addr(),
            name: self.full_name(header).map(|name| String::from_utf16_lossy(&name)),
            stored_name: header.name_info().map(|_| String::from_utf16_lossy(&stored)),
        }
    }

    /// Returns what an object's headers say.
    ///
    /// # Safety
    ///
    /// `object` is the body of an object on which somebody has a reference.
    pub unsafe fn object_facts(&self, object: *mut c_void) -> ObjectFacts {
        // SAFETY: the caller's promise.
        self.facts(unsafe { Header::of(object) })
    }

    /// Returns what the headers of the object under a path say, without regard to case. Counts are as they are without this call.
    pub fn facts_at(&self, path: &str) -> Option<ObjectFacts> {
        let name = nt_string(path);
        let lookup = Lookup {
            root: core::ptr::null_mut(),
            directory: core::ptr::null_mut(),
            name: &name,
            attributes: nt::OBJ_CASE_INSENSITIVE,
            object_type: core::ptr::null_mut(),
            mode: nt::KernelMode,
            desired_access: 0,
            context: core::ptr::null_mut(),
            insert: None,
        };
        let Ok(Found::Existing(header)) = self.lookup(&lookup) else { return None };
        let mut facts = self.facts(header);
        facts.pointer_count -= 1;
        self.dereference(header);
        Some(facts)
    }

    /// Returns the whole namespace as WinObj shows it, sorted by path.
    pub fn namespace(&self) -> Vec<NamespaceEntry> {
        let root = field!(self.ob(), Globals, root).get();
        let mut entries = Vec::new();
        if root.is_null() {
            return entries;
        }
        // SAFETY: the root is permanent.
        let header = unsafe { Header::of(root) };
        self.reference(header);
        let mut pending = alloc::vec![(String::new(), header)];
        while let Some((path, header)) = pending.pop() {
            let link = self.is_type(header, self.ObpSymbolicLinkObjectType());
            entries.push(NamespaceEntry {
                path: if path.is_empty() { "\\".into() } else { path.clone() },
                type_name: self.type_of(header).name(),
                address: header.body().addr() as u64,
                link_target: link.then(|| String::from_utf16_lossy(&self.symbolic_link_target(header))),
            });
            if let Some(directory) = self.as_directory(header) {
                pending.extend(self.children(&path, directory));
            }
            self.dereference(header);
        }
        entries.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        entries
    }

    fn children(&self, path: &str, directory: Directory) -> Vec<(String, Header)> {
        let objects = self.directory_objects(directory);
        objects
            .into_iter()
            .map(|header| {
                let leaf = String::from_utf16_lossy(&header.stored_name());
                (alloc::format!("{path}\\{leaf}"), header)
            })
            .collect()
    }
}
