//! Object types.
//!
//! `OBJECT_TYPE` stores the addresses of its procedures, as on Windows, for those who look; what is called is the Rust function in
//! the [`Procedures`] that belong to the same type. A driver that overwrites the addresses changes nothing.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nt::{
    DISPATCHER_HEADER, EX_PUSH_LOCK, KEVENT, LIST_ENTRY, NTSTATUS, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER,
    OBJECT_TYPE_INITIALIZER_V1, OBJECT_TYPE_V1, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_INVALID, SYNCHRONIZE, UNICODE_STRING, tag, type_flags,
};

use super::create::NewObject;
use super::globals::{Globals, nt_string};
use super::header::Header;
use super::insert::Insertion;
use super::lookup::ParseRequest;
use super::object_type::ObjectType;
use crate::ex::KernelRoutine;
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Slots of `ObTypeIndexTable`.
pub(super) const TYPE_SLOTS: usize = 256;
/// What the headers of a named object cost, as every type adds it to its default charge on x64.
const STANDARD_HEADER_CHARGE: u32 = 0x58;
/// Bit of `DefaultObject` that says: at the offset is a pointer to the dispatcher object.
pub(crate) const INDIRECT: usize = 1;
/// Bit of a tag that marks protected pool, up to Windows 8.
const PROTECTED_POOL: u32 = 0x8000_0000;

/// What an object type does at the turning points of its objects.
#[derive(Debug)]
pub struct Procedures<P: Platform> {
    /// Runs once when the last reference is gone, before name, descriptor and memory go.
    pub delete: Option<DeleteProcedure<P>>,
    /// Runs when a handle is closed, with the granted access and the number of handles that were open.
    pub close: Option<CloseProcedure<P>>,
    /// Continues the resolution of a name at an object of the type, and returns a referenced object.
    pub parse: Option<ParseProcedure<P>>,
    /// Whether [`record::What::NameRemoved`] and [`record::What::ObjectDeleted`] tell of objects of the type.
    pub reported: bool,
}

/// See [`Procedures::delete`].
pub type DeleteProcedure<P> = unsafe fn(&Executive<P>, *mut c_void);
/// See [`Procedures::close`].
pub type CloseProcedure<P> = unsafe fn(&Executive<P>, *mut c_void, u32, i64);
/// See [`Procedures::parse`].
pub type ParseProcedure<P> = unsafe fn(&Executive<P>, &ParseRequest<'_>) -> Result<*mut c_void, NTSTATUS>;

impl<P: Platform> Procedures<P> {
    /// No procedures.
    pub const NONE: Self = Self { delete: None, close: None, parse: None, reported: false };
}

impl<P: Platform> Clone for Procedures<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for Procedures<P> {}

/// The fields behind the initializer, whose size differs.
struct Tail {
    lock: Live<EX_PUSH_LOCK>,
    key: Live<u32>,
    callbacks: Live<LIST_ENTRY>,
}

impl<P: Platform> Executive<P> {
    fn is_old_type_layout(&self) -> bool {
        self.profile().type_initializer_size.value == size_of::<OBJECT_TYPE_INITIALIZER_V1>()
    }

    fn type_tail(&self, object_type: ObjectType) -> Tail {
        if self.is_old_type_layout() {
            // SAFETY: on this profile types are allocated with the older layout.
            let old: Live<OBJECT_TYPE_V1> = unsafe { Live::new(object_type.ptr().cast()) };
            Tail {
                lock: field!(old, OBJECT_TYPE_V1, TypeLock),
                key: field!(old, OBJECT_TYPE_V1, Key),
                callbacks: field!(old, OBJECT_TYPE_V1, CallbackList),
            }
        } else {
            let new = object_type.live();
            Tail {
                lock: field!(new, OBJECT_TYPE, TypeLock),
                key: field!(new, OBJECT_TYPE, Key),
                callbacks: field!(new, OBJECT_TYPE, CallbackList),
            }
        }
    }

    /// Returns the tag of a type's objects.
    pub(super) fn type_key(&self, object_type: ObjectType) -> u32 {
        self.type_tail(object_type).key.get()
    }

    pub(super) fn type_lock(&self, object_type: ObjectType) -> *mut EX_PUSH_LOCK {
        self.type_tail(object_type).lock.ptr()
    }

    pub(super) fn routine_pointer(&self, routine: KernelRoutine) -> *mut c_void {
        ptr::without_provenance_mut(self.kernel_routine(routine))
    }

    /// Returns the procedures of a type.
    pub(super) fn procedures(&self, object_type: ObjectType) -> Procedures<P> {
        let at = field!(self.ob(), Globals, procedures).element(object_type.index().into()).get();
        if at.is_null() {
            return Procedures::NONE;
        }
        // SAFETY: the table holds boxes of exactly this type, written once when the type was made.
        unsafe { *at.cast::<Procedures<P>>() }
    }

    pub(super) fn dispose_procedures(&self) {
        for index in 0..TYPE_SLOTS {
            let slot = field!(self.ob(), Globals, procedures).element(index);
            let at = slot.get();
            if !at.is_null() {
                slot.set(ptr::null_mut());
                // SAFETY: the table holds boxes of exactly this type, and this one is forgotten now.
                drop(unsafe { Box::from_raw(at.cast::<Procedures<P>>()) });
            }
        }
    }

    /// Returns the pool tag that a type's name yields: its first four characters.
    fn key_of(&self, name: &str) -> u32 {
        let mut characters = [b' '; 4];
        for (to, from) in characters.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        let key = if name == "Type" { tag::TYPE_OBJECT } else { u32::from_le_bytes(characters) };
        key | self.profile().object_pool_tag.value & PROTECTED_POOL
    }

    /// Returns an initializer of this version's length that says nothing yet: `PoolType` 0 is `NonPagedPool`.
    pub fn type_initializer(&self) -> OBJECT_TYPE_INITIALIZER {
        let nothing = ptr::null_mut();
        OBJECT_TYPE_INITIALIZER {
            Length: self.profile().type_initializer_size.value as u16,
            ObjectTypeFlags: 0,
            ObjectTypeFlags2: 0,
            ObjectTypeCode: 0,
            InvalidAttributes: 0,
            GenericMapping: nt::GENERIC_MAPPING {
                GenericRead: 0,
                GenericWrite: 0,
                GenericExecute: 0,
                GenericAll: 0,
            },
            ValidAccessMask: 0,
            RetainAccess: 0,
            PoolType: 0,
            DefaultPagedPoolCharge: 0,
            DefaultNonPagedPoolCharge: 0,
            DumpProcedure: nothing,
            OpenProcedure: nothing,
            CloseProcedure: nothing,
            DeleteProcedure: nothing,
            ParseProcedure: nothing,
            SecurityProcedure: nothing,
            QueryNameProcedure: nothing,
            OkayToCloseProcedure: nothing,
            WaitObjectFlagMask: 0,
            WaitObjectFlagOffset: 0,
            WaitObjectPointerOffset: 0,
        }
    }

    /// Creates an object type and puts it in `\ObjectTypes`, once that exists.
    ///
    /// `initializer.Length` must be that of the version; the procedure addresses in it are stored for those who look, and
    /// `procedures` are what is called.
    ///
    /// # Errors
    ///
    /// `STATUS_OBJECT_NAME_INVALID` for an empty name or one with a backslash, `STATUS_INVALID_PARAMETER` for a wrong length or unknown attribute
    /// bits, `STATUS_OBJECT_NAME_COLLISION` for a name in use, `STATUS_INSUFFICIENT_RESOURCES`.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn ObCreateObjectType(
        &self,
        name: &str,
        initializer: &OBJECT_TYPE_INITIALIZER,
        procedures: Procedures<P>,
    ) -> Result<NonNull<OBJECT_TYPE>, NTSTATUS> {
        if name.is_empty() || name.contains('\\') {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        if usize::from(initializer.Length) != self.profile().type_initializer_size.value
            || initializer.InvalidAttributes & !self.profile().valid_attribute_mask.value != 0
        {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if self.object_type(name).is_some() {
            return Err(STATUS_OBJECT_NAME_COLLISION);
        }
        let next = field!(self.ob(), Globals, next_type);
        let index = next.get();
        if index as usize >= TYPE_SLOTS {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let header = self.allocate_type(name)?;
        let object_type = match self.fill_type(header, name, initializer, index as u8) {
            Ok(object_type) => object_type,
            Err(status) => {
                self.free_object(header);
                return Err(status);
            }
        };
        next.set(index + 1);
        field!(self.ob(), Globals, types).element(index as usize).set(object_type.ptr());
        let boxed = Box::into_raw(Box::new(procedures)).cast();
        field!(self.ob(), Globals, procedures).element(index as usize).set(boxed);
        if field!(self.ob(), Globals, type_type).get().is_null() {
            // The type of types is its own type.
            self.set_type(header, index as u8);
            self.link_creator_info(header, object_type);
            object_type.count_objects(true);
        }
        if !field!(self.ob(), Globals, type_directory).get().is_null()
            && let Err(status) = self.name_type(header)
        {
            // The failed insertion has dropped the only reference and with it the object.
            next.set(index);
            field!(self.ob(), Globals, types).element(index as usize).set(ptr::null_mut());
            let slot = field!(self.ob(), Globals, procedures).element(index as usize);
            // SAFETY: put there above, and forgotten in the next line.
            drop(unsafe { Box::from_raw(slot.get().cast::<Procedures<P>>()) });
            slot.set(ptr::null_mut());
            return Err(status);
        }
        NonNull::new(object_type.ptr()).ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }

    fn allocate_type(&self, name: &str) -> Result<Header, NTSTATUS> {
        let type_type = field!(self.ob(), Globals, type_type).get();
        let units = nt_string(name);
        let name = self.name_to_pool(&units)?;
        let size = self.profile().object_type_layout().size;
        // SAFETY: null, or a type.
        let object_type = (!type_type.is_null()).then(|| unsafe { ObjectType::new(type_type) });
        self.allocate_object(&NewObject {
            object_type,
            attributes: nt::OBJ_PERMANENT | nt::OBJ_CASE_INSENSITIVE,
            name,
            body_size: size,
            kernel: true,
        })
    }

    fn fill_type(
        &self,
        header: Header,
        name: &str,
        initializer: &OBJECT_TYPE_INITIALIZER,
        index: u8,
    ) -> Result<ObjectType, NTSTATUS> {
        let own_name = self.name_to_pool(&nt_string(name))?;
        let size = self.profile().object_type_layout().size;
        // SAFETY: the body is new, ours alone and that large.
        unsafe { ptr::write_bytes(header.body().cast::<u8>(), 0, size) };
        // SAFETY: it is a type from here on.
        let object_type = unsafe { ObjectType::new(header.body().cast()) };
        let live = object_type.live();
        list::initialize(field!(live, OBJECT_TYPE, TypeList));
        field!(live, OBJECT_TYPE, Name).set(own_name.unwrap_or(UNICODE_STRING::EMPTY));
        field!(live, OBJECT_TYPE, Index).set(index);

        let mut info = *initializer;
        if info.ObjectTypeFlags & type_flags::USE_DEFAULT_OBJECT != 0 {
            info.ValidAccessMask |= SYNCHRONIZE;
            let default = field!(self.ob(), Globals, default_object).ptr();
            field!(live, OBJECT_TYPE, DefaultObject).set(default.cast());
        }
        if info.SecurityProcedure.is_null() {
            info.SecurityProcedure = self.routine_pointer(KernelRoutine::SeDefaultObjectMethod);
        }
        let mut charge = STANDARD_HEADER_CHARGE;
        if info.ObjectTypeFlags & type_flags::MAINTAIN_HANDLE_COUNT != 0 {
            charge += size_of::<nt::OBJECT_HEADER_HANDLE_INFO>() as u32;
        }
        if info.PoolType & nt::PagedPool != 0 {
            info.DefaultPagedPoolCharge += charge;
        } else {
            info.DefaultNonPagedPoolCharge += charge;
        }
        if self.is_old_type_layout() {
            // The older initializer is the newer one without its last 8 bytes.
            let bytes = size_of::<OBJECT_TYPE_INITIALIZER_V1>();
            let to = object_type.info().ptr().cast::<u8>();
            // SAFETY: both places are that large, and the one is a local.
            unsafe { ptr::copy_nonoverlapping((&raw const info).cast::<u8>(), to, bytes) };
        } else {
            object_type.info().set(info);
        }
        let tail = self.type_tail(object_type);
        tail.key.set(self.key_of(name));
        list::initialize(tail.callbacks);
        Ok(object_type)
    }

    /// Gives the types that came before `\ObjectTypes` their names there.
    pub(super) fn name_own_types(&self) -> bool {
        (0..TYPE_SLOTS).all(|index| {
            let at = field!(self.ob(), Globals, types).element(index).get();
            if at.is_null() {
                return true;
            }
            // SAFETY: a type in the table lives as long as the executive.
            let header = unsafe { Header::of(at.cast()) };
            self.name_type(header).is_ok()
        })
    }

    fn name_type(&self, header: Header) -> Result<(), NTSTATUS> {
        let directory = field!(self.ob(), Globals, type_directory).get();
        self.insert_object(header, &Insertion { directory, ..Insertion::NAME_ONLY }).map(drop)
    }

    /// Delete procedure of types, for one that could not be named.
    ///
    /// # Safety
    ///
    /// `body` is that of a type without references.
    pub(super) unsafe fn delete_object_type(&self, body: *mut c_void) {
        // SAFETY: the caller's promise.
        let object_type = unsafe { ObjectType::new(body.cast()) };
        let name = field!(object_type.live(), OBJECT_TYPE, Name);
        self.free_name(&name.get());
        name.set(UNICODE_STRING::EMPTY);
    }

    /// Finds a type by its name, as in `\ObjectTypes`.
    pub fn object_type(&self, name: &str) -> Option<NonNull<OBJECT_TYPE>> {
        (0..TYPE_SLOTS).find_map(|index| {
            let at = NonNull::new(field!(self.ob(), Globals, types).element(index).get())?;
            // SAFETY: the table holds types, and types are never deleted.
            let object_type = unsafe { ObjectType::new(at.as_ptr()) };
            object_type.name().eq_ignore_ascii_case(name).then_some(at)
        })
    }

    /// Returns the type `Directory`.
    pub fn ObpDirectoryObjectType(&self) -> *mut OBJECT_TYPE {
        field!(self.ob(), Globals, directory_type).get()
    }

    /// Returns the type `SymbolicLink`.
    pub fn ObpSymbolicLinkObjectType(&self) -> *mut OBJECT_TYPE {
        field!(self.ob(), Globals, link_type).get()
    }

    /// Returns the tag of an object's type.
    ///
    /// # Safety
    ///
    /// `object_type` is a type of this executive.
    pub unsafe fn object_type_key(&self, object_type: *mut OBJECT_TYPE) -> u32 {
        // SAFETY: the caller's promise.
        self.type_key(unsafe { ObjectType::new(object_type) })
    }

    /// Returns what a wait on an object waits for: the type's default object, or the dispatcher header the body has or points to.
    ///
    /// # Safety
    ///
    /// `object` is the body of a live object.
    pub unsafe fn dispatcher_object(&self, object: *mut c_void) -> *mut DISPATCHER_HEADER {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        let default = field!(self.type_of(header).live(), OBJECT_TYPE, DefaultObject).get();
        let event: *mut KEVENT = field!(self.ob(), Globals, default_object).ptr();
        if default == event.cast() {
            return event.cast();
        }
        if default.addr() & INDIRECT != 0 {
            let place = object.wrapping_byte_add(default.addr() - INDIRECT).cast::<*mut DISPATCHER_HEADER>();
            // SAFETY: the type says that its bodies have a pointer there.
            return unsafe { Live::new(place) }.get();
        }
        object.wrapping_byte_add(default.addr()).cast()
    }
}
