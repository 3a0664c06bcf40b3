//! Lock-free lists and lookaside lists.
//!
//! Drivers allocate from a lookaside list inline: they pop the list, and call the routine whose address the kernel stored in the
//! list. So that address is one of the kernel image's own exports, which driver code can call.
//!
//! A list header has the x64 form of `ntdef.h`: depth in 16 bits and a sequence number above it, then the address of the first
//! entry with four bits free. Push and pop change it in two steps: an export runs to its end before another thread
//! of the same processor set does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nt::{GENERAL_LOOKASIDE, NTSTATUS, NonPagedPool, NonPagedPoolNx, PagedPool, SLIST_HEADER};

use record::PoolBlockLeft;

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

const DEPTH: u64 = 0xFFFF;
const SEQUENCE: u64 = 0x1_0000;
const FREE_BITS: u64 = 0xF;
/// How many blocks a lookaside list keeps. NT starts with four, whatever the caller asks, and for a driver that Driver Verifier looks at with none:
/// each block that is given back is freed, so that a use after that, and a second time, is found as for any other pool block.
const INITIAL_DEPTH: u16 = 0;
const MAXIMUM_DEPTH: u16 = 256;

/// The lists that were made and not deleted: on Windows they are linked, and a driver that leaves one behind leaves the links in memory
/// that is gone.
#[derive(Debug, Default)]
pub(crate) struct Lookasides(Mutex<BTreeMap<u64, PoolBlockLeft>>);

impl Lookasides {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<u64, PoolBlockLeft>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns all of them, by address.
    pub(crate) fn all(&self) -> Vec<PoolBlockLeft> {
        self.with(|lists| lists.values().cloned().collect())
    }
}

/// Makes a list empty.
pub(crate) fn InitializeSListHead(_: &Kernel, head: Guest<SLIST_HEADER>) {
    head.write(SLIST_HEADER { Alignment: 0, Region: 0 });
}

/// Adds an entry at the front and returns the former first one.
pub(crate) fn ExpInterlockedPushEntrySList(
    _: &Kernel,
    head: Guest<SLIST_HEADER>,
    entry: Guest<u64>,
) -> Address {
    let SLIST_HEADER { Alignment, Region } = head.read();
    let first = Region & !FREE_BITS;
    entry.write(first);
    let depth = (Alignment & DEPTH).wrapping_add(1) & DEPTH;
    head.write(SLIST_HEADER {
        Alignment: (Alignment & !DEPTH).wrapping_add(SEQUENCE) | depth,
        Region: entry.address() | Region & FREE_BITS,
    });
    Address(first)
}

/// Removes the first entry and returns it, null for an empty list.
pub(crate) fn ExpInterlockedPopEntrySList(k: &Kernel, head: Guest<SLIST_HEADER>) -> Address {
    let SLIST_HEADER { Alignment, Region } = head.read();
    let first = Region & !FREE_BITS;
    if first == 0 {
        return Address::NULL;
    }
    let second = Guest::<u64>::new(k, first).read();
    let depth = (Alignment & DEPTH).wrapping_sub(1) & DEPTH;
    head.write(SLIST_HEADER { Alignment: Alignment & !DEPTH | depth, Region: second | Region & FREE_BITS });
    Address(first)
}

/// Removes all entries and returns the first.
pub(crate) fn ExpInterlockedFlushSList(_: &Kernel, head: Guest<SLIST_HEADER>) -> Address {
    let SLIST_HEADER { Alignment, Region } = head.read();
    head.write(SLIST_HEADER { Alignment: Alignment & !DEPTH, Region: Region & FREE_BITS });
    Address(Region & !FREE_BITS)
}

/// Returns the number of entries.
pub(crate) fn ExQueryDepthSList(_: &Kernel, head: Guest<SLIST_HEADER>) -> u16 {
    head.read().Alignment as u16
}

struct Setup {
    allocate: Address,
    free: Address,
    size: usize,
    tag: u32,
    pool_type: u32,
}

fn initialize(k: &Kernel, list: Guest<GENERAL_LOOKASIDE>, setup: &Setup) {
    GuestSlice::<u8>::new(k, list.address(), size_of::<GENERAL_LOOKASIDE>()).fill(0);
    let export = |name: &str| Address(k.host().export_address(name).unwrap_or(0));
    let or = |given: Address, name: &str| if given == Address::NULL { export(name) } else { given };
    field!(list, GENERAL_LOOKASIDE, Depth).write(INITIAL_DEPTH);
    field!(list, GENERAL_LOOKASIDE, MaximumDepth).write(MAXIMUM_DEPTH);
    field!(list, GENERAL_LOOKASIDE, Type).write(setup.pool_type);
    field!(list, GENERAL_LOOKASIDE, Tag).write(setup.tag);
    // A freed block holds the link of the list.
    field!(list, GENERAL_LOOKASIDE, Size).write(setup.size.max(16) as u32);
    field!(list, GENERAL_LOOKASIDE, Allocate).write(or(setup.allocate, "ExAllocatePoolWithTag").ptr());
    field!(list, GENERAL_LOOKASIDE, Free).write(or(setup.free, "ExFreePool").ptr());
    let made = PoolBlockLeft {
        address: list.address(),
        bytes: setup.size as u64,
        tag: setup.tag,
        made: k.made(k.host().origin()),
    };
    k.lookasides().with(|lists| lists.insert(list.address(), made));
}

/// Makes a lookaside list of nonpaged pool.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ExInitializeNPagedLookasideList(
    k: &Kernel,
    list: Guest<GENERAL_LOOKASIDE>,
    allocate: Address,
    free: Address,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    // `POOL_NX_ALLOCATION` has the value that `NonPagedPoolNx` adds.
    let pool_type = NonPagedPool | flags & NonPagedPoolNx;
    initialize(k, list, &Setup { allocate, free, size, tag, pool_type });
}

/// Makes a lookaside list of paged pool.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ExInitializePagedLookasideList(
    k: &Kernel,
    list: Guest<GENERAL_LOOKASIDE>,
    allocate: Address,
    free: Address,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    initialize(k, list, &Setup { allocate, free, size, tag, pool_type: PagedPool });
}

/// Makes a lookaside list of either pool, whose routines are passed the list.
///
/// Where the driver gives no routines the pool's own stand there: they take the arguments they know and ignore the list.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn ExInitializeLookasideListEx(
    k: &Kernel,
    list: Guest<GENERAL_LOOKASIDE>,
    allocate: Address,
    free: Address,
    pool_type: u32,
    flags: u32,
    size: usize,
    tag: u32,
    depth: u16,
) -> NTSTATUS {
    /// `EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL`.
    const RAISE: u32 = 1;
    /// `EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE`.
    const NO_RAISE: u32 = 2;
    // The documented refusals: a depth, unknown flags, and both flags together.
    if depth != 0 {
        return nt::STATUS_INVALID_PARAMETER_8;
    }
    let bits = match flags {
        0 => 0,
        RAISE => nt::POOL_RAISE_IF_ALLOCATION_FAILURE,
        NO_RAISE => nt::POOL_QUOTA,
        _ => return nt::STATUS_INVALID_PARAMETER_5,
    };
    initialize(k, list, &Setup { allocate, free, size, tag, pool_type: pool_type | bits });
    nt::STATUS_SUCCESS
}

/// Frees the blocks that a lookaside list holds, and keeps the list.
pub(crate) fn ExFlushLookasideListEx(k: &Kernel, list: Guest<GENERAL_LOOKASIDE>) {
    empty(k, list);
}

/// Frees the blocks that a lookaside list holds. The list itself is the driver's.
pub(crate) fn ExDeleteNPagedLookasideList(k: &Kernel, list: Guest<GENERAL_LOOKASIDE>) {
    empty(k, list);
    k.lookasides().with(|lists| lists.remove(&list.address()));
}

fn empty(k: &Kernel, list: Guest<GENERAL_LOOKASIDE>) {
    let head = field!(list, GENERAL_LOOKASIDE, ListHead);
    let free = field!(list, GENERAL_LOOKASIDE, Free).read() as u64;
    loop {
        let entry = ExpInterlockedPopEntrySList(k, head);
        if entry == Address::NULL {
            return;
        }
        if Some(free) == k.host().export_address("ExFreePool") {
            super::pool::ExFreePool(k, entry);
        } else {
            // SAFETY: the driver gave this address as the list's free routine, which takes a block, and the list where it is one of
            // the newer kind.
            unsafe { k.host().call_driver(free, &[entry.0, list.address()]) };
        }
    }
}
