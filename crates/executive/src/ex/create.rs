//! `ExCreateCallback`: open a callback object by name, or create one.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{
    BOOLEAN, CALLBACK_MODIFY_STATE, CALLBACK_OBJECT, CALLBACK_SIGNATURE, HANDLE, Irql, KernelMode, NTSTATUS,
    OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, OBJECT_HEADER, OBJECT_HEADER_NAME_INFO, STATUS_UNSUCCESSFUL,
};
use record::{CreateOutcome, What};

use super::{Globals, text_of};
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::Platform;
use crate::raw::{Live, field};

/// Name of the list for a fastfail.
pub(super) const LIST: &str = "ExpCallbackListHead";

/// What became of a call.
struct Made {
    status: NTSTATUS,
    outcome: CreateOutcome,
    object: *mut CALLBACK_OBJECT,
}

impl Made {
    const fn failed(status: NTSTATUS) -> Self {
        Self { status, outcome: CreateOutcome::Failed, object: null_mut() }
    }
}

impl<P: Platform> Executive<P> {
    /// Opens the callback object that the attributes name, or creates one where that fails and `create` is
    /// not zero.
    ///
    /// On success the caller owns a reference. An object that is created with a name and without
    /// `OBJ_PERMANENT` has lost the name again by then: the transient handle was its only one.
    /// `allow_multiple` counts for a new object only. The output is written on success only, the attributes
    /// never.
    ///
    /// # Errors
    ///
    /// Returns the status of the open where `create` is zero (`STATUS_UNSUCCESSFUL` without a name),
    /// otherwise that of the creation.
    ///
    /// # Safety
    ///
    /// `callback_object` is writable; `object_attributes` is null (which ends the world) or leads to
    /// attributes whose pointers are null or valid.
    ///
    /// # IRQL
    ///
    /// At most `APC_LEVEL`.
    pub unsafe fn ExCreateCallback(
        &self,
        callback_object: *mut *mut CALLBACK_OBJECT,
        object_attributes: *const OBJECT_ATTRIBUTES,
        create: BOOLEAN,
        allow_multiple: BOOLEAN,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise.
        unsafe { self.ex_create(callback_object, object_attributes, create, allow_multiple) }.0
    }

    /// [`Executive::ExCreateCallback`], which also says what it came to.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExCreateCallback`].
    pub(super) unsafe fn ex_create(
        &self,
        callback_object: *mut *mut CALLBACK_OBJECT,
        object_attributes: *const OBJECT_ATTRIBUTES,
        create: BOOLEAN,
        allow_multiple: BOOLEAN,
    ) -> (NTSTATUS, CreateOutcome) {
        self.ex_irql_contract("ExCreateCallback", Irql::APC);
        if object_attributes.is_null() {
            self.ke_access_violation(0, "ExCreateCallback without attributes");
        }
        // The copy is 0x30 bytes, whatever the caller's `Length` says.
        // SAFETY: the caller's promise.
        let mut attributes = unsafe { Live::new(object_attributes.cast_mut()) }.get();
        let name = || {
            // SAFETY: null or a counted string by the caller's promise.
            unsafe { text_of(attributes.ObjectName) }
        };
        self.tell(|| What::CreateAttempt {
            name: name(),
            name_at: attributes.ObjectName.addr() as u64,
            attributes: attributes.Attributes,
            create: create != 0,
            multiple: allow_multiple != 0,
        });
        let asked = if self.platform().listening() { name() } else { None };

        if self.profile().force_kernel_handle.value {
            attributes.Attributes |= OBJ_KERNEL_HANDLE;
        }
        // SAFETY: the attributes are the caller's, in a local copy.
        let made = unsafe { self.ex_open_or_create(&attributes, create, allow_multiple) };
        if made.status.is_success() {
            // SAFETY: writable by the caller's promise.
            unsafe { Live::new(callback_object) }.set(made.object);
        }
        self.tell(|| What::CreateResult {
            name: asked,
            outcome: made.outcome,
            object: made.object.addr() as u64,
            status: made.status.0,
        });
        (made.status, made.outcome)
    }

    /// # Safety
    ///
    /// The pointers in `attributes` are null or valid.
    unsafe fn ex_open_or_create(
        &self,
        attributes: &OBJECT_ATTRIBUTES,
        create: BOOLEAN,
        multiple: BOOLEAN,
    ) -> Made {
        let object_type = self.ExCallbackObjectType();
        let mut handle: HANDLE = null_mut();
        let mut status = STATUS_UNSUCCESSFUL;
        let mut outcome = CreateOutcome::Opened;
        if !attributes.ObjectName.is_null() {
            // SAFETY: the caller's promise for the attributes; the handle is a local.
            status = unsafe {
                self.ObOpenObjectByName(attributes, object_type, KernelMode, 0, null_mut(), &raw mut handle)
            };
        }
        let mut created: *mut c_void = null_mut();
        if !status.is_success() {
            if create == 0 {
                return Made::failed(status);
            }
            // SAFETY: as above.
            status = unsafe { self.ex_create_body(attributes, multiple, &mut created) };
            if !status.is_success() {
                return Made::failed(status);
            }
            // SAFETY: a new object.
            outcome = match unsafe { self.ex_name_info(created) } {
                Some(_) => CreateOutcome::Created,
                None => CreateOutcome::Unnamed,
            };
            // SAFETY: a new object that nobody inserted yet; the handle is a local.
            status = unsafe {
                self.ObInsertObject(created, CALLBACK_MODIFY_STATE, 0, null_mut(), &raw mut handle)
            };
            if !status.is_success() {
                // The object manager has dropped the creation reference, and with it the object.
                return Made::failed(status);
            }
        }

        let mut object: *mut c_void = null_mut();
        // SAFETY: the handle was just made; the outputs are locals.
        status = unsafe {
            self.ObReferenceObjectByHandle(handle, 0, object_type, KernelMode, &raw mut object, null_mut())
        };
        self.ZwClose(handle);
        if !status.is_success() {
            return Made::failed(status);
        }
        if !created.is_null() && object != created {
            // Somebody else was faster, and `OBJ_OPENIF` gave the caller that object.
            outcome = CreateOutcome::Opened;
        }
        Made { status, outcome, object: object.cast() }
    }

    /// Allocates an object, fills in the body and links it to the list of all callback objects, before it has
    /// a name.
    ///
    /// # Safety
    ///
    /// The pointers in `attributes` are null or valid.
    unsafe fn ex_create_body(
        &self,
        attributes: &OBJECT_ATTRIBUTES,
        multiple: BOOLEAN,
        created: &mut *mut c_void,
    ) -> NTSTATUS {
        // SAFETY: the caller's promise for the attributes; the output is a local of the caller.
        let status = unsafe {
            self.ObCreateObject(
                KernelMode,
                self.ExCallbackObjectType(),
                attributes,
                KernelMode,
                null_mut(),
                self.profile().object_size.value as u32,
                0,
                0,
                created,
            )
        };
        if !status.is_success() {
            return status;
        }
        // SAFETY: a new body of the size asked for. Before Windows 8.1 it ends in front of `ExpCallbackList`,
        // which is not touched then.
        let object = unsafe { Live::<CALLBACK_OBJECT>::new(created.cast()) };
        field!(object, CALLBACK_OBJECT, Signature).set(CALLBACK_SIGNATURE);
        field!(object, CALLBACK_OBJECT, AllowMultipleCallbacks).set(multiple);
        list::initialize(field!(object, CALLBACK_OBJECT, RegisteredCallbacks));
        field!(object, CALLBACK_OBJECT, Lock).set(0);
        if self.profile().has_global_list.value {
            let node = field!(object, CALLBACK_OBJECT, ExpCallbackList);
            self.ex_with_list_exclusive(|| {
                self.ke_checked(list::insert_before(field!(self.ex(), Globals, list_head), node), LIST);
            });
        }
        status
    }

    /// Returns the name header of an object, if it has one.
    ///
    /// # Safety
    ///
    /// `object` is the body of a live object.
    unsafe fn ex_name_info(&self, object: *mut c_void) -> Option<*mut OBJECT_HEADER_NAME_INFO> {
        // SAFETY: the caller's promise; a body lies behind its header in one block.
        let header = unsafe { OBJECT_HEADER::from_body(object) };
        // SAFETY: as above.
        let mask = field!(unsafe { Live::new(header) }, OBJECT_HEADER, InfoMask).get();
        // SAFETY: the mask is the header's own.
        unsafe { OBJECT_HEADER::optional(header, mask, nt::info::NAME) }
    }

    /// Holds `ExpCallbackListLock` exclusively, in a guarded region.
    pub(super) fn ex_with_list_exclusive<R>(&self, action: impl FnOnce() -> R) -> R {
        let lock = self.ExpCallbackListLock();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_exclusive_guarded(lock) };
        let result = action();
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        result
    }

    /// Holds `ExpCallbackListLock` shared, in a guarded region.
    pub(crate) fn ex_with_list_shared<R>(&self, action: impl FnOnce() -> R) -> R {
        let lock = self.ExpCallbackListLock();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_shared_guarded(lock) };
        let result = action();
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        result
    }
}
