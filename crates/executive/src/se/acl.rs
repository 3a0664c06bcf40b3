//! Access control lists.

use alloc::vec::Vec;

use nt::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE, ACL, ACL_REVISION, ACL_REVISION_DS, GENERIC_MAPPING,
    SYSTEM_AUDIT_ACE_TYPE,
};

use super::Sid;

/// Bytes of an `ACL` before its entries.
pub(super) const ACL_HEAD: usize = size_of::<ACL>();
/// Bytes of an `ACE_HEADER` and the mask behind it.
const ACE_HEAD: usize = 8;

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ace {
    /// One of the three kinds that name an access mask and a SID.
    Known {
        /// `ACCESS_ALLOWED_ACE_TYPE` and so on.
        kind: u8,
        /// Inheritance and audit flags.
        flags: u8,
        /// Access mask.
        mask: u32,
        /// Who.
        sid: Sid,
    },
    /// Anything else, kept as it is.
    Opaque(Vec<u8>),
}

/// An access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `AclRevision`.
    pub revision: u8,
    /// The entries in order.
    pub aces: Vec<Ace>,
}

impl Ace {
    /// Builds an entry that allows `mask` to `sid` and is not inherited.
    #[must_use]
    pub const fn allow(sid: Sid, mask: u32) -> Self {
        Self::Known { kind: ACCESS_ALLOWED_ACE_TYPE, flags: 0, mask, sid }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [
                kind @ (ACCESS_ALLOWED_ACE_TYPE | ACCESS_DENIED_ACE_TYPE | SYSTEM_AUDIT_ACE_TYPE),
                flags,
                _,
                _,
                m0,
                m1,
                m2,
                m3,
                rest @ ..,
            ] => Some(Self::Known {
                kind: *kind,
                flags: *flags,
                mask: u32::from_le_bytes([*m0, *m1, *m2, *m3]),
                sid: Sid::parse(rest)?,
            }),
            [ACCESS_ALLOWED_ACE_TYPE | ACCESS_DENIED_ACE_TYPE | SYSTEM_AUDIT_ACE_TYPE, ..] => None,
            _ => Some(Self::Opaque(bytes.to_vec())),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Known { kind, flags, mask, sid } => {
                let sid = sid.to_bytes();
                let mut bytes = Vec::with_capacity(ACE_HEAD + sid.len());
                bytes.extend([*kind, *flags]);
                // A SID is at most 68 bytes.
                bytes.extend(((ACE_HEAD + sid.len()) as u16).to_le_bytes());
                bytes.extend(mask.to_le_bytes());
                bytes.extend(sid);
                bytes
            }
            Self::Opaque(bytes) => bytes.clone(),
        }
    }
}

impl Acl {
    /// Builds a list of revision 2.
    #[must_use]
    pub const fn new(aces: Vec<Ace>) -> Self {
        Self { revision: ACL_REVISION, aces }
    }

    /// Reads the `ACL` that `bytes` hold. `None` where they hold none that is sound.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_at_checked(ACL_HEAD)?;
        let size = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let count = u16::from_le_bytes([head[4], head[5]]);
        if !(ACL_REVISION..=ACL_REVISION_DS).contains(&head[0]) {
            return None;
        }
        let mut rest = bytes.get(ACL_HEAD..size)?;
        let mut aces = Vec::new();
        for _ in 0..count {
            let &[_, _, low, high, ..] = rest else { return None };
            let length = usize::from(u16::from_le_bytes([low, high]));
            if length < 4 {
                return None;
            }
            let (ace, others) = rest.split_at_checked(length)?;
            aces.push(Ace::parse(ace)?);
            rest = others;
        }
        Some(Self { revision: head[0], aces })
    }

    /// Returns the bytes of the `ACL` structure.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let aces: Vec<u8> = self.aces.iter().flat_map(Ace::to_bytes).collect();
        let size = (ACL_HEAD + aces.len()) as u16;
        let mut bytes = Vec::with_capacity(usize::from(size));
        bytes.extend([self.revision, 0]);
        bytes.extend(size.to_le_bytes());
        bytes.extend((self.aces.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(aces);
        bytes
    }

    /// Returns the list with the generic rights of every mask replaced by what they mean for a type.
    #[must_use]
    pub fn mapped(&self, mapping: &GENERIC_MAPPING) -> Self {
        let aces = self.aces.iter().map(|ace| match ace {
            Ace::Known { kind, flags, mask, sid } => {
                Ace::Known { kind: *kind, flags: *flags, mask: mapping.map(*mask), sid: sid.clone() }
            }
            Ace::Opaque(bytes) => Ace::Opaque(bytes.clone()),
        });
        Self { revision: self.revision, aces: aces.collect() }
    }
}
