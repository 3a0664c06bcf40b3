//! The event stream: one [`Event`] per thing that happened, in the order it happened.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{
    BugcheckRecord, ExceptionOutcome, FaultId, Left, LeftKind, PageableSection, PoolBlockLeft,
    PoolBlockRecord, PoolMisuse, Snapshot, Wait,
};

/// One thing that happened, where and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// Position in the stream, from 0, without gaps.
    pub sequence: u64,
    /// Virtual time since boot, in units of 100 ns.
    pub time: u64,
    /// Virtual processor.
    pub processor: u8,
    /// Thread id (`CLIENT_ID.UniqueThread`) of the thread it happened in.
    pub thread: u32,
    /// IRQL of the processor at that moment.
    pub irql: u8,
    /// Address in driver code that led here: the return address of the export call being served. `None` where
    /// the kernel acted by itself.
    pub caller: Option<u64>,
    /// Call stack of the driver, for events that findings point at: where each call returns to, innermost first, which is
    /// `caller`. Between the calls of one routine by the kernel and the driver's call that led to it stands the address
    /// of the export. Empty where none was taken.
    pub stack: Vec<u64>,
    /// What happened.
    pub what: What,
}

/// Whether the object's spin lock was held across the calls of a notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Mode {
    /// The caller was below `DISPATCH_LEVEL`: the lock is dropped around each call, `Busy` counts.
    Dropped,
    /// The caller was at `DISPATCH_LEVEL`: the lock is held throughout.
    Held,
}

/// What an `ExCreateCallback` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum CreateOutcome {
    /// A new named object.
    Created,
    /// A new object without a name.
    Unnamed,
    /// An object that existed already.
    Opened,
    /// Nothing; the status says why.
    Failed,
}

/// Why `ExRegisterCallback` returned NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum RefusedBecause {
    /// `AllowMultipleCallbacks` is FALSE and a registration is linked already.
    SingleCallbackTaken,
    /// The registration could not be allocated.
    NoMemory,
}

/// A routine of the driver that the kernel calls by contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EntryPoint {
    /// `DriverEntry(DRIVER_OBJECT*, UNICODE_STRING*)`.
    DriverEntry,
    /// `DRIVER_OBJECT.DriverUnload`.
    DriverUnload,
    /// A system thread's start routine.
    Thread,
    /// A work item or work queue routine.
    WorkItem,
    /// A deferred procedure call.
    Dpc,
    /// A dispatch routine of `DRIVER_OBJECT.MajorFunction`.
    Dispatch,
}

/// How an import that is not there was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Access {
    /// Called.
    Call,
    /// Read as data.
    Read,
    /// Written as data.
    Write,
}

impl What {
    /// Whether the event carries a call stack: findings point at it, as where something was made, taken or given back.
    pub fn has_stack(&self) -> bool {
        matches!(
            self,
            Self::AbsentExport { .. }
                | Self::FallibleCall { .. }
                | Self::IrqlContract { .. }
                | Self::DeviceCreated { .. }
                | Self::CreateAttempt { .. }
                | Self::CreateResult { .. }
                | Self::Referenced { .. }
                | Self::Dereferenced { .. }
                | Self::Registered { .. }
                | Self::RegisterRefused { .. }
                | Self::UnregisterAttempt { .. }
                | Self::UnregisterWaits { .. }
                | Self::NotifyBegin { .. }
                | Self::WaitRaised { .. }
                | Self::LockMisused { .. }
                | Self::PoolMisused(_)
                | Self::FreedInUse { .. }
                | Self::PagedObject { .. }
                | Self::ExceptionRaised { .. }
        )
    }
}

/// What happened.
///
/// Statuses are raw `NTSTATUS` values and addresses raw guest addresses; `nt` names the first, [`crate::Modules`]
/// the second.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum What {
    // --- the machine -------------------------------------------------------------------------------------------
    /// The executive starts. What follows, up to the first [`What::Step`], is the boot.
    Booted {
        /// Version profile, as spelled on the command line (`win11-24h2`).
        profile: String,
        /// Windows build number the machine claims.
        build: u32,
        /// Seed of everything that is a choice.
        seed: u64,
    },
    /// An image was mapped; [`crate::Report::modules`] holds its symbols.
    ImageLoaded {
        /// File name, `listener.sys`.
        name: String,
        /// Where it was mapped.
        base: u64,
        /// `SizeOfImage`.
        size: u64,
        /// Address of the entry point.
        entry: u64,
    },
    /// The image's pages are gone; its range is never used again.
    ImageUnloaded {
        /// File name.
        name: String,
        /// Where it was mapped.
        base: u64,
    },
    /// The kernel called a routine of the driver.
    EntryCalled {
        /// Which contract.
        entry: EntryPoint,
        /// Driver or thread concerned, for people.
        name: String,
        /// Address called.
        routine: u64,
    },
    /// That routine returned.
    EntryReturned {
        /// Which contract.
        entry: EntryPoint,
        /// Driver or thread concerned.
        name: String,
        /// Address called.
        routine: u64,
        /// Value of `rax`, cut to 32 bits, where the contract returns an `NTSTATUS`.
        status: Option<u32>,
        /// IRQL the routine left the processor at.
        irql: u8,
    },
    /// `DbgPrint` and its family.
    DebugPrint {
        /// The formatted text.
        text: String,
        /// Component and level, for `DbgPrintEx`.
        filter: Option<(u32, u32)>,
    },
    /// An export was called (recorded only at the tracing level that asks for it).
    ExportCalled {
        /// Name of the export.
        name: String,
        /// First four arguments as passed.
        arguments: [u64; 4],
    },
    /// That export returned.
    ExportReturned {
        /// Name of the export.
        name: String,
        /// Value of `rax`.
        value: u64,
    },
    /// The driver touched an import that Ringbell does not have.
    AbsentExport {
        /// Module named in the import table.
        module: String,
        /// Name or `#ordinal`.
        name: String,
        /// How it was touched.
        access: Access,
        /// First four argument registers, for a call.
        arguments: [u64; 4],
    },
    /// A partial export was asked for the part that is not there.
    PartialExport {
        /// Name of the export.
        name: String,
        /// What was asked and is not done.
        detail: String,
    },
    /// A stub was called: it returned, but did nothing.
    StubExport {
        /// Name of the export.
        name: String,
    },
    /// An export was called at an IRQL its contract forbids: above the highest, or below the lowest.
    IrqlContract {
        /// Name of the export or routine.
        name: String,
        /// Lowest IRQL allowed.
        #[cfg_attr(feature = "serde", serde(default))]
        lowest: u8,
        /// Highest IRQL allowed.
        highest: u8,
        /// IRQL it was called at.
        actual: u8,
    },
    /// A privileged instruction or kernel-only address was emulated.
    Emulated {
        /// Instruction text, or what was read.
        what: String,
        /// Address of the instruction.
        at: u64,
    },
    /// A step of the scenario begins.
    Step {
        /// In the words of the command line.
        text: String,
    },
    /// A device object appeared.
    DeviceCreated {
        /// Address of the `DEVICE_OBJECT`.
        device: u64,
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// A device object was deleted.
    DeviceDeleted {
        /// Address of the `DEVICE_OBJECT`.
        device: u64,
    },
    /// The state of all callback objects, taken when `driver` left (or at the end of the run, for `None`).
    Audit {
        /// File name of the driver that left.
        driver: Option<String>,
        /// The objects.
        snapshot: Snapshot,
    },
    /// The machine is dead.
    Bugcheck(Box<BugcheckRecord>),

    // --- the mechanism -----------------------------------------------------------------------------------------
    /// `ExCreateCallback` was entered: an attempt, not a creation.
    CreateAttempt {
        /// Name asked for; `None` where `ObjectName` is NULL.
        name: Option<String>,
        /// Address of the `UNICODE_STRING`, as a breakpoint on the routine prints it.
        name_at: u64,
        /// `OBJECT_ATTRIBUTES.Attributes`.
        attributes: u32,
        /// The `Create` argument.
        create: bool,
        /// The `AllowMultipleCallbacks` argument.
        multiple: bool,
    },
    /// `ExCreateCallback` returned. On success the caller holds one reference.
    CreateResult {
        /// Name asked for.
        name: Option<String>,
        /// What it came to.
        outcome: CreateOutcome,
        /// The object, 0 if none.
        object: u64,
        /// Status returned.
        status: u32,
    },
    /// A reference was taken on the caller's behalf (not the mechanism's own).
    Referenced {
        /// Object body.
        object: u64,
        /// `PointerCount` afterwards.
        count: i64,
    },
    /// A reference was given back on the caller's behalf.
    Dereferenced {
        /// Object body.
        object: u64,
        /// `PointerCount` afterwards.
        count: i64,
    },
    /// A routine was registered.
    Registered {
        /// Object body.
        object: u64,
        /// Address of the `CALLBACK_REGISTRATION`.
        registration: u64,
        /// Routine.
        routine: u64,
        /// Context.
        context: u64,
    },
    /// `ExRegisterCallback` returned NULL.
    RegisterRefused {
        /// Object body.
        object: u64,
        /// Routine.
        routine: u64,
        /// Why.
        because: RefusedBecause,
    },
    /// `ExUnregisterCallback` found the routine running and waits.
    UnregisterWaits {
        /// Object body.
        object: u64,
        /// Address of the registration.
        registration: u64,
        /// Calls in flight.
        busy: u32,
    },
    /// A registration is unlinked and freed.
    Unregistered {
        /// Object body.
        object: u64,
        /// Where the registration was.
        registration: u64,
        /// Routine.
        routine: u64,
    },
    /// A notify begins to walk the list.
    NotifyBegin {
        /// Object body.
        object: u64,
        /// First argument.
        argument1: u64,
        /// Second argument.
        argument2: u64,
        /// Lock mode.
        mode: Mode,
    },
    /// A routine is about to be called.
    DeliveryBegin {
        /// Object body.
        object: u64,
        /// Registration.
        registration: u64,
        /// Routine.
        routine: u64,
        /// Context.
        context: u64,
    },
    /// That routine returned.
    DeliveryEnd {
        /// Registration it was called for.
        registration: u64,
        /// Routine.
        routine: u64,
        /// IRQL it left the processor at.
        irql: u8,
    },
    /// The notify is over.
    NotifyEnd {
        /// Object body.
        object: u64,
        /// Routines called.
        delivered: u32,
    },
    /// A name left the namespace while its object lives on.
    NameRemoved {
        /// Object body.
        object: u64,
        /// Full path it had.
        name: String,
    },
    /// A callback object is gone.
    ObjectDeleted {
        /// Where the body was.
        object: u64,
        /// Full or former name.
        name: Option<String>,
    },
    /// One of the kernel's own listeners was called.
    KernelListener {
        /// Routine, in the debugger's spelling: `nt!PopNewProcessorCallback`.
        routine: String,
        /// Context.
        context: u64,
        /// Arguments.
        arguments: [u64; 2],
    },
    /// Free text of the kernel for people (boot steps, notes), with the stage it belongs to.
    Note {
        /// The text.
        text: String,
        /// Further lines.
        details: Vec<String>,
    },
    /// `ExRegisterCallback` was entered.
    RegisterAttempt {
        /// Object body, as passed.
        object: u64,
        /// Routine.
        routine: u64,
    },
    /// `ExUnregisterCallback` was entered.
    UnregisterAttempt {
        /// Registration, as passed.
        registration: u64,
    },
    /// A wait would block at an IRQL where no other thread can run.
    WaitRaised {
        /// IRQL of the processor.
        irql: u8,
    },
    /// A routine of a driver returned with another count of disabled APCs than it was called with; told only then.
    ApcDisableLeft {
        /// Address called.
        routine: u64,
        /// `KTHREAD.KernelApcDisable` before and after: negative while normal kernel APCs are disabled.
        kernel: [i16; 2],
        /// `KTHREAD.SpecialApcDisable` before and after.
        special: [i16; 2],
        /// The regions that were entered during the call, and the mutexes taken, and not left again.
        #[cfg_attr(feature = "serde", serde(default))]
        entered: Vec<Left>,
    },
    /// Pool blocks that code of a driver allocated and that live when it leaves; told only where there are some.
    PoolLeft {
        /// File name of the driver that left.
        driver: String,
        /// The blocks in the order of allocation.
        blocks: Vec<PoolBlockLeft>,
    },
    /// Pool was misused. Where Windows would have crashed, the bugcheck follows.
    PoolMisused(PoolMisuse),
    /// Which sections of an image may be paged out: told once it is mapped where there are some, and again, as a whole, whenever
    /// the driver changes it.
    PageableSections {
        /// File name of the driver.
        name: String,
        /// Where it was mapped.
        base: u64,
        /// The sections.
        sections: Vec<PageableSection>,
    },
    /// A call that can fail, told for each path to one where a run watches them, and for the one that was made to fail.
    FallibleCall {
        /// The call and the path to it.
        fault: FaultId,
        /// Whether it was made to fail.
        failed: bool,
    },
    /// A pageable section was locked into memory, or unlocked.
    SectionLocked {
        /// Where the section begins.
        address: u64,
        /// Locks held afterwards; with none left it may be paged out again.
        locks: u32,
    },
    /// Nobody can ever run again: the last event of its run.
    Deadlock {
        /// Every thread that waits without a limit, as the kernel knows it; [`crate::complete_waits`] adds names.
        waits: Vec<Wait>,
    },
    /// Lookaside lists that code of a driver made and did not delete before it left; told only where there are some.
    LookasideLeft {
        /// File name of the driver that left.
        driver: String,
        /// The lists by address: of each where it lies, the size and tag of its blocks, and who made it.
        lists: Vec<PoolBlockLeft>,
    },
    /// An exception was raised, by the processor in driver code or by an export on its behalf, and a handler is looked for.
    /// Where none takes it the bugcheck follows.
    ExceptionRaised {
        /// `EXCEPTION_RECORD.ExceptionCode`, an `NTSTATUS`.
        code: u32,
        /// `EXCEPTION_RECORD.ExceptionAddress`.
        address: u64,
        /// `EXCEPTION_RECORD.ExceptionInformation`, as many as there are.
        information: Vec<u64>,
    },
    /// A handler took the exception that was raised at `address`.
    ExceptionHandled {
        /// `EXCEPTION_RECORD.ExceptionCode`.
        code: u32,
        /// `EXCEPTION_RECORD.ExceptionAddress`.
        address: u64,
        /// How it goes on.
        outcome: ExceptionOutcome,
    },
    /// Things other than pool that code of a driver made and that outlive it; told only where there are some.
    LeftBehind {
        /// File name of the driver that left.
        driver: String,
        /// The things, by kind.
        things: Vec<Left>,
    },
    /// A routine of a driver returned while it still held locks that it had not held when it was called, or at an IRQL that it had raised; told only then.
    LocksLeft {
        /// Address called.
        routine: u64,
        /// The locks, and then the calls that raised the IRQL.
        locks: Vec<Left>,
    },
    /// A lock was released that its thread does not hold.
    LockMisused {
        /// What kind of lock.
        kind: LeftKind,
        /// Its address.
        lock: u64,
        /// Whether somebody else holds it.
        held: bool,
    },
    /// Pool was freed that holds something the kernel still uses. The bugcheck of Driver Verifier follows.
    FreedInUse {
        /// The block.
        block: PoolBlockRecord,
        /// What lies in it: a timer, a DPC, a work item or an executive resource.
        thing: Left,
    },
    /// A dispatcher object, DPC or resource that an export was given lies in paged pool; told once for each address.
    PagedObject {
        /// Name of the export.
        export: String,
        /// Address of the object.
        object: u64,
        /// The block it lies in.
        block: PoolBlockRecord,
    },
}
