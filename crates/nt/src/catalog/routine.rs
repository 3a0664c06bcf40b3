//! The routines of the mechanism: what each really does, step by step, and what is wrongly told about it.
//!
//! From decompilations of shipped x64 kernels (8.1 to builds after 24H2), compared with Microsoft's documentation; where
//! versions differ the step says so.

use super::types::Source;

/// A routine of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutineEntry {
    /// Name.
    pub name: &'static str,
    /// C prototype.
    pub prototype: &'static str,
    /// What it is for, in one sentence.
    pub summary: &'static str,
    /// Whether drivers can import it.
    pub exported: bool,
    /// IRQL that the documentation allows.
    pub irql: &'static str,
    /// What it does, in order.
    pub steps: &'static [&'static str],
    /// What is wrongly told about it, or forgotten.
    pub notes: &'static [&'static str],
    /// Where this comes from.
    pub sources: &'static [Source],
}

/// Finds a routine by name, without regard to case, with or without `nt!`.
#[must_use]
pub fn find_routine(name: &str) -> Option<&'static RoutineEntry> {
    let name = name.strip_prefix("nt!").unwrap_or(name);
    ROUTINES.iter().find(|routine| routine.name.eq_ignore_ascii_case(name))
}

/// The routines: the four that drivers call, then the kernel's own.
pub const ROUTINES: &[RoutineEntry] = &[
    RoutineEntry {
        name: "ExCreateCallback",
        prototype: "NTSTATUS ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN \
                    Create, BOOLEAN AllowMultipleCallbacks)",
        summary: "opens a callback object by name, or creates one where that fails and Create is TRUE",
        exported: true,
        irql: "<= APC_LEVEL; the code is pageable and closes a handle, so PASSIVE_LEVEL is what it needs",
        steps: &[
            "copies the caller's attributes and adds OBJ_KERNEL_HANDLE to the copy (not before Windows 8.1)",
            "with a name: opens it, whatever the failure code; without: the status so far is STATUS_UNSUCCESSFUL",
            "if that failed and Create is FALSE: returns that status",
            "creates the object, writes signature, AllowMultipleCallbacks, empty list and free lock",
            "links it to the global list ExpCallbackListHead, before it has a name (Windows 8.1 and later)",
            "inserts it into the namespace, which yields a handle",
            "turns the handle into a referenced pointer, checks the type, and closes the handle: this deletes the name unless \
             OBJ_PERMANENT was given",
            "stores the pointer only on success",
        ],
        notes: &[
            "`a callback object without OBJ_PERMANENT is invisible because a privilege is missing`: the name of any \
             temporary object goes when its last handle is closed, and the routine closes its only one itself; \
             SeCreatePermanentPrivilege is not asked for in kernel mode",
            "`unnamed callback objects are not permitted`: only with Create FALSE; the kernel itself creates three",
            "`a breakpoint here lists the objects of a boot`: it lists attempts, most of which open and some of which fail",
            "AllowMultipleCallbacks, OBJ_PERMANENT and the security descriptor count on the first creation only",
        ],
        sources: &[Source::Kernel, Source::Documentation, Source::Blog],
    },
    RoutineEntry {
        name: "ExRegisterCallback",
        prototype: "PVOID ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction, PVOID \
                    CallbackContext)",
        summary: "puts a routine at the end of an object's list",
        exported: true,
        irql: "<= APC_LEVEL; works at DISPATCH_LEVEL, against its contract",
        steps: &[
            "references the object, then allocates the registration (0x30 bytes, tag `CBRe`); on failure takes the \
             reference back and returns NULL",
            "acquires the object's spin lock",
            "appends the registration if AllowMultipleCallbacks is not zero or the list is empty; otherwise refuses",
            "releases the lock; a refused registration is freed, the reference taken back, and NULL returned",
        ],
        notes: &[
            "`it initializes the spin lock`: it acquires it",
            "nothing is checked: a routine may be registered twice and is then called twice, and NULL is stored as it is",
            "the reference it takes is its own: the caller's must still be given back",
            "a driver that forgets to look at the result of a single-routine object runs on without ever being called",
        ],
        sources: &[Source::Kernel, Source::Documentation, Source::ReactOs, Source::Blog],
    },
    RoutineEntry {
        name: "ExUnregisterCallback",
        prototype: "VOID ExUnregisterCallback(PVOID CallbackRegistration)",
        summary: "takes a routine off the list, and returns only when it no longer runs",
        exported: true,
        irql: "<= APC_LEVEL; at DISPATCH_LEVEL it works only while the routine does not run",
        steps: &[
            "acquires the object's spin lock; if Busy is zero goes on to unlink",
            "otherwise sets UnregisterWaiting, resets the system-wide event ExpCallbackEvent while it still holds the lock, \
             releases it, waits, and begins again",
            "unlinks the registration, checking the neighbors' links",
            "releases the lock, frees the registration and dereferences the object, which may delete it",
        ],
        notes: &[
            "`it just frees the memory`: it waits until no call is in progress, which is the point of it",
            "a routine that unregisters itself waits for its own return, for ever",
            "the event is one for all objects, so a busy routine of another object can delay the return, though not prevent it",
            "one that waits is skipped by notifies below DISPATCH_LEVEL and still called by those at DISPATCH_LEVEL",
        ],
        sources: &[Source::Kernel, Source::Documentation, Source::Blog],
    },
    RoutineEntry {
        name: "ExNotifyCallback",
        prototype: "VOID ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2)",
        summary: "calls every routine of an object in the order of registration, in the caller's thread, at the caller's IRQL",
        exported: true,
        irql: "<= DISPATCH_LEVEL",
        steps: &[
            "returns at once for NULL, and for an empty list, which it tests without the lock",
            "acquires the object's spin lock",
            "if the caller was at DISPATCH_LEVEL: calls every routine with the lock held; Busy and UnregisterWaiting do not count",
            "otherwise for each registration that nobody waits for: Busy + 1, release the lock, call, acquire it again, Busy - 1, \
             wake a waiting unregister when Busy is zero",
            "reads the next link only after the call, so a routine that was appended meanwhile is called in the same notify",
        ],
        notes: &[
            "`below DISPATCH_LEVEL it checks for power callbacks and runs PopUmpoMessageCallback instead`: a compiler's guarded \
             direct call in some 24H2-class builds, without any effect that could be observed",
            "no reference is taken: the caller keeps the object alive",
            "at DISPATCH_LEVEL a routine that registers, unregisters or notifies on the same object spins on a lock that its own \
             processor holds",
        ],
        sources: &[Source::Kernel, Source::Documentation, Source::ReactOs, Source::Blog],
    },
    RoutineEntry {
        name: "ExNotifyWithProcessing",
        prototype: "VOID ExNotifyWithProcessing(PVOID CallbackObject, PVOID Argument1, PVOID Argument2, PVOID Processing)",
        summary: "does what ExNotifyCallback does, with a hook before and one after each call",
        exported: false,
        irql: "<= DISPATCH_LEVEL",
        steps: &[
            "as ExNotifyCallback; before and after each call the hook is given the registration's context, both arguments and \
             two values of its own",
        ],
        notes: &[],
        sources: &[Source::Kernel],
    },
    RoutineEntry {
        name: "ExpInitializeCallbacks",
        prototype: "BOOLEAN ExpInitializeCallbacks(VOID)",
        summary: "makes the type, the directory `\\Callback` and the built-in objects, once per boot",
        exported: false,
        irql: "PASSIVE_LEVEL",
        steps: &[
            "empties the global list (Windows 8.1 and later)",
            "creates the object type Callback: nonpaged pool, OBJ_OPENLINK refused, access mask 0x1F0001",
            "creates the directory `\\Callback`, permanent, with the public default security descriptor: Everyone may \
             traverse, LocalSystem and Administrators may do everything",
            "initializes the event ExpCallbackEvent",
            "creates each name of its array with attributes 0x50, several routines allowed; the first failure ends the boot",
        ],
        notes: &["the event and the type's parameters are usually left out of the list of steps"],
        sources: &[Source::Kernel, Source::Symbols, Source::Blog],
    },
    RoutineEntry {
        name: "ExpDeleteCallback",
        prototype: "VOID ExpDeleteCallback(PVOID Object)",
        summary: "deletes an object whose last reference is gone",
        exported: false,
        irql: "<= APC_LEVEL",
        steps: &[
            "unlinks the object from the global list (before Windows 8.1 it does nothing)",
            "leaves the signature: freed pool keeps bodies that still say `Call`",
        ],
        notes: &[],
        sources: &[Source::Kernel],
    },
    RoutineEntry {
        name: "KeRegisterProcessorChangeCallback",
        prototype: "PVOID KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID \
                    CallbackContext, ULONG Flags)",
        summary: "registers on `\\Callback\\ProcessorAdd`, and tells about the processors that are there if asked to",
        exported: true,
        irql: "<= APC_LEVEL",
        steps: &[
            "opens ProcessorAdd; returns NULL where that fails",
            "takes the fast mutex KiDynamicProcessorLock, registers, and gives the object's reference back",
            "with KE_PROCESSOR_CHANGE_ADD_EXISTING calls the routine with state 0 for each processor, stopping at the first error",
            "then calls it with state 1 for each; or, after an error, unregisters it and calls it with state 2 for those already \
             told, and returns NULL",
        ],
        notes: &["`it creates ProcessorAdd`: it passes Create FALSE"],
        sources: &[Source::Kernel, Source::Documentation],
    },
];
