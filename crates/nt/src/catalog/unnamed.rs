//! Callback objects without a name, known by the ALPC port whose messages ring them.

use super::types::{
    Certainty, Entry, Gathered, Listener, Name, Parameter, Party, Permanence, Presence, Sharing, Source,
};
use crate::Irql;

const fn port(key: &'static str, port: &'static str, sharing: Sharing, summary: &'static str) -> Entry {
    Entry {
        key,
        gathered: Gathered::Unnamed,
        name: Name::Unnamed { port },
        summary,
        variable: None,
        creator: None,
        openers: &[],
        permanence: Permanence::Unnamed,
        sharing,
        listeners: &[],
        trigger: None,
        arguments: [Parameter::NULL, Parameter::number("32-bit value from the message's dispatch context")],
        irql: Some((Irql::PASSIVE, Certainty::Inferred)),
        presence: Presence::Profiles(&["win81", "win10", "win11", "win11-24h2"]),
        sources: &[Source::Kernel, Source::BootTrace, Source::Blog],
        certainty: Certainty::High,
        misreading: None,
        notes: &[
            "NtAlpcSetInformation, class 9, attaches a callback object and a context to the port; AlpcpCompleteDispatchMessage \
             notifies with that context first",
        ],
    }
}

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        creator: Some(Party::high(
            "nt!PopUmpoInitializeChannel",
            Some(0x200),
            "PoInitSystem; Create TRUE, no name",
        )),
        listeners: &[Listener::at_boot("nt!PopUmpoMessageCallback", "context NULL")],
        trigger: Some("a message arrives at the ALPC port `\\PowerPort`"),
        misreading: Some(
            "`\\Callback\\PowerPort` does not exist: PowerPort names the port in the root directory, the callback object has no \
             name. And the comparison with PopUmpoMessageCallback in some ExNotifyCallback bodies is a compiler's optimization, \
             not a policy for power callbacks",
        ),
        ..port(
            "PowerPort",
            "\\PowerPort",
            Sharing::Single,
            "carries messages from the user-mode power service to the kernel's power manager",
        )
    },
    Entry {
        creator: Some(Party::high(
            "nt!PopUmpoInitializeMonitorChannel",
            Some(0x200),
            "PoInitSystem; Create TRUE, no name",
        )),
        listeners: &[Listener::at_boot("nt!PopMonitorAlpcCallback", "")],
        trigger: Some("a message arrives at the ALPC port `\\PowerMonitorPort`"),
        arguments: [
            Parameter::number("handle of the port, given as its callback context"),
            Parameter::number("32-bit value from the message's dispatch context"),
        ],
        misreading: Some(
            "`\\Callback\\PowerMonitorPort` does not exist: the name is the port's, the callback object has none",
        ),
        ..port(
            "PowerMonitorPort",
            "\\PowerMonitorPort",
            Sharing::Multiple,
            "carries messages about the display's power to the kernel's power manager",
        )
    },
    Entry {
        creator: Some(Party::high("nt!SshpAlpcInitialize", Some(0x200), "Create TRUE, no name")),
        listeners: &[Listener::at_boot("nt!SshpAlpcMessageCallback", "")],
        trigger: Some("a message arrives at the sleep study's ALPC port"),
        misreading: Some(
            "`\\Callback\\SleepstudyControlPort` does not exist: the name is the port's. And PowerPort is not the only \
             single-routine object: this one takes one routine, too",
        ),
        ..port(
            "SleepstudyControlPort",
            "\\SleepstudyControlPort",
            Sharing::Single,
            "carries control messages of the sleep study",
        )
    },
];
