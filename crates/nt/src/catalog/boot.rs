//! One recorded boot: every call of `ExCreateCallback` that a breakpoint saw, and who it was.
//!
//! The record is the debugger log published with the blog post "Kernel Callback Internals" (a virtual machine, a kernel
//! with seven built-in names); it lies beside this crate as `data/windbg-boot-trace.log`. It proves an attempt, the
//! spelling of the name and where the name string lay (stack or image), nothing more. Caller, arguments and outcome come
//! from the catalog, from the order of the boot, or from inference, and each row says which.
//!
//! Deliberately different: where a driver's attributes are not known, the row assumes `OBJ_PERMANENT` and
//! `OBJ_CASE_INSENSITIVE`, because two drivers can only meet under a name that stays.

use super::types::Certainty;

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// `ExpInitializeCallbacks`, for one of its own names. A replay leaves these to the executive's start.
    BuiltIn,
    /// Another routine of the kernel or the HAL.
    Kernel(&'static str),
    /// A driver.
    Driver(&'static str),
}

impl Caller {
    /// Tells the name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "nt!ExpInitializeCallbacks",
            Self::Kernel(name) | Self::Driver(name) => name,
        }
    }
}

/// What the attempt came to on the recorded machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A new named object.
    Created,
    /// An object that was there.
    Opened,
    /// Nothing.
    Failed,
    /// A new object without a name.
    Unnamed,
}

/// One call of `ExCreateCallback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Position in the record, from 1.
    pub number: u8,
    /// Address of the `UNICODE_STRING` on the recorded machine, 0 for none.
    pub recorded_at: u64,
    /// Name asked for.
    pub name: Option<&'static str>,
    /// Who asked.
    pub caller: Caller,
    /// `OBJECT_ATTRIBUTES.Attributes`.
    pub attributes: u32,
    /// The `Create` argument.
    pub create: bool,
    /// The `AllowMultipleCallbacks` argument.
    pub multiple: bool,
    /// Whether the caller keeps its reference.
    pub keep_reference: bool,
    /// What it came to.
    pub verdict: Verdict,
    /// How far to trust caller and verdict.
    pub certainty: Certainty,
    /// What else is known; may be empty.
    pub note: &'static str,
}

impl Attempt {
    /// Tells whether the executive's own start makes this call.
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        matches!(self.caller, Caller::BuiltIn)
    }

    /// Tells whether the kernel makes this call without any driver's help.
    #[must_use]
    pub fn is_kernel_creation(&self) -> bool {
        matches!(self.caller, Kernel(_)) && self.create
    }
}

/// Returns the debugger's log as published, with its noise.
#[must_use]
pub const fn boot_trace() -> &'static str {
    include_str!("../../data/windbg-boot-trace.log")
}

const CREATE: bool = true;
const OPEN: bool = false;
const MULTIPLE: bool = true;
const SINGLE: bool = false;

#[expect(clippy::too_many_arguments, reason = "one row of a table")]
const fn row(
    number: u8,
    recorded_at: u64,
    name: Option<&'static str>,
    caller: Caller,
    attributes: u32,
    create: bool,
    multiple: bool,
    verdict: Verdict,
    certainty: Certainty,
    note: &'static str,
) -> Attempt {
    // KeRegisterProcessorChangeCallback gives its reference back; everybody else is assumed to keep what it asked for.
    let keep_reference = !matches!(caller, Kernel(_)) || create;
    Attempt {
        number,
        recorded_at,
        name,
        caller,
        attributes,
        create,
        multiple,
        keep_reference,
        verdict,
        certainty,
        note,
    }
}

use Caller::{BuiltIn as BUILT_IN, Driver, Kernel};
use Certainty::{Assumed, Certain, High, Inferred};
use Verdict::{Created, Failed, Opened, Unnamed};

/// The 76 calls in order.
#[rustfmt::skip]
pub const BOOT_ATTEMPTS: &[Attempt] = &[
    row(1, 0xffffef83_5e406770, Some("\\Callback\\EnlightenmentState"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(2, 0xffffef83_5e406770, Some("\\Callback\\SetSystemTime"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(3, 0xffffef83_5e406770, Some("\\Callback\\SetSystemState"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(4, 0xffffef83_5e406770, Some("\\Callback\\PowerState"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(5, 0xffffef83_5e406770, Some("\\Callback\\ProcessorAdd"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(6, 0xffffef83_5e406770, Some("\\Callback\\Phase1InitComplete"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(7, 0xffffef83_5e406770, Some("\\Callback\\SeImageVerificationDriverInfo"), BUILT_IN, 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(8, 0xffffef83_5e4067d8, Some("\\Callback\\PowerState"), Kernel("nt!HvlPhase2Initialize"), 0x40, OPEN, MULTIPLE, Opened, Inferred, "in a Hyper-V root partition"),
    row(9, 0xfffff802_59073d50, Some("\\Callback\\LicensingData"), Kernel("nt!ExInitLicenseCallback"), 0x50, CREATE, MULTIPLE, Created, High, "its name is a static string of the kernel"),
    row(10, 0, None, Kernel("nt!PopUmpoInitializeChannel"), 0x200, CREATE, SINGLE, Unnamed, Inferred, "PowerPort; the order of the three is inferred"),
    row(11, 0, None, Kernel("nt!PopUmpoInitializeMonitorChannel"), 0x200, CREATE, MULTIPLE, Unnamed, Inferred, "PowerMonitorPort"),
    row(12, 0, None, Kernel("nt!SshpAlpcInitialize"), 0x200, CREATE, SINGLE, Unnamed, Inferred, "SleepstudyControlPort"),
    row(13, 0xffffef83_5e406a10, Some("\\Callback\\IoSessionNotifications"), Kernel("nt!IopInitializeSessionNotifications"), 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(14, 0xffffef83_5e4067d0, Some("\\Callback\\IoExternalDmaUnblock"), Kernel("nt!PiCslInitialize"), 0x50, CREATE, MULTIPLE, Created, Certain, ""),
    row(15, 0xfffff802_5c913000, Some("\\Callback\\542875F90F9B47F497B64BA219CACF69"), Driver("mssecflt.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "a static string of a driver; attributes assumed. The kernel's own open is missing because a debugger was attached"),
    row(16, 0xffffef83_5e406520, Some("\\Callback\\AcpiSimulator"), Driver("acpi.sys"), 0x10, OPEN, MULTIPLE, Failed, High, "looks for a simulator that is not there"),
    row(17, 0xffffef83_5e4064e0, Some("\\Callback\\PowerState"), Kernel("hal!HaliInitPowerManagement"), 0x40, OPEN, MULTIPLE, Opened, Inferred, "called by acpi.sys"),
    row(18, 0xffffef83_5e4060c0, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(19, 0xffffef83_5e4061c0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(20, 0xffffef83_5e406650, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(21, 0xffffef83_5e4064e0, Some("\\Callback\\IoExternalDmaUnblock"), Driver("pci.sys"), 0x50, OPEN, MULTIPLE, Opened, High, "PciCreateConsoleLockCallback; attributes assumed"),
    row(22, 0xffffef83_5e405c60, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(23, 0xffffef83_5e405ce0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(24, 0, None, Driver("a driver"), 0x200, CREATE, MULTIPLE, Unnamed, Inferred, "unidentified; attributes and sharing assumed"),
    row(25, 0xffffef83_5e406578, Some("\\Callback\\VMCIDetachCB"), Driver("vmci.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "the first of three; attributes assumed"),
    row(26, 0xffffef83_5e406490, Some("\\Callback\\WdProcessNotificationCallback"), Driver("WdFilter.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "attributes assumed"),
    row(27, 0xffffef83_5e406490, Some("\\Callback\\WdNriNotificationCallback"), Driver("WdFilter.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "attributes assumed"),
    row(28, 0xffffef83_5e4065f0, Some("\\CallBack\\NdisBindUnbind"), Driver("ndis.sys"), 0x250, CREATE, MULTIPLE, Created, Certain, "another spelling of the directory; case-insensitive"),
    row(29, 0xffffef83_5e4064a0, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(30, 0xffffef83_5e4064b0, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(31, 0xffffef83_5e4063d0, Some("\\Callback\\TcpConnectionCallbackTemp"), Driver("tcpip.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "attributes assumed"),
    row(32, 0xffffef83_5e4063d0, Some("\\Callback\\TcpTimerStarvationCallbackTemp"), Driver("tcpip.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "attributes assumed"),
    row(33, 0xffffef83_5e406470, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(34, 0xffffef83_5e406920, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(35, 0xffffef83_5e406780, Some("\\Callback\\AfdTdxCallback"), Driver("tdx.sys"), 0x250, CREATE, SINGLE, Created, High, ""),
    row(36, 0xffffef83_5e406730, Some("\\Callback\\LicensingData"), Driver("csc.sys or appid.sys"), 0x50, OPEN, MULTIPLE, Opened, High, ""),
    row(37, 0xffffef83_5e8e5c60, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(38, 0xffffef83_5e8e5d80, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(39, 0xffffef83_5e8e5c50, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(40, 0xffffef83_5e8e5c10, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(41, 0xffffef83_5e8e5ad0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(42, 0xffffef83_5e8e5ad0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(43, 0xffffef83_5e8e5ad0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(44, 0xffffef83_5e8e5c30, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(45, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(46, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(47, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(48, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(49, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(50, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(51, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(52, 0xffffef83_5e8e5d20, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(53, 0xffffef83_5e8e5c50, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(54, 0xffffef83_5e8e5dc0, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(55, 0xffffef83_5e8e5d90, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(56, 0xffffef83_5e8e5c00, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(57, 0xffffef83_5e8e5d30, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(58, 0xffffef83_5e4dcc40, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(59, 0xfffff802_5cbea0a0, Some("\\Callback\\DamExemptCheckCallback"), Driver("dam.sys or bam.sys"), 0x50, CREATE, MULTIPLE, Created, Inferred, "a static string of a driver; attributes assumed"),
    row(60, 0, None, Driver("a driver"), 0x200, CREATE, MULTIPLE, Unnamed, Inferred, "unidentified; attributes and sharing assumed"),
    row(61, 0xffffef83_5e50df28, Some("\\Callback\\LLTDCallbackMapper0006008002000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(62, 0xffffef83_5e50df28, Some("\\Callback\\LLTDCallbackRspndr0006008002000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(63, 0xffffef83_5e902630, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(64, 0xffffef83_5e5d8f28, Some("\\Callback\\LLTDCallbackMapper0006008001000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(65, 0xffffef83_5e5d8f28, Some("\\Callback\\LLTDCallbackRspndr0006008001000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(66, 0xffffef83_5e4dcf28, Some("\\Callback\\LLTDCallbackMapper0006008007000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(67, 0xffffef83_5e4dcf28, Some("\\Callback\\LLTDCallbackRspndr0006008007000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Created, Inferred, "one per interface; attributes assumed"),
    row(68, 0xffffef83_5e902680, Some("\\Callback\\ProcessorAdd"), Kernel("nt!KeRegisterProcessorChangeCallback"), 0x240, OPEN, MULTIPLE, Opened, Certain, "for a driver; its reference is dropped after the registration"),
    row(69, 0xffffef83_5edf80a8, Some("\\Callback\\VMCIDetachCB"), Driver("vsock.sys"), 0x50, OPEN, MULTIPLE, Opened, Inferred, "attributes assumed"),
    row(70, 0xffffef83_5e901c40, Some("\\Callback\\PowerState"), Driver("a driver"), 0x40, OPEN, MULTIPLE, Opened, Inferred, ""),
    row(71, 0xffffef83_6066f1f8, Some("\\Callback\\VMCIDetachCB"), Driver("vmhgfs.sys"), 0x50, OPEN, MULTIPLE, Opened, Inferred, "attributes assumed"),
    row(72, 0xffffef83_5ead3f28, Some("\\Callback\\LLTDCallbackMapper0006008007000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Opened, Assumed, "the same interface again: an open, if the first creation was permanent"),
    row(73, 0xffffef83_5ead3f28, Some("\\Callback\\LLTDCallbackRspndr0006008007000000"), Driver("link-layer discovery"), 0x50, CREATE, MULTIPLE, Opened, Assumed, "the same interface again: an open, if the first creation was permanent"),
    row(74, 0xfffff802_5cbea0a0, Some("\\Callback\\DamExemptCheckCallback"), Driver("dam.sys or bam.sys"), 0x50, CREATE, MULTIPLE, Opened, Assumed, "the same string again: an open, if the first creation was permanent"),
    row(75, 0xffffef83_60fe2570, Some("\\Callback\\WdNriNotificationCallback"), Driver("WdNisDrv.sys"), 0x50, OPEN, MULTIPLE, Opened, Inferred, "attributes assumed"),
    row(76, 0xffffef83_60fe2570, Some("\\Callback\\WdProcessNotificationCallback"), Driver("WdNisDrv.sys"), 0x50, OPEN, MULTIPLE, Opened, Inferred, "attributes assumed"),
];
