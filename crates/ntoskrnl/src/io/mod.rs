//! `Io`: devices, symbolic links, files on devices, requests.
//!
//! Models the I/O manager as far as drivers talk to each other through it. There are no user processes, so a request completes in the
//! context of whoever completes it: what NT queues to the requester as an APC happens at once.

use core::ptr::NonNull;

use nt::KSPIN_LOCK;

use crate::host::Host;

pub(crate) mod attach;
pub(crate) mod build;
pub(crate) mod device;
pub(crate) mod file;
pub(crate) mod irp;
pub(crate) mod link;
pub(crate) mod remove_lock;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

/// What `Io` keeps.
#[derive(Debug)]
pub(crate) struct Io {
    /// The one lock of all cancel routines.
    pub(crate) cancel_lock: NonNull<KSPIN_LOCK>,
    /// Number of the next device that gets its name from the system.
    pub(crate) next_device: core::sync::atomic::AtomicU32,
}

impl Io {
    pub(crate) fn new(host: &'static dyn Host) -> Self {
        let cancel_lock = host.data(size_of::<KSPIN_LOCK>(), 16).cast();
        Self { cancel_lock, next_device: 1.into() }
    }
}
