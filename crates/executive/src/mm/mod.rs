//! Memory manager: tagged pool.
//!
//! On Windows pool is carved out of pages by a heap (before version 1903 by the pool allocator proper, since then by the segment
//! heap). Here [`Platform::allocate`](crate::Platform::allocate) gives one block per allocation and this module adds what drivers,
//! debuggers and crash dumps rely on: a `POOL_HEADER` with the tag right before the block, sizes in units of 16 bytes, page
//! alignment for requests of a page and more, zeroing where the version zeroes, and the bugchecks of a wrong free.
//!
//! Every block is checked, as Driver Verifier's special pool checks: what a driver asks for gets pages of its own as long as the platform
//! has some, and is caught in the act of running past it or using it after it was freed; other blocks have, where the platform wants it, a zone behind
//! them and wait before they are used again, and damage to them is found when they are freed, when a driver leaves and at the end.
//!
//! Different on purpose: a large block carries a header too (Windows keeps large blocks in a table of their own), and the
//! bookkeeping lives outside the memory that drivers can overwrite, so that a damaged header is noticed instead of believed.

mod dense;
mod guard;
mod host;
mod misuse;
mod pool;
mod quick;
mod registry;
#[cfg(test)]
mod tests;

pub use misuse::{PoolPlace, describe_block};
pub use pool::PoolRequest;
pub use registry::{PoolBlock, TagStatistics};

pub(crate) use host::HostCell;
pub(crate) use registry::Globals;
