//! Ports of the advanced local procedure call, as far as they ring callback objects.
//!
//! A message at a port without a waiting thread, completion port or semaphore rings the callback object that
//! `NtAlpcSetInformation`, class [`AlpcRegisterCallbackInformation`], has attached to it. Four generations of the
//! port, as the public symbols have them.

use crate::ex::EX_PUSH_LOCK;
use crate::layout::layout;
use crate::ntdef::{LIST_ENTRY, PVOID};
use crate::se::SECURITY_QUALITY_OF_SERVICE;

layout! {
    /// What the creator of a port asks for.
    pub struct ALPC_PORT_ATTRIBUTES : 0x48 {
        /// Flags.
        0x00 Flags: u32,
        /// How servers may act in a client's name.
        0x04 SecurityQos: SECURITY_QUALITY_OF_SERVICE,
        /// Longest message.
        0x10 MaxMessageLength: u64,
        /// Memory per unit of time.
        0x18 MemoryBandwidth: u64,
        /// Most pool.
        0x20 MaxPoolUsage: u64,
        /// Largest section.
        0x28 MaxSectionSize: u64,
        /// Largest view.
        0x30 MaxViewSize: u64,
        /// Most memory in sections.
        0x38 MaxTotalSectionSize: u64,
        /// Types of objects that may be sent.
        0x40 DupObjectTypes: u32,
        /// Unused.
        0x44 Reserved: u32,
    }

    /// Argument of `NtAlpcSetInformation`, class [`AlpcRegisterCallbackInformation`].
    pub struct ALPC_REGISTER_CALLBACK : 0x10 {
        /// Callback object to ring.
        0x00 CallbackObject: PVOID,
        /// First argument of the notify.
        0x08 CallbackContext: PVOID,
    }

    /// Body of a port, Windows 10 and later.
    pub struct ALPC_PORT : 0x1D8 {
        /// Node in the list of all ports.
        0x000 PortListEntry: LIST_ENTRY,
        /// Who is at the other end.
        0x010 CommunicationInfo: PVOID,
        /// Process that made the port; bit 0 set where it is gone.
        0x018 OwnerProcess: PVOID,
        /// I/O completion port that is told of messages, or null.
        0x020 CompletionPort: PVOID,
        /// Key for it.
        0x028 CompletionKey: PVOID,
        /// Packets for it.
        0x030 CompletionPacketLookaside: PVOID,
        /// Value of the port's owner.
        0x038 PortContext: PVOID,
        /// `SECURITY_CLIENT_CONTEXT`, not modeled.
        0x040 _StaticSecurity: [u64; 9],
        /// Guards `MainQueue`.
        0x088 IncomingQueueLock: EX_PUSH_LOCK,
        /// Messages that nobody has taken.
        0x090 MainQueue: LIST_ENTRY,
        /// Messages too large for their receiver.
        0x0A0 LargeMessageQueue: LIST_ENTRY,
        /// Guards `PendingQueue`.
        0x0B0 PendingQueueLock: EX_PUSH_LOCK,
        /// Messages that wait for an answer.
        0x0B8 PendingQueue: LIST_ENTRY,
        /// Guards `DirectQueue`.
        0x0C8 DirectQueueLock: EX_PUSH_LOCK,
        /// Messages delivered by an event of their own.
        0x0D0 DirectQueue: LIST_ENTRY,
        /// Guards `WaitQueue`.
        0x0E0 WaitQueueLock: EX_PUSH_LOCK,
        /// Threads that wait for a message.
        0x0E8 WaitQueue: LIST_ENTRY,
        /// What a wait on the port waits for: an event that is always signaled, or the semaphore of a waitable port.
        0x0F8 DummyEvent: PVOID,
        /// What its creator asked for.
        0x100 PortAttributes: ALPC_PORT_ATTRIBUTES,
        /// Guards `ResourceListHead`.
        0x148 ResourceListLock: EX_PUSH_LOCK,
        /// Sections and views.
        0x150 ResourceListHead: LIST_ENTRY,
        /// Guards the port itself.
        0x160 PortObjectLock: EX_PUSH_LOCK,
        /// Shared list of messages, or null.
        0x168 CompletionList: PVOID,
        /// Callback object that a message rings, with a reference, or null.
        0x170 CallbackObject: PVOID,
        /// First argument of that notify.
        0x178 CallbackContext: PVOID,
        /// Messages that were canceled.
        0x180 CanceledQueue: LIST_ENTRY,
        /// Number of the last message.
        0x190 SequenceNo: u32,
        /// References that can be waited for.
        0x194 ReferenceNo: u32,
        /// Who waits for them.
        0x198 ReferenceNoWait: PVOID,
        /// [`port_state`] bits.
        0x1A0 State: u32,
        /// Where messages are queued.
        0x1A8 TargetQueuePort: PVOID,
        /// Where messages are numbered.
        0x1B0 TargetSequencePort: PVOID,
        /// A message kept for reuse.
        0x1B8 CachedMessage: PVOID,
        /// Length of `MainQueue`.
        0x1C0 MainQueueLength: u32,
        /// Length of `LargeMessageQueue`.
        0x1C4 LargeMessageQueueLength: u32,
        /// Length of `PendingQueue`.
        0x1C8 PendingQueueLength: u32,
        /// Length of `DirectQueue`.
        0x1CC DirectQueueLength: u32,
        /// Length of `CanceledQueue`.
        0x1D0 CanceledQueueLength: u32,
        /// Length of `WaitQueue`.
        0x1D4 WaitQueueLength: u32,
    }

    /// Body of a port, Windows 8.1.
    pub struct ALPC_PORT_V3 : 0x1C0 {
        /// Node in the list of all ports.
        0x000 PortListEntry: LIST_ENTRY,
        /// Who is at the other end.
        0x010 CommunicationInfo: PVOID,
        /// Process that made the port; bit 0 set where it is gone.
        0x018 OwnerProcess: PVOID,
        /// I/O completion port that is told of messages, or null.
        0x020 CompletionPort: PVOID,
        /// Key for it.
        0x028 CompletionKey: PVOID,
        /// Packets for it.
        0x030 CompletionPacketLookaside: PVOID,
        /// Value of the port's owner.
        0x038 PortContext: PVOID,
        /// `SECURITY_CLIENT_CONTEXT`, not modeled.
        0x040 _StaticSecurity: [u64; 9],
        /// Guards `MainQueue`.
        0x088 IncomingQueueLock: EX_PUSH_LOCK,
        /// Messages that nobody has taken.
        0x090 MainQueue: LIST_ENTRY,
        /// Messages too large for their receiver.
        0x0A0 LargeMessageQueue: LIST_ENTRY,
        /// Guards `PendingQueue`.
        0x0B0 PendingQueueLock: EX_PUSH_LOCK,
        /// Messages that wait for an answer.
        0x0B8 PendingQueue: LIST_ENTRY,
        /// Guards `WaitQueue`.
        0x0C8 WaitQueueLock: EX_PUSH_LOCK,
        /// Threads that wait for a message.
        0x0D0 WaitQueue: LIST_ENTRY,
        /// What a wait on the port waits for: an event that is always signaled, or the semaphore of a waitable port.
        0x0E0 DummyEvent: PVOID,
        /// What its creator asked for.
        0x0E8 PortAttributes: ALPC_PORT_ATTRIBUTES,
        /// Guards `ResourceListHead`.
        0x130 ResourceListLock: EX_PUSH_LOCK,
        /// Sections and views.
        0x138 ResourceListHead: LIST_ENTRY,
        /// Guards the port itself.
        0x148 PortObjectLock: EX_PUSH_LOCK,
        /// Shared list of messages, or null.
        0x150 CompletionList: PVOID,
        /// Callback object that a message rings, with a reference, or null.
        0x158 CallbackObject: PVOID,
        /// First argument of that notify.
        0x160 CallbackContext: PVOID,
        /// Messages that were canceled.
        0x168 CanceledQueue: LIST_ENTRY,
        /// Number of the last message.
        0x178 SequenceNo: u32,
        /// References that can be waited for.
        0x17C ReferenceNo: u32,
        /// Who waits for them.
        0x180 ReferenceNoWait: PVOID,
        /// [`port_state`] bits.
        0x188 State: u32,
        /// Where messages are queued.
        0x190 TargetQueuePort: PVOID,
        /// Where messages are numbered.
        0x198 TargetSequencePort: PVOID,
        /// A message kept for reuse.
        0x1A0 CachedMessage: PVOID,
        /// Length of `MainQueue`.
        0x1A8 MainQueueLength: u32,
        /// Length of `LargeMessageQueue`.
        0x1AC LargeMessageQueueLength: u32,
        /// Length of `PendingQueue`.
        0x1B0 PendingQueueLength: u32,
        /// Length of `CanceledQueue`.
        0x1B4 CanceledQueueLength: u32,
        /// Length of `WaitQueue`.
        0x1B8 WaitQueueLength: u32,
    }

    /// Body of a port, Windows 8.
    pub struct ALPC_PORT_V2 : 0x1B8 {
        /// Node in the list of all ports.
        0x000 PortListEntry: LIST_ENTRY,
        /// Who is at the other end.
        0x010 CommunicationInfo: PVOID,
        /// Process that made the port; bit 0 set where it is gone.
        0x018 OwnerProcess: PVOID,
        /// I/O completion port that is told of messages, or null.
        0x020 CompletionPort: PVOID,
        /// Key for it.
        0x028 CompletionKey: PVOID,
        /// Packets for it.
        0x030 CompletionPacketLookaside: PVOID,
        /// Value of the port's owner.
        0x038 PortContext: PVOID,
        /// `SECURITY_CLIENT_CONTEXT`, not modeled.
        0x040 _StaticSecurity: [u64; 9],
        /// Guards `MainQueue`.
        0x088 IncomingQueueLock: EX_PUSH_LOCK,
        /// Messages that nobody has taken.
        0x090 MainQueue: LIST_ENTRY,
        /// Messages too large for their receiver.
        0x0A0 LargeMessageQueue: LIST_ENTRY,
        /// Guards `PendingQueue`.
        0x0B0 PendingQueueLock: EX_PUSH_LOCK,
        /// Messages that wait for an answer.
        0x0B8 PendingQueue: LIST_ENTRY,
        /// Guards `WaitQueue`.
        0x0C8 WaitQueueLock: EX_PUSH_LOCK,
        /// Threads that wait for a message.
        0x0D0 WaitQueue: LIST_ENTRY,
        /// What a wait on the port waits for: an event that is always signaled, or the semaphore of a waitable port.
        0x0E0 DummyEvent: PVOID,
        /// What its creator asked for.
        0x0E8 PortAttributes: ALPC_PORT_ATTRIBUTES,
        /// Guards `ResourceListHead`.
        0x130 ResourceListLock: EX_PUSH_LOCK,
        /// Sections and views.
        0x138 ResourceListHead: LIST_ENTRY,
        /// Guards the port itself.
        0x148 PortObjectLock: EX_PUSH_LOCK,
        /// Shared list of messages, or null.
        0x150 CompletionList: PVOID,
        /// Memory for messages, or null.
        0x158 MessageZone: PVOID,
        /// Callback object that a message rings, with a reference, or null.
        0x160 CallbackObject: PVOID,
        /// First argument of that notify.
        0x168 CallbackContext: PVOID,
        /// Messages that were canceled.
        0x170 CanceledQueue: LIST_ENTRY,
        /// Number of the last message.
        0x180 SequenceNo: u32,
        /// [`port_state`] bits.
        0x184 State: u32,
        /// Where messages are queued.
        0x188 TargetQueuePort: PVOID,
        /// Where messages are numbered.
        0x190 TargetSequencePort: PVOID,
        /// A message kept for reuse.
        0x198 CachedMessage: PVOID,
        /// Length of `MainQueue`.
        0x1A0 MainQueueLength: u32,
        /// Length of `LargeMessageQueue`.
        0x1A4 LargeMessageQueueLength: u32,
        /// Length of `PendingQueue`.
        0x1A8 PendingQueueLength: u32,
        /// Length of `CanceledQueue`.
        0x1AC CanceledQueueLength: u32,
        /// Length of `WaitQueue`.
        0x1B0 WaitQueueLength: u32,
    }

    /// Body of a port, Windows 7.
    pub struct ALPC_PORT_V1 : 0x1A0 {
        /// Node in the list of all ports.
        0x000 PortListEntry: LIST_ENTRY,
        /// Who is at the other end.
        0x010 CommunicationInfo: PVOID,
        /// Process that made the port; bit 0 set where it is gone.
        0x018 OwnerProcess: PVOID,
        /// I/O completion port that is told of messages, or null.
        0x020 CompletionPort: PVOID,
        /// Key for it.
        0x028 CompletionKey: PVOID,
        /// Packets for it.
        0x030 CompletionPacketLookaside: PVOID,
        /// Value of the port's owner.
        0x038 PortContext: PVOID,
        /// `SECURITY_CLIENT_CONTEXT`, not modeled.
        0x040 _StaticSecurity: [u64; 9],
        /// Messages that nobody has taken.
        0x088 MainQueue: LIST_ENTRY,
        /// Messages that wait for an answer.
        0x098 PendingQueue: LIST_ENTRY,
        /// Messages too large for their receiver.
        0x0A8 LargeMessageQueue: LIST_ENTRY,
        /// Threads that wait for a message.
        0x0B8 WaitQueue: LIST_ENTRY,
        /// What a wait on the port waits for: an event that is always signaled, or the semaphore of a waitable port.
        0x0C8 DummyEvent: PVOID,
        /// What its creator asked for.
        0x0D0 PortAttributes: ALPC_PORT_ATTRIBUTES,
        /// Guards the port.
        0x118 Lock: EX_PUSH_LOCK,
        /// Guards `ResourceListHead`.
        0x120 ResourceListLock: EX_PUSH_LOCK,
        /// Sections and views.
        0x128 ResourceListHead: LIST_ENTRY,
        /// Shared list of messages, or null.
        0x138 CompletionList: PVOID,
        /// Memory for messages, or null.
        0x140 MessageZone: PVOID,
        /// Callback object that a message rings, with a reference, or null.
        0x148 CallbackObject: PVOID,
        /// First argument of that notify.
        0x150 CallbackContext: PVOID,
        /// Messages that were canceled.
        0x158 CanceledQueue: LIST_ENTRY,
        /// Number of the last message.
        0x168 SequenceNo: u32,
        /// [`port_state`] bits.
        0x16C State: u32,
        /// Where messages are queued.
        0x170 TargetQueuePort: PVOID,
        /// Where messages are numbered.
        0x178 TargetSequencePort: PVOID,
        /// A message kept for reuse.
        0x180 CachedMessage: PVOID,
        /// Length of `MainQueue`.
        0x188 MainQueueLength: u32,
        /// Length of `PendingQueue`.
        0x18C PendingQueueLength: u32,
        /// Length of `LargeMessageQueue`.
        0x190 LargeMessageQueueLength: u32,
        /// Length of `CanceledQueue`.
        0x194 CanceledQueueLength: u32,
        /// Length of `WaitQueue`.
        0x198 WaitQueueLength: u32,
    }
}

/// Information class that attaches a callback object to a port. Kernel mode only.
pub const AlpcRegisterCallbackInformation: u32 = 9;

/// Right to connect to a port.
pub const PORT_CONNECT: u32 = 0x0001;
/// Every right on a port.
pub const PORT_ALL_ACCESS: u32 = 0x001F_0001;

/// Bits of `State`.
pub mod port_state {
    /// The port is complete.
    pub const INITIALIZED: u32 = 1;
    /// The bits with the kind of port.
    pub const TYPE: u32 = 6;
    /// A port that clients connect to.
    pub const CONNECTION_PORT: u32 = 2;
    /// Threads wait for its semaphore; no callback object is rung.
    pub const WAITABLE: u32 = 0x200;
}
