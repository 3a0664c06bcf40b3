//! `Mm`: addresses, descriptor lists, images.
//!
//! There is one address space, and nothing in it is ever paged out: what NT would lock or map is there already.

pub(crate) mod address;
pub(crate) mod contiguous;
pub(crate) mod mdl;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
