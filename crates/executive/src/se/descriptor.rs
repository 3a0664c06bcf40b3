//! Security descriptors as values, and the self-relative bytes that objects carry.

use alloc::vec::Vec;

use nt::{
    GENERIC_MAPPING, SE_DACL_PRESENT, SE_SACL_PRESENT, SE_SELF_RELATIVE, SECURITY_DESCRIPTOR_RELATIVE,
    SECURITY_DESCRIPTOR_REVISION,
};

use super::{Acl, Sid, Token};

/// A security descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Who owns the object.
    pub owner: Option<Sid>,
    /// Its primary group.
    pub group: Option<Sid>,
    /// Who may do what. `None`: absent; `Some(None)`: present and NULL, which allows everything.
    pub dacl: Option<Option<Acl>>,
    /// What is audited, in the same sense.
    pub sacl: Option<Option<Acl>>,
}

impl Descriptor {
    /// Returns the bytes of the self-relative form.
    #[must_use]
    pub fn to_self_relative(&self) -> Vec<u8> {
        let mut control = SE_SELF_RELATIVE;
        if self.dacl.is_some() {
            control |= SE_DACL_PRESENT;
        }
        if self.sacl.is_some() {
            control |= SE_SACL_PRESENT;
        }
        let mut tail = Vec::new();
        let mut place = |part: Option<Vec<u8>>| match part {
            None => 0,
            Some(bytes) => {
                let offset = size_of::<SECURITY_DESCRIPTOR_RELATIVE>() + tail.len();
                tail.extend(bytes);
                tail.resize(tail.len().next_multiple_of(4), 0);
                offset as u32
            }
        };
        // The order Windows lays the parts out in.
        let sacl = place(self.sacl.as_ref().and_then(Option::as_ref).map(Acl::to_bytes));
        let dacl = place(self.dacl.as_ref().and_then(Option::as_ref).map(Acl::to_bytes));
        let owner = place(self.owner.as_ref().map(Sid::to_bytes));
        let group = place(self.group.as_ref().map(Sid::to_bytes));
        let mut bytes = Vec::with_capacity(size_of::<SECURITY_DESCRIPTOR_RELATIVE>() + tail.len());
        bytes.extend([SECURITY_DESCRIPTOR_REVISION, 0]);
        bytes.extend(control.to_le_bytes());
        for offset in [owner, group, sacl, dacl] {
            bytes.extend(offset.to_le_bytes());
        }
        bytes.extend(tail);
        bytes
    }

    /// Builds the descriptor of a new object, as `SeAssignSecurity` does without a parent to inherit from: what `explicit` says,
    /// what the creator's token says by default, generic rights replaced by those of the type.
    #[must_use]
    pub fn assign(explicit: Option<&Self>, token: &Token, mapping: &GENERIC_MAPPING) -> Self {
        let given = explicit.and_then(|descriptor| descriptor.dacl.clone());
        let dacl = given.unwrap_or_else(|| token.default_dacl.clone());
        Self {
            owner: explicit.and_then(|all| all.owner.clone()).or_else(|| Some(token.owner.clone())),
            group: explicit.and_then(|all| all.group.clone()).or_else(|| Some(token.primary_group.clone())),
            dacl: Some(dacl.map(|list| list.mapped(mapping))),
            sacl: explicit.and_then(|all| all.sacl.clone()).map(|list| list.map(|list| list.mapped(mapping))),
        }
    }
}
