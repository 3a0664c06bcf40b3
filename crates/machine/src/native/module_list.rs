//! `PsLoadedModuleList`: the loaded modules as a list of `KLDR_DATA_TABLE_ENTRY`s in guest memory.
//!
//! Drivers walk it to find the kernel or each other, and `DRIVER_OBJECT.DriverSection` points into it. The head is the
//! variable of that name where the exports have one, and a private variable otherwise. Deliberately different: there is no
//! `PsLoadedModuleResource`; one processor and no preemption need none.

use std::ptr::{NonNull, with_exposed_provenance_mut};

use executive::{Platform, PoolKind};
use nt::{KLDR_DATA_TABLE_ENTRY, LIST_ENTRY, UNICODE_STRING};

use super::world::World;
use crate::plan;

/// `LDRP_ENTRY_PROCESSED` and the signed-image bit that `ObRegisterCallbacks` asks for.
const FLAGS: u32 = 0x4000 | 0x20;

/// One entry; freed by [`Entry::remove`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    block: NonNull<KLDR_DATA_TABLE_ENTRY>,
    bytes: usize,
}

/// What an entry says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) folder: &'a str,
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) entry: u64,
}

fn next(node: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    // SAFETY: nodes of this list are guest memory; one that a driver damaged traps, and the world ends.
    unsafe { (*node).Flink }
}

fn previous(node: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    // SAFETY: as for `next`.
    unsafe { (*node).Blink }
}

/// Makes `first` and `second` neighbors.
fn join(first: *mut LIST_ENTRY, second: *mut LIST_ENTRY) {
    // SAFETY: as for `next`.
    unsafe { (*first).Flink = second };
    // SAFETY: as for `next`.
    unsafe { (*second).Blink = first };
}

/// Makes the empty list with the kernel as its first entry.
pub(crate) fn start(world: &World) -> *mut LIST_ENTRY {
    let head: *mut LIST_ENTRY = match world.export("PsLoadedModuleList") {
        Some(address) => with_exposed_provenance_mut(address as usize),
        None => world.data(size_of::<LIST_ENTRY>(), 16).as_ptr().cast(),
    };
    head.expose_provenance();
    join(head, head);
    head
}

impl Entry {
    /// Adds a module at the end of the list.
    pub(crate) fn add(world: &World, head: *mut LIST_ENTRY, facts: Facts<'_>) -> Option<Self> {
        let full = format!("{}{}", facts.folder, facts.name);
        let units: Vec<u16> = full.encode_utf16().chain([0]).collect();
        let bytes = size_of::<KLDR_DATA_TABLE_ENTRY>() + units.len() * 2;
        let block = world.allocate(PoolKind::NonPagedNx, bytes)?.cast::<KLDR_DATA_TABLE_ENTRY>();
        // SAFETY: a fresh block of that size that nobody else knows.
        unsafe { block.as_ptr().cast::<u8>().write_bytes(0, bytes) };
        let text = block.as_ptr().wrapping_add(1).cast::<u16>();
        for (index, unit) in units.iter().enumerate() {
            // SAFETY: the text lies behind the structure, inside the block.
            unsafe { text.wrapping_add(index).write(*unit) };
        }
        let length = units.len() - 1;
        let name_length = facts.name.encode_utf16().count();
        let string = |start: usize| UNICODE_STRING {
            Length: ((length - start) * 2) as u16,
            MaximumLength: ((length - start) * 2 + 2) as u16,
            Buffer: text.wrapping_add(start),
        };
        let pointer = |address: u64| with_exposed_provenance_mut(address as usize);
        // SAFETY: zeroed, and nobody else's yet: the reference ends before the entry is linked.
        let fields = unsafe { &mut *block.as_ptr() };
        fields.DllBase = pointer(facts.base);
        fields.EntryPoint = pointer(facts.entry);
        fields.SizeOfImage = facts.size as u32;
        fields.SizeOfImageNotRounded = facts.size as u32;
        fields.FullDllName = string(0);
        fields.BaseDllName = string(length - name_length);
        fields.Flags = FLAGS;
        fields.LoadCount = 1;
        let node = block.as_ptr().cast::<LIST_ENTRY>();
        node.expose_provenance();
        join(previous(head), node);
        join(node, head);
        Some(Self { block, bytes })
    }

    /// Returns the address of the entry.
    pub(crate) fn address(self) -> u64 {
        self.block.as_ptr().addr() as u64
    }

    /// Takes the module off the list and frees the entry.
    pub(crate) fn remove(self, world: &World) {
        let node = self.block.as_ptr().cast();
        join(previous(node), next(node));
        // SAFETY: allocated by `add` with these bytes; its driver is gone.
        unsafe { world.release(PoolKind::NonPagedNx, self.block.cast(), self.bytes) };
    }
}

/// Enters the kernel itself.
pub(crate) fn add_kernel(world: &World, head: *mut LIST_ENTRY) -> Option<Entry> {
    let (base, size) = (plan::KERNEL_IMAGE.base, world.decoy.borrow().size);
    let facts = Facts {
        name: "ntoskrnl.exe",
        folder: "\\SystemRoot\\system32\\",
        base,
        size,
        entry: base + plan::PAGE,
    };
    Entry::add(world, head, facts)
}
