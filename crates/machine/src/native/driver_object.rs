//! The `DRIVER_OBJECT` a driver is entered with, its extension, its name and its registry path.

use std::ptr::NonNull;

use executive::{Platform, PoolKind};
use nt::{DRIVER_EXTENSION, DRIVER_OBJECT, UNICODE_STRING};

use super::module_list::{Entry, Facts};
use super::world::World;

/// `IO_TYPE_DRIVER`.
const TYPE: i16 = 4;

/// One block of nonpaged pool: the object, its extension, a counted string, and the texts.
#[repr(C)]
struct Block {
    object: DRIVER_OBJECT,
    extension: DRIVER_EXTENSION,
    registry_path: UNICODE_STRING,
}

/// Address of a driver object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DriverObject {
    block: NonNull<Block>,
    bytes: usize,
    module: Entry,
}

impl DriverObject {
    /// Makes the object of driver `name`, whose image lies at `base`.
    pub(crate) fn new(world: &World, name: &str, base: u64, size: u64, entry: u64) -> Option<Self> {
        // A second driver of the same name is `listener.sys#2`, and its service `listener#2`.
        let service = name.replace(".sys", "");
        let folder = "\\SystemRoot\\System32\\drivers\\";
        let module = Entry::add(world, world.modules.get(), Facts { name, folder, base, size, entry })?;
        let texts = [
            format!("\\Driver\\{service}"),
            format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{service}"),
            service,
        ];
        let units: Vec<u16> = texts.iter().flat_map(|text| text.encode_utf16().chain([0])).collect();
        let bytes = size_of::<Block>() + units.len() * 2;
        let block = world.allocate(PoolKind::NonPagedNx, bytes)?.cast::<Block>();
        // SAFETY: a fresh block of at least that size that nobody else knows.
        unsafe { block.as_ptr().cast::<u8>().write_bytes(0, bytes) };
        let text = block.as_ptr().wrapping_add(1).cast::<u16>();
        for (index, unit) in units.into_iter().enumerate() {
            // SAFETY: the texts lie behind the structures, inside the block.
            unsafe { text.wrapping_add(index).write(unit) };
        }
        let mut next = text;
        let [name, registry, service] = texts.map(|text| {
            let length = text.encode_utf16().count();
            let buffer = next;
            next = next.wrapping_add(length + 1);
            UNICODE_STRING {
                Length: (length * 2) as u16,
                MaximumLength: (length * 2 + 2) as u16,
                Buffer: buffer,
            }
        });
        let pointer = |address: u64| std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: zeroed, and nobody else's yet: the reference ends with this function.
        let fields = unsafe { &mut *block.as_ptr() };
        fields.object.Type = TYPE;
        fields.object.Size = size_of::<DRIVER_OBJECT>() as i16;
        fields.object.DriverStart = pointer(base);
        fields.object.DriverSize = size as u32;
        fields.object.DriverSection = pointer(module.address());
        fields.object.DriverExtension = &raw mut fields.extension;
        fields.object.DriverName = name;
        fields.object.DriverInit = pointer(entry);
        let default = pointer(world.export("IopInvalidDeviceRequest").unwrap_or(0));
        fields.object.MajorFunction = [default; 28];
        fields.extension.DriverObject = &raw mut fields.object;
        fields.extension.ServiceKeyName = service;
        fields.registry_path = registry;
        block.as_ptr().expose_provenance();
        Some(Self { block, bytes, module })
    }

    /// Returns the address of the `DRIVER_OBJECT`.
    pub(crate) fn address(self) -> u64 {
        self.block.as_ptr().addr() as u64
    }

    /// Returns the address of the registry path's `UNICODE_STRING`.
    pub(crate) fn registry_path(self) -> u64 {
        self.address() + std::mem::offset_of!(Block, registry_path) as u64
    }

    /// Returns `DriverUnload`, 0 for none.
    pub(crate) fn unload_routine(self) -> u64 {
        let field = self.block.as_ptr().wrapping_byte_add(std::mem::offset_of!(DRIVER_OBJECT, DriverUnload));
        // SAFETY: inside the block, which lives until `release`; the driver writes it as one word.
        unsafe { field.cast::<u64>().read_volatile() }
    }

    /// Frees it.
    pub(crate) fn release(self, world: &World) {
        self.module.remove(world);
        // SAFETY: allocated by `new` with these bytes; its driver is gone.
        unsafe { world.release(PoolKind::NonPagedNx, self.block.cast(), self.bytes) };
    }
}
