//! What makes the kernel's other objects ring: licensing, the console lock, the end of phase 1, the hypervisor, a new
//! processor.
//!
//! Each function does what the routine named in its documentation does on Windows, as far as callback objects go; who calls
//! it when is up to whoever plays the rest of the kernel. Source: decompilations of several kernel generations.

use core::ffi::c_void;
use core::ptr::{null_mut, without_provenance_mut};

use nt::CALLBACK_OBJECT;

use crate::executive::Executive;
use crate::platform::Platform;

impl<P: Platform> Executive<P> {
    fn ex_ring(&self, object: *mut CALLBACK_OBJECT, argument1: *mut c_void) {
        // SAFETY: an object of the kernel, or null; the arguments are what the catalog tells of it.
        unsafe { self.ExNotifyWithProcessing(object, argument1, null_mut(), None) };
    }

    /// Tells that the licensing policy changed: `LicensingData`, no arguments.
    pub fn SLSendPolicyChangeNotifications(&self) {
        self.ex_ring(self.kernel_object("LicensingData"), null_mut());
    }

    /// Tells whether the console is unlocked, so that external devices may do DMA: `IoExternalDmaUnblock`. `NtPowerInformation`
    /// does it for level 0x5F.
    pub fn tell_of_console_lock(&self, unlocked: bool) {
        let argument = without_provenance_mut(usize::from(unlocked));
        self.ex_ring(self.kernel_object("IoExternalDmaUnblock"), argument);
    }

    /// Tells that phase 1 is over: `Phase1InitComplete`, no arguments. Windows does it once, after the session manager started.
    pub fn tell_of_phase1(&self) {
        self.ex_ring(self.builtin("Phase1InitComplete"), null_mut());
    }

    /// Tells that a hypervisor offers enlightenments: `EnlightenmentState`, no arguments. `HvlPhase2Initialize` does it once.
    pub fn tell_of_enlightenments(&self) {
        self.ex_ring(self.builtin("EnlightenmentState"), null_mut());
    }
}
