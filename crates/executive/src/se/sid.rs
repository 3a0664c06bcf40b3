//! Security identifiers.

use alloc::vec::Vec;
use core::fmt;

use nt::{
    DOMAIN_ALIAS_RID_ADMINS, SECURITY_BUILTIN_DOMAIN_RID, SECURITY_LOCAL_SYSTEM_RID, SECURITY_NT_AUTHORITY,
    SECURITY_WORLD_SID_AUTHORITY, SID_MAX_SUB_AUTHORITIES, SID_REVISION,
};

/// A security identifier: who.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid {
    authority: [u8; 6],
    sub_authorities: Vec<u32>,
}

/// Bytes of a `SID` before its subauthorities.
pub(super) const SID_HEAD: usize = 8;

impl Sid {
    /// Builds one from its authority and subauthorities.
    ///
    /// # Panics
    ///
    /// Panics with more than 15 subauthorities.
    #[must_use]
    pub fn new(authority: [u8; 6], sub_authorities: &[u32]) -> Self {
        assert!(
            sub_authorities.len() <= SID_MAX_SUB_AUTHORITIES.into(),
            "a SID has at most 15 subauthorities"
        );
        Self { authority, sub_authorities: sub_authorities.to_vec() }
    }

    /// S-1-1-0, everyone.
    #[must_use]
    pub fn world() -> Self {
        Self::new(SECURITY_WORLD_SID_AUTHORITY, &[0])
    }

    /// S-1-5-18, the system itself.
    #[must_use]
    pub fn local_system() -> Self {
        Self::new(SECURITY_NT_AUTHORITY, &[SECURITY_LOCAL_SYSTEM_RID])
    }

    /// S-1-5-11, everyone who has logged on.
    #[must_use]
    pub fn authenticated_users() -> Self {
        Self::new(SECURITY_NT_AUTHORITY, &[11])
    }

    /// S-1-5-32-544, the administrators of this machine.
    #[must_use]
    pub fn administrators() -> Self {
        Self::new(SECURITY_NT_AUTHORITY, &[SECURITY_BUILTIN_DOMAIN_RID, DOMAIN_ALIAS_RID_ADMINS])
    }

    /// S-1-5-32-545, the users of this machine.
    #[must_use]
    pub fn users() -> Self {
        Self::new(SECURITY_NT_AUTHORITY, &[SECURITY_BUILTIN_DOMAIN_RID, 545])
    }

    /// Reads the `SID` that `bytes` begin with. `None` where they are none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(SID_HEAD)?;
        let count = usize::from(head[1]);
        if head[0] != SID_REVISION || count > SID_MAX_SUB_AUTHORITIES.into() {
            return None;
        }
        let authority = head[2..].try_into().ok()?;
        let sub_authorities = rest
            .get(..count * 4)?
            .chunks_exact(4)
            .map(|quad| u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]));
        Some(Self { authority, sub_authorities: sub_authorities.collect() })
    }

    /// Returns the bytes of the `SID` structure.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SID_HEAD + 4 * self.sub_authorities.len());
        bytes.push(SID_REVISION);
        // At most 15, checked where the value is made.
        bytes.push(self.sub_authorities.len() as u8);
        bytes.extend(self.authority);
        for part in &self.sub_authorities {
            bytes.extend(part.to_le_bytes());
        }
        bytes
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        write!(f, "S-1-{authority}")?;
        self.sub_authorities.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
