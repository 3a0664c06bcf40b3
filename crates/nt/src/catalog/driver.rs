//! Objects that drivers create for each other.

use super::types::{
    Certainty, Entry, Gathered, Listener, Name, Parameter, Party, Permanence, Presence, Sharing, Source,
};

const fn driver(key: &'static str, name: Name, summary: &'static str) -> Entry {
    Entry {
        key,
        gathered: Gathered::Driver,
        name,
        summary,
        variable: None,
        creator: None,
        openers: &[],
        permanence: Permanence::Unknown,
        sharing: Sharing::Unknown,
        listeners: &[],
        trigger: None,
        arguments: [Parameter::UNKNOWN, Parameter::UNKNOWN],
        irql: None,
        presence: Presence::WithDriver,
        sources: &[Source::BootTrace],
        certainty: Certainty::Inferred,
        misreading: None,
        notes: &[],
    }
}

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        creator: Some(Party::high("ndis.sys", Some(0x250), "Create TRUE")),
        permanence: Permanence::Permanent,
        sharing: Sharing::Multiple,
        trigger: Some("a protocol is bound to a network adapter, or unbound"),
        sources: &[Source::Driver("ndis.sys"), Source::BootTrace],
        certainty: Certainty::High,
        notes: &[
            "ndis spells the directory `\\CallBack`; the lookup succeeds because it passes OBJ_CASE_INSENSITIVE",
            "the arguments are not documented",
        ],
        ..driver(
            "NdisBindUnbind",
            Name::Path("\\CallBack\\NdisBindUnbind"),
            "tells network components about protocol bindings",
        )
    },
    Entry {
        creator: Some(Party::high("tdx.sys", Some(0x250), "Create TRUE")),
        openers: &[Party::high("afd.sys", None, "registers its routine and is told what tdx offers")],
        permanence: Permanence::Permanent,
        sharing: Sharing::Single,
        listeners: &[Listener::on_condition("afd!AfdTdxCallbackRoutine", "")],
        trigger: Some("tdx has work for afd"),
        arguments: [
            Parameter { meaning: "ECP_LIST*", ..Parameter::UNKNOWN },
            Parameter { meaning: "address of the result", ..Parameter::UNKNOWN },
        ],
        sources: &[Source::Driver("tdx.sys and afd.sys"), Source::Research, Source::BootTrace],
        certainty: Certainty::High,
        misreading: Some(
            "`all callback objects but PowerPort take several routines`: a driver chooses for itself, and tdx chooses one",
        ),
        ..driver(
            "AfdTdxCallback",
            Name::Path("\\Callback\\AfdTdxCallback"),
            "joins the old transport interface to the socket driver",
        )
    },
    Entry {
        creator: Some(Party::inferred("tcpip.sys", None, "")),
        openers: &[Party::high("rasacd.sys", None, "registers")],
        trigger: Some("about nine places of tcpip.sys: connections, and begin and end of a SYN attack"),
        arguments: [
            Parameter { meaning: "1 by default, 2 a SYN attack begins, 3 it is over", ..Parameter::UNKNOWN },
            Parameter { meaning: "connection record where the first is 1", ..Parameter::UNKNOWN },
        ],
        sources: &[Source::Research, Source::BootTrace],
        ..driver(
            "TcpConnectionCallbackTemp",
            Name::Path("\\Callback\\TcpConnectionCallbackTemp"),
            "tells about TCP connections and SYN attacks",
        )
    },
    Entry {
        creator: Some(Party::inferred("tcpip.sys", None, "")),
        ..driver(
            "TcpTimerStarvationCallbackTemp",
            Name::Path("\\Callback\\TcpTimerStarvationCallbackTemp"),
            "belongs to tcpip.sys; by its name it tells that timers run late",
        )
    },
    Entry {
        creator: Some(Party::inferred("WdFilter.sys", None, "")),
        openers: &[Party::high("WdNisDrv.sys", None, "registers process_notification_callback")],
        listeners: &[Listener::on_condition("WdNisDrv!process_notification_callback", "")],
        trigger: Some("WdFilter has seen a process begin, end, or change its trust"),
        arguments: [
            Parameter {
                meaning: "process record; operation 1 created, 2 terminated, 3 trust changed or refreshed",
                ..Parameter::UNKNOWN
            },
            Parameter { meaning: "NULL", ..Parameter::UNKNOWN },
        ],
        sources: &[Source::Research, Source::BootTrace],
        notes: &["a published proof of concept opens it with attributes 0x210"],
        ..driver(
            "WdProcessNotificationCallback",
            Name::Path("\\Callback\\WdProcessNotificationCallback"),
            "passes process events from Defender's file filter to its network filter",
        )
    },
    Entry {
        creator: Some(Party::inferred("WdFilter.sys", None, "")),
        openers: &[Party::high("WdNisDrv.sys", None, "notifies")],
        listeners: &[Listener::on_condition("WdFilter!MpNriNotificationCallback", "")],
        trigger: Some("WdNisDrv reports network events"),
        sources: &[Source::Research, Source::BootTrace],
        ..driver(
            "WdNriNotificationCallback",
            Name::Path("\\Callback\\WdNriNotificationCallback"),
            "passes network events from Defender's network filter to its file filter",
        )
    },
    Entry {
        openers: &[Party::high("WdBoot.sys", None, "notifies")],
        listeners: &[Listener::on_condition("WdFilter.sys", "")],
        trigger: Some("WdBoot hands over what it saw during boot"),
        arguments: [
            Parameter { meaning: "address of a block that starts with `MpEb`", ..Parameter::UNKNOWN },
            Parameter { meaning: "0x28", ..Parameter::UNKNOWN },
        ],
        sources: &[Source::Research],
        notes: &["not in the recorded boot trace"],
        ..driver(
            "WdEbNotificationCallback",
            Name::Path("\\Callback\\WdEbNotificationCallback"),
            "passes what Defender's early-launch driver saw to its file filter",
        )
    },
    Entry {
        creator: Some(Party::inferred("vmci.sys", None, "the first of three VMware drivers to ask")),
        openers: &[Party::inferred("vsock.sys", None, ""), Party::inferred("vmhgfs.sys", None, "")],
        sources: &[Source::VendorHeaders("VMware"), Source::BootTrace],
        ..driver(
            "VMCIDetachCB",
            Name::Path("\\Callback\\VMCIDetachCB"),
            "tells VMware's guest drivers that the communication interface goes away",
        )
    },
    Entry {
        creator: Some(Party::inferred("dam.sys or bam.sys", None, "asks twice with one static string")),
        ..driver(
            "DamExemptCheckCallback",
            Name::Path("\\Callback\\DamExemptCheckCallback"),
            "belongs to the desktop activity moderator; by its name it asks whether a process is exempt",
        )
    },
    Entry {
        creator: Some(Party::inferred(
            "the link-layer topology discovery drivers",
            None,
            "one per network interface",
        )),
        notes: &[
            "0006 is the interface type Ethernet, six digits of index follow, then six zeros (inferred)",
        ],
        ..driver(
            "LLTDCallbackMapper",
            Name::Numbered {
                prefix: "\\Callback\\LLTDCallbackMapper",
                digits: "the interface's NET_LUID, sixteen hexadecimal digits",
            },
            "joins the mapper of link-layer topology discovery to one network interface",
        )
    },
    Entry {
        creator: Some(Party::inferred(
            "the link-layer topology discovery drivers",
            None,
            "one per network interface",
        )),
        notes: &[
            "0006 is the interface type Ethernet, six digits of index follow, then six zeros (inferred)",
        ],
        ..driver(
            "LLTDCallbackRspndr",
            Name::Numbered {
                prefix: "\\Callback\\LLTDCallbackRspndr",
                digits: "the interface's NET_LUID, sixteen hexadecimal digits",
            },
            "joins the responder of link-layer topology discovery to one network interface",
        )
    },
    Entry {
        openers: &[Party::high(
            "acpi.sys",
            Some(0x10),
            "Simulator_InitializeInterface; Create is FALSE and the name case-sensitive",
        )],
        listeners: &[Listener::on_condition("acpi!Simulator_CallbackWorker", "where the object exists")],
        sources: &[Source::Driver("acpi.sys"), Source::BootTrace],
        certainty: Certainty::High,
        misreading: Some(
            "counted among the objects of a boot because a breakpoint on ExCreateCallback shows it; that is an attempt to \
             open, and it normally fails with STATUS_OBJECT_NAME_NOT_FOUND",
        ),
        ..driver(
            "AcpiSimulator",
            Name::Path("\\Callback\\AcpiSimulator"),
            "would join a simulator of ACPI hardware to acpi.sys; on an ordinary machine nobody creates it",
        )
    },
];
