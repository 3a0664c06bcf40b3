//! The executive: one platform, one version profile, one set of global variables.

use core::fmt;
use core::ptr::NonNull;

use nt::Profile;

use crate::ex::Protocol;
use crate::platform::{Bugcheck, Platform};
use crate::raw::Live;
use crate::{alpc, ex, ke, mm, ob, se};

/// What NT keeps in its image's `.data`.
#[repr(C)]
pub(crate) struct Globals {
    pub(crate) ke: ke::Globals,
    pub(crate) mm: mm::Globals,
    pub(crate) se: se::Globals,
    pub(crate) ob: ob::Globals,
    pub(crate) ex: ex::Globals,
    pub(crate) alpc: alpc::Globals,
}

/// The NT executive on a platform.
///
/// Every method takes `&self`: the state is NT's structures in memory, guarded by NT's locks.
pub struct Executive<P: Platform> {
    platform: P,
    profile: &'static Profile,
    pub(crate) protocol: Protocol,
    globals: NonNull<Globals>,
    text: NonNull<u8>,
}

// SAFETY: the pointers lead to memory that the platform keeps as long as itself, reached under NT's locks or by
// atomic operations; nothing in it is tied to a host thread.
unsafe impl<P: Platform + Send> Send for Executive<P> {}
// SAFETY: as above; every method takes `&self` and every shared word is behind an NT lock or atomic.
unsafe impl<P: Platform + Sync> Sync for Executive<P> {}

/// Why the executive did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootError {
    /// The object manager could not create its types and directories.
    ObjectManager,
    /// `ExpInitializeCallbacks` returned FALSE. Windows fails phase 1 then.
    Callbacks,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ObjectManager => "the object manager could not create its types and directories",
            Self::Callbacks => "callback objects could not be initialized",
        })
    }
}

impl core::error::Error for BootError {}

impl<P: Platform> Drop for Executive<P> {
    /// Gives the host memory of the bookkeeping back. What lies in pool stays with the platform.
    fn drop(&mut self) {
        self.ob_dispose();
        self.mm_dispose();
    }
}

impl<P: Platform> Executive<P> {
    /// Brings the executive up to the point where drivers may create callback objects: the object manager with its
    /// namespace, the type `Callback`, the directory `\Callback` and the built-in objects of `profile`.
    ///
    /// # Errors
    ///
    /// Fails where the platform has no memory for it.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn boot(platform: P, profile: &'static Profile) -> Result<Self, BootError> {
        Self::boot_with(platform, profile, Protocol::Reference)
    }

    /// As [`Executive::boot`], with a choice of the protocol between notify and unregister.
    ///
    /// # Errors
    ///
    /// As for [`Executive::boot`].
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn boot_with(platform: P, profile: &'static Profile, protocol: Protocol) -> Result<Self, BootError> {
        let executive = Self::start(platform, profile, protocol)?;
        if executive.ExpInitializeCallbacks() { Ok(executive) } else { Err(BootError::Callbacks) }
    }

    /// Brings up everything below the callback objects: `ke`, `mm`, `se`, `ob`.
    ///
    /// # Errors
    ///
    /// Fails where the platform has no memory for it.
    pub fn phase0(platform: P, profile: &'static Profile) -> Result<Self, BootError> {
        Self::start(platform, profile, Protocol::Reference)
    }

    fn start(platform: P, profile: &'static Profile, protocol: Protocol) -> Result<Self, BootError> {
        let globals = platform.data(size_of::<Globals>(), align_of::<Globals>()).cast();
        let text = platform.text(ex::routines::TEXT_BYTES);
        let executive = Self { platform, profile, protocol, globals, text };
        executive.ke_initialize();
        executive.swift_initialize();
        executive.mm_initialize();
        if executive.se_initialize() && executive.ob_initialize() {
            Ok(executive)
        } else {
            Err(BootError::ObjectManager)
        }
    }

    /// Returns the platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Returns the version profile.
    pub fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// Returns the protocol between notify and unregister.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the global variables. Never a reference: other threads write there.
    pub(crate) fn live_globals(&self) -> Live<Globals> {
        // SAFETY: the platform keeps this memory as long as itself; `phase0` asked for the size and alignment of `Globals`.
        unsafe { Live::new(self.globals.as_ptr()) }
    }

    pub(crate) fn text(&self) -> NonNull<u8> {
        self.text
    }

    /// Ends the world the way Windows does.
    pub fn bugcheck(&self, check: Bugcheck) -> ! {
        self.ke_mark_over();
        self.platform.bugcheck(check)
    }
}
