//! The header before every object, and the optional ones before it.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::AtomicI64;

use nt::hash::upcase;
use nt::profile::TypeIndexEncoding;
use nt::{BugCheck, OBJECT_HEADER, OBJECT_HEADER_NAME_INFO, OBJECT_TYPE, Pod, flags, info};

use super::globals::Globals;
use super::object_type::ObjectType;
use super::units::Units;
use crate::executive::Executive;
use crate::platform::{Bugcheck, Platform};
use crate::raw::{Live, field};

/// A live object, seen through its header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header(Live<OBJECT_HEADER>);

impl Header {
    /// Finds the header of an object.
    ///
    /// # Safety
    ///
    /// `body` is the body of an object of this executive that lives as long as the value or a copy is used: somebody holds
    /// a reference, or a lock under which its last one cannot go away.
    pub(crate) unsafe fn of(body: *mut c_void) -> Self {
        // SAFETY: an object's header lies before its body in one allocation.
        let header = unsafe { OBJECT_HEADER::from_body(body) };
        // SAFETY: the caller promises that the object lives.
        Self(unsafe { Live::new(header) })
    }

    /// Wraps a header.
    ///
    /// # Safety
    ///
    /// As for [`Header::of`].
    pub(super) unsafe fn at(header: *mut OBJECT_HEADER) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { Live::new(header) })
    }

    pub(super) const fn live(self) -> Live<OBJECT_HEADER> {
        self.0
    }

    /// Returns the body.
    pub(crate) const fn body(self) -> *mut c_void {
        self.0.ptr().wrapping_byte_add(OBJECT_HEADER::BODY_OFFSET).cast()
    }

    pub(super) fn pointer_count<'a>(self) -> &'a AtomicI64 {
        field!(self.0, OBJECT_HEADER, PointerCount).atomic()
    }

    pub(super) fn handle_count<'a>(self) -> &'a AtomicI64 {
        field!(self.0, OBJECT_HEADER, HandleCount).atomic()
    }

    pub(super) fn lock(self) -> *mut nt::EX_PUSH_LOCK {
        field!(self.0, OBJECT_HEADER, Lock).ptr()
    }

    pub(super) fn info_mask(self) -> u8 {
        field!(self.0, OBJECT_HEADER, InfoMask).get()
    }

    pub(super) fn flags(self) -> u8 {
        field!(self.0, OBJECT_HEADER, Flags).get()
    }

    /// Changes the flags. The caller holds the object's lock, or nobody else knows the object yet.
    pub(super) fn set_flags(self, clear: u8, set: u8) {
        field!(self.0, OBJECT_HEADER, Flags).set(self.flags() & !clear | set);
    }

    pub(super) fn is_permanent(self) -> bool {
        self.flags() & flags::PERMANENT != 0
    }

    /// Returns an optional header, if the object has it.
    pub(super) fn optional<T: Pod>(self, bit: u8) -> Option<Live<T>> {
        let offset = nt::info_mask_to_offset(self.info_mask(), bit)?;
        // SAFETY: the mask says that this header exists; it is part of the object's allocation and lives as long.
        Some(unsafe { Live::new(self.0.ptr().wrapping_byte_sub(offset).cast()) })
    }

    pub(super) fn name_info(self) -> Option<Live<OBJECT_HEADER_NAME_INFO>> {
        self.optional(info::NAME)
    }

    /// Returns the start of the allocation and of its first optional header.
    pub(super) fn allocation(self) -> *mut c_void {
        self.0.ptr().wrapping_byte_sub(nt::info_size(self.info_mask())).cast()
    }

    /// Returns the directory that has an entry for the object, or null.
    pub(super) fn directory(self) -> *mut c_void {
        self.name_info()
            .map_or(ptr::null_mut(), |info| field!(info, OBJECT_HEADER_NAME_INFO, Directory).get().cast())
    }

    /// Returns the stored name: the leaf once inserted, the whole path before.
    pub(super) fn stored_name(self) -> Units {
        let Some(info) = self.name_info() else { return Units::EMPTY };
        let name = field!(info, OBJECT_HEADER_NAME_INFO, Name).get();
        // SAFETY: the buffer is the object's own and as long as the name says; it changes before others know the object, and
        // goes away with it.
        unsafe { Units::copy(name.Buffer, name.Length) }
    }

    /// Tells whether the stored name is `name`.
    pub(super) fn is_named(self, name: &[u16], case_insensitive: bool) -> bool {
        let Some(info) = self.name_info() else { return false };
        let stored = field!(info, OBJECT_HEADER_NAME_INFO, Name).get();
        if usize::from(stored.Length) != size_of_val(name) {
            return false;
        }
        let same =
            |found: u16, unit: u16| found == unit || (case_insensitive && upcase(found) == upcase(unit));
        let (quads, rest) = name.as_chunks::<4>();
        let rest_at = stored.Buffer.wrapping_add(quads.len() * 4);
        quads.iter().enumerate().all(|(index, quad)| {
            // SAFETY: as for `stored_name`, and inside by the comparison of the lengths.
            let found = unsafe { stored.Buffer.cast::<[u16; 4]>().wrapping_add(index).read_unaligned() };
            found == *quad || found.iter().zip(quad).all(|(&found, &unit)| same(found, unit))
        }) && rest.iter().enumerate().all(|(index, &unit)| {
            // SAFETY: as above.
            let found = unsafe { rest_at.wrapping_add(index).read_unaligned() };
            same(found, unit)
        })
    }
}

impl<P: Platform> Executive<P> {
    /// Chooses `ObHeaderCookie`: from the clock and an address, as Windows does from the time stamp counter. Both come from the
    /// platform, so a deterministic platform gets the same cookie again.
    pub(super) fn header_cookie(&self) -> u8 {
        if self.profile().typeindex_encoding.value != TypeIndexEncoding::Cookie {
            return 0;
        }
        let seed =
            self.platform().now().cast_unsigned() ^ u64::from(self.profile().build).wrapping_mul(0x9E37_79B9);
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]
    }

    /// Encodes or decodes the type index of a header; the two are one operation.
    fn cook(&self, header: Header, index: u8) -> u8 {
        match self.profile().typeindex_encoding.value {
            TypeIndexEncoding::Cookie => {
                let cookie = field!(self.ob(), Globals, cookie).get();
                OBJECT_HEADER::cook_type_index(index, header.live().addr() as u64, cookie)
            }
            TypeIndexEncoding::Plain | TypeIndexEncoding::Pointer => index,
        }
    }

    pub(super) fn set_type(&self, header: Header, index: u8) {
        field!(header.live(), OBJECT_HEADER, TypeIndex).set(self.cook(header, index));
    }

    /// Returns the number of an object's type.
    pub(super) fn type_index(&self, header: Header) -> u8 {
        self.cook(header, field!(header.live(), OBJECT_HEADER, TypeIndex).get())
    }

    /// Returns an object's type. A header that names none is bugcheck 0x189 `BAD_OBJECT_HEADER`.
    pub(super) fn type_of(&self, header: Header) -> ObjectType {
        let index = self.type_index(header);
        let at = field!(self.ob(), Globals, types).element(index.into()).get();
        if at.is_null() {
            self.bugcheck(Bugcheck {
                code: BugCheck::BAD_OBJECT_HEADER,
                parameters: [header.live().addr() as u64, 0, 0, 0],
                reason: "an object header names no type: it was overwritten, or this is no object".into(),
            });
        }
        // SAFETY: the table holds types, and types are never deleted.
        unsafe { ObjectType::new(at) }
    }

    /// Returns the type of an object (`ObGetObjectType`).
    ///
    /// # Safety
    ///
    /// `object` is the body of a live object.
    pub unsafe fn ObGetObjectType(&self, object: *mut c_void) -> *mut OBJECT_TYPE {
        // SAFETY: the caller's promise.
        let header = unsafe { Header::of(object) };
        self.type_of(header).ptr()
    }

    pub(super) fn is_type(&self, header: Header, object_type: *mut OBJECT_TYPE) -> bool {
        self.type_of(header).ptr() == object_type
    }

    pub(super) fn lock_object(&self, header: Header) {
        // SAFETY: the object lives while the caller has its header, and the caller unlocks before it lets go.
        unsafe { self.lock_exclusive_guarded(header.lock()) };
    }

    pub(super) fn unlock_object(&self, header: Header) {
        // SAFETY: as for `lock_object`, and it came before.
        unsafe { self.unlock_guarded(header.lock()) };
    }
}
