//! Objects that other parts of the kernel create or open.

use super::Structure;
use super::types::{
    Certainty, Entry, Gathered, Listener, Name, Parameter, Party, Permanence, Presence, Sharing, Source,
};
use crate::Irql;

const MODERN: Presence = Presence::Profiles(&["win81", "win10", "win11", "win11-24h2"]);

const fn kernel(key: &'static str, path: &'static str, summary: &'static str) -> Entry {
    Entry {
        key,
        gathered: Gathered::Kernel,
        name: Name::Path(path),
        summary,
        variable: None,
        creator: None,
        openers: &[],
        permanence: Permanence::Permanent,
        sharing: Sharing::Multiple,
        listeners: &[],
        trigger: None,
        arguments: [Parameter::NULL, Parameter::NULL],
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        presence: MODERN,
        sources: &[Source::Kernel, Source::BootTrace],
        certainty: Certainty::High,
        misreading: None,
        notes: &[],
    }
}

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        creator: Some(Party::high(
            "nt!ExInitLicenseCallback",
            Some(0x50),
            "Phase1InitializationDiscard; its attributes are inferred",
        )),
        openers: &[
            Party::high("csc.sys", Some(0x50), "Create is FALSE"),
            Party::high("appid.sys", Some(0x50), "Create is FALSE"),
        ],
        listeners: &[
            Listener::on_condition("csc!CscLicensingPolicyChangeCallback", ""),
            Listener::on_condition("appid!SrppPolicyChangeCallback", "software restriction policies"),
        ],
        trigger: Some(
            "the licensing data changed: SLUpdateLicenseDataInternal, SLSendPolicyChangeNotifications",
        ),
        notes: &["newer kernels keep the object's address per server silo"],
        sources: &[Source::Kernel, Source::Driver("csc.sys and appid.sys"), Source::BootTrace],
        ..kernel("LicensingData", "\\Callback\\LicensingData", "tells that the licensing policy data changed")
    },
    Entry {
        variable: Some("IopSessionCallbackObject"),
        creator: Some(Party::certain("nt!IopInitializeSessionNotifications", 0x50, "IoInitSystemPreDrivers")),
        listeners: &[Listener::on_condition(
            "nt!IopDispatchSessionNotifications",
            "one registration per IoRegisterContainerNotification; the context is a block tagged `IoSn`",
        )],
        trigger: Some(
            "a session changed: NtNotifyChangeSession; creation and termination at once, the others by a work item (at once \
             where it cannot be allocated)",
        ),
        arguments: [
            Parameter::pointer(
                Structure::SessionEvent,
                "event block: event at +0x20, new state at +0x24, payload length at +0x28, payload at +0x30, session object \
                 at +0x38",
            ),
            Parameter::NULL,
        ],
        certainty: Certainty::Certain,
        notes: &[
            "IoRegisterContainerNotification answers 0xC0000021 where the same I/O object is registered already, 0xC000009A \
             where the registration fails",
        ],
        ..kernel(
            "IoSessionNotifications",
            "\\Callback\\IoSessionNotifications",
            "carries session changes to drivers that called IoRegisterContainerNotification",
        )
    },
    Entry {
        variable: Some("PipCslCallbackObject"),
        creator: Some(Party::certain("nt!PiCslInitialize", 0x50, "IopInitializePlugPlayServices")),
        openers: &[Party::high("pci.sys", None, "PciCreateConsoleLockCallback")],
        listeners: &[
            Listener::at_boot("nt!PipCslStateChangeCallback", ""),
            Listener::on_condition("pci!PciConsoleLockCallback", ""),
        ],
        trigger: Some(
            "somebody is present at the console, or no longer: NtPowerInformation, level 0x5F, from winlogon",
        ),
        arguments: [
            Parameter::number("zero: locked; anything else: unlocked (listeners only compare with zero)"),
            Parameter::NULL,
        ],
        notes: &["one older build (about 1803) does not have it"],
        ..kernel(
            "IoExternalDmaUnblock",
            "\\Callback\\IoExternalDmaUnblock",
            "tells whether external devices may do DMA because the console is unlocked",
        )
    },
    Entry {
        variable: Some("PnpKsrCallbackObject"),
        openers: &[Party::high(
            "nt (HAL, PnP, power, ETW), acpi.sys, dxgkrnl.sys",
            Some(0x50),
            "Create is FALSE, and only where KsrGetFirmwareInformation succeeds",
        )],
        permanence: Permanence::Unknown,
        sharing: Sharing::Unknown,
        listeners: &[
            Listener::on_condition("nt!HalpKsrCallbackRoutine", ""),
            Listener::on_condition("nt!PipKsrCallback", "context IopRootDeviceNode"),
            Listener::on_condition("nt!PopKsrCallback", ""),
            Listener::on_condition("nt!EtwpKsrCallback", ""),
            Listener::on_condition("acpi!AcpiKsrCallback", ""),
            Listener::on_condition("dxgkrnl!DpiKsrCallback", ""),
        ],
        trigger: Some(
            "a kernel soft restart: ExRebootSystemForRecovery notifies phases 10, 15, 20, in newer builds then 22 and 25",
        ),
        arguments: [Parameter::number("phase of the restart"), Parameter::NULL],
        presence: Presence::Profiles(&["win10", "win11", "win11-24h2"]),
        sources: &[Source::Kernel, Source::Blog],
        misreading: Some(
            "tables list a `caller` for each listener as if it created the object; every call found only opens it, and \
             the creator has not been identified",
        ),
        notes: &["absent on a machine whose firmware does not offer soft restart"],
        ..kernel(
            "SoftRestart",
            "\\Callback\\SoftRestart",
            "leads the parts of the kernel through a restart that keeps memory",
        )
    },
    Entry {
        variable: Some("PnpBootDriverCallbackObject"),
        creator: Some(Party::certain(
            "nt!IoRegisterBootDriverCallback",
            0x240,
            "on the first registration of an early-launch driver; refused once boot drivers are loaded",
        )),
        permanence: Permanence::Temporary,
        listeners: &[Listener::on_condition("WdBoot.sys and other early-launch antimalware drivers", "")],
        trigger: Some(
            "each boot-start image before it is initialized, and the steps around it: PnpNotifyEarlyLaunchImageLoad, \
             PnpNotifyEarlyLaunchStatusUpdate",
        ),
        arguments: [
            Parameter::number("BDCB_CALLBACK_TYPE: 0 status update, 1 image"),
            Parameter::pointer(
                Structure::BootDriver,
                "BDCB_STATUS_UPDATE_CONTEXT or BDCB_IMAGE_INFORMATION, as the first argument says",
            ),
        ],
        sources: &[Source::Documentation, Source::Kernel],
        presence: Presence::Profiles(&["win8", "win81", "win10", "win11", "win11-24h2"]),
        misreading: Some(
            "looked for in WinObj and never found: it is created without OBJ_PERMANENT, so its name is gone before \
             ExCreateCallback returns, and only the variable leads to it",
        ),
        ..kernel(
            "BootDriver",
            "\\Callback\\BootDriver",
            "lets early-launch antimalware drivers judge each boot-start driver",
        )
    },
    Entry {
        creator: Some(Party::inferred(
            "mssecflt.sys",
            None,
            "boot-start; the name is a static string of a driver",
        )),
        openers: &[Party::high(
            "nt!KiFilterFiberContext",
            Some(0x40),
            "Create is FALSE; skipped where a debugger is present, and silently where there is no object",
        )],
        permanence: Permanence::Unknown,
        sharing: Sharing::Unknown,
        listeners: &[Listener::on_condition("mssecflt!SecKernelIntegrityCallback", "")],
        trigger: Some("each initialization of kernel patch protection"),
        arguments: [
            Parameter::pointer(Structure::Code, "a verification routine of kernel patch protection"),
            Parameter::pointer(
                Structure::OutPointer,
                "variable that receives the listener's list of protected ranges",
            ),
        ],
        presence: Presence::Profiles(&["win10", "win11", "win11-24h2"]),
        sources: &[Source::Kernel, Source::Driver("mssecflt.sys"), Source::Research, Source::BootTrace],
        misreading: Some(
            "published as created by the kernel's KiFilterFiberContext; every decompilation of that routine passes Create = \
             FALSE, so it can only open the object",
        ),
        ..kernel(
            "542875F90F9B47F497B64BA219CACF69",
            "\\Callback\\542875F90F9B47F497B64BA219CACF69",
            "offers kernel patch protection's verification routine to Microsoft's security filter",
        )
    },
];
