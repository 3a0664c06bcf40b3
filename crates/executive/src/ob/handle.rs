//! Handles.
//!
//! A handle of the kernel's table has its upper bits set (`0xFFFFFFFF80000004` and so on) and is good in every process, in kernel mode only.
//! Any other is an index into the table of the current process, times four; the two low bits do not count.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use nt::{
    HANDLE, KernelMode, NTSTATUS, OBJ_INHERIT, OBJ_KERNEL_HANDLE, OBJECT_HANDLE_INFORMATION, OBJECT_TYPE,
    STATUS_ACCESS_DENIED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_SUCCESS,
};

use super::header::Header;
use super::process::{HandleEntry, Processes};
use crate::executive::Executive;
use crate::platform::Platform;

/// The bits that mark a handle of the kernel's table.
const KERNEL_HANDLE: u64 = 0xFFFF_FFFF_8000_0000;

/// A handle, decoded.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) kernel: bool,
    pub(super) index: u32,
}

impl Place {
    fn of(handle: HANDLE, mode: u8) -> Option<Self> {
        let value = handle.addr() as u64;
        let kernel = value & KERNEL_HANDLE == KERNEL_HANDLE;
        if kernel && mode != KernelMode {
            return None;
        }
        let index = if kernel { value & !KERNEL_HANDLE } else { value } >> 2;
        u32::try_from(index).ok().map(|index| Self { kernel, index })
    }

    pub(super) fn handle(self) -> HANDLE {
        let value = u64::from(self.index) << 2 | if self.kernel { KERNEL_HANDLE } else { 0 };
        ptr::without_provenance_mut(value as usize)
    }
}

/// An object reached through a handle, with a reference for the caller.
pub(super) struct ByHandle {
    pub(super) object: Header,
    access: u32,
    attributes: u32,
}

/// A handle to make.
#[derive(Clone, Copy)]
pub(super) struct HandleRequest {
    /// Access to grant, mapped and checked.
    pub(super) access: u32,
    pub(super) attributes: u32,
}

impl<P: Platform> Executive<P> {
    fn with_processes<R>(&self, f: impl FnOnce(&mut Processes, usize) -> R) -> R {
        let current = self.current_process().addr();
        self.processes().with(|processes| f(processes, current))
    }

    /// Counts a handle that is about to exist.
    pub(super) fn handle_count_up(&self, header: Header) {
        header.handle_count().fetch_add(1, Ordering::AcqRel);
        self.type_of(header).count_handles(true);
    }

    /// Counts a handle that is gone. The caller still has a reference; with the last handle a temporary name goes.
    pub(super) fn handle_count_down(&self, header: Header) -> i64 {
        let before = header.handle_count().fetch_sub(1, Ordering::AcqRel);
        self.type_of(header).count_handles(false);
        if before == 1 {
            self.delete_name_check(header);
        }
        before
    }

    /// Puts an object into a handle table. Its handle is counted already, and one reference becomes the table's.
    pub(super) fn add_handle(&self, header: Header, request: HandleRequest) -> Result<HANDLE, NTSTATUS> {
        let kernel = request.attributes & OBJ_KERNEL_HANDLE != 0;
        let entry = HandleEntry {
            object: header.body().expose_provenance(),
            access: request.access,
            attributes: request.attributes & OBJ_INHERIT,
        };
        let origin = self.platform().origin();
        self.with_processes(|processes, current| processes.table(current, kernel).insert(entry, origin))
            .map(|index| Place { kernel, index }.handle())
            .ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }

    /// Takes a reference on the object behind a handle, if it has the type and the access was granted. Kernel mode is granted everything.
    pub(super) fn reference_handle(
        &self,
        handle: HANDLE,
        desired_access: u32,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
    ) -> Result<ByHandle, NTSTATUS> {
        let place = Place::of(handle, mode).ok_or(STATUS_INVALID_HANDLE)?;
        let found = self.with_processes(|processes, current| {
            let entry = processes.table(current, place.kernel).get(place.index)?;
            // SAFETY: the table has a reference on the object, and keeps it while this closure runs.
            let object = unsafe { Header::of(ptr::with_exposed_provenance_mut::<c_void>(entry.object)) };
            object.pointer_count().fetch_add(1, Ordering::Relaxed);
            Some(ByHandle { object, access: entry.access, attributes: entry.attributes })
        });
        let found = found.ok_or(STATUS_INVALID_HANDLE)?;
        let refused = if !object_type.is_null() && !self.is_type(found.object, object_type) {
            STATUS_OBJECT_TYPE_MISMATCH
        } else if mode != KernelMode && desired_access & !found.access != 0 {
            STATUS_ACCESS_DENIED
        } else {
            return Ok(found);
        };
        self.dereference(found.object);
        Err(refused)
    }

    /// Takes a reference on the object behind a handle. `information`, where not null, receives what the handle grants.
    ///
    /// Not here: the pseudo-handles of the current process and thread, whose objects belong to whoever made them. They are answered with
    /// `STATUS_INVALID_HANDLE`.
    ///
    /// # Safety
    ///
    /// `object` is writable, `information` null or writable; `object_type` is null or a type.
    pub unsafe fn ObReferenceObjectByHandle(
        &self,
        handle: HANDLE,
        desired_access: u32,
        object_type: *mut OBJECT_TYPE,
        mode: u8,
        object: *mut *mut c_void,
        information: *mut OBJECT_HANDLE_INFORMATION,
    ) -> NTSTATUS {
        let (body, status, all) = match self.reference_handle(handle, desired_access, object_type, mode) {
            Ok(found) => (
                found.object.body(),
                STATUS_SUCCESS,
                OBJECT_HANDLE_INFORMATION { HandleAttributes: found.attributes, GrantedAccess: found.access },
            ),
            Err(status) => {
                (ptr::null_mut(), status, OBJECT_HANDLE_INFORMATION { HandleAttributes: 0, GrantedAccess: 0 })
            }
        };
        // SAFETY: the caller promises a writable place. NT writes null on failure too.
        unsafe { object.write_unaligned(body) };
        if status == STATUS_SUCCESS && !information.is_null() {
            // SAFETY: the caller promises a writable place.
            unsafe { information.write_unaligned(all) };
        }
        status
    }

    pub(super) fn close_entry(&self, entry: HandleEntry) {
        // SAFETY: the entry is out of its table, so its reference is ours now.
        let header = unsafe { Header::of(ptr::with_exposed_provenance_mut::<c_void>(entry.object)) };
        let open = header.handle_count().load(Ordering::Acquire);
        if let Some(close) = self.procedures(self.type_of(header)).close {
            // SAFETY: the object is referenced.
            unsafe { close(self, header.body(), entry.access, open) };
        }
        self.handle_count_down(header);
        self.dereference(header);
    }

    /// Closes a handle (`ObCloseHandle`).
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn ObCloseHandle(&self, handle: HANDLE, mode: u8) -> NTSTATUS {
        let Some(place) = Place::of(handle, mode) else { return STATUS_INVALID_HANDLE };
        let entry = self
            .with_processes(|processes, current| processes.table(current, place.kernel).remove(place.index));
        match entry {
            Some(entry) => {
                self.close_entry(entry);
                STATUS_SUCCESS
            }
            None => STATUS_INVALID_HANDLE,
        }
    }

    /// Closes a handle in the mode the thread came from.
    pub fn NtClose(&self, handle: HANDLE) -> NTSTATUS {
        self.ObCloseHandle(handle, self.KeGetPreviousMode())
    }

    /// Closes a handle in kernel mode.
    pub fn ZwClose(&self, handle: HANDLE) -> NTSTATUS {
        self.ObCloseHandle(handle, KernelMode)
    }
}
