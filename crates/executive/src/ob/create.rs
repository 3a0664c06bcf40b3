//! Allocating objects.
//!
//! One pool block holds, lowest address first, the optional headers PROCESS, QUOTA, HANDLE, NAME, CREATOR, then `OBJECT_HEADER` and the
//! body. Until an object is inserted its header points to an `OBJECT_CREATE_INFORMATION` with what the creator asked for.

use core::ffi::c_void;
use core::ptr;

use nt::{
    HANDLE, LIST_ENTRY, NTSTATUS, NonPagedPool, OBJ_EXCLUSIVE, OBJ_PERMANENT, OBJECT_ATTRIBUTES,
    OBJECT_HEADER, OBJECT_HEADER_CREATOR_INFO, OBJECT_HEADER_HANDLE_INFO, OBJECT_HEADER_NAME_INFO,
    OBJECT_HEADER_PROCESS_INFO, OBJECT_HEADER_QUOTA_INFO, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER,
    POOL_ZERO_ALLOCATION, Pod, SE_CREATE_PERMANENT_PRIVILEGE, SECURITY_QUALITY_OF_SERVICE,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_PRIVILEGE_NOT_HELD, STATUS_SUCCESS,
    UNICODE_STRING, flags, info, pool_tag, tag, type_flags,
};

use super::capture::Captured;
use super::header::Header;
use super::types::ObjectType;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};
use crate::se::{Descriptor, read_descriptor};

/// Tag of a captured security descriptor.
const CAPTURED_DESCRIPTOR: u32 = pool_tag(b"SeSc");

/// `OBJECT_CREATE_INFORMATION` of the public symbols, x64.
#[repr(C)]
#[derive(Clone, Copy)]
struct OBJECT_CREATE_INFORMATION {
    attributes: u32,
    root_directory: HANDLE,
    probe_mode: u8,
    paged_pool_charge: u32,
    nonpaged_pool_charge: u32,
    security_descriptor_charge: u32,
    security_descriptor: *mut c_void,
    security_qos: *mut c_void,
    security_quality_of_service: SECURITY_QUALITY_OF_SERVICE,
}

const _: () = assert!(size_of::<OBJECT_CREATE_INFORMATION>() == 0x40);

// SAFETY: integers, raw pointers and another plain structure.
unsafe impl Pod for OBJECT_CREATE_INFORMATION {}

/// What the creator asked for, taken out of the object.
pub(super) struct CreateInfo {
    pub(super) attributes: u32,
    pub(super) root: HANDLE,
    pub(super) probe_mode: u8,
    pub(super) descriptor: Option<Descriptor>,
}

/// An object to allocate.
pub(super) struct NewObject {
    /// `None` for the first of all types only.
    pub(super) object_type: Option<ObjectType>,
    pub(super) attributes: u32,
    /// In pool; belongs to the object from here on, and is freed where the allocation fails.
    pub(super) name: Option<UNICODE_STRING>,
    pub(super) body_size: usize,
    /// Created for the kernel.
    pub(super) kernel: bool,
}

impl NewObject {
    fn info_mask(&self, quota: bool) -> u8 {
        let has = |flag| self.object_type.is_some_and(|object_type| object_type.has_flag(flag));
        let mut mask = 0;
        // The type of types maintains a list too; it is only not there to say so yet.
        if self.object_type.is_none() || has(type_flags::MAINTAIN_TYPE_LIST) {
            mask |= info::CREATOR;
        }
        if self.name.is_some() {
            mask |= info::NAME;
        }
        if has(type_flags::MAINTAIN_HANDLE_COUNT) {
            mask |= info::HANDLE;
        }
        if quota {
            mask |= info::QUOTA;
        }
        if self.attributes & OBJ_EXCLUSIVE != 0 {
            mask |= info::PROCESS;
        }
        mask
    }

    fn flags(&self) -> u8 {
        let mut all = 0;
        if self.kernel {
            all |= flags::KERNEL_OBJECT;
        }
        if self.attributes & OBJ_PERMANENT != 0 {
            all |= flags::PERMANENT;
        }
        if self.attributes & OBJ_EXCLUSIVE != 0 {
            all |= flags::EXCLUSIVE;
        }
        all
    }
}

impl<P: Platform> Executive<P> {
    /// Allocates an object with its headers: one reference, no handle, no create information.
    pub(super) fn allocate_object(&self, new: &NewObject) -> Result<Header, NTSTATUS> {
        let mask = new.info_mask(self.current_process_is_charged());
        let before = nt::info_size(mask);
        let total = before + OBJECT_HEADER::BODY_OFFSET + new.body_size;
        let mut pool_type = new.object_type.map_or_else(
            || self.nonpaged_pool_type(),
            |object_type| field!(object_type.info(), OBJECT_TYPE_INITIALIZER, PoolType).get(),
        );
        if self.profile().zero_object_pool.value {
            pool_type |= POOL_ZERO_ALLOCATION;
        }
        let tag = new.object_type.map_or(tag::TYPE_OBJECT, |object_type| self.type_key(object_type));
        let block = self.ExAllocatePoolWithTag(pool_type, total, tag);
        if block.is_null() {
            if let Some(name) = &new.name {
                self.free_name(name);
            }
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the block has room for the optional headers, this one and the body; from here on it is an object.
        let header = unsafe { Header::at(block.wrapping_byte_add(before).cast()) };
        header.live().set(OBJECT_HEADER {
            PointerCount: 1,
            HandleCount: 0,
            Lock: nt::EX_PUSH_LOCK { Value: 0 },
            TypeIndex: 0,
            TraceFlags: 0,
            InfoMask: mask,
            Flags: new.flags(),
            Reserved: 0,
            ObjectCreateInfo: ptr::null_mut(),
            SecurityDescriptor: 0,
        });
        // No type yet, in whatever way the version writes that.
        self.set_type(header, 0);
        self.fill_optional_headers(header, new.name);
        if let Some(object_type) = new.object_type {
            self.set_type(header, object_type.index());
            object_type.count_objects(true);
            self.link_creator_info(header, object_type);
        }
        Ok(header)
    }

    fn fill_optional_headers(&self, header: Header, name: Option<UNICODE_STRING>) {
        if let Some(info) = header.optional::<OBJECT_HEADER_PROCESS_INFO>(info::PROCESS) {
            info.set(OBJECT_HEADER_PROCESS_INFO { ExclusiveProcess: ptr::null_mut(), Reserved: 0 });
        }
        if let Some(info) = header.optional::<OBJECT_HEADER_QUOTA_INFO>(info::QUOTA) {
            info.set(OBJECT_HEADER_QUOTA_INFO {
                PagedPoolCharge: 0,
                NonPagedPoolCharge: 0,
                SecurityDescriptorCharge: 0,
                Reserved1: 0,
                SecurityDescriptorQuotaBlock: ptr::null_mut(),
                Reserved2: 0,
            });
        }
        if let Some(info) = header.optional::<OBJECT_HEADER_HANDLE_INFO>(info::HANDLE) {
            info.set(OBJECT_HEADER_HANDLE_INFO { HandleCountDataBase: ptr::null_mut(), HandleCount: 0 });
        }
        if let Some(info) = header.name_info() {
            info.set(OBJECT_HEADER_NAME_INFO {
                Directory: ptr::null_mut(),
                Name: name.unwrap_or(UNICODE_STRING::EMPTY),
                ReferenceCount: 0,
            });
        }
        if let Some(info) = header.optional::<OBJECT_HEADER_CREATOR_INFO>(info::CREATOR) {
            info.set(OBJECT_HEADER_CREATOR_INFO {
                TypeList: LIST_ENTRY::NULL,
                CreatorUniqueProcess: self.current_process_id(),
                CreatorBackTraceIndex: 0,
                Reserved: 0,
            });
        }
    }

    /// Links an object that has creator information to the list of its type.
    pub(super) fn link_creator_info(&self, header: Header, object_type: ObjectType) {
        let Some(info) = header.optional::<OBJECT_HEADER_CREATOR_INFO>(info::CREATOR) else { return };
        let node = field!(info, OBJECT_HEADER_CREATOR_INFO, TypeList);
        let head = field!(object_type.live(), OBJECT_TYPE, TypeList);
        // SAFETY: the type lives as long as the executive.
        unsafe { self.lock_exclusive_guarded(self.type_lock(object_type)) };
        let linked = list::insert_before(head, node);
        // SAFETY: taken above.
        unsafe { self.unlock_guarded(self.type_lock(object_type)) };
        self.expect_sound_list(linked);
    }

    fn unlink_creator_info(&self, header: Header, object_type: ObjectType) {
        let Some(info) = header.optional::<OBJECT_HEADER_CREATOR_INFO>(info::CREATOR) else { return };
        let node = field!(info, OBJECT_HEADER_CREATOR_INFO, TypeList);
        if field!(node, LIST_ENTRY, Flink).get().is_null() {
            return;
        }
        // SAFETY: the type lives as long as the executive.
        unsafe { self.lock_exclusive_guarded(self.type_lock(object_type)) };
        let unlinked = list::remove(node).map(drop);
        // SAFETY: taken above.
        unsafe { self.unlock_guarded(self.type_lock(object_type)) };
        self.expect_sound_list(unlinked);
    }

    /// Frees everything of an object but what its delete procedure frees: create information, descriptor, name, block.
    pub(super) fn free_object(&self, header: Header) {
        drop(self.take_create_info(header));
        if self.type_index(header) != 0 {
            let object_type = self.type_of(header);
            self.unlink_creator_info(header, object_type);
            object_type.count_objects(false);
        }
        self.free_descriptor(header);
        if let Some(info) = header.name_info() {
            let name = field!(info, OBJECT_HEADER_NAME_INFO, Name);
            self.free_name(&name.get());
            name.set(UNICODE_STRING::EMPTY);
        }
        // SAFETY: nobody has a reference any more.
        unsafe { self.ExFreePool(header.allocation()) };
    }

    /// Gives an object the information its insertion will need.
    fn set_create_info(
        &self,
        header: Header,
        captured: &Captured,
        probe_mode: u8,
        charges: [u32; 2],
    ) -> Result<(), NTSTATUS> {
        let size = size_of::<OBJECT_CREATE_INFORMATION>();
        let block = self.ExAllocatePoolWithTag(NonPagedPool, size, tag::OBJECT_CREATE_INFO);
        if block.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut security_descriptor = ptr::null_mut();
        if let Some(descriptor) = &captured.descriptor {
            security_descriptor = self.descriptor_to_pool(descriptor, CAPTURED_DESCRIPTOR);
            if security_descriptor.is_null() {
                // SAFETY: allocated above, and nobody knows it.
                unsafe { self.ExFreePoolWithTag(block, tag::OBJECT_CREATE_INFO) };
                return Err(STATUS_INSUFFICIENT_RESOURCES);
            }
        }
        // SAFETY: the block is new and that large.
        let info: Live<OBJECT_CREATE_INFORMATION> = unsafe { Live::new(block.cast()) };
        let [paged_pool_charge, nonpaged_pool_charge] = charges;
        let none = SECURITY_QUALITY_OF_SERVICE {
            Length: 0,
            ImpersonationLevel: 0,
            ContextTrackingMode: 0,
            EffectiveOnly: 0,
        };
        info.set(OBJECT_CREATE_INFORMATION {
            attributes: captured.attributes,
            root_directory: captured.root,
            probe_mode,
            paged_pool_charge,
            nonpaged_pool_charge,
            security_descriptor_charge: 0,
            security_descriptor,
            security_qos: ptr::null_mut(),
            security_quality_of_service: captured.quality.unwrap_or(none),
        });
        if captured.quality.is_some() {
            let quality = field!(info, OBJECT_CREATE_INFORMATION, security_quality_of_service).ptr();
            field!(info, OBJECT_CREATE_INFORMATION, security_qos).set(quality.cast());
        }
        field!(header.live(), OBJECT_HEADER, ObjectCreateInfo).set(block);
        header.set_flags(0, flags::NEW_OBJECT);
        Ok(())
    }

    /// Takes the create information out of an object and frees its blocks.
    pub(super) fn take_create_info(&self, header: Header) -> Option<CreateInfo> {
        if header.flags() & flags::NEW_OBJECT == 0 {
            return None;
        }
        let pointer = field!(header.live(), OBJECT_HEADER, ObjectCreateInfo);
        let block = pointer.get();
        // SAFETY: while the flag is set, the pointer leads to the object's create information.
        let info: Live<OBJECT_CREATE_INFORMATION> = unsafe { Live::new(block.cast()) };
        let all = info.get();
        let descriptor = (!all.security_descriptor.is_null()).then(|| {
            // SAFETY: a self-relative descriptor that this module copied there.
            unsafe { read_descriptor(all.security_descriptor) }
        });
        if !all.security_descriptor.is_null() {
            // SAFETY: nobody else has it.
            unsafe { self.ExFreePoolWithTag(all.security_descriptor, CAPTURED_DESCRIPTOR) };
        }
        pointer.set(ptr::null_mut());
        header.set_flags(flags::NEW_OBJECT, 0);
        // SAFETY: the object has forgotten it.
        unsafe { self.ExFreePoolWithTag(block, tag::OBJECT_CREATE_INFO) };
        Some(CreateInfo {
            attributes: all.attributes,
            root: all.root_directory,
            probe_mode: all.probe_mode,
            descriptor: descriptor.and_then(Result::ok),
        })
    }

    /// Creates an object that is not inserted yet.
    ///
    /// # Safety
    ///
    /// `object_type` is a type of this executive; `attributes` is null or readable, with what it points to.
    pub(super) unsafe fn create_object(
        &self,
        probe_mode: u8,
        object_type: *mut OBJECT_TYPE,
        attributes: *const OBJECT_ATTRIBUTES,
        ownership_mode: u8,
        body_size: usize,
        charges: [u32; 2],
    ) -> Result<Header, NTSTATUS> {
        // SAFETY: the caller's promise.
        let object_type = unsafe { ObjectType::new(object_type) };
        // SAFETY: the caller's promise.
        let captured = unsafe { self.capture(attributes, probe_mode) }?;
        if captured.attributes & object_type.invalid_attributes() != 0 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if !captured.name.is_empty() && object_type.has_flag(type_flags::UNNAMED_OBJECTS_ONLY) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if captured.attributes & OBJ_PERMANENT != 0
            && !self.SeSinglePrivilegeCheck(SE_CREATE_PERMANENT_PRIVILEGE, probe_mode)
        {
            return Err(STATUS_PRIVILEGE_NOT_HELD);
        }
        let name = self.name_to_pool(&captured.name)?;
        let header = self.allocate_object(&NewObject {
            object_type: Some(object_type),
            attributes: captured.attributes,
            name,
            body_size,
            kernel: ownership_mode == nt::KernelMode,
        })?;
        if let Err(status) = self.set_create_info(header, &captured, probe_mode, charges) {
            self.free_object(header);
            return Err(status);
        }
        Ok(header)
    }

    /// Creates an object that is not inserted yet (`ObCreateObject`). Its body is undefined, or zero where the version zeroes pool.
    ///
    /// `probe_mode` decides how the attributes are read and whether `OBJ_PERMANENT` needs a privilege, `ownership_mode` whether the object is the kernel's.
    /// The charges are stored and charge nobody. The one reference belongs to the caller until [`Executive::ObInsertObject`].
    ///
    /// # Safety
    ///
    /// `object_type` is a type of this executive; `attributes` is null or readable, with what it points to; `object` is writable.
    ///
    /// # IRQL
    ///
    /// Up to `APC_LEVEL`.
    #[expect(clippy::too_many_arguments, reason = "NT's signature")]
    pub unsafe fn ObCreateObject(
        &self,
        probe_mode: u8,
        object_type: *mut OBJECT_TYPE,
        attributes: *const OBJECT_ATTRIBUTES,
        ownership_mode: u8,
        parse_context: *mut c_void,
        body_size: u32,
        paged_charge: u32,
        nonpaged_charge: u32,
        object: *mut *mut c_void,
    ) -> NTSTATUS {
        // NT hands it on to the parse procedure of the insertion, which ignores it.
        let _ = parse_context;
        // SAFETY: the caller's promise.
        let created = unsafe {
            self.create_object(
                probe_mode,
                object_type,
                attributes,
                ownership_mode,
                body_size as usize,
                [paged_charge, nonpaged_charge],
            )
        };
        match created {
            Ok(header) => {
                // SAFETY: the caller promises a writable place.
                unsafe { object.write(header.body()) };
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}
