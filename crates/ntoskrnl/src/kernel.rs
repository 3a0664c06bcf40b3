//! The kernel that drivers talk to: one executive on one host, and what the exports keep beside it.

use std::sync::OnceLock;

use executive::{BootError, Bugcheck, Executive};
use nt::{BugCheck, Profile};

use crate::export::Export;
use crate::frame::CallFrame;
use crate::guest::Arena;
use crate::host::Host;
use crate::table::EXPORTS;

/// The executive as the exports use it.
pub type Nt = Executive<&'static dyn Host>;

/// Everything behind the exports. One per kernel process; tests make as many as they like.
pub struct Kernel {
    host: &'static dyn Host,
    executive: Nt,
}

impl Kernel {
    /// Boots the executive on `host` and makes the kernel around it.
    ///
    /// # Errors
    ///
    /// Fails where the executive does not boot.
    pub fn boot(host: &'static dyn Host, profile: &'static Profile) -> Result<Self, BootError> {
        Executive::boot(host, profile).map(|executive| Self::around(host, executive))
    }

    /// Makes the kernel around an executive that is up already.
    #[must_use]
    pub fn around(host: &'static dyn Host, executive: Nt) -> Self {
        Self { host, executive }
    }

    /// Returns the machine beneath.
    pub fn host(&self) -> &'static dyn Host {
        self.host
    }

    /// Returns the executive.
    pub fn executive(&self) -> &Nt {
        &self.executive
    }

    /// Ends the world the way Windows does.
    pub fn bugcheck(&self, code: BugCheck, parameters: [u64; 4], reason: impl Into<String>) -> ! {
        self.executive.bugcheck(Bugcheck { code, parameters, reason: reason.into().into() })
    }
}

impl Arena for Kernel {
    fn admit(&self, address: u64, bytes: usize, write: bool) {
        if self.host.is_guest(address, bytes as u64) {
            return;
        }
        let caller = self.host.caller().unwrap_or(0);
        self.bugcheck(
            BugCheck::PAGE_FAULT_IN_NONPAGED_AREA,
            [address, u64::from(write), caller, 0],
            format!("an export was handed {address:#x}, which is no kernel memory"),
        )
    }
}

static KERNEL: OnceLock<&'static Kernel> = OnceLock::new();

/// Makes `kernel` the one that [`dispatch`] serves.
///
/// # Errors
///
/// Gives it back where the process has one already.
pub fn install(kernel: &'static Kernel) -> Result<(), &'static Kernel> {
    KERNEL.set(kernel)
}

/// Returns the kernel of this process.
///
/// # Panics
///
/// Panics before [`install`].
pub fn kernel() -> &'static Kernel {
    KERNEL.get().expect("a kernel is installed before drivers run")
}

/// Serves the export call number `index` of [`EXPORTS`], with the arguments in `frame`.
///
/// # Panics
///
/// Panics for a number that is not in the table: only the machine's stubs choose it.
pub fn dispatch(index: u32, frame: &CallFrame) -> u64 {
    export(index).call(kernel(), frame)
}

/// Returns the export number `index`.
fn export(index: u32) -> &'static Export {
    &EXPORTS[index as usize]
}
