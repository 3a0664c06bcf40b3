//! The access check, and privileges.

use alloc::sync::Arc;
use core::ffi::c_void;

use nt::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE, ACCESS_SYSTEM_SECURITY, GENERIC_MAPPING, KernelMode,
    MAXIMUM_ALLOWED, NTSTATUS, READ_CONTROL, SE_SECURITY_PRIVILEGE, SE_TAKE_OWNERSHIP_PRIVILEGE,
    STATUS_ACCESS_DENIED, STATUS_PRIVILEGE_NOT_HELD, WRITE_DAC, WRITE_OWNER,
};

use super::{Ace, Acl, Descriptor, Token, read_descriptor};
use crate::{Executive, Platform};

const INHERIT_ONLY_ACE: u8 = 0x08;

/// Returns what `dacl` allows to `token`, out of what is asked; with `everything`, all it allows.
fn allowed(dacl: &Acl, token: &Token, asked: u32, everything: bool, mapping: &GENERIC_MAPPING) -> u32 {
    let (mut granted, mut denied) = (0, 0);
    for ace in &dacl.aces {
        let Ace::Known { kind, flags, mask, sid } = ace else { continue };
        if flags & INHERIT_ONLY_ACE != 0 || !token.is_member(sid) {
            continue;
        }
        let mask = mapping.map(*mask);
        match *kind {
            ACCESS_ALLOWED_ACE_TYPE => granted |= mask & !denied,
            ACCESS_DENIED_ACE_TYPE => denied |= mask & !granted,
            _ => {}
        }
    }
    if everything { granted } else { granted & asked }
}

impl Token {
    /// Decides an access from user mode, as `SeAccessCheck` does, and returns the mask granted.
    ///
    /// # Errors
    ///
    /// `STATUS_ACCESS_DENIED`, or `STATUS_PRIVILEGE_NOT_HELD` for `ACCESS_SYSTEM_SECURITY`.
    pub fn access_check(
        &self,
        descriptor: &Descriptor,
        desired: u32,
        mapping: &GENERIC_MAPPING,
    ) -> Result<u32, NTSTATUS> {
        let everything = desired & MAXIMUM_ALLOWED != 0;
        let mut open = mapping.map(desired & !MAXIMUM_ALLOWED);
        let mut granted = 0;
        if open & ACCESS_SYSTEM_SECURITY != 0 {
            if !self.has_privilege(SE_SECURITY_PRIVILEGE) {
                return Err(STATUS_PRIVILEGE_NOT_HELD);
            }
            granted |= ACCESS_SYSTEM_SECURITY;
            open &= !ACCESS_SYSTEM_SECURITY;
        }
        if open & WRITE_OWNER != 0 && self.has_privilege(SE_TAKE_OWNERSHIP_PRIVILEGE) {
            granted |= WRITE_OWNER;
            open &= !WRITE_OWNER;
        }
        let owner = descriptor.owner.as_ref().is_some_and(|owner| self.is_member(owner));
        if owner {
            granted |= if everything { READ_CONTROL | WRITE_DAC } else { open & (READ_CONTROL | WRITE_DAC) };
            open &= !(READ_CONTROL | WRITE_DAC);
        }
        granted |= match descriptor.dacl.as_ref().and_then(Option::as_ref) {
            None if everything => mapping.GenericAll | open,
            None => open,
            Some(dacl) => allowed(dacl, self, open, everything, mapping),
        };
        if open & !granted != 0 || granted == 0 { Err(STATUS_ACCESS_DENIED) } else { Ok(granted) }
    }
}

impl<P: Platform> Executive<P> {
    /// Tells whether the current process holds a privilege. A check in kernel mode always succeeds, whatever mode the thread came from.
    pub fn SeSinglePrivilegeCheck(&self, luid: u32, mode: u8) -> bool {
        mode == KernelMode || self.current_token().has_privilege(luid)
    }

    /// Decides an access to something of the caller's own in the name of the current process (`SeAccessCheck`), and returns the mask
    /// granted. Kernel mode is granted what it asks for.
    ///
    /// # Errors
    ///
    /// `STATUS_ACCESS_DENIED`, `STATUS_PRIVILEGE_NOT_HELD`, or what is wrong with the descriptor.
    ///
    /// # Safety
    ///
    /// `descriptor` points to a readable descriptor, and what it points to is readable.
    pub unsafe fn SeAccessCheck(
        &self,
        descriptor: *const c_void,
        desired: u32,
        mapping: &GENERIC_MAPPING,
        mode: u8,
    ) -> Result<u32, NTSTATUS> {
        if mode == KernelMode {
            let everything = if desired & MAXIMUM_ALLOWED != 0 { mapping.GenericAll } else { 0 };
            return Ok(mapping.map(desired & !MAXIMUM_ALLOWED) | everything);
        }
        // SAFETY: the caller's promise.
        let descriptor = unsafe { read_descriptor(descriptor) }?;
        self.current_token().access_check(&descriptor, desired, mapping)
    }

    /// Reads a security descriptor in either form.
    ///
    /// # Errors
    ///
    /// `STATUS_UNKNOWN_REVISION`, `STATUS_INVALID_SID`, `STATUS_INVALID_ACL` or `STATUS_INVALID_SECURITY_DESCR`.
    ///
    /// # Safety
    ///
    /// `descriptor` points to a readable descriptor, and what it points to is readable.
    pub unsafe fn capture_descriptor(&self, descriptor: *const c_void) -> Result<Descriptor, NTSTATUS> {
        // SAFETY: the caller's promise.
        unsafe { read_descriptor(descriptor) }
    }

    /// Returns the token of the current process; the System token where the process is not registered.
    pub fn current_token(&self) -> Arc<Token> {
        self.process_token(self.current_process())
    }
}
