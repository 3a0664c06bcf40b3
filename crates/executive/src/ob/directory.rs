//! Directories: 37 buckets of singly linked entries.
//!
//! The generations of `OBJECT_DIRECTORY` differ behind the device map; buckets and lock are where they always were.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use nt::hash::{bucket, names_equal};
use nt::{
    KernelMode, NTSTATUS, OBJECT_ATTRIBUTES, OBJECT_DIRECTORY, OBJECT_DIRECTORY_ENTRY,
    OBJECT_HEADER_NAME_INFO, PagedPool, STATUS_INSUFFICIENT_RESOURCES, tag,
};

use super::header::Header;
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

    fn bucket(self, hash: u32) -> Live<*mut OBJECT_DIRECTORY_ENTRY> {
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

    /// Finds the entry of a name. The caller holds the directory's lock.
    pub(super) fn find_entry(
        &self,
        directory: Directory,
        name: &[u16],
        case_insensitive: bool,
    ) -> Option<Header> {
        let hash = self.profile().hash.value.hash(name);
        let mut at = directory.bucket(hash).get();
        while let Some(live) = entry(at) {
            let all = live.get();
            // SAFETY: an entry holds a reference on its object, and under the lock the entry stays.
            let header = unsafe { Header::of(all.Object) };
            if all.HashValue == hash && names_equal(&header.stored_name(), name, case_insensitive) {
                return Some(header);
            }
            at = all.ChainLink;
        }
        None
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

    /// Puts an object at the head of its bucket's chain under the name `leaf`. The caller holds the directory's lock for writing.
    ///
    /// The object's stored name becomes the leaf; entry and object take a reference on each other's behalf.
    pub(super) fn insert_entry(
        &self,
        directory: Directory,
        header: Header,
        leaf: &[u16],
    ) -> Result<(), NTSTATUS> {
        let Some(info) = header.name_info() else { return Err(nt::STATUS_OBJECT_NAME_INVALID) };
        let size = size_of::<OBJECT_DIRECTORY_ENTRY>();
        let block = self.ExAllocatePoolWithTag(PagedPool, size, tag::OBJECT_DIRECTORY_ENTRY);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let Ok(Some(name)) = self.name_to_pool(leaf) else {
            // SAFETY: allocated above, and nobody knows it.
            unsafe { self.ExFreePoolWithTag(block, tag::OBJECT_DIRECTORY_ENTRY) };
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        };
        let hash = self.profile().hash.value.hash(leaf);
        let head = directory.bucket(hash);
        // SAFETY: the block is new and that large.
        let live: Live<OBJECT_DIRECTORY_ENTRY> = unsafe { Live::new(block.cast()) };
        live.set(OBJECT_DIRECTORY_ENTRY { ChainLink: head.get(), Object: header.body(), HashValue: hash });

        self.lock_object(header);
        let stored = field!(info, OBJECT_HEADER_NAME_INFO, Name);
        let whole = stored.get();
        stored.set(name);
        field!(info, OBJECT_HEADER_NAME_INFO, Directory).set(directory.header().body().cast());
        self.unlock_object(header);
        self.free_name(&whole);

        header.pointer_count().fetch_add(1, Ordering::Relaxed);
        directory.header().pointer_count().fetch_add(1, Ordering::Relaxed);
        head.set(live.ptr());
        Ok(())
    }

    /// Takes the entry of an object out. The caller holds the directory's lock for writing and drops the two references that the
    /// entry had once it has unlocked. Tells whether there was an entry.
    pub(super) fn remove_entry(&self, directory: Directory, body: *mut c_void, name: &[u16]) -> bool {
        let hash = self.profile().hash.value.hash(name);
        let mut link = directory.bucket(hash);
        while let Some(live) = entry(link.get()) {
            let next = field!(live, OBJECT_DIRECTORY_ENTRY, ChainLink);
            if live.get().Object == body {
                link.set(next.get());
                // SAFETY: no chain leads to it any more.
                unsafe { self.ExFreePoolWithTag(live.ptr().cast(), tag::OBJECT_DIRECTORY_ENTRY) };
                return true;
            }
            link = next;
        }
        false
    }
}
