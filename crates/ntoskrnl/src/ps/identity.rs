//! Who the current thread and process are.

use nt::{CLIENT_ID, EPROCESS, ETHREAD, KTHREAD, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::export::Address;
use crate::field;
use crate::guest::Guest;
use crate::kernel::Kernel;

fn current(k: &Kernel) -> Guest<ETHREAD> {
    Guest::new(k, k.host().current_thread().as_ptr().expose_provenance() as u64)
}

fn cid(thread: Guest<ETHREAD>) -> CLIENT_ID {
    field!(thread, ETHREAD, Cid).read()
}

/// Returns the process that the current thread is attached to. `IoGetCurrentProcess` is another name for it.
pub(crate) fn PsGetCurrentProcess(k: &Kernel) -> Address {
    field!(current(k), ETHREAD, Tcb.ApcStateProcess).read().into()
}

/// Returns the identifier of the current thread's process.
pub(crate) fn PsGetCurrentProcessId(k: &Kernel) -> Address {
    cid(current(k)).UniqueProcess.into()
}

/// Returns the identifier of the current thread.
pub(crate) fn PsGetCurrentThreadId(k: &Kernel) -> Address {
    cid(current(k)).UniqueThread.into()
}

/// Returns the identifier of a thread.
pub(crate) fn PsGetThreadId(_: &Kernel, thread: Guest<ETHREAD>) -> Address {
    cid(thread).UniqueThread.into()
}

/// Returns the identifier of a thread's process.
pub(crate) fn PsGetThreadProcessId(_: &Kernel, thread: Guest<ETHREAD>) -> Address {
    cid(thread).UniqueProcess.into()
}

/// Returns a thread's process. `IoThreadToProcess` is another name for it.
pub(crate) fn PsGetThreadProcess(_: &Kernel, thread: Guest<KTHREAD>) -> Address {
    field!(thread, KTHREAD, Process).read().into()
}

/// Tells whether a thread is one of the system: it has no user mode.
pub(crate) fn PsIsSystemThread(_: &Kernel, thread: Guest<KTHREAD>) -> u8 {
    u8::from(field!(thread, KTHREAD, Teb).read().is_null())
}

/// Returns the identifier of a process.
pub(crate) fn PsGetProcessId(_: &Kernel, process: Guest<EPROCESS>) -> Address {
    field!(process, EPROCESS, UniqueProcessId).read().into()
}

/// Returns when a process was created.
pub(crate) fn PsGetProcessCreateTimeQuadPart(_: &Kernel, process: Guest<EPROCESS>) -> i64 {
    field!(process, EPROCESS, CreateTime).read()
}

/// Returns the address of the first characters of the name of a process's image.
pub(crate) fn PsGetProcessImageFileName(_: &Kernel, process: Guest<EPROCESS>) -> Address {
    Address(field!(process, EPROCESS, ImageFileName).address())
}

/// Returns the process environment block: none for System.
pub(crate) fn PsGetProcessPeb(_: &Kernel, process: Guest<EPROCESS>) -> Address {
    field!(process, EPROCESS, Peb).read().into()
}

/// Finds a process by its identifier, with a reference.
pub(crate) fn PsLookupProcessByProcessId(k: &Kernel, id: Address, process: Guest<u64>) -> NTSTATUS {
    let system = Guest::<EPROCESS>::new(k, k.system_process());
    if id != PsGetProcessId(k, system) {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the System process is an object that lives as long as the kernel.
    unsafe { k.executive().ObfReferenceObject(system.ptr().cast()) };
    process.write(system.address());
    STATUS_SUCCESS
}

/// Finds a thread by its identifier, with a reference.
pub(crate) fn PsLookupThreadByThreadId(k: &Kernel, id: Address, thread: Guest<u64>) -> NTSTATUS {
    let Some(found) = super::thread::find(k, id.0) else {
        if id == PsGetCurrentThreadId(k) {
            k.partial("PsLookupThreadByThreadId", "the machine's own threads are not objects");
        }
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: a thread that runs has a reference of its own.
    unsafe { k.executive().ObfReferenceObject(found.ptr().cast()) };
    thread.write(found.address());
    STATUS_SUCCESS
}
