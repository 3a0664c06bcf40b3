//! Name resolution (`ObpLookupObjectName`).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;

use nt::profile::WrongTypeCreate;
use nt::{
    DIRECTORY_CREATE_OBJECT, DIRECTORY_CREATE_SUBDIRECTORY, DIRECTORY_TRAVERSE, HANDLE, KernelMode, NTSTATUS,
    OBJ_CASE_INSENSITIVE, OBJ_DONT_REPARSE, OBJ_FORCE_ACCESS_CHECK, OBJ_MAX_REPARSE_ATTEMPTS, OBJECT_TYPE,
    SE_CHANGE_NOTIFY_PRIVILEGE, STATUS_ACCESS_DENIED, STATUS_INVALID_HANDLE, STATUS_OBJECT_NAME_INVALID,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND, STATUS_OBJECT_PATH_SYNTAX_BAD,
    STATUS_OBJECT_TYPE_MISMATCH, STATUS_REPARSE_POINT_ENCOUNTERED, UserMode,
};

use super::directory::Directory;
use super::globals::Globals;
use super::header::Header;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::field;

const BACKSLASH: u16 = b'\\' as u16;
/// The prefix that means the device names of the whole system.
const DOS_PREFIX: [u16; 3] = [BACKSLASH, b'?' as u16, b'?' as u16];

/// What a parse procedure is asked: to continue a name at one of its objects.
#[derive(Clone, Copy, Debug)]
pub struct ParseRequest<'a> {
    /// The object at which the name goes on.
    pub object: *mut c_void,
    /// Type wanted; null for any.
    pub object_type: *mut OBJECT_TYPE,
    /// Mode that access is checked in.
    pub access_mode: u8,
    /// `OBJ_*` bits of the open.
    pub attributes: u32,
    /// Access asked for.
    pub desired_access: u32,
    /// The whole name.
    pub complete_name: &'a [u16],
    /// What of it is left, with its leading backslash; empty at the end.
    pub remaining_name: &'a [u16],
    /// Context that the caller of the open gave.
    pub context: *mut c_void,
}

/// A name to resolve.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    /// Handle that a relative name starts at.
    pub(super) root: HANDLE,
    /// Directory that a relative name starts at, for the object manager itself. Comes before `root`.
    pub(super) directory: *mut c_void,
    pub(super) name: &'a [u16],
    pub(super) attributes: u32,
    pub(super) object_type: *mut OBJECT_TYPE,
    pub(super) mode: u8,
    pub(super) desired_access: u32,
    pub(super) context: *mut c_void,
    /// Object to put where the name is free.
    pub(super) insert: Option<Header>,
}

/// Where a name leads.
pub(super) enum Found {
    /// To this object, with a reference for the caller.
    Existing(Header),
    /// To the object that was to be inserted.
    Inserted,
}

/// Where the walk is to go on after one component.
enum Step {
    Down(Header),
    Done(Found),
    /// A symbolic link: from the root again, with this name.
    Reparse(Vec<u16>),
}

/// Where a name starts, with a reference on it.
#[derive(Clone, Copy)]
struct Start {
    at: Header,
    /// How much of the name it stands for.
    consumed: usize,
}

impl Lookup<'_> {
    fn case_insensitive(&self) -> bool {
        self.attributes & OBJ_CASE_INSENSITIVE != 0
    }

    /// Returns the mode in which directories are checked.
    fn check_mode(&self) -> u8 {
        if self.attributes & OBJ_FORCE_ACCESS_CHECK != 0 { UserMode } else { self.mode }
    }
}

impl<P: Platform> Executive<P> {
    /// Resolves a name, and inserts an object where that is asked for and the name is free.
    pub(super) fn lookup(&self, lookup: &Lookup<'_>) -> Result<Found, NTSTATUS> {
        if lookup.directory.is_null() && !lookup.root.is_null() {
            return self.lookup_below_handle(lookup);
        }
        if !lookup.directory.is_null() {
            // SAFETY: the object manager's own directories are permanent.
            let at = unsafe { Header::of(lookup.directory) };
            self.reference(at);
            return self.walk(lookup, Start { at, consumed: 0 });
        }
        let start = self.start_at_root(lookup.name)?;
        if start.consumed >= lookup.name.len() {
            return self.accept(lookup, start.at);
        }
        self.walk(lookup, start)
    }

    fn lookup_below_handle(&self, lookup: &Lookup<'_>) -> Result<Found, NTSTATUS> {
        let at = self.reference_handle(lookup.root, 0, ptr::null_mut(), lookup.mode)?.object;
        if self.as_directory(at).is_none() {
            let procedures = self.procedures(self.type_of(at));
            let result = match procedures.parse {
                // Neither a directory nor parsable: what Windows says here was not observed.
                None => Err(STATUS_INVALID_HANDLE),
                Some(_) if lookup.insert.is_some() => Err(STATUS_OBJECT_TYPE_MISMATCH),
                Some(parse) => {
                    let request = parse_request(lookup, at, lookup.name, lookup.name);
                    // SAFETY: the object is referenced for the duration of the call.
                    unsafe { parse(self, &request) }
                }
            };
            self.dereference(at);
            // SAFETY: a parse procedure returns a referenced object.
            return result.and_then(|body| self.accept(lookup, unsafe { Header::of(body) }));
        }
        if lookup.name.first() == Some(&BACKSLASH) {
            self.dereference(at);
            return Err(STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        if lookup.name.is_empty() {
            return self.accept(lookup, at);
        }
        self.walk(lookup, Start { at, consumed: 0 })
    }

    /// Finds the directory that an absolute name starts at.
    fn start_at_root(&self, name: &[u16]) -> Result<Start, NTSTATUS> {
        if name.first() != Some(&BACKSLASH) {
            return Err(STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        let dos = field!(self.ob(), Globals, dos_devices).get();
        let dos_name = name.starts_with(&DOS_PREFIX) && matches!(name.get(3), None | Some(&BACKSLASH));
        let (body, consumed) = if dos_name && !dos.is_null() {
            (dos, DOS_PREFIX.len())
        } else {
            // A lone backslash is the root itself.
            (field!(self.ob(), Globals, root).get(), usize::from(name.len() == 1))
        };
        // SAFETY: root and device directory are permanent.
        let at = unsafe { Header::of(body) };
        self.reference(at);
        Ok(Start { at, consumed })
    }

    fn walk(&self, lookup: &Lookup<'_>, mut start: Start) -> Result<Found, NTSTATUS> {
        let mut name = Cow::Borrowed(lookup.name);
        let mut reparses = 0;
        loop {
            match self.walk_once(lookup, &name, start)? {
                Step::Done(found) => return Ok(found),
                Step::Down(header) => return self.accept(lookup, header),
                Step::Reparse(target) => {
                    reparses += 1;
                    if reparses > OBJ_MAX_REPARSE_ATTEMPTS {
                        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
                    }
                    start = self.start_at_root(&target)?;
                    if start.consumed >= target.len() {
                        return self.accept(lookup, start.at);
                    }
                    name = Cow::Owned(target);
                }
            }
        }
    }

    /// Walks until the name ends or a symbolic link is met. Consumes the reference on the start.
    fn walk_once(&self, lookup: &Lookup<'_>, name: &[u16], start: Start) -> Result<Step, NTSTATUS> {
        let mut at = start.at;
        let mut rest = &name[start.consumed..];
        loop {
            // Only directories are walked into; the first one was looked at by the caller.
            let Some(directory) = self.as_directory(at) else {
                self.dereference(at);
                return Err(STATUS_OBJECT_TYPE_MISMATCH);
            };
            let component = rest.strip_prefix(&[BACKSLASH]).unwrap_or(rest);
            let end = component.iter().position(|&unit| unit == BACKSLASH).unwrap_or(component.len());
            let (component, remaining) = component.split_at(end);
            let step = self.step(lookup, name, directory, component, remaining);
            self.dereference(at);
            match step? {
                Step::Down(next) if !remaining.is_empty() => {
                    at = next;
                    rest = remaining;
                }
                other => return Ok(other),
            }
        }
    }

    fn step(
        &self,
        lookup: &Lookup<'_>,
        name: &[u16],
        directory: Directory,
        component: &[u16],
        remaining: &[u16],
    ) -> Result<Step, NTSTATUS> {
        if component.is_empty() {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        self.check_traverse(lookup, directory)?;
        let insert = lookup.insert.filter(|_| remaining.is_empty());
        let key = self.name_key(directory, component);
        self.lock_directory(directory, insert.is_some());
        let found = match (self.find_entry(directory, key, component, lookup.case_insensitive()), insert) {
            (Some(found), _) => {
                self.reference(found);
                Ok(Some(found))
            }
            (None, Some(new)) => self
                .check_create(lookup, directory, new)
                .and_then(|()| self.insert_entry(directory, new, component, key))
                .map(|()| None),
            (None, None) if remaining.is_empty() => Err(STATUS_OBJECT_NAME_NOT_FOUND),
            (None, None) => Err(STATUS_OBJECT_PATH_NOT_FOUND),
        };
        self.unlock_directory(directory);
        match found? {
            None => Ok(Step::Done(Found::Inserted)),
            Some(found) => self.step_into(lookup, name, found, remaining),
        }
    }

    /// Decides what an object in the middle or at the end of a name means. Consumes the reference on it.
    fn step_into(
        &self,
        lookup: &Lookup<'_>,
        name: &[u16],
        found: Header,
        remaining: &[u16],
    ) -> Result<Step, NTSTATUS> {
        let object_type = self.type_of(found);
        if object_type.ptr() == self.ObpSymbolicLinkObjectType() {
            // Whoever wants the link itself gets it.
            if remaining.is_empty() && lookup.object_type == self.ObpSymbolicLinkObjectType() {
                return Ok(Step::Down(found));
            }
            let target = if lookup.attributes & OBJ_DONT_REPARSE != 0 {
                Err(STATUS_REPARSE_POINT_ENCOUNTERED)
            } else {
                self.link_target(found, remaining)
            };
            self.dereference(found);
            return target.map(Step::Reparse);
        }
        // A creation stops at the object, whose parse procedure knows nothing of insertions.
        if lookup.insert.is_none()
            && let Some(parse) = self.procedures(object_type).parse
        {
            let request = parse_request(lookup, found, name, remaining);
            // SAFETY: the object is referenced for the duration of the call.
            let result = unsafe { parse(self, &request) };
            self.dereference(found);
            // SAFETY: a parse procedure returns a referenced object.
            let body = unsafe { Header::of(result?) };
            return self.accept(lookup, body).map(Step::Done);
        }
        if !remaining.is_empty() && object_type.ptr() != self.ObpDirectoryObjectType() {
            self.dereference(found);
            return Err(STATUS_OBJECT_TYPE_MISMATCH);
        }
        Ok(Step::Down(found))
    }

    /// Accepts the object a name leads to if its type is the one wanted. Consumes the reference where it is not.
    fn accept(&self, lookup: &Lookup<'_>, found: Header) -> Result<Found, NTSTATUS> {
        // NT 5 leaves the check to the insertion, which knows OPENIF; the root is checked at once there too.
        let later = lookup.insert.is_some()
            && self.profile().wrong_type_create_status.value == WrongTypeCreate::CollisionUnlessOpenIf
            && !self.is_root(found);
        if later || lookup.object_type.is_null() || self.is_type(found, lookup.object_type) {
            return Ok(Found::Existing(found));
        }
        self.dereference(found);
        Err(STATUS_OBJECT_TYPE_MISMATCH)
    }

    /// Checks that a directory may be passed. Holding the privilege to, as nearly everybody does, is enough.
    fn check_traverse(&self, lookup: &Lookup<'_>, directory: Directory) -> Result<(), NTSTATUS> {
        if lookup.check_mode() == KernelMode {
            return Ok(());
        }
        if self.current_token().has_privilege(SE_CHANGE_NOTIFY_PRIVILEGE) {
            return Ok(());
        }
        self.check_access(directory.header(), DIRECTORY_TRAVERSE, UserMode).map(drop)
    }

    fn check_create(&self, lookup: &Lookup<'_>, directory: Directory, new: Header) -> Result<(), NTSTATUS> {
        if lookup.check_mode() == KernelMode {
            return Ok(());
        }
        let right = if self.as_directory(new).is_some() {
            DIRECTORY_CREATE_SUBDIRECTORY
        } else {
            DIRECTORY_CREATE_OBJECT
        };
        self.check_access(directory.header(), right, UserMode).map(drop).map_err(|_| STATUS_ACCESS_DENIED)
    }
}

fn parse_request<'a>(
    lookup: &Lookup<'_>,
    object: Header,
    complete_name: &'a [u16],
    remaining_name: &'a [u16],
) -> ParseRequest<'a> {
    ParseRequest {
        object: object.body(),
        object_type: lookup.object_type,
        access_mode: lookup.check_mode(),
        attributes: lookup.attributes,
        desired_access: lookup.desired_access,
        complete_name,
        remaining_name,
        context: lookup.context,
    }
}
