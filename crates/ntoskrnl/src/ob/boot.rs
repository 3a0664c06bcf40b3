//! Types and directories that drivers expect, beyond those of the object manager itself.

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};

use executive::ob::{Procedures, ProcessKind};
use executive::se::Token;
use nt::{
    EPROCESS, GENERIC_MAPPING, KTHREAD, KernelMode, NTSTATUS, OBJECT_TYPE, OBJECT_TYPE_INITIALIZER,
    STANDARD_RIGHTS_ALL, STATUS_OBJECT_NAME_COLLISION,
};

use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::host::Host;
use crate::kernel::Nt;

/// Type objects that exports name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    pub(crate) event: NonNull<OBJECT_TYPE>,
    pub(crate) semaphore: NonNull<OBJECT_TYPE>,
    pub(crate) process: NonNull<OBJECT_TYPE>,
    pub(crate) thread: NonNull<OBJECT_TYPE>,
    pub(crate) driver: NonNull<OBJECT_TYPE>,
    pub(crate) device: NonNull<OBJECT_TYPE>,
    pub(crate) file: NonNull<OBJECT_TYPE>,
}

/// Directories of a running system that drivers put names in.
const DIRECTORIES: [&str; 4] = ["\\Device", "\\Driver", "\\FileSystem", "\\BaseNamedObjects"];

/// What differs between the types.
struct Plan {
    name: &'static str,
    access: u32,
    mapping: [u32; 4],
    procedures: Procedures<&'static dyn Host>,
}

fn create_type(executive: &Nt, plan: &Plan) -> Result<NonNull<OBJECT_TYPE>, NTSTATUS> {
    if let Some(known) = executive.object_type(plan.name) {
        return Ok(known);
    }
    let [GenericRead, GenericWrite, GenericExecute, GenericAll] = plan.mapping;
    let initializer = OBJECT_TYPE_INITIALIZER {
        GenericMapping: GENERIC_MAPPING { GenericRead, GenericWrite, GenericExecute, GenericAll },
        ValidAccessMask: plan.access,
        PoolType: nt::NonPagedPoolNx,
        ..executive.type_initializer()
    };
    executive.ObCreateObjectType(plan.name, &initializer, plan.procedures)
}

/// Creates the types.
pub(crate) fn types(executive: &Nt) -> Result<Types, NTSTATUS> {
    let dispatcher = |name, specific: u32, read: u32, write: u32| Plan {
        name,
        access: STANDARD_RIGHTS_ALL | specific,
        mapping: [0x2_0000 | read, 0x2_0000 | write, 0x12_0000, STANDARD_RIGHTS_ALL | specific],
        procedures: Procedures::NONE,
    };
    let file = |name, procedures| Plan {
        name,
        access: STANDARD_RIGHTS_ALL | 0x1FF,
        mapping: [0x12_0089, 0x12_0116, 0x12_00A0, 0x1F_01FF],
        procedures,
    };
    Ok(Types {
        event: create_type(executive, &dispatcher("Event", 3, 1, 2))?,
        semaphore: create_type(executive, &dispatcher("Semaphore", 3, 1, 2))?,
        process: create_type(executive, &dispatcher("Process", 0xFFFF, 0x410, 0x6AE8))?,
        thread: create_type(executive, &dispatcher("Thread", 0xFFFF, 0x48, 0x1037))?,
        driver: create_type(executive, &file("Driver", Procedures::NONE))?,
        device: create_type(executive, &file("Device", crate::io::device::PROCEDURES))?,
        file: create_type(executive, &file("File", crate::io::file::PROCEDURES))?,
    })
}

/// Creates the directories that are missing.
pub(crate) fn names(executive: &Nt) -> Result<(), NTSTATUS> {
    let missing = |result: Result<(), NTSTATUS>| match result {
        Err(STATUS_OBJECT_NAME_COLLISION) => Ok(()),
        other => other,
    };
    for path in DIRECTORIES {
        missing(executive.create_directory(path))?;
    }
    Ok(())
}

/// Makes the System process an object, with the fields of the one the machine booted with, and moves the current thread there.
pub(crate) fn system_process(
    host: &'static dyn Host,
    executive: &Nt,
    types: &Types,
    arena: &impl crate::guest::Arena,
) -> Result<u64, NTSTATUS> {
    let mut body: *mut c_void = null_mut();
    // SAFETY: the type is one of this executive; no attributes; `body` is a local.
    let status = unsafe {
        executive.ObCreateObject(
            KernelMode,
            types.process.as_ptr(),
            core::ptr::null(),
            KernelMode,
            null_mut(),
            size_of::<EPROCESS>() as u32,
            0,
            0,
            &raw mut body,
        )
    };
    if !status.is_success() {
        return Err(status);
    }
    let process = Guest::<EPROCESS>::new(arena, body.expose_provenance() as u64);
    GuestSlice::<u8>::new(arena, process.address(), size_of::<EPROCESS>()).fill(0);
    // SAFETY: zeroed memory that lives as long as the kernel: the creation reference is never given back.
    unsafe { executive::ke::initialize_process(process.ptr(), 4, b"System") };
    field!(process, EPROCESS, CreateTime).write(executive.KeQuerySystemTime());
    executive.register_process(process.ptr(), ProcessKind::System, 4, Token::system());
    let thread = Guest::<KTHREAD>::new(arena, host.current_thread().as_ptr().expose_provenance() as u64);
    field!(thread, KTHREAD, Process).write(process.ptr());
    field!(thread, KTHREAD, ApcStateProcess).write(process.ptr());
    Ok(process.address())
}
