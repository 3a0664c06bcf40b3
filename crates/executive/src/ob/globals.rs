//! The object manager's global variables and its start.

use alloc::collections::BTreeMap;
use core::ffi::c_void;
use core::ptr;

use nt::{
    DISPATCHER_HEADER, KEVENT, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, OBJECT_ATTRIBUTES, OBJECT_HEADER,
    OBJECT_TYPE, OBJECT_TYPE_INITIALIZER, PagedPool, UNICODE_STRING,
};

use super::header::Header;
use super::index::NameIndex;
use super::process::Processes;
use super::security::SharedDescriptors;
use super::types::{Procedures, TYPE_SLOTS};
use crate::ex::KernelRoutine;
use crate::executive::{self, Executive};
use crate::ke::list;
use crate::mm::HostCell;
use crate::platform::{Origin, Platform};
use crate::raw::{Live, field};
use crate::symbols::KernelSymbol;

/// What `ob` keeps in the executive's globals. All zero before the start.
#[repr(C)]
pub(crate) struct Globals {
    /// `ObTypeIndexTable`. The first two slots are never a type.
    pub(super) types: [*mut OBJECT_TYPE; TYPE_SLOTS],
    /// For each type its [`Procedures`], in a box.
    pub(super) procedures: [*mut c_void; TYPE_SLOTS],
    /// `ObpTypeObjectType`.
    pub(super) type_type: *mut OBJECT_TYPE,
    /// `ObpDirectoryObjectType`.
    pub(super) directory_type: *mut OBJECT_TYPE,
    /// `ObpSymbolicLinkObjectType`.
    pub(super) link_type: *mut OBJECT_TYPE,
    /// `ObpRootDirectoryObject`.
    pub(super) root: *mut c_void,
    /// `ObpTypeDirectoryObject`.
    pub(super) type_directory: *mut c_void,
    /// `\GLOBAL??`, what `\??` means for the whole system.
    pub(super) dos_devices: *mut c_void,
    /// `ObpDefaultObject`: an event that is always signaled.
    pub(super) default_object: KEVENT,
    /// `ObpRemoveObjectList`: objects to delete at `PASSIVE_LEVEL`, linked through `NextToFree`.
    pub(super) remove_list: *mut OBJECT_HEADER,
    /// Slot of the next type.
    pub(super) next_type: u32,
    /// `ObHeaderCookie`, where the version has one.
    pub(super) cookie: u8,
    pub(super) processes: HostCell<Processes>,
    /// All directory entries by name.
    pub(super) names: HostCell<NameIndex>,
    /// Key of that table.
    pub(super) name_key: u64,
    /// Descriptors that objects share.
    pub(super) descriptors: HostCell<SharedDescriptors>,
    /// Who made the permanent names that driver code asked for, by the body of the object.
    pub(super) permanent_names: HostCell<BTreeMap<usize, Origin>>,
}

/// Directories that exist before anybody asks.
const DIRECTORIES: [&str; 3] = ["\\ObjectTypes", "\\KernelObjects", "\\GLOBAL??"];

impl<P: Platform> Executive<P> {
    pub(super) fn ob(&self) -> Live<Globals> {
        field!(self.live_globals(), executive::Globals, ob)
    }

    /// Returns the processes and their handles.
    pub(super) fn processes(&self) -> &HostCell<Processes> {
        let cell = field!(self.ob(), Globals, processes);
        // SAFETY: the globals live as long as the executive, and everything in the cell is behind `UnsafeCell` or atomic.
        unsafe { &*cell.ptr() }
    }

    /// Returns who made which permanent name.
    pub(super) fn permanent_names(&self) -> &HostCell<BTreeMap<usize, Origin>> {
        let cell = field!(self.ob(), Globals, permanent_names);
        // SAFETY: the globals live as long as the executive, and everything in the cell is behind `UnsafeCell` or atomic.
        unsafe { &*cell.ptr() }
    }

    /// Creates the types `Type`, `Directory`, `SymbolicLink` and the root of the namespace. Tells whether that worked.
    ///
    /// `\DosDevices` is a link to `\??` here as on Windows; `\??` itself is no object but a meaning.
    pub(crate) fn ob_initialize(&self) -> bool {
        let event = field!(self.ob(), Globals, default_object);
        let header = field!(event, KEVENT, Header);
        field!(header, DISPATCHER_HEADER, Type).set(nt::dispatcher::NOTIFICATION_EVENT);
        field!(header, DISPATCHER_HEADER, Size).set((size_of::<KEVENT>() / 4) as u8);
        field!(header, DISPATCHER_HEADER, SignalState).set(1);
        list::initialize(field!(header, DISPATCHER_HEADER, WaitListHead));
        // Two slots are never used, so that a zeroed header and a freed one name no type.
        field!(self.ob(), Globals, next_type).set(2);
        field!(self.ob(), Globals, cookie).set(self.header_cookie());
        field!(self.ob(), Globals, name_key).set(self.choose_name_key());
        self.create_own_types() && self.create_namespace()
    }

    /// Gives the host memory of the bookkeeping back.
    pub(crate) fn ob_dispose(&self) {
        self.processes().dispose();
        self.dispose_name_index();
        self.dispose_shared_descriptors();
        self.permanent_names().dispose();
        self.dispose_procedures();
    }

    /// Names the variables of `ob` that a debugger knows.
    pub(crate) fn ob_symbols(&self) -> [KernelSymbol; 4] {
        let ob = self.ob();
        [
            KernelSymbol::at("ObTypeIndexTable", field!(ob, Globals, types).ptr()),
            KernelSymbol::at("ObpRootDirectoryObject", field!(ob, Globals, root).ptr()),
            KernelSymbol::at("ObpTypeDirectoryObject", field!(ob, Globals, type_directory).ptr()),
            KernelSymbol::at("ObHeaderCookie", field!(ob, Globals, cookie).ptr()),
        ]
    }

    fn own_initializer(&self) -> OBJECT_TYPE_INITIALIZER {
        OBJECT_TYPE_INITIALIZER {
            InvalidAttributes: nt::OBJ_OPENLINK,
            PoolType: self.nonpaged_pool_type(),
            ..self.type_initializer()
        }
    }

    fn create_own_types(&self) -> bool {
        let mut initializer = self.own_initializer();
        initializer.ObjectTypeFlags = nt::type_flags::MAINTAIN_TYPE_LIST | nt::type_flags::USE_DEFAULT_OBJECT;
        initializer.ValidAccessMask = nt::STANDARD_RIGHTS_ALL | 1;
        initializer.GenericMapping.GenericAll = nt::STANDARD_RIGHTS_REQUIRED | 1;
        initializer.DeleteProcedure = self.routine_pointer(KernelRoutine::ObpDeleteObjectType);
        let procedures = Procedures { delete: Some(Self::delete_object_type), ..Procedures::NONE };
        let Ok(own) = self.ObCreateObjectType("Type", &initializer, procedures) else { return false };
        field!(self.ob(), Globals, type_type).set(own.as_ptr());

        let mut initializer = self.own_initializer();
        initializer.ObjectTypeFlags = nt::type_flags::CASE_INSENSITIVE | nt::type_flags::USE_DEFAULT_OBJECT;
        initializer.ValidAccessMask = nt::DIRECTORY_ALL_ACCESS;
        initializer.GenericMapping = nt::DIRECTORY_MAPPING;
        initializer.PoolType = PagedPool;
        initializer.DeleteProcedure = self.routine_pointer(KernelRoutine::ObpDeleteDirectoryObject);
        let Ok(directory) = self.ObCreateObjectType("Directory", &initializer, Procedures::NONE) else {
            return false;
        };
        field!(self.ob(), Globals, directory_type).set(directory.as_ptr());

        initializer.ValidAccessMask = nt::SYMBOLIC_LINK_ALL_ACCESS;
        initializer.GenericMapping = nt::SYMBOLIC_LINK_MAPPING;
        initializer.DeleteProcedure = self.routine_pointer(KernelRoutine::ObpDeleteSymbolicLink);
        initializer.ParseProcedure = self.routine_pointer(KernelRoutine::ObpParseSymbolicLinkEx);
        let procedures = Procedures { delete: Some(Self::delete_symbolic_link), ..Procedures::NONE };
        let Ok(link) = self.ObCreateObjectType("SymbolicLink", &initializer, procedures) else {
            return false;
        };
        field!(self.ob(), Globals, link_type).set(link.as_ptr());
        true
    }

    fn create_namespace(&self) -> bool {
        if !self.create_root() {
            return false;
        }
        for path in DIRECTORIES {
            let Some(header) = self.create_permanent(path, |attributes| self.new_directory(attributes))
            else {
                return false;
            };
            // The creation reference is the global variable's, where there is one.
            match path {
                "\\ObjectTypes" => field!(self.ob(), Globals, type_directory).set(header.body()),
                "\\GLOBAL??" => field!(self.ob(), Globals, dos_devices).set(header.body()),
                _ => {
                    self.dereference(header);
                }
            }
        }
        let target = nt_string("\\??");
        let link =
            self.create_permanent("\\DosDevices", |attributes| self.new_symbolic_link(attributes, &target));
        let Some(link) = link else { return false };
        self.dereference(link);
        self.name_own_types()
    }

    /// Creates the root: the one directory whose name is no leaf in another one.
    fn create_root(&self) -> bool {
        let mut name = nt_string("\\");
        let mut text = unicode(&mut name);
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: ptr::null_mut(),
            ObjectName: &raw mut text,
            Attributes: OBJ_CASE_INSENSITIVE | OBJ_PERMANENT,
            SecurityDescriptor: self.SePublicDefaultSd().cast(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let Ok(root) = self.new_directory(&attributes) else { return false };
        field!(self.ob(), Globals, root).set(root.body());
        self.adopt_root(root)
    }

    /// Creates a permanent object by path. Its creation reference is the caller's.
    fn create_permanent(
        &self,
        path: &str,
        create: impl FnOnce(&OBJECT_ATTRIBUTES) -> Result<Header, nt::NTSTATUS>,
    ) -> Option<Header> {
        let mut name = nt_string(path);
        let mut text = unicode(&mut name);
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: ptr::null_mut(),
            ObjectName: &raw mut text,
            Attributes: OBJ_CASE_INSENSITIVE | OBJ_PERMANENT,
            SecurityDescriptor: self.SePublicDefaultSd().cast(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let header = create(&attributes).ok()?;
        self.insert_object(header, &super::insert::Insertion::NAME_ONLY).ok()?;
        Some(header)
    }
}

/// Returns text as NT has it.
pub(super) fn nt_string(text: &str) -> alloc::vec::Vec<u16> {
    text.encode_utf16().collect()
}

/// Returns a counted string over `units`, which must outlive it.
pub(super) fn unicode(units: &mut [u16]) -> UNICODE_STRING {
    let bytes = size_of_val(units) as u16;
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
}
