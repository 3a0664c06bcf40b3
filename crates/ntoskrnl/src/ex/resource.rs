//! Resources: many readers or one writer, waiting, recursive.
//!
//! Models `ERESOURCE`. The state is in the driver's structure: owners in `OwnerEntry` (the writer) and `OwnerTable` (readers), counts,
//! waiters behind two pointers, guarded by the structure's own spin lock. A release hands the resource to those who
//! wait, readers before writers, as NT does.

use core::ptr::NonNull;

use nt::{BugCheck, ERESOURCE, KEVENT, KSEMAPHORE, OWNER_ENTRY, SynchronizationEvent};
use record::{LeftKind, WaitKind};

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::ke::spin_lock::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};
use crate::ke::thread::{KeEnterCriticalRegion, KeLeaveCriticalRegion};
use crate::kernel::Kernel;

/// `Flag`: owned by a writer.
const EXCLUSIVE: u16 = 0x80;
const TABLE_TAG: u32 = nt::pool_tag(b"ReTa");
const SHARED_TAG: u32 = nt::pool_tag(b"ReSs");
const EXCLUSIVE_TAG: u32 = nt::pool_tag(b"ReSe");

type Resource = Guest<ERESOURCE>;

/// Makes a resource that nobody owns.
pub(crate) fn ExInitializeResourceLite(k: &Kernel, resource: Resource) -> nt::NTSTATUS {
    GuestSlice::<u8>::new(k, resource.address(), size_of::<ERESOURCE>()).fill(0);
    let list = field!(resource, ERESOURCE, SystemResourcesList);
    let own = Guest::<u64>::new(k, list.address());
    own.write(list.address());
    Guest::<u64>::new(k, list.address() + 8).write(list.address());
    field!(resource, ERESOURCE, Address).write(Address(k.caller()).ptr());
    k.resource_made(resource.address());
    k.check_resident("ExInitializeResourceLite", resource.address());
    nt::STATUS_SUCCESS
}

/// Makes a resource that nobody owns, keeping what it has allocated.
pub(crate) fn ExReinitializeResourceLite(k: &Kernel, resource: Resource) -> nt::NTSTATUS {
    ExDeleteResourceLite(k, resource);
    ExInitializeResourceLite(k, resource)
}

/// Frees what a resource has allocated.
pub(crate) fn ExDeleteResourceLite(k: &Kernel, resource: Resource) -> nt::NTSTATUS {
    k.lock_over(resource.address());
    k.resource_deleted(resource.address());
    let table = field!(resource, ERESOURCE, OwnerTable);
    let shared = field!(resource, ERESOURCE, SharedWaiters);
    let exclusive = field!(resource, ERESOURCE, ExclusiveWaiters);
    for block in [table.read() as u64, shared.read() as u64, exclusive.read() as u64] {
        if block != 0 {
            k.free_pool(block);
        }
    }
    table.write(core::ptr::null_mut());
    shared.write(core::ptr::null_mut());
    exclusive.write(core::ptr::null_mut());
    nt::STATUS_SUCCESS
}

fn current(k: &Kernel) -> usize {
    k.host().current_thread().as_ptr().expose_provenance()
}

fn locked<R>(k: &Kernel, resource: Resource, work: impl FnOnce() -> R) -> R {
    let lock = field!(resource, ERESOURCE, SpinLock);
    let old = KeAcquireSpinLockRaiseToDpc(k, lock);
    let result = work();
    KeReleaseSpinLock(k, lock, old);
    result
}

fn is_exclusive(resource: Resource) -> bool {
    field!(resource, ERESOURCE, Flag).read() & EXCLUSIVE != 0
}

fn owner(resource: Resource) -> Guest<OWNER_ENTRY> {
    field!(resource, ERESOURCE, OwnerEntry)
}

/// The readers' table. Its first entry is not an owner: `TableSize` there is the number of entries.
fn table(k: &Kernel, resource: Resource) -> Vec<Guest<OWNER_ENTRY>> {
    let at = field!(resource, ERESOURCE, OwnerTable).read() as u64;
    if at == 0 {
        return Vec::new();
    }
    let first = Guest::<OWNER_ENTRY>::new(k, at);
    let entries =
        GuestSlice::<OWNER_ENTRY>::new(k, at, field!(first, OWNER_ENTRY, TableSize).read() as usize);
    (1..entries.len()).map(|index| entries.at(index)).collect()
}

fn reader(k: &Kernel, resource: Resource, thread: usize) -> Option<Guest<OWNER_ENTRY>> {
    table(k, resource).into_iter().find(|entry| field!(*entry, OWNER_ENTRY, OwnerThread).read() == thread)
}

/// Adds a reader to the table, which grows by four.
fn add_reader(k: &Kernel, resource: Resource, thread: usize) {
    let entries = table(k, resource);
    let free = entries.iter().find(|entry| field!(**entry, OWNER_ENTRY, OwnerThread).read() == 0);
    let entry = match free {
        Some(entry) => *entry,
        None => {
            let count = entries.len() + 5;
            let bytes = count * size_of::<OWNER_ENTRY>();
            let block = k.executive().ExAllocatePoolWithTag(nt::NonPagedPoolNx, bytes, TABLE_TAG);
            if block.is_null() {
                // NT waits for memory here. Nobody can give any back at this IRQL.
                k.bugcheck(
                    BugCheck::RESOURCE_NOT_OWNED,
                    [resource.address(), 0, 0, 0],
                    "no pool for the owners of a resource",
                );
            }
            let block = block.expose_provenance() as u64;
            let grown = GuestSlice::<u8>::new(k, block, bytes);
            grown.fill(0);
            let old = field!(resource, ERESOURCE, OwnerTable).read() as u64;
            if old != 0 {
                let kept = (entries.len() + 1) * size_of::<OWNER_ENTRY>();
                grown.copy_from(GuestSlice::new(k, old, kept));
                k.free_pool(old);
            }
            field!(Guest::<OWNER_ENTRY>::new(k, block), OWNER_ENTRY, TableSize).write(count as u32);
            field!(resource, ERESOURCE, OwnerTable).write(Address(block).ptr());
            GuestSlice::<OWNER_ENTRY>::new(k, block, count).at(entries.len() + 1)
        }
    };
    field!(entry, OWNER_ENTRY, OwnerThread).write(thread);
    field!(entry, OWNER_ENTRY, TableSize).write(1);
}

fn own_exclusively(resource: Resource, thread: usize) {
    let flag = field!(resource, ERESOURCE, Flag);
    flag.write(flag.read() | EXCLUSIVE);
    field!(owner(resource), OWNER_ENTRY, OwnerThread).write(thread);
    field!(owner(resource), OWNER_ENTRY, TableSize).write(1);
    field!(resource, ERESOURCE, ActiveCount).write(1);
    field!(resource, ERESOURCE, ActiveEntries).write(1);
}

fn adjust(word: Guest<u32>, delta: i32) -> u32 {
    let value = word.read().wrapping_add_signed(delta);
    word.write(value);
    value
}

fn waiters(k: &Kernel, slot: Guest<*mut core::ffi::c_void>, shared: bool) -> u64 {
    let at = slot.read() as u64;
    if at != 0 {
        return at;
    }
    let (bytes, tag) =
        if shared { (size_of::<KSEMAPHORE>(), SHARED_TAG) } else { (size_of::<KEVENT>(), EXCLUSIVE_TAG) };
    let block = k.executive().ExAllocatePoolWithTag(nt::NonPagedPoolNx, bytes, tag);
    if block.is_null() {
        k.bugcheck(BugCheck::RESOURCE_NOT_OWNED, [0; 4], "no pool for the waiters of a resource");
    }
    if shared {
        // SAFETY: a fresh block of that size.
        unsafe { k.executive().KeInitializeSemaphore(block.cast(), 0, i32::MAX) };
    } else {
        // SAFETY: a fresh block of that size.
        unsafe { k.executive().KeInitializeEvent(block.cast(), SynchronizationEvent, false) };
    }
    slot.write(block);
    block.expose_provenance() as u64
}

/// What an attempt came to, under the lock.
enum Attempt {
    Acquired,
    Refused,
    /// Waits for the dispatcher object at the address; on waking the resource is the thread's, it only has to sign.
    Waits(u64, bool),
}

fn finish(k: &Kernel, resource: Resource, attempt: &Attempt) -> u8 {
    match *attempt {
        Attempt::Acquired => {}
        Attempt::Refused => return 0,
        Attempt::Waits(object, shared) => {
            let contention = field!(resource, ERESOURCE, ContentionCount);
            contention.write(contention.read().wrapping_add(1));
            super::fast_mutex::wait(k, Guest::new(k, object), WaitKind::Resource, resource.address());
            let thread = current(k);
            locked(k, resource, || {
                if shared {
                    add_reader(k, resource, thread);
                } else {
                    field!(owner(resource), OWNER_ENTRY, OwnerThread).write(thread);
                }
            });
        }
    }
    k.host().holds(k.host().current_thread(), resource.address() as usize);
    k.lock_taken(LeftKind::Resource, resource.address());
    1
}

/// Acquires as a writer.
pub(crate) fn ExAcquireResourceExclusiveLite(k: &Kernel, resource: Resource, wait: u8) -> u8 {
    let thread = current(k);
    let attempt = locked(k, resource, || {
        if field!(resource, ERESOURCE, ActiveEntries).read() == 0 {
            own_exclusively(resource, thread);
            return Attempt::Acquired;
        }
        if is_exclusive(resource) && field!(owner(resource), OWNER_ENTRY, OwnerThread).read() == thread {
            adjust(field!(owner(resource), OWNER_ENTRY, TableSize), 1);
            return Attempt::Acquired;
        }
        if wait == 0 {
            return Attempt::Refused;
        }
        adjust(field!(resource, ERESOURCE, NumberOfExclusiveWaiters), 1);
        Attempt::Waits(waiters(k, field!(resource, ERESOURCE, ExclusiveWaiters), false), false)
    });
    finish(k, resource, &attempt)
}

/// When a reader stands back for writers that wait.
#[derive(Clone, Copy, PartialEq)]
enum Courtesy {
    /// Only a reader that holds the resource already goes first.
    Usual,
    /// Nobody.
    Starve,
    /// Every one.
    Wait,
}

fn acquire_shared(k: &Kernel, resource: Resource, wait: u8, courtesy: Courtesy) -> u8 {
    let thread = current(k);
    let attempt = locked(k, resource, || {
        if field!(resource, ERESOURCE, ActiveEntries).read() == 0 {
            add_reader(k, resource, thread);
            field!(resource, ERESOURCE, ActiveCount).write(1);
            field!(resource, ERESOURCE, ActiveEntries).write(1);
            return Attempt::Acquired;
        }
        if is_exclusive(resource) {
            if field!(owner(resource), OWNER_ENTRY, OwnerThread).read() == thread {
                adjust(field!(owner(resource), OWNER_ENTRY, TableSize), 1);
                return Attempt::Acquired;
            }
        } else {
            let writers_wait = field!(resource, ERESOURCE, NumberOfExclusiveWaiters).read() > 0;
            let own = reader(k, resource, thread);
            let stands_back = writers_wait
                && match courtesy {
                    Courtesy::Usual => own.is_none(),
                    Courtesy::Starve => false,
                    Courtesy::Wait => true,
                };
            if !stands_back {
                match own {
                    Some(entry) => {
                        adjust(field!(entry, OWNER_ENTRY, TableSize), 1);
                    }
                    None => {
                        add_reader(k, resource, thread);
                        adjust(field!(resource, ERESOURCE, ActiveEntries), 1);
                    }
                }
                return Attempt::Acquired;
            }
        }
        if wait == 0 {
            return Attempt::Refused;
        }
        adjust(field!(resource, ERESOURCE, NumberOfSharedWaiters), 1);
        Attempt::Waits(waiters(k, field!(resource, ERESOURCE, SharedWaiters), true), true)
    });
    finish(k, resource, &attempt)
}

/// Acquires as a reader, behind writers that wait.
pub(crate) fn ExAcquireResourceSharedLite(k: &Kernel, resource: Resource, wait: u8) -> u8 {
    acquire_shared(k, resource, wait, Courtesy::Usual)
}

/// Acquires as a reader, before writers that wait.
pub(crate) fn ExAcquireSharedStarveExclusive(k: &Kernel, resource: Resource, wait: u8) -> u8 {
    acquire_shared(k, resource, wait, Courtesy::Starve)
}

/// Acquires as a reader, behind writers that wait even where the thread is a reader already.
pub(crate) fn ExAcquireSharedWaitForExclusive(k: &Kernel, resource: Resource, wait: u8) -> u8 {
    acquire_shared(k, resource, wait, Courtesy::Wait)
}

/// Hands a resource that nobody owns any more to those who wait: all readers, else one writer.
fn hand_over(k: &Kernel, resource: Resource) -> (u32, bool) {
    let flag = field!(resource, ERESOURCE, Flag);
    flag.write(flag.read() & !EXCLUSIVE);
    field!(owner(resource), OWNER_ENTRY, OwnerThread).write(0);
    field!(owner(resource), OWNER_ENTRY, TableSize).write(0);
    let readers = field!(resource, ERESOURCE, NumberOfSharedWaiters);
    let writers = field!(resource, ERESOURCE, NumberOfExclusiveWaiters);
    let (shared, exclusive) = (readers.read(), writers.read());
    field!(resource, ERESOURCE, ActiveCount).write(i16::from(shared + exclusive > 0));
    if shared > 0 {
        readers.write(0);
        field!(resource, ERESOURCE, ActiveEntries).write(shared);
        (shared, false)
    } else if exclusive > 0 {
        adjust(writers, -1);
        own_exclusively(resource, 0);
        (0, true)
    } else {
        field!(resource, ERESOURCE, ActiveEntries).write(0);
        let _ = k;
        (0, false)
    }
}

fn wake(k: &Kernel, resource: Resource, (readers, writer): (u32, bool)) {
    if readers > 0 {
        let semaphore = Guest::<KSEMAPHORE>::new(k, field!(resource, ERESOURCE, SharedWaiters).read() as u64);
        // SAFETY: somebody waits, so the semaphore was made, and it stays until the resource is deleted.
        unsafe { k.executive().KeReleaseSemaphore(semaphore.ptr(), 0, readers as i32, false) };
    }
    if writer {
        super::fast_mutex::wake(
            k,
            Guest::new(k, field!(resource, ERESOURCE, ExclusiveWaiters).read() as u64),
        );
    }
}

/// Releases one acquisition of the current thread.
pub(crate) fn ExReleaseResourceLite(k: &Kernel, resource: Resource) {
    ExReleaseResourceForThreadLite(k, resource, current(k));
}

/// Releases one acquisition of a thread.
pub(crate) fn ExReleaseResourceForThreadLite(k: &Kernel, resource: Resource, thread: usize) {
    let woken = locked(k, resource, || {
        let exclusive = is_exclusive(resource);
        let entry = if exclusive {
            Some(owner(resource)).filter(|entry| field!(*entry, OWNER_ENTRY, OwnerThread).read() == thread)
        } else {
            reader(k, resource, thread)
        };
        let Some(entry) = entry else {
            let table = field!(resource, ERESOURCE, OwnerTable).read() as u64;
            k.bugcheck(
                BugCheck::RESOURCE_NOT_OWNED,
                [resource.address(), thread as u64, table, 3],
                "a thread released a resource that it does not own",
            )
        };
        if let Some(owner) = NonNull::new(Address(thread as u64).ptr()) {
            k.host().lets_go(owner, resource.address() as usize);
            k.lock_given_by(thread as u64, resource.address());
        }
        if adjust(field!(entry, OWNER_ENTRY, TableSize), -1) > 0 {
            return (0, false);
        }
        field!(entry, OWNER_ENTRY, OwnerThread).write(0);
        if !exclusive && adjust(field!(resource, ERESOURCE, ActiveEntries), -1) > 0 {
            return (0, false);
        }
        hand_over(k, resource)
    });
    wake(k, resource, woken);
}

/// Turns the writer into a reader, and lets the readers in that wait.
pub(crate) fn ExConvertExclusiveToSharedLite(k: &Kernel, resource: Resource) {
    let woken = locked(k, resource, || {
        let count = field!(owner(resource), OWNER_ENTRY, TableSize).read();
        let thread = field!(owner(resource), OWNER_ENTRY, OwnerThread).read();
        let readers = field!(resource, ERESOURCE, NumberOfSharedWaiters);
        let waiting = readers.read();
        readers.write(0);
        let flag = field!(resource, ERESOURCE, Flag);
        flag.write(flag.read() & !EXCLUSIVE);
        field!(owner(resource), OWNER_ENTRY, OwnerThread).write(0);
        field!(owner(resource), OWNER_ENTRY, TableSize).write(0);
        add_reader(k, resource, thread);
        if let Some(entry) = reader(k, resource, thread) {
            field!(entry, OWNER_ENTRY, TableSize).write(count);
        }
        field!(resource, ERESOURCE, ActiveEntries).write(1 + waiting);
        (waiting, false)
    });
    wake(k, resource, woken);
}

/// Tells whether the current thread is the writer.
pub(crate) fn ExIsResourceAcquiredExclusiveLite(k: &Kernel, resource: Resource) -> u8 {
    u8::from(is_exclusive(resource) && field!(owner(resource), OWNER_ENTRY, OwnerThread).read() == current(k))
}

/// Returns how often the current thread has acquired the resource.
pub(crate) fn ExIsResourceAcquiredSharedLite(k: &Kernel, resource: Resource) -> u32 {
    let thread = current(k);
    if ExIsResourceAcquiredExclusiveLite(k, resource) != 0 {
        return field!(owner(resource), OWNER_ENTRY, TableSize).read();
    }
    reader(k, resource, thread).map_or(0, |entry| field!(entry, OWNER_ENTRY, TableSize).read())
}

/// Returns the threads that own a resource.
pub(crate) fn owners(k: &Kernel, resource: Resource) -> Vec<u64> {
    let thread = |entry: Guest<OWNER_ENTRY>| field!(entry, OWNER_ENTRY, OwnerThread).read() as u64;
    let mut threads = if is_exclusive(resource) {
        vec![thread(owner(resource))]
    } else {
        table(k, resource).into_iter().map(thread).collect()
    };
    threads.retain(|thread| *thread != 0);
    threads
}

/// Returns the number of writers that wait.
pub(crate) fn ExGetExclusiveWaiterCount(_: &Kernel, resource: Resource) -> u32 {
    field!(resource, ERESOURCE, NumberOfExclusiveWaiters).read()
}

/// Returns the number of readers that wait.
pub(crate) fn ExGetSharedWaiterCount(_: &Kernel, resource: Resource) -> u32 {
    field!(resource, ERESOURCE, NumberOfSharedWaiters).read()
}

/// Enters a critical region and acquires as a writer. Returns the region's thread-local data: none here.
pub(crate) fn ExEnterCriticalRegionAndAcquireResourceExclusive(k: &Kernel, resource: Resource) -> Address {
    KeEnterCriticalRegion(k);
    ExAcquireResourceExclusiveLite(k, resource, 1);
    Address::NULL
}

/// Enters a critical region and acquires as a reader.
pub(crate) fn ExEnterCriticalRegionAndAcquireResourceShared(k: &Kernel, resource: Resource) -> Address {
    KeEnterCriticalRegion(k);
    ExAcquireResourceSharedLite(k, resource, 1);
    Address::NULL
}

/// Releases the resource and leaves the critical region.
pub(crate) fn ExReleaseResourceAndLeaveCriticalRegion(k: &Kernel, resource: Resource) {
    ExReleaseResourceLite(k, resource);
    KeLeaveCriticalRegion(k);
}
