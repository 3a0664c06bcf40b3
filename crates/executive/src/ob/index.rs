//! Finding, linking and unlinking directory entries, however long the chains are.
//!
//! Windows walks the chain of a bucket, of which a directory has 37. The chains here are exactly those, for whoever walks them: entries at the
//! head, newest first, with NT's hash. Beside them lies a table of all entries of all directories, and each entry leads back to the link
//! that leads to it, so that no step takes longer because a chain does.
//!
//! What an entry needs for that is behind NT's fields and takes no memory: Windows' 0x18 bytes fill a pool block that has room for
//! 0x20. The table is keyed by NT's hash, widened by 32 bits that depend on the directory and on a key of the executive: NT's own
//! is easily collided. Spellings of a name that differ in case have one key; where a directory has several of them, the
//! chain is walked, because its order says which is found.
//!
//! Different on purpose: a lookup sees what was inserted and removed by the object manager. An entry that a driver links or unlinks
//! by hand is where it put it for whoever walks, but is found, or not found, as before.
//!
//! Links and ways back lie in memory that drivers can write. A neighbor is written to only where it leads to the entry that changes, and the one before only if it is
//! a bucket or, by the pool's books, an entry; any other is left as it is.

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr;

use hashbrown::HashTable;
use nt::hash::{keyed, mixed};
use nt::{NTSTATUS, OBJECT_DIRECTORY_ENTRY, PagedPool, Pod, STATUS_INSUFFICIENT_RESOURCES, tag};

use super::directory::Directory;
use super::globals::Globals;
use super::header::Header;
use crate::executive::Executive;
use crate::mm::HostCell;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// An `OBJECT_DIRECTORY_ENTRY` and what lies in its padding and behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Entry {
    chain_link: *mut Self,
    object: *mut c_void,
    hash_value: u32,
    /// The upper half of the key.
    wide: u32,
    /// The link that leads here: a bucket, or the first field of another entry.
    back: *mut *mut Self,
}

const _: () = {
    assert!(size_of::<Entry>() == 0x20);
    assert!(offset_of!(Entry, chain_link) == offset_of!(OBJECT_DIRECTORY_ENTRY, ChainLink));
    assert!(offset_of!(Entry, chain_link) == 0);
    assert!(offset_of!(Entry, object) == offset_of!(OBJECT_DIRECTORY_ENTRY, Object));
    assert!(offset_of!(Entry, hash_value) == offset_of!(OBJECT_DIRECTORY_ENTRY, HashValue));
};

// SAFETY: integers and raw pointers.
unsafe impl Pod for Entry {}

/// What an entry is found by.
#[derive(Clone, Copy)]
pub(super) struct Key {
    hash: u32,
    wide: u32,
}

impl Key {
    /// The position in the table.
    const fn position(self) -> u64 {
        mixed((self.wide as u64) << 32 | self.hash as u64)
    }
}

/// The addresses of all entries.
#[derive(Default)]
pub(crate) struct NameIndex {
    table: HashTable<usize>,
}

/// Takes an address for that of an entry.
///
/// # Safety
///
/// `at` is the address of an entry that stays while the value is used. Such are those in the table, which an entry leaves under the table's flag before it is freed,
/// and those that the pool's books call entries, under the directory's lock. A link that a driver may have written is none.
unsafe fn live(at: usize) -> Live<Entry> {
    // SAFETY: the caller's promise; pool is aligned to 16 bytes.
    unsafe { Live::new(ptr::with_exposed_provenance_mut(at)) }
}

fn position(at: usize) -> u64 {
    // SAFETY: called for what is in the table.
    let entry = unsafe { live(at) }.get();
    Key { hash: entry.hash_value, wide: entry.wide }.position()
}

impl NameIndex {
    /// Returns the entries with a key, or those of another directory that share it by accident.
    fn with_key(&self, key: Key) -> impl Iterator<Item = (usize, Entry)> {
        let entries = self.table.iter_hash(key.position()).map(|&at| {
            // SAFETY: it is in the table.
            (at, unsafe { live(at) }.get())
        });
        entries.filter(move |(_, entry)| entry.hash_value == key.hash && entry.wide == key.wide)
    }

    fn insert(&mut self, key: Key, at: usize) {
        self.table.insert_unique(key.position(), at, |&at| position(at));
    }

    fn remove(&mut self, key: Key, at: usize) {
        match self.table.find_entry(key.position(), |&found| found == at) {
            Ok(found) => drop(found.remove()),
            // Whoever wrote to the entry must not leave an address of freed memory here.
            Err(_) => self.table.retain(|&mut found| found != at),
        }
    }
}

/// What the table knows of a name.
enum Known {
    Nothing,
    One(Header),
    /// Spellings that differ in case.
    Several,
}

impl<P: Platform> Executive<P> {
    fn name_index(&self) -> &HostCell<NameIndex> {
        let cell = field!(self.ob(), Globals, names);
        // SAFETY: the globals live as long as the executive, and everything in the cell is behind `UnsafeCell` or atomic.
        unsafe { &*cell.ptr() }
    }

    /// Gives the host memory of the table back.
    pub(super) fn dispose_name_index(&self) {
        self.name_index().dispose();
    }

    /// Computes what a name is found by in a directory.
    pub(super) fn name_key(&self, directory: Directory, name: &[u16]) -> Key {
        let key = field!(self.ob(), Globals, name_key).get() ^ directory.header().body().addr() as u64;
        Key { hash: self.profile().hash.value.hash(name), wide: keyed(name, key) as u32 }
    }

    /// Chooses the key of the table, from the clock and an address, which on a deterministic platform are the same again.
    pub(super) fn choose_name_key(&self) -> u64 {
        mixed(self.platform().now().cast_unsigned() ^ self.ob().addr() as u64)
    }

    /// Finds the object of a name. The caller holds the directory's lock.
    pub(super) fn find_entry(
        &self,
        directory: Directory,
        key: Key,
        name: &[u16],
        case_insensitive: bool,
    ) -> Option<Header> {
        let known = self.name_index().with(|index| {
            let mut known = Known::Nothing;
            for (_, entry) in index.with_key(key) {
                // SAFETY: an entry holds a reference on its object until it has left the table.
                let header = unsafe { Header::of(entry.object) };
                if header.directory() == directory.header().body() && header.is_named(name, true) {
                    known = match known {
                        Known::Nothing => Known::One(header),
                        Known::One(_) | Known::Several => Known::Several,
                    };
                }
            }
            known
        });
        match known {
            Known::Nothing => None,
            Known::One(header) => (case_insensitive || header.is_named(name, false)).then_some(header),
            Known::Several => {
                // SAFETY: the caller holds the lock; a driver that bends links answers for where they lead, as on Windows.
                unsafe { self.walk_bucket(directory, key, name, case_insensitive) }
            }
        }
    }

    /// # Safety
    ///
    /// The caller holds the directory's lock, and what is linked to its chains by hand is readable.
    unsafe fn walk_bucket(
        &self,
        directory: Directory,
        key: Key,
        name: &[u16],
        case_insensitive: bool,
    ) -> Option<Header> {
        let mut at = directory.bucket(key.hash).get();
        while !at.is_null() {
            // SAFETY: the caller's promise.
            let entry = unsafe { Live::new(at) }.get();
            // SAFETY: an entry holds a reference on its object, and under the lock the entry stays.
            let header = unsafe { Header::of(entry.Object) };
            if entry.HashValue == key.hash && header.is_named(name, case_insensitive) {
                return Some(header);
            }
            at = entry.ChainLink;
        }
        None
    }

    /// Allocates an entry that is linked nowhere.
    pub(super) fn allocate_entry(&self, key: Key, object: Header) -> Result<Live<Entry>, NTSTATUS> {
        let block = self.ExAllocatePoolWithTag(PagedPool, size_of::<Entry>(), tag::OBJECT_DIRECTORY_ENTRY);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the block is new and that large.
        let entry: Live<Entry> = unsafe { Live::new(block.cast()) };
        entry.set(Entry {
            chain_link: ptr::null_mut(),
            object: object.body(),
            hash_value: key.hash,
            wide: key.wide,
            back: ptr::null_mut(),
        });
        Ok(entry)
    }

    /// Frees an entry that is linked nowhere.
    pub(super) fn free_entry(&self, entry: Live<Entry>) {
        // SAFETY: neither chain nor table leads to it.
        unsafe { self.ExFreePoolWithTag(entry.ptr().cast(), tag::OBJECT_DIRECTORY_ENTRY) };
    }

    /// Links an entry at the head of its bucket's chain. The caller holds the directory's lock for writing.
    pub(super) fn link_entry(&self, directory: Directory, key: Key, entry: Live<Entry>) {
        let head: Live<*mut OBJECT_DIRECTORY_ENTRY> = directory.bucket(key.hash);
        let next: *mut Entry = head.get().cast();
        field!(entry, Entry, chain_link).set(next);
        field!(entry, Entry, back).set(head.ptr().cast());
        // SAFETY: read from the bucket.
        unsafe { Self::lead_back(next, head.ptr().cast(), field!(entry, Entry, chain_link).ptr()) };
        self.name_index().with(|index| index.insert(key, entry.ptr().expose_provenance()));
        head.set(entry.ptr().cast());
    }

    /// Takes the entry of an object out and frees it. The caller holds the directory's lock for writing and drops the two references that
    /// the entry had once it has unlocked. Tells whether there was an entry.
    pub(super) fn remove_entry(&self, directory: Directory, body: *mut c_void, key: Key) -> bool {
        let known = self.name_index().with(|index| {
            let at = index.with_key(key).find(|(_, entry)| entry.object == body).map(|(at, _)| at)?;
            index.remove(key, at);
            Some(at)
        });
        let Some(at) = known else { return false };
        // SAFETY: it was in the table until now, and whoever takes an entry out frees it: this call.
        let entry = unsafe { live(at) };
        let Entry { chain_link: next, back, .. } = entry.get();
        let here = field!(entry, Entry, chain_link).ptr();
        let bucket = self.bucket_link(directory, key);
        let mut link = if back != bucket.ptr() && self.is_entry(back.cast()) {
            // SAFETY: the first field of an entry, which stays under the lock.
            unsafe { Live::new(back) }
        } else {
            bucket
        };
        if link.get() != entry.ptr() {
            // Somebody changed the chain by hand: the way back leads elsewhere.
            link = bucket;
            while link.get() != entry.ptr() {
                if link.get().is_null() {
                    // Nothing leads to it any more, and nothing must lead back to it.
                    // SAFETY: read from the entry.
                    unsafe { Self::lead_back(next, here, ptr::null_mut()) };
                    self.free_entry(entry);
                    return true;
                }
                // SAFETY: a link at the start of an entry. A driver that bends links answers for where they lead, as on Windows.
                link = unsafe { Live::new(link.get().cast()) };
            }
        }
        link.set(next);
        // SAFETY: read from the entry.
        unsafe { Self::lead_back(next, here, link.ptr()) };
        self.free_entry(entry);
        true
    }

    /// Tells whether there is an entry at an address, which may be any.
    fn is_entry(&self, at: *mut Entry) -> bool {
        self.is_own_block(at.addr(), size_of::<Entry>(), tag::OBJECT_DIRECTORY_ENTRY)
    }

    /// Changes where a neighbor leads back to, from one link to another, if it does lead there. The caller holds the directory's lock for writing.
    ///
    /// # Safety
    ///
    /// `entry` was read from a chain: it is null, an entry, or what a driver put there, which then is readable like one, as Windows presumes.
    unsafe fn lead_back(entry: *mut Entry, from: *mut *mut Entry, to: *mut *mut Entry) {
        if entry.is_null() || !entry.is_aligned() {
            return;
        }
        // SAFETY: the caller's promise.
        let back = field!(unsafe { Live::new(entry) }, Entry, back);
        if back.get() == from {
            back.set(to);
        }
    }

    #[expect(clippy::unused_self, reason = "beside its callers")]
    fn bucket_link(&self, directory: Directory, key: Key) -> Live<*mut Entry> {
        // SAFETY: a bucket holds a pointer to an entry, whose type here has more fields.
        unsafe { Live::new(directory.bucket(key.hash).ptr().cast()) }
    }
}
