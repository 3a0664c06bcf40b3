//! `Ob`: references, handles and names of objects, as drivers use them.
//!
//! The executive keeps the objects. What is added here is the account: a reference that a driver takes on a callback object, or gives
//! back, becomes an event, so that an audit can tell what the driver still owes.

pub(crate) mod boot;
pub(crate) mod handle;
pub(crate) mod reference;
pub(crate) mod service;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
