//! The `DRIVER_OBJECT` a driver is entered with, its extension, its name and its registry path.

use std::ptr::NonNull;

use nt::{
    DRIVER_EXTENSION, DRIVER_OBJECT, KernelMode, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_PERMANENT,
    OBJECT_ATTRIBUTES, UNICODE_STRING,
};

use super::module_list::{Entry, Facts};
use super::world::World;

/// `IO_TYPE_DRIVER`.
const TYPE: i16 = 4;

/// Body of an object of type `Driver`: the driver object, its extension, a counted string, and the texts. As on Windows the
/// object is permanent in `\Driver` while the driver is loaded.
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
        let Some(block) = create(world, &texts[0], bytes) else {
            module.remove(world);
            return None;
        };
        let block = block.cast::<Block>();
        // SAFETY: a fresh body of that size whose fields nobody has looked at.
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
        Some(Self { block, module })
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

    /// Takes its name away and gives the creation reference back. The object lives on while somebody else holds one.
    pub(crate) fn release(self, world: &World) {
        self.module.remove(world);
        let executive = world.kernel().executive();
        // SAFETY: the creation reference keeps the object alive.
        unsafe { executive.ObMakeTemporaryObject(self.block.as_ptr().cast()) };
        // SAFETY: that reference, which nobody uses any more.
        unsafe { executive.ObfDereferenceObject(self.block.as_ptr().cast()) };
    }
}

/// Makes an object of type `Driver` with a body of `bytes` under `name`, and returns the body with the creation reference.
fn create(world: &World, name: &str, bytes: usize) -> Option<NonNull<std::ffi::c_void>> {
    let executive = world.kernel().executive();
    let mut units: Vec<u16> = name.encode_utf16().collect();
    let length = (units.len() * 2) as u16;
    let mut path = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        ObjectName: &raw mut path,
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_PERMANENT | OBJ_KERNEL_HANDLE,
        RootDirectory: std::ptr::null_mut(),
        SecurityDescriptor: std::ptr::null_mut(),
        SecurityQualityOfService: std::ptr::null_mut(),
    };
    let driver = executive.object_type("Driver")?.as_ptr();
    let mut body = std::ptr::null_mut();
    // SAFETY: the type is this executive's; attributes, name and `body` are locals that outlive the call.
    let status = unsafe {
        executive.ObCreateObject(
            KernelMode,
            driver,
            &raw const attributes,
            KernelMode,
            std::ptr::null_mut(),
            u32::try_from(bytes).ok()?,
            0,
            0,
            &raw mut body,
        )
    };
    if !status.is_success() {
        return None;
    }
    // SAFETY: just created, with its reference; no handle is asked for, so the reference stays ours.
    let status = unsafe { executive.ObInsertObject(body, 0, 0, std::ptr::null_mut(), std::ptr::null_mut()) };
    status.is_success().then(|| NonNull::new(body)).flatten()
}
