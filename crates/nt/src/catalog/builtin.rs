//! The names that `ExpInitializeCallbacks` creates, in the order of the kernel's array.

use super::Structure;
use super::types::{
    Certainty, Entry, Gathered, Listener, Name, Parameter, Party, Permanence, Presence, Sharing, Source,
};
use crate::Irql;

/// Every built-in object is made alike.
const CREATOR: Option<Party> = Some(Party::certain(
    "nt!ExpInitializeCallbacks",
    0x50,
    "first thing after the type and `\\Callback` exist",
));

const fn builtin(
    key: &'static str,
    path: &'static str,
    variable: &'static str,
    summary: &'static str,
) -> Entry {
    Entry {
        key,
        gathered: Gathered::BuiltIn,
        name: Name::Path(path),
        summary,
        variable: Some(variable),
        creator: CREATOR,
        openers: &[],
        permanence: Permanence::Permanent,
        sharing: Sharing::Multiple,
        listeners: &[],
        trigger: None,
        arguments: [Parameter::NULL, Parameter::NULL],
        irql: None,
        presence: Presence::BuiltIn,
        sources: &[Source::Kernel, Source::Symbols, Source::BootTrace],
        certainty: Certainty::Certain,
        misreading: None,
        notes: &[],
    }
}

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        trigger: Some("once during boot, from HvlPhase2Initialize, and only where a hypervisor is connected"),
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        misreading: Some(
            "tables in circulation give a `callback routine` ExCbEnlightenmentState; that is the variable that holds the \
             object's address, as for every other ExCb name",
        ),
        ..builtin(
            "EnlightenmentState",
            "\\Callback\\EnlightenmentState",
            "ExCbEnlightenmentState",
            "tells that the kernel has connected to the hypervisor beneath it",
        )
    },
    Entry {
        trigger: Some(
            "the system time is set: NtSetSystemTime calls PoNotifySystemTimeSet, which raises to DISPATCH_LEVEL and \
             notifies; nothing is delivered before the window subsystem's callouts exist",
        ),
        irql: Some((Irql::DISPATCH, Certainty::High)),
        listeners: &[Listener::on_condition("(file systems and other drivers)", "")],
        sources: &[Source::Documentation, Source::Kernel, Source::BootTrace],
        misreading: Some(
            "the documentation promises no particular level; in every kernel inspected the routines run at DISPATCH_LEVEL \
             with the object's spin lock held, so a routine must not touch paged memory, block, or register and \
             unregister on this object",
        ),
        ..builtin(
            "SetSystemTime",
            "\\Callback\\SetSystemTime",
            "ExCbSetSystemTime",
            "tells that the system time was changed",
        )
    },
    Entry {
        arguments: [Parameter::UNKNOWN, Parameter::UNKNOWN],
        sources: &[Source::Kernel, Source::BootTrace, Source::ReactOs],
        misreading: Some(
            "often listed as a working system callback; the object is created at every boot, but no kernel inspected so far \
             contains a notifier for it",
        ),
        ..builtin(
            "SetSystemState",
            "\\Callback\\SetSystemState",
            "ExCbSetSystemState",
            "reserved since the first versions for changes of the system state; nothing is known to ring it",
        )
    },
    Entry {
        openers: &[
            Party::inferred("nt!HvlPhase2Initialize", None, "in a Hyper-V root partition only"),
            Party::inferred("hal!HaliInitPowerManagement", None, "called by acpi.sys"),
            Party::certain("drivers, by the dozen", 0x40, "30 opens in one recorded boot"),
        ],
        listeners: &[
            Listener::at_boot("nt!EtwpPowerStateCallback", "through the global variable, without an open"),
            Listener::on_condition("nt!HvlpPowerStateCallback", "in a Hyper-V root partition only"),
            Listener::on_condition("(the HAL's and many drivers')", ""),
        ],
        trigger: Some(
            "power policy, power source, lid, processor policy, and leaving or returning to S0; the system state lock is \
             told before the set-power IRP",
        ),
        arguments: [
            Parameter::number(
                "PO_CB_*: 0 system power policy, 1 AC status, 3 system state lock, 4 lid switch, 5 processor power policy \
                 (2, button collision, is obsolete)",
            ),
            Parameter::number(
                "for 1: TRUE on AC, FALSE on battery; for 3: FALSE about to leave S0, TRUE back in S0; for 4: TRUE lid open; \
                 otherwise 0",
            ),
        ],
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        sources: &[Source::Documentation, Source::Kernel, Source::BootTrace],
        misreading: Some(
            "`if the callback is power related, PopUmpoMessageCallback is run instead`: no. Some 24H2-class kernels compare \
             the routine with that address and call it directly when equal, a compiler's optimization without any effect that \
             could be observed, and it concerns the unnamed PowerPort object, not this one",
        ),
        notes: &[
            "after each notify the power dispatchers fail fast (code 0x20) if APCs are still disabled: a routine must leave \
             every critical and guarded region it enters",
        ],
        ..builtin(
            "PowerState",
            "\\Callback\\PowerState",
            "ExCbPowerState",
            "tells changes of power policy, power source, lid and system state; the most used of all",
        )
    },
    Entry {
        openers: &[
            Party::certain(
                "nt!KeRegisterProcessorChangeCallback",
                0x240,
                "Create is FALSE; failure makes it return NULL",
            ),
            Party::high("ndis.sys, tcpip.sys and others", Some(0x240), "through that routine"),
        ],
        listeners: &[Listener::at_boot(
            "nt!PopNewProcessorCallback",
            "PoInitSystem, by KeRegisterProcessorChangeCallback",
        )],
        trigger: Some("a processor is added to the running system: KiDynamicProcessorAddNotification"),
        arguments: [
            Parameter::pointer(
                Structure::ProcessorChange,
                "KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT: State 0 start, 1 complete, 2 failure; NtNumber; Status; ProcNumber",
            ),
            Parameter::pointer(
                Structure::InOutStatus,
                "NTSTATUS, in and out: only in State 0, and only while it is still success, a routine may store an error \
                 to refuse the processor",
            ),
        ],
        irql: Some((Irql::PASSIVE, Certainty::Certain)),
        sources: &[Source::Documentation, Source::Kernel, Source::BootTrace],
        misreading: Some(
            "`created by KeRegisterProcessorChangeCallback, for cluster scenarios`: that routine only opens it, the boot array \
             creates it, and any processor added at run time rings it",
        ),
        notes: &[
            "with KE_PROCESSOR_CHANGE_ADD_EXISTING the registering call itself invokes the routine for each processor that \
             is there, with a fast mutex held (so at APC_LEVEL, inferred; the documentation says PASSIVE_LEVEL)",
        ],
        ..builtin(
            "ProcessorAdd",
            "\\Callback\\ProcessorAdd",
            "ExCbProcessorAdd",
            "asks and tells about a processor that is added to the running system",
        )
    },
    Entry {
        listeners: &[Listener::on_condition("(boot-start drivers)", "")],
        trigger: Some(
            "once, at the end of phase 1, after the session manager was started (Phase1InitializationIoReady)",
        ),
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        ..builtin(
            "Phase1InitComplete",
            "\\Callback\\Phase1InitComplete",
            "ExCbPhase1InitComplete",
            "tells boot-start drivers that the kernel's initialization is over",
        )
    },
    Entry {
        listeners: &[Listener::on_condition(
            "WdFilter.sys and other security products",
            "by SeRegisterImageVerificationCallback with image type 1, callback type 0, straight on the global variable",
        )],
        trigger: Some(
            "code integrity has verified a driver image: SepImageVerificationCallbackWorker, once per image",
        ),
        arguments: [
            Parameter::number("1, SeImageTypeDriver"),
            Parameter::pointer(Structure::ImageInformation, "image information (private layout)"),
        ],
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        notes: &[
            "SeRegisterImageVerificationCallback answers 0xC00000EF for a bad image type, 0xC00000F0 for a bad callback type, \
             0xC00000F3 for a token that is not NULL, 0xC0000017 when the registration fails",
        ],
        ..builtin(
            "SeImageVerificationDriverInfo",
            "\\Callback\\SeImageVerificationDriverInfo",
            "ExCbSeImageVerificationDriverInfo",
            "tells security products about each driver image that was verified",
        )
    },
    Entry {
        listeners: &[Listener::on_condition(
            "(security products)",
            "by SeRegisterImageVerificationCallback with image type 4, callback type 1",
        )],
        trigger: Some("an image was blocked: the same worker as SeImageVerificationDriverInfo"),
        arguments: [
            Parameter::number("4"),
            Parameter::pointer(Structure::ImageInformation, "image information (private layout)"),
        ],
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        sources: &[Source::Kernel, Source::Blog],
        certainty: Certainty::High,
        misreading: Some(
            "a table made from kernel 26100.4946 and a boot trace are published side by side; the trace shows no creation of \
             this object, so the traced kernel was an older one",
        ),
        notes: &["its place in the kernel's array is not known; last is an assumption"],
        ..builtin(
            "SeImageVerificationBlockInfo",
            "\\Callback\\SeImageVerificationBlockInfo",
            "ExCbSeImageVerificationBlockInfo",
            "tells security products about an image that was blocked",
        )
    },
];
