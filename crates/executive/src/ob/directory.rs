//! Directories: 37 buckets of singly linked entries.
//!
//! The generations of `OBJECT_DIRECTORY` differ behind the device map; buckets and lock are where they always were.

use core::ptr;
use core::sync::atomic::Ordering;

use nt::hash::bucket;
use nt::{
    KernelMode, NTSTATUS, OBJECT_ATTRIBUTES, OBJECT_DIRECTORY, OBJECT_DIRECTORY_ENTRY,
    OBJECT_HEADER_NAME_INFO, STATUS_INSUFFICIENT_RESOURCES,
};

use super::header::Header;
use super::index::Key;
use crate::executive::Executive;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// A directory that somebody keeps alive.
#[derive(Clone, Copy)]
pub(super) struct Directory(Header);

impl Directory {
    pub(super) const fn header(self) -> Header {
        self.0
    }

    fn live(self) -> Live<OBJECT_DIRECTORY> {
        // SAFETY: a directory's body, alive by the promise behind the header. Only buckets and lock are reached, which all
        // generations have at the same place.
        unsafe { Live::new(self.0.body().cast()) }
    }

    fn lock(self) -> *mut nt::EX_PUSH_LOCK {
        field!(self.live(), OBJECT_DIRECTORY, Lock).ptr()
    }

    pub(super) fn bucket(self, hash: u32) -> Live<*mut OBJECT_DIRECTORY_ENTRY> {
        field!(self.live(), OBJECT_DIRECTORY, HashBuckets).element(bucket(hash))
    }
}

/// Follows a link to an entry. The caller holds the directory's lock.
fn entry(at: *mut OBJECT_DIRECTORY_ENTRY) -> Option<Live<OBJECT_DIRECTORY_ENTRY>> {
    // SAFETY: chains hold live entries, and under the lock they stay.
    (!at.is_null()).then(|| unsafe { Live::new(at) })
}

impl<P: Platform> Executive<P> {
    /// Takes an object for a directory if it is one.
    pub(super) fn as_directory(&self, header: Header) -> Option<Directory> {
        self.is_type(header, self.ObpDirectoryObjectType()).then_some(Directory(header))
    }

    pub(super) fn lock_directory(&self, directory: Directory, exclusive: bool) {
        if exclusive {
            // SAFETY: the directory lives while the caller has it, and the caller unlocks before it lets go.
            unsafe { self.lock_exclusive_guarded(directory.lock()) };
        } else {
            // SAFETY: as above.
            unsafe { self.lock_shared_guarded(directory.lock()) };
        }
    }

    pub(super) fn unlock_directory(&self, directory: Directory) {
        // SAFETY: as for `lock_directory`, and it came before.
        unsafe { self.unlock_guarded(directory.lock()) };
    }

    /// Creates a directory that is not inserted yet, for the kernel.
    pub(super) fn new_directory(&self, attributes: &OBJECT_ATTRIBUTES) -> Result<Header, NTSTATUS> {
        // SAFETY: a reference is readable, and the executive fills in what it points to.
        unsafe { self.create_directory_body(attributes, KernelMode) }
    }

    /// Creates a directory that is not inserted yet.
    ///
    /// # Safety
    ///
    /// `attributes` is null or readable, with what it points to.
    pub(super) unsafe fn create_directory_body(
        &self,
        attributes: *const OBJECT_ATTRIBUTES,
        mode: u8,
    ) -> Result<Header, NTSTATUS> {
        let size = self.profile().object_directory_layout().size;
        // SAFETY: the caller's promise.
        let header = unsafe {
            self.create_object(mode, self.ObpDirectoryObjectType(), attributes, mode, size, [0, 0])
        }?;
        // SAFETY: the body is new, ours alone and that large.
        unsafe { ptr::write_bytes(header.body().cast::<u8>(), 0, size) };
        Ok(header)
    }

    /// Lists the objects of a directory with a reference on each, bucket by bucket.
    pub(super) fn directory_objects(&self, directory: Directory) -> alloc::vec::Vec<Header> {
        let mut all = alloc::vec::Vec::new();
        self.lock_directory(directory, false);
        for index in 0..nt::NUMBER_HASH_BUCKETS {
            let mut at = field!(directory.live(), OBJECT_DIRECTORY, HashBuckets).element(index).get();
            while let Some(live) = entry(at) {
                // SAFETY: an entry holds a reference on its object, and under the lock the entry stays.
                let header = unsafe { Header::of(live.get().Object) };
                header.pointer_count().fetch_add(1, Ordering::Relaxed);
                all.push(header);
                at = live.get().ChainLink;
            }
        }
        self.unlock_directory(directory);
        all
    }

    /// Puts an object at the head of its bucket's chain under the name `leaf`, whose key is `key`. The caller holds the directory's lock for writing.
    ///
    /// The object's stored name becomes the leaf; entry and object take a reference on each other's behalf.
    pub(super) fn insert_entry(
        &self,
        directory: Directory,
        header: Header,
        leaf: &[u16],
        key: Key,
    ) -> Result<(), NTSTATUS> {
        let Some(info) = header.name_info() else { return Err(nt::STATUS_OBJECT_NAME_INVALID) };
        let entry = self.allocate_entry(key, header)?;
        let Ok(Some(name)) = self.name_to_pool(leaf) else {
            self.free_entry(entry);
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        };

        self.lock_object(header);
        let stored = field!(info, OBJECT_HEADER_NAME_INFO, Name);
        let whole = stored.get();
        stored.set(name);
        field!(info, OBJECT_HEADER_NAME_INFO, Directory).set(directory.header().body().cast());
        self.unlock_object(header);
        self.free_name(&whole);

        header.pointer_count().fetch_add(1, Ordering::Relaxed);
        directory.header().pointer_count().fetch_add(1, Ordering::Relaxed);
        self.link_entry(directory, key, entry);
        Ok(())
    }
}
