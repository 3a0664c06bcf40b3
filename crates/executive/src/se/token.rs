//! Tokens: in whose name a process acts.

use alloc::vec::Vec;

use nt::{
    SE_CHANGE_NOTIFY_PRIVILEGE, SE_CREATE_PERMANENT_PRIVILEGE, SE_DEBUG_PRIVILEGE, SE_IMPERSONATE_PRIVILEGE,
    SE_INC_BASE_PRIORITY_PRIVILEGE, SE_LOAD_DRIVER_PRIVILEGE, SE_SECURITY_PRIVILEGE, SE_SHUTDOWN_PRIVILEGE,
    SE_SYSTEMTIME_PRIVILEGE, SE_TAKE_OWNERSHIP_PRIVILEGE, SE_TCB_PRIVILEGE,
};

use super::{Ace, Acl, Sid};

/// A group of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub sid: Sid,
    /// Counts for allowing entries. A disabled group counts for nothing here.
    pub enabled: bool,
}

/// A privilege of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// Low part of the `LUID`; the high part of all system privileges is zero.
    pub luid: u32,
    /// In force.
    pub enabled: bool,
}

/// In whose name a process acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The user.
    pub user: Sid,
    /// The groups.
    pub groups: Vec<Group>,
    /// The privileges.
    pub privileges: Vec<Privilege>,
    /// Owner of new objects.
    pub owner: Sid,
    /// Group of new objects.
    pub primary_group: Sid,
    /// Access list of new objects; `None` allows everything.
    pub default_dacl: Option<Acl>,
}

/// Privileges that the System token holds and has enabled.
const SYSTEM_PRIVILEGES: [u32; 11] = [
    SE_TCB_PRIVILEGE,
    SE_SECURITY_PRIVILEGE,
    SE_TAKE_OWNERSHIP_PRIVILEGE,
    SE_LOAD_DRIVER_PRIVILEGE,
    SE_SYSTEMTIME_PRIVILEGE,
    SE_INC_BASE_PRIORITY_PRIVILEGE,
    SE_CREATE_PERMANENT_PRIVILEGE,
    SE_SHUTDOWN_PRIVILEGE,
    SE_DEBUG_PRIVILEGE,
    SE_CHANGE_NOTIFY_PRIVILEGE,
    SE_IMPERSONATE_PRIVILEGE,
];

/// `SeSystemDefaultDacl`: what others than the system get, before mapping (`GENERIC_READ | GENERIC_EXECUTE | READ_CONTROL`).
const ADMINISTRATORS_DEFAULT: u32 = nt::GENERIC_READ | nt::GENERIC_EXECUTE | nt::READ_CONTROL;

impl Token {
    /// Returns the token of the System process: LocalSystem, owner Administrators, default access list `SeSystemDefaultDacl`.
    #[must_use]
    pub fn system() -> Self {
        let groups = [Sid::administrators(), Sid::world(), Sid::authenticated_users()];
        Self {
            user: Sid::local_system(),
            groups: groups.into_iter().map(|sid| Group { sid, enabled: true }).collect(),
            privileges: SYSTEM_PRIVILEGES.iter().map(|&luid| Privilege { luid, enabled: true }).collect(),
            owner: Sid::administrators(),
            primary_group: Sid::local_system(),
            default_dacl: Some(Acl::new(alloc::vec![
                Ace::allow(Sid::local_system(), nt::GENERIC_ALL),
                Ace::allow(Sid::administrators(), ADMINISTRATORS_DEFAULT),
            ])),
        }
    }

    /// Returns the token of an ordinary user: no privilege but to pass directories.
    #[must_use]
    pub fn user(user: &Sid) -> Self {
        let groups = [Sid::world(), Sid::authenticated_users(), Sid::users()];
        Self {
            user: user.clone(),
            groups: groups.into_iter().map(|sid| Group { sid, enabled: true }).collect(),
            privileges: alloc::vec![Privilege { luid: SE_CHANGE_NOTIFY_PRIVILEGE, enabled: true }],
            owner: user.clone(),
            primary_group: Sid::users(),
            default_dacl: Some(Acl::new(alloc::vec![
                Ace::allow(user.clone(), nt::GENERIC_ALL),
                Ace::allow(Sid::local_system(), nt::GENERIC_ALL),
            ])),
        }
    }

    /// Tells whether `sid` is the user or an enabled group.
    #[must_use]
    pub fn is_member(&self, sid: &Sid) -> bool {
        self.user == *sid || self.groups.iter().any(|group| group.enabled && group.sid == *sid)
    }

    /// Tells whether a privilege is held and enabled.
    #[must_use]
    pub fn has_privilege(&self, luid: u32) -> bool {
        self.privileges.iter().any(|privilege| privilege.enabled && privilege.luid == luid)
    }
}
