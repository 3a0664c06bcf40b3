//! System threads: made, ended, reaped.

use core::ffi::c_void;
use core::ops::Range;
use core::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering;

use executive::Origin;
use nt::{
    BugCheck, CLIENT_ID, ETHREAD, HANDLE, Irql, KTHREAD, KernelMode, NTSTATUS, OBJECT_ATTRIBUTES,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use record::{EntryPoint, Left, LeftKind, What};

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `THREAD_ALL_ACCESS`
const ALL_ACCESS: u32 = 0x1F_FFFF;

/// Makes a thread object, which nobody runs yet. The caller gets the creation reference.
fn create(k: &Kernel, start: u64, attributes: *const OBJECT_ATTRIBUTES) -> Result<Guest<ETHREAD>, NTSTATUS> {
    let mut body: *mut c_void = null_mut();
    // SAFETY: the type is one of this executive; attributes are null or checked guest memory; `body` is a local.
    let status = unsafe {
        k.executive().ObCreateObject(
            KernelMode,
            k.types().thread.as_ptr(),
            attributes,
            KernelMode,
            null_mut(),
            size_of::<ETHREAD>() as u32,
            0,
            0,
            &raw mut body,
        )
    };
    if !status.is_success() {
        return Err(status);
    }
    let thread = Guest::<ETHREAD>::new(k, body.expose_provenance() as u64);
    GuestSlice::<u8>::new(k, thread.address(), size_of::<ETHREAD>()).fill(0);
    // SAFETY: zeroed memory of a thread that nobody else knows; the process lives as long as the kernel.
    unsafe { executive::ke::initialize_thread(thread.ptr().cast(), Address(k.system_process()).ptr()) };
    let id = k.processes().id();
    field!(thread, ETHREAD, Cid).write(client_id(id));
    field!(thread, ETHREAD, StartAddress).write(Address(start).ptr());
    field!(thread, ETHREAD, CreateTime).write(k.executive().KeQuerySystemTime());
    Ok(thread)
}

fn client_id(id: u64) -> CLIENT_ID {
    CLIENT_ID { UniqueProcess: Address(4).ptr(), UniqueThread: Address(id).ptr() }
}

fn reference(k: &Kernel, thread: Guest<ETHREAD>) {
    // SAFETY: the caller holds a reference.
    unsafe { k.executive().ObfReferenceObject(thread.ptr().cast()) };
}

fn dereference(k: &Kernel, thread: u64) {
    // SAFETY: the reference given back is one that this module took.
    unsafe { k.executive().ObfDereferenceObject(Address(thread).ptr()) };
}

/// Starts a thread that runs `body` and then ends. The kernel's own threads are made so.
pub(crate) fn spawn(k: &'static Kernel, body: impl FnOnce() + 'static) -> Result<(), NTSTATUS> {
    let thread = create(k, 0, core::ptr::null())?;
    run(k, thread, body)
}

/// Runs `body` on a thread object. Takes over the caller's reference, which the thread holds while it runs.
fn run(k: &'static Kernel, thread: Guest<ETHREAD>, body: impl FnOnce() + 'static) -> Result<(), NTSTATUS> {
    let Some(pointer) = NonNull::new(thread.ptr()) else { return Err(STATUS_INVALID_PARAMETER) };
    lock(&k.processes().running).insert(thread.address(), k.host().origin());
    let whole = move || {
        body();
        end(k)
    };
    if k.host().start_thread(pointer, Box::new(whole)) {
        return Ok(());
    }
    lock(&k.processes().running).remove(&thread.address());
    dereference(k, thread.address());
    Err(STATUS_INSUFFICIENT_RESOURCES)
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while one is held, and a panic in the kernel process ends it anyway.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Ends the current thread.
fn end(k: &Kernel) -> ! {
    let thread = k.host().current_thread();
    let address = thread.as_ptr().expose_provenance() as u64;
    let irql = k.host().irql();
    if irql != Irql::PASSIVE {
        k.bugcheck(
            BugCheck::IRQL_NOT_LESS_OR_EQUAL,
            [address, u64::from(irql.0), 0, 0],
            format!("a system thread ended at {irql}"),
        );
    }
    let checked = Guest::<KTHREAD>::new(k, address);
    let disabled = field!(checked, KTHREAD, KernelApcDisable).read();
    if disabled != 0 {
        k.bugcheck(
            BugCheck::KERNEL_APC_PENDING_DURING_EXIT,
            [0, disabled as u16 as u64, 0, 0],
            "a system thread ended inside a critical region",
        );
    }
    // SAFETY: the current thread runs no more code of its own.
    unsafe { k.executive().signal_thread_exit(thread.as_ptr()) };
    lock(&k.processes().running).remove(&address);
    lock(&k.processes().ended).push(address);
    k.processes().any_ended.store(true, Ordering::Release);
    k.host().exit_thread()
}

/// Drops the references of threads that have ended. Done at the entry of exports, by another thread.
pub(crate) fn reap(k: &Kernel) {
    if !k.processes().any_ended.load(Ordering::Acquire) || k.host().irql() != Irql::PASSIVE {
        return;
    }
    k.processes().any_ended.store(false, Ordering::Release);
    // In a statement of its own: the lock must be free when others run.
    let ended = core::mem::take(&mut *lock(&k.processes().ended));
    for thread in ended {
        dereference(k, thread);
    }
}

/// Makes a thread in the System process. A process handle is taken for it: there is no other.
#[expect(clippy::too_many_arguments, reason = "the routine has that many")]
pub(crate) fn PsCreateSystemThread(
    k: &'static Kernel,
    handle: Guest<u64>,
    access: u32,
    attributes: Option<Guest<OBJECT_ATTRIBUTES>>,
    _process: Address,
    id: Option<Guest<CLIENT_ID>>,
    start: Address,
    context: Address,
) -> NTSTATUS {
    let attributes = attributes.map_or(core::ptr::null(), |attributes| attributes.ptr().cast_const());
    let thread = match create(k, start.0, attributes) {
        Ok(thread) => thread,
        Err(status) => return status,
    };
    if let Some(id) = id {
        id.write(field!(thread, ETHREAD, Cid).read());
    }
    reference(k, thread);
    let mut opened: HANDLE = null_mut();
    let access = if access == 0 { ALL_ACCESS } else { access };
    // SAFETY: the object is fresh; inserting takes over the creation reference. `opened` is a local.
    let status =
        unsafe { k.executive().ObInsertObject(thread.ptr().cast(), access, 0, null_mut(), &raw mut opened) };
    if !status.is_success() {
        dereference(k, thread.address());
        return status;
    }
    handle.write(opened.expose_provenance() as u64);
    let body = move || {
        let called = |routine: u64| What::EntryCalled {
            entry: EntryPoint::Thread,
            name: "system thread".into(),
            routine,
        };
        k.host().emit(called(start.0));
        // SAFETY: the driver gave this address as the start routine of a thread, with this context.
        unsafe { k.host().call_driver(start.0, &[context.0]) };
        k.host().emit(What::EntryReturned {
            entry: EntryPoint::Thread,
            name: "system thread".into(),
            routine: start.0,
            status: None,
            irql: k.host().irql().0,
        });
    };
    match run(k, thread, body) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            k.executive().ZwClose(opened);
            status
        }
    }
}

/// Ends the current thread, which must be one that a driver made.
pub(crate) fn PsTerminateSystemThread(k: &Kernel, _status: NTSTATUS) -> NTSTATUS {
    let thread = k.host().current_thread().as_ptr().expose_provenance() as u64;
    if !lock(&k.processes().running).contains_key(&thread) {
        k.partial("PsTerminateSystemThread", "the thread is not one that `PsCreateSystemThread` made");
        return STATUS_INVALID_PARAMETER;
    }
    end(k)
}

/// Finds a thread that a driver made, by identifier.
pub(super) fn find(k: &Kernel, id: u64) -> Option<Guest<ETHREAD>> {
    let running: Vec<u64> = lock(&k.processes().running).keys().copied().collect();
    running
        .into_iter()
        .map(|thread| Guest::<ETHREAD>::new(k, thread))
        .find(|thread| field!(*thread, ETHREAD, Cid).read().UniqueThread as u64 == id)
}

/// Returns the threads with a start routine in `image` that have not ended.
pub(crate) fn left(k: &Kernel, image: &Range<u64>) -> Vec<Left> {
    let running: Vec<(u64, Origin)> =
        lock(&k.processes().running).iter().map(|(thread, origin)| (*thread, *origin)).collect();
    let mut left = Vec::new();
    for (address, origin) in running {
        let thread = Guest::<ETHREAD>::new(k, address);
        let start = field!(thread, ETHREAD, StartAddress).read() as u64;
        // A thread that is signaled runs no more code of its own.
        let over = field!(thread, ETHREAD, Tcb.Header.SignalState).read() != 0;
        if image.contains(&start) && !over {
            let id = field!(thread, ETHREAD, Cid).read().UniqueThread as u64;
            let (routine, thread) = (Some(start), u32::try_from(id).ok());
            let all = k.left(LeftKind::Thread, address, origin);
            left.push(Left { routine, thread, running: true, ..all });
        }
    }
    left
}
