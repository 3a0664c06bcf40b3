//! `ExpInitializeCallbacks`: the type, the directory, the event and the built-in objects.

use alloc::vec::Vec;
use core::ptr::null_mut;

use nt::{
    CALLBACK_OBJECT, GENERIC_MAPPING, HANDLE, OBJ_CASE_INSENSITIVE, OBJ_OPENLINK, OBJ_PERMANENT,
    OBJECT_ATTRIBUTES, OBJECT_TYPE_INITIALIZER, UNICODE_STRING,
};

use super::{Globals, KernelRoutine};
use crate::executive::Executive;
use crate::ke::list;
use crate::ob::Procedures;
use crate::platform::Platform;
use crate::raw::field;

/// Most built-in objects of any version.
pub const BUILTINS: usize = 8;

/// `ExpCallbackMapping`.
const MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0000,
    GenericWrite: 0x0002_0001,
    GenericExecute: 0x0012_0000,
    GenericAll: 0x001F_0001,
};

/// A counted string and what holds its characters.
pub(crate) struct Name {
    units: Vec<u16>,
}

impl Name {
    /// Encodes `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self { units: text.encode_utf16().collect() }
    }

    /// Views the name as NT does. The view must not outlive `self`.
    pub(crate) fn view(&mut self) -> UNICODE_STRING {
        let bytes = (self.units.len() * 2) as u16;
        UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: self.units.as_mut_ptr() }
    }

    /// Whether the name fits into a counted string.
    pub(crate) fn fits(&self) -> bool {
        self.units.len() * 2 <= 0xFFFC
    }
}

/// Builds attributes without root, descriptor and quality of service.
pub(crate) fn attributes(name: *mut UNICODE_STRING, attributes: u32) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: name,
        Attributes: attributes,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    }
}

impl<P: Platform> Executive<P> {
    /// Initializes callback objects: list, type, directory, event, built-in objects, in this order. Returns
    /// FALSE at the first step that fails; what exists by then stays.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn ExpInitializeCallbacks(&self) -> bool {
        list::initialize(field!(self.ex(), Globals, list_head));
        field!(self.ex(), Globals, list_lock.Value).set(0);
        self.ex_initialize_processors();
        if !self.ex_create_type() || !self.ex_create_directory() {
            return false;
        }
        // SAFETY: the event lies in the globals and nobody waits for it yet.
        unsafe { self.KeInitializeEvent(self.ExpCallbackEvent(), nt::NotificationEvent, false) };

        let names = self.profile().builtin_names.value;
        for (index, name) in names.iter().take(BUILTINS).enumerate() {
            let variable = field!(self.ex(), Globals, builtins).element(index);
            let mut name = Name::new(&alloc::format!("\\Callback\\{name}"));
            let mut view = name.view();
            let attributes = attributes(&raw mut view, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT);
            // SAFETY: variable, attributes and name live across the call.
            let status = unsafe { self.ExCreateCallback(variable.ptr(), &raw const attributes, 1, 1) };
            if !status.is_success() {
                return false;
            }
        }
        true
    }

    /// Creates the type `Callback`.
    fn ex_create_type(&self) -> bool {
        // SAFETY: plain data, for which zero is a value.
        let mut initializer: OBJECT_TYPE_INITIALIZER = unsafe { core::mem::zeroed() };
        initializer.Length = self.profile().type_initializer_size.value as u16;
        if self.profile().use_default_object.value {
            initializer.ObjectTypeFlags |= nt::type_flags::USE_DEFAULT_OBJECT;
        }
        initializer.InvalidAttributes = OBJ_OPENLINK;
        initializer.GenericMapping = MAPPING;
        initializer.ValidAccessMask = nt::CALLBACK_ALL_ACCESS;
        initializer.PoolType = self.profile().nonpaged_kind.value.pool_type();
        let delete = self.kernel_routine(KernelRoutine::ExpDeleteCallback);
        initializer.DeleteProcedure = core::ptr::without_provenance_mut(delete);
        let procedures =
            Procedures { delete: Some(Self::ExpDeleteCallback), reported: true, ..Procedures::NONE };
        match self.ObCreateObjectType("Callback", &initializer, procedures) {
            Ok(object_type) => {
                field!(self.ex(), Globals, object_type).set(object_type.as_ptr());
                true
            }
            Err(_) => false,
        }
    }

    /// Creates `\Callback`. The service is called directly and not through the system call, so the previous
    /// mode stays.
    fn ex_create_directory(&self) -> bool {
        let mut name = Name::new("\\Callback");
        let mut view = name.view();
        let mut attributes = attributes(&raw mut view, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT);
        attributes.SecurityDescriptor = self.SePublicDefaultSd().cast();
        let mut handle: HANDLE = null_mut();
        // SAFETY: handle, attributes and name live across the call.
        let status = unsafe {
            self.NtCreateDirectoryObject(&raw mut handle, nt::DIRECTORY_ALL_ACCESS, &raw const attributes)
        };
        if !status.is_success() {
            return false;
        }
        self.NtClose(handle);
        true
    }

    /// Returns a built-in object as its global variable has it: `builtin("PowerState")` is
    /// `nt!ExCbPowerState`. Null where this version has none of the name.
    pub fn builtin(&self, name: &str) -> *mut CALLBACK_OBJECT {
        let names = self.profile().builtin_names.value;
        match names.iter().take(BUILTINS).position(|known| *known == name) {
            Some(index) => field!(self.ex(), Globals, builtins).element(index).get(),
            None => null_mut(),
        }
    }
}
