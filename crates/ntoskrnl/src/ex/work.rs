//! Work items: routines that a system thread calls at `PASSIVE_LEVEL`.
//!
//! NT has pools of worker threads by priority. Here is one thread and one queue, so work runs in the order it was queued, whatever
//! its type; work that waits for work behind it waits forever, as it may on Windows when the pool is used up.
//!
//! A work item of the I/O manager references its device until the routine has returned, the device its driver, and an image is unmapped
//! when nobody references its driver any more (Microsoft docs, `IoQueueWorkItem`). [`Kernel::finish_work_of`] is that wait.

use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use executive::Origin;
use nt::{BugCheck, DEVICE_OBJECT, IO_WORKITEM, Irql, WORK_QUEUE_ITEM};
use record::{EntryPoint, Left, LeftKind, WaitKind, What};

use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;
use crate::ps::thread;

const TAG: u32 = nt::pool_tag(b"IoWi");
/// What `List.Flink` of a queued item holds. Only whether it is zero is looked at, as in NT's check for items queued twice.
const QUEUED: u64 = 1;

/// How a routine is called.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// `void (Parameter)`
    Plain { item: Guest<WORK_QUEUE_ITEM> },
    /// `void (IoObject, Context)`, or with the item as third argument.
    Io { item: Guest<IO_WORKITEM>, extended: bool, driver: u64 },
}

/// The queue and its thread.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    work: Mutex<VecDeque<(Work, Origin)>>,
    /// The item whose routine runs.
    running: Mutex<Option<(Called, Origin)>>,
    started: AtomicBool,
    /// Work items of the I/O manager that are queued or running, by driver object.
    of_drivers: Mutex<BTreeMap<u64, u32>>,
}

impl Queue {
    fn running(&self) -> MutexGuard<'_, Option<(Called, Origin)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_drivers(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.of_drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    /// Waits until no work item of the I/O manager that belongs to the driver object at `driver` is queued or running. The machine
    /// calls it before it takes an image away.
    pub fn finish_work_of(&self, driver: u64) {
        let done = self.work_done();
        loop {
            // SAFETY: the event is the kernel's own.
            unsafe { self.executive().KeResetEvent(done.as_ptr()) };
            if !self.queue().of_drivers().contains_key(&driver) {
                return;
            }
            self.host().waits_for(Some((WaitKind::WorkItems, driver as usize)));
            // SAFETY: as above.
            unsafe {
                self.executive().KeWaitForSingleObject(done.as_ptr().cast(), 0, 0, 0, core::ptr::null())
            };
            self.host().waits_for(None);
        }
    }
}

fn entries(k: &Kernel) -> MutexGuard<'_, VecDeque<(Work, Origin)>> {
    k.queue().work.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push(k: &'static Kernel, work: Work) {
    let semaphore = k.work_semaphore();
    if !k.queue().started.swap(true, Ordering::AcqRel)
        && let Err(status) = thread::spawn(k, move || serve(k))
    {
        k.bugcheck(
            BugCheck::WORKER_INVALID,
            [u64::from(status.0), 0, 0, 0],
            "no thread could be made for work items",
        );
    }
    let origin = k.host().origin();
    entries(k).push_back((work, origin));
    // SAFETY: the semaphore is the kernel's own.
    unsafe { k.executive().KeReleaseSemaphore(semaphore.as_ptr(), 0, 1, false) };
}

/// The worker thread.
fn serve(k: &'static Kernel) {
    let semaphore = k.work_semaphore();
    loop {
        k.host().waits_for(Some((WaitKind::Work, semaphore.as_ptr().addr())));
        // SAFETY: the semaphore is the kernel's own. The reason is `WrQueue`.
        unsafe {
            k.executive().KeWaitForSingleObject(semaphore.as_ptr().cast(), 15, 0, 0, core::ptr::null())
        };
        k.host().waits_for(None);
        let next = entries(k).pop_front();
        if let Some((work, origin)) = next {
            run(k, work, origin);
        }
    }
}

/// A work item as it is called.
#[derive(Clone, Debug)]
struct Called {
    routine: u64,
    arguments: Vec<u64>,
    /// The I/O object and its driver, of an item of the I/O manager.
    owner: Option<(u64, u64)>,
    item: u64,
}

impl Work {
    fn address(self) -> u64 {
        match self {
            Self::Plain { item } => item.address(),
            Self::Io { item, .. } => item.address(),
        }
    }

    fn called(self) -> Called {
        match self {
            Self::Plain { item } => {
                let WORK_QUEUE_ITEM { WorkerRoutine, Parameter, .. } = item.read();
                let (routine, arguments) = (WorkerRoutine as u64, vec![Parameter as u64]);
                Called { routine, arguments, owner: None, item: item.address() }
            }
            Self::Io { item, extended, driver } => {
                let IO_WORKITEM { Routine, IoObject, Context, .. } = item.read();
                let mut arguments = vec![IoObject as u64, Context as u64];
                if extended {
                    arguments.push(item.address());
                }
                let owner = Some((IoObject as u64, driver));
                Called { routine: Routine as u64, arguments, owner, item: item.address() }
            }
        }
    }

    /// Lets the item be queued again.
    fn taken(self) {
        match self {
            Self::Plain { item } => {
                field!(item, WORK_QUEUE_ITEM, List.Flink).write(core::ptr::null_mut());
            }
            Self::Io { item, .. } => {
                field!(item, IO_WORKITEM, WorkItem.List.Flink).write(core::ptr::null_mut());
            }
        }
    }
}

/// Returns the work items with a routine in `image` that are queued or running.
pub(crate) fn left(k: &Kernel, image: &Range<u64>) -> Vec<Left> {
    let running = k.queue().running().clone();
    let queued: Vec<(Work, Origin)> = entries(k).iter().copied().collect();
    let all = running.into_iter().map(|(called, origin)| (called, origin, true));
    let all = all.chain(queued.into_iter().map(|(work, origin)| (work.called(), origin, false)));
    all.filter(|(called, ..)| image.contains(&called.routine))
        .map(|(called, origin, running)| Left { running, ..item_left(k, &called, origin) })
        .collect()
}

/// Tells of a work item that is queued.
fn item_left(k: &Kernel, called: &Called, origin: Origin) -> Left {
    Left { routine: Some(called.routine), ..k.left(LeftKind::WorkItem, called.item, origin) }
}

/// Returns the first queued work item that lies in `range`.
pub(crate) fn queued_in(k: &Kernel, range: &Range<u64>) -> Option<Left> {
    let queued: Vec<(Work, Origin)> = entries(k).iter().copied().collect();
    let (work, origin) = queued.into_iter().find(|(work, _)| range.contains(&work.address()))?;
    Some(item_left(k, &work.called(), origin))
}

fn run(k: &Kernel, work: Work, origin: Origin) {
    let called = work.called();
    work.taken();
    *k.queue().running() = Some((called.clone(), origin));
    let Called { routine, arguments, owner, item: at } = called;
    let name = || String::from("system worker");
    k.host().emit(What::EntryCalled { entry: EntryPoint::WorkItem, name: name(), routine });
    // SAFETY: the driver queued this address as a work routine with these arguments.
    unsafe { k.host().call_driver(routine, &arguments) };
    *k.queue().running() = None;
    let irql = k.host().irql();
    k.host().emit(What::EntryReturned {
        entry: EntryPoint::WorkItem,
        name: name(),
        routine,
        status: None,
        irql: irql.0,
    });
    if irql != Irql::PASSIVE {
        k.bugcheck(
            BugCheck::WORKER_THREAD_RETURNED_AT_BAD_IRQL,
            [routine, u64::from(irql.0), at, at],
            format!("a work routine returned at {irql}"),
        );
    }
    if let Some((object, driver)) = owner {
        finished(k, driver);
        if is_device(k, object) {
            // SAFETY: the reference that queueing took.
            unsafe { k.executive().ObfDereferenceObject(Address(object).ptr()) };
        }
    }
}

/// Counts a work item of `driver` as over.
fn finished(k: &Kernel, driver: u64) {
    let mut counts = k.queue().of_drivers();
    if let Some(count) = counts.get_mut(&driver) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&driver);
        }
    }
    drop(counts);
    // SAFETY: the event is the kernel's own.
    unsafe { k.executive().KeSetEvent(k.work_done().as_ptr(), 0, false) };
}

/// Returns the driver object that a work item's I/O object belongs to.
fn driver_of(k: &Kernel, object: u64) -> u64 {
    if !is_device(k, object) {
        return object;
    }
    field!(Guest::<DEVICE_OBJECT>::new(k, object), DEVICE_OBJECT, DriverObject).read() as u64
}

/// Driver objects are not counted; devices are.
fn is_device(k: &Kernel, object: u64) -> bool {
    object != 0 && Guest::<i16>::new(k, object).read() == nt::IO_TYPE_DEVICE
}

fn refuse_twice(k: &Kernel, list: Guest<nt::LIST_ENTRY>, item: u64) {
    if !list.read().Flink.is_null() {
        k.bugcheck(
            BugCheck::WORKER_INVALID,
            [1, item, 0, 0],
            "a work item was queued that is queued already",
        );
    }
    Guest::<u64>::new(k, list.address()).write(QUEUED);
}

/// Queues a work item of the older kind.
pub(crate) fn ExQueueWorkItem(k: &'static Kernel, item: Guest<WORK_QUEUE_ITEM>, _kind: u32) {
    refuse_twice(k, field!(item, WORK_QUEUE_ITEM, List), item.address());
    push(k, Work::Plain { item });
}

/// Makes a work item.
pub(crate) fn IoAllocateWorkItem(k: &Kernel, device: Address) -> Address {
    let item: Address = k
        .executive()
        .allocate_pool(&executive::mm::PoolRequest {
            pool_type: nt::NonPagedPoolNx,
            bytes: size_of::<IO_WORKITEM>(),
            tag: TAG,
            caller: k.caller(),
        })
        .into();
    if item != Address::NULL {
        IoInitializeWorkItem(k, device, Guest::new(k, item.0));
    }
    item
}

/// Frees a work item.
pub(crate) fn IoFreeWorkItem(k: &Kernel, item: Guest<IO_WORKITEM>) {
    IoUninitializeWorkItem(k, item);
    k.free_pool(item.address());
}

/// Returns the bytes of a work item.
pub(crate) fn IoSizeofWorkItem(_: &Kernel) -> u32 {
    size_of::<IO_WORKITEM>() as u32
}

/// Makes a work item in the driver's memory.
pub(crate) fn IoInitializeWorkItem(k: &Kernel, object: Address, item: Guest<IO_WORKITEM>) {
    GuestSlice::<u8>::new(k, item.address(), size_of::<IO_WORKITEM>()).fill(0);
    field!(item, IO_WORKITEM, IoObject).write(object.ptr());
}

/// Ends the use of a work item in the driver's memory. One that is still queued is a bugcheck.
pub(crate) fn IoUninitializeWorkItem(k: &Kernel, item: Guest<IO_WORKITEM>) {
    if !field!(item, IO_WORKITEM, WorkItem.List.Flink).read().is_null() {
        k.bugcheck(
            BugCheck::WORKER_INVALID,
            [0, item.address(), 0, 0],
            "a work item was freed that is queued",
        );
    }
}

fn queue(k: &'static Kernel, item: Guest<IO_WORKITEM>, routine: Address, context: Address, extended: bool) {
    refuse_twice(k, field!(item, IO_WORKITEM, WorkItem.List), item.address());
    field!(item, IO_WORKITEM, Routine).write(routine.ptr());
    field!(item, IO_WORKITEM, Context).write(context.ptr());
    let object = field!(item, IO_WORKITEM, IoObject).read() as u64;
    if is_device(k, object) {
        // SAFETY: the driver made the item for this device, which is alive.
        unsafe { k.executive().ObfReferenceObject(Address(object).ptr()) };
    }
    let driver = driver_of(k, object);
    *k.queue().of_drivers().entry(driver).or_default() += 1;
    push(k, Work::Io { item, extended, driver });
}

/// Queues a work item.
pub(crate) fn IoQueueWorkItem(
    k: &'static Kernel,
    item: Guest<IO_WORKITEM>,
    routine: Address,
    _kind: u32,
    context: Address,
) {
    queue(k, item, routine, context, false);
}

/// Queues a work item whose routine gets the item too.
pub(crate) fn IoQueueWorkItemEx(
    k: &'static Kernel,
    item: Guest<IO_WORKITEM>,
    routine: Address,
    _kind: u32,
    context: Address,
) {
    queue(k, item, routine, context, true);
}
