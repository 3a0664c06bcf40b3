//! What Windows does to make the kernel's objects ring, as data that a machine can play.
//!
//! An event is one or more notifies of one object. The arguments follow Microsoft's documentation where there is one
//! (`PowerState`, `ProcessorAdd`, session and boot-driver callbacks) and decompilations of shipped kernels otherwise.
//! Deliberately different: a value that Windows would take from the moment (the processor that is added, the session
//! that changes) is a fixed plausible one.

use super::Entry;
use super::lookup;
use super::types::Certainty;
use crate::Irql;

/// A structure that an argument points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// `KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT` of `wdm.h`, with one more private word behind it.
    ProcessorChange,
    /// An `NTSTATUS`, zero at first, that the routines may change.
    InOutStatus,
    /// The kernel's private session event block.
    SessionEvent,
    /// The kernel's private description of a verified image. Its layout is not known; played as zeros.
    ImageInformation,
    /// Either of the two below.
    BootDriver,
    /// `BDCB_STATUS_UPDATE_CONTEXT` of `ntddk.h`.
    BootDriverStatus,
    /// `BDCB_IMAGE_INFORMATION` of `ntddk.h`.
    BootDriverImage,
    /// Code.
    Code,
    /// A pointer-sized variable that the routine may fill.
    OutPointer,
}

/// A member of a [`Structure`] as far as an event fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name; private structures carry descriptive ones.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

const fn member(name: &'static str, offset: usize, size: usize) -> Member {
    Member { name, offset, size }
}

impl Structure {
    /// Tells the name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessorChange => "KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT",
            Self::InOutStatus => "NTSTATUS",
            Self::SessionEvent => "session event block",
            Self::ImageInformation => "image information",
            Self::BootDriver => "BDCB structure",
            Self::BootDriverStatus => "BDCB_STATUS_UPDATE_CONTEXT",
            Self::BootDriverImage => "BDCB_IMAGE_INFORMATION",
            Self::Code => "code",
            Self::OutPointer => "pointer variable",
        }
    }

    /// Tells how many bytes a machine has to provide; 0 for code, which is an address and no data.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::ProcessorChange => 0x14,
            Self::InOutStatus | Self::BootDriverStatus => 4,
            Self::SessionEvent => 0x40,
            Self::ImageInformation => 0x100,
            Self::BootDriver | Self::BootDriverImage => 0x68,
            Self::Code => 0,
            Self::OutPointer => 8,
        }
    }

    /// Lists the members that are known.
    #[must_use]
    pub const fn members(self) -> &'static [Member] {
        match self {
            Self::ProcessorChange => {
                const {
                    &[
                        member("State", 0, 4),
                        member("NtNumber", 4, 4),
                        member("Status", 8, 4),
                        member("ProcNumber.Group", 0xC, 2),
                        member("ProcNumber.Number", 0xE, 1),
                    ]
                }
            }
            Self::SessionEvent => {
                const {
                    &[
                        member("Event", 0x20, 4),
                        member("NewState", 0x24, 4),
                        member("PayloadLength", 0x28, 4),
                        member("Payload", 0x30, 8),
                        member("SessionObject", 0x38, 8),
                    ]
                }
            }
            Self::BootDriverStatus => const { &[member("StatusType", 0, 4)] },
            Self::BootDriverImage => const { &[member("Classification", 0, 4), member("ImageFlags", 4, 4)] },
            Self::InOutStatus => const { &[member("Status", 0, 4)] },
            Self::ImageInformation | Self::BootDriver | Self::Code | Self::OutPointer => &[],
        }
    }

    /// Finds a member by name.
    #[must_use]
    pub fn member(self, name: &str) -> Option<&'static Member> {
        self.members().iter().find(|member| member.name == name)
    }

    /// Tells whether `self` may stand where `declared` is announced.
    #[must_use]
    pub fn fits(self, declared: Self) -> bool {
        self == declared
            || (declared == Self::BootDriver
                && matches!(self, Self::BootDriverStatus | Self::BootDriverImage))
    }
}

/// One argument of a notify, ready to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// NULL.
    Null,
    /// A number in the pointer.
    Value(u64),
    /// The number of the handle that the kernel has to the event's ALPC port, which is the context of the port's object.
    PortHandle,
    /// Address of a zeroed structure with these members set.
    Structure(Structure, &'static [(&'static str, u64)]),
}

/// When a call of an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// Where the event's [`Structure::InOutStatus`] is still a success.
    Accepted,
    /// Where a routine stored an error there.
    Refused,
}

/// One notify of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// First argument.
    pub argument1: Argument,
    /// Second argument. An [`Structure::InOutStatus`] is one variable for all calls of the event.
    pub argument2: Argument,
    /// When the call is made.
    pub when: Condition,
}

/// Something that happens to a machine and makes a callback object ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Name on the command line.
    pub name: &'static str,
    /// [`Entry::key`] of the object.
    pub object: &'static str,
    /// What happens, in one sentence.
    pub summary: &'static str,
    /// The notifies in order. Empty: nothing is known to notify the object, and the summary says so.
    pub calls: &'static [Call],
    /// IRQL the notifier is at.
    pub irql: Irql,
    /// How far to trust object and arguments; [`Entry::irql`] says it of the IRQL.
    pub certainty: Certainty,
}

impl Event {
    /// Returns the catalog's entry of the object.
    ///
    /// # Panics
    ///
    /// Never: a test walks the table.
    #[must_use]
    pub fn entry(&self) -> &'static Entry {
        lookup::find(self.object).expect("every event names an object of the catalog")
    }

    /// Tells whether anything is known to be delivered.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        !self.calls.is_empty()
    }
}

/// Finds an event by name.
#[must_use]
pub fn find_event(name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.name == name)
}

/// Lists the events of an object.
pub fn events_of(entry: &Entry) -> impl Iterator<Item = &'static Event> + use<> {
    let key = entry.key;
    EVENTS.iter().filter(move |event| event.object == key)
}

const fn call(argument1: Argument, argument2: Argument) -> Call {
    Call { argument1, argument2, when: Condition::Always }
}

const fn numbers(argument1: u64, argument2: u64) -> Call {
    call(Argument::Value(argument1), Argument::Value(argument2))
}

const NOTHING: Call = call(Argument::Null, Argument::Null);
const STATUS: Argument = Argument::Structure(Structure::InOutStatus, &[]);

const fn processor(members: &'static [(&'static str, u64)], when: Condition) -> Call {
    Call { argument1: Argument::Structure(Structure::ProcessorChange, members), argument2: STATUS, when }
}

const fn session(members: &'static [(&'static str, u64)]) -> Call {
    call(Argument::Structure(Structure::SessionEvent, members), Argument::Null)
}

const fn image(kind: u64) -> Call {
    call(Argument::Value(kind), Argument::Structure(Structure::ImageInformation, &[]))
}

const fn phase(number: u64) -> Call {
    call(Argument::Value(number), Argument::Null)
}

const fn status_update(members: &'static [(&'static str, u64)]) -> Call {
    call(Argument::Value(0), Argument::Structure(Structure::BootDriverStatus, members))
}

/// The processor that a machine gains: the second one.
const START: &[(&str, u64)] = &[("State", 0), ("NtNumber", 1), ("ProcNumber.Number", 1)];
const COMPLETE: &[(&str, u64)] = &[("State", 1), ("NtNumber", 1), ("ProcNumber.Number", 1)];
const FAILURE: &[(&str, u64)] =
    &[("State", 2), ("NtNumber", 1), ("Status", 0xC000_0001), ("ProcNumber.Number", 1)];

macro_rules! events {
    ($( $name:literal, $object:literal, $irql:ident, $certainty:ident, $summary:literal, [$($call:expr),*]; )*) => {
        &[$( Event {
            name: $name,
            object: $object,
            summary: $summary,
            calls: &[$($call),*],
            irql: Irql::$irql,
            certainty: Certainty::$certainty,
        } ),*]
    };
}

/// Every event, grouped by object.
pub const EVENTS: &[Event] = events![
    "enlightenment.connected", "EnlightenmentState", PASSIVE, High,
        "the kernel has connected to a hypervisor during boot", [NOTHING];
    "time.set", "SetSystemTime", DISPATCH, High, "the system time is set", [NOTHING];
    "state.set", "SetSystemState", PASSIVE, Assumed,
        "no notifier of this object is known in any kernel inspected: nothing is delivered", [];
    "power.policy", "PowerState", PASSIVE, Certain, "the system's power policy changes", [numbers(0, 0)];
    "power.ac", "PowerState", PASSIVE, Certain, "the machine goes from battery to AC power", [numbers(1, 1)];
    "power.battery", "PowerState", PASSIVE, Certain, "the machine goes from AC power to battery", [numbers(1, 0)];
    "power.sleep", "PowerState", PASSIVE, Certain,
        "the machine is about to leave the working state; told before the set-power IRP", [numbers(3, 0)];
    "power.resume", "PowerState", PASSIVE, Certain, "the machine is back in the working state", [numbers(3, 1)];
    "power.lid-closed", "PowerState", PASSIVE, Certain, "the lid is closed", [numbers(4, 0)];
    "power.lid-open", "PowerState", PASSIVE, Certain, "the lid is opened", [numbers(4, 1)];
    "power.processor-policy", "PowerState", PASSIVE, Certain,
        "the processors' power policy changes", [numbers(5, 0)];
    "processor.add", "ProcessorAdd", PASSIVE, Certain,
        "a processor is added: start, then complete, or failure where a routine refused it", [
            processor(START, Condition::Always),
            processor(COMPLETE, Condition::Accepted),
            processor(FAILURE, Condition::Refused)
        ];
    "processor.add-failure", "ProcessorAdd", PASSIVE, Certain,
        "a processor is added, but the kernel cannot start it: start, then failure", [
            processor(START, Condition::Always),
            processor(FAILURE, Condition::Always)
        ];
    "boot.phase1-complete", "Phase1InitComplete", PASSIVE, High,
        "the kernel's initialization is over, the session manager runs", [NOTHING];
    "image.verify-driver", "SeImageVerificationDriverInfo", PASSIVE, High,
        "code integrity has verified a driver image", [image(1)];
    "image.verify-block", "SeImageVerificationBlockInfo", PASSIVE, High,
        "code integrity has blocked an image", [image(4)];
    "license.update", "LicensingData", PASSIVE, High, "the licensing policy data changes", [NOTHING];
    "session.change", "IoSessionNotifications", PASSIVE, High,
        "a session is connected to a terminal", [session(&[("Event", 3), ("NewState", 3)])];
    "session.created", "IoSessionNotifications", PASSIVE, High,
        "a session is created", [session(&[("Event", 1), ("NewState", 1)])];
    "session.terminated", "IoSessionNotifications", PASSIVE, High,
        "a session is terminated", [session(&[("Event", 2), ("NewState", 8)])];
    "session.disconnected", "IoSessionNotifications", PASSIVE, High,
        "a session is disconnected from its terminal", [session(&[("Event", 4), ("NewState", 4)])];
    "session.logon", "IoSessionNotifications", PASSIVE, High,
        "a user logs on", [session(&[("Event", 5), ("NewState", 6)])];
    "session.logoff", "IoSessionNotifications", PASSIVE, High,
        "a user logs off", [session(&[("Event", 6), ("NewState", 7)])];
    "dma.unblock", "IoExternalDmaUnblock", PASSIVE, High,
        "the console is unlocked: external devices may do DMA", [phase(1)];
    "dma.block", "IoExternalDmaUnblock", PASSIVE, High,
        "the console is locked: external devices may no longer do DMA", [phase(0)];
    "restart.soft", "SoftRestart", PASSIVE, High,
        "the machine begins a restart that keeps memory: phases 10, 15, 20, 22, 25",
        [phase(10), phase(15), phase(20), phase(22), phase(25)];
    "boot-driver.image", "BootDriver", PASSIVE, Certain,
        "a boot-start driver is about to be initialized", [
            call(Argument::Value(1), Argument::Structure(Structure::BootDriverImage, &[]))
        ];
    "boot-driver.status", "BootDriver", PASSIVE, Certain,
        "the kernel prepares to load dependencies, then drivers, then to unload early-launch drivers", [
            status_update(&[("StatusType", 0)]),
            status_update(&[("StatusType", 1)]),
            status_update(&[("StatusType", 2)])
        ];
    "patchguard.initialize", "542875F90F9B47F497B64BA219CACF69", PASSIVE, High,
        "kernel patch protection is initialized", [call(
            Argument::Structure(Structure::Code, &[]),
            Argument::Structure(Structure::OutPointer, &[])
        )];
    "port.power", "PowerPort", PASSIVE, Inferred,
        "a message arrives at the ALPC port `\\PowerPort`", [call(Argument::Null, Argument::Value(0))];
    "port.power-monitor", "PowerMonitorPort", PASSIVE, Inferred,
        "a message arrives at the ALPC port `\\PowerMonitorPort`", [call(Argument::PortHandle, Argument::Value(0))];
    "port.sleepstudy", "SleepstudyControlPort", PASSIVE, Inferred,
        "a message arrives at the sleep study's ALPC port", [call(Argument::Null, Argument::Value(0))];
];
