//! Kernel routines that have an address and a name but no machine code.
//!
//! Type procedures and the kernel's own listeners are addresses inside `ntoskrnl.exe` on Windows, and so they
//! are here: each routine of the table owns 16 bytes of [`Platform::text`](crate::Platform::text). Nothing is
//! executed there. The executive recognizes its own addresses, and a debugger can name them.

use crate::executive::Executive;
use crate::platform::{Platform, Routine};

/// Bytes of text per routine.
pub(crate) const SLOT: usize = 16;

macro_rules! routines {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// A routine of the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum KernelRoutine {
            $($(#[doc = $doc])* $name),*
        }

        impl KernelRoutine {
            /// Every routine in the order of their addresses.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the name, as the public symbols spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Returns the name in the debugger's spelling, `nt!ExpDeleteCallback`.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$name => concat!("nt!", stringify!($name))),* }
            }
        }
    };
}

routines! {
    /// Deletes a callback object.
    ExpDeleteCallback,
    /// Default security procedure of a type.
    SeDefaultObjectMethod,
    /// Deletes an object type.
    ObpDeleteObjectType,
    /// Closes a handle of a directory.
    ObpCloseDirectoryObject,
    /// Deletes a directory.
    ObpDeleteDirectoryObject,
    /// Deletes a symbolic link.
    ObpDeleteSymbolicLink,
    /// Follows a symbolic link.
    ObpParseSymbolicLinkEx,
    /// Deletes a token.
    SepTokenDeleteMethod,
    /// Deletes a thread.
    PspThreadDelete,
    /// Deletes a process.
    PspProcessDelete,
    /// Parses a name below a device.
    IopParseDevice,
    /// Deletes a driver object.
    IopDeleteDriver,
    /// Deletes a device object.
    IopDeleteDevice,
    /// Listens on PowerState for event tracing.
    EtwpPowerStateCallback,
    /// Listens on ProcessorAdd for the power manager.
    PopNewProcessorCallback,
    /// Listens on PowerState for the hypervisor interface.
    HvlpPowerStateCallback,
    /// Listens on IoExternalDmaUnblock for console lock changes.
    PipCslStateChangeCallback,
    /// Listens for messages on `\PowerPort`.
    PopUmpoMessageCallback,
    /// Listens for messages on `\PowerMonitorPort`.
    PopMonitorAlpcCallback,
    /// Listens for messages of the sleep study.
    SshpAlpcMessageCallback,
    /// Listens on IoSessionNotifications, once per I/O object.
    IopDispatchSessionNotifications,
    /// Listens on SoftRestart for the HAL.
    HalpKsrCallbackRoutine,
    /// Listens on SoftRestart for plug and play.
    PipKsrCallback,
    /// Listens on SoftRestart for the power manager.
    PopKsrCallback,
    /// Listens on SoftRestart for event tracing.
    EtwpKsrCallback,
    /// Deletes a port.
    AlpcpDeletePort,
}

/// Bytes of text that the routines take.
pub(crate) const TEXT_BYTES: usize = KernelRoutine::ALL.len() * SLOT;

impl KernelRoutine {
    /// Finds a routine by its name, with or without `nt!`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("nt!").unwrap_or(name);
        Self::ALL.iter().copied().find(|routine| routine.name() == name)
    }
}

impl<P: Platform> Executive<P> {
    /// Returns the address of a routine of the kernel.
    pub fn kernel_routine(&self, routine: KernelRoutine) -> usize {
        self.text().addr().get() + routine as usize * SLOT
    }

    /// Finds the routine of the kernel at an address, if it is one.
    #[inline]
    pub fn kernel_routine_at(&self, routine: Routine) -> Option<KernelRoutine> {
        // The range first and alone: this is asked at every call of every routine.
        let offset = routine.0.wrapping_sub(self.text().addr().get());
        if offset < TEXT_BYTES { routine_at(offset) } else { None }
    }
}

#[cold]
#[inline(never)]
fn routine_at(offset: usize) -> Option<KernelRoutine> {
    if !offset.is_multiple_of(SLOT) {
        return None;
    }
    KernelRoutine::ALL.get(offset / SLOT).copied()
}
