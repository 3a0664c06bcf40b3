//! Allocating objects.
//!
//! One pool block holds, lowest address first, the optional headers PROCESS, QUOTA, HANDLE, NAME, CREATOR, then `OBJECT_HEADER` and the
//! body. Until an object is inserted its header points to an `OBJECT_CREATE_INFORMATION` with what the creator asked for.

use core::ffi::c_void;
use core::ptr;

use nt::{
    LIST_ENTRY, NTSTATUS, OBJ_EXCLUSIVE, OBJ_PERMANENT, OBJECT_ATTRIBUTES, OBJECT_HEADER,
    OBJECT_HEADER_CREATOR_INFO, OBJECT_HEADER_HANDLE_INFO, OBJECT_HEADER_NAME_INFO,
    OBJECT_HEADER_PROCESS_INFO, OBJECT_HEADER_QUOTA_INFO, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER,
    POOL_ZERO_ALLOCATION, SE_CREATE_PERMANENT_PRIVILEGE, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_PRIVILEGE_NOT_HELD, STATUS_SUCCESS, UNICODE_STRING, flags, info, tag,
    type_flags,
};

use super::header::Header;
use super::object_type::ObjectType;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::field;

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
