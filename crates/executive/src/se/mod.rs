//! Security reference monitor: identifiers, access control lists, descriptors, tokens, the access check.
//!
//! Models what the object manager asks of `Se*` and nothing more. Sources: the public documentation of SIDs, ACLs and security
//! descriptors (MS-DTYP), `ntifs.h`, and decompilations of x64 kernels for `SePublicDefaultSd` and the object manager's use.
//!
//! Deliberately different: tokens are Rust values of the process they belong to, not objects; there is no impersonation, no integrity
//! label, no auditing, and a new object inherits nothing from its directory (no directory of this executive has an inheritable entry);
//! every object has a descriptor of its own, where Windows shares equal ones through a cache and counts references
//! in the low bits of the header's pointer (they are zero here).

mod acl;
mod capture;
mod check;
mod defaults;
mod descriptor;
mod sid;
#[cfg(test)]
mod tests;
mod token;

pub use acl::{Ace, Acl};
pub use descriptor::Descriptor;
pub use sid::Sid;
pub use token::{Group, Privilege, Token};

pub(crate) use capture::{read_descriptor, read_quality_of_service};
pub(crate) use defaults::Globals;
