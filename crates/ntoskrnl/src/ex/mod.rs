//! `Ex`: pool, lookaside lists, mutexes, resources, work items.

pub(crate) mod callback;
pub(crate) mod fast_mutex;
pub(crate) mod lookaside;
pub(crate) mod pool;
pub(crate) mod resource;
pub(crate) mod rundown;
pub(crate) mod spin_lock;
pub(crate) mod work;

#[cfg(all(test, target_arch = "x86_64"))]
mod contention;
pub(crate) mod doors;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
