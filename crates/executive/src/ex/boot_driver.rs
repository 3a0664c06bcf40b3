//! `IoRegisterBootDriverCallback`: early-launch antimalware, and `\Callback\BootDriver`.
//!
//! The first registration creates the object, without `OBJ_PERMANENT`: its name is gone before the creation returns, and only
//! `PnpBootDriverCallbackObject` leads to it. Once boot drivers are loaded nobody may register any more. Source:
//! decompilations of several kernel generations. How the judgments of several routines are put together is assumed: the worst
//! one counts.

use core::ffi::c_void;
use core::ptr::{null_mut, without_provenance_mut};

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, EX_PUSH_LOCK, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE};

use super::initialize::{Name, attributes};
use super::{Globals, Hook, Processing};
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

/// Global variables of early launch.
#[repr(C)]
pub(super) struct BootDrivers {
    /// `PnpBootDriverCallbackObject`.
    object: *mut CALLBACK_OBJECT,
    /// `PnpBootDriverCallbackRegistrationClosed`.
    closed: u32,
    _padding: u32,
    /// Held while the object comes to be. (Windows has none: early-launch drivers are initialized by one thread.)
    lock: EX_PUSH_LOCK,
}

/// Bytes of a `BDCB_IMAGE_INFORMATION`.
const IMAGE: usize = 0x68;

/// `BdCbStatusUpdate`.
const STATUS_UPDATE: usize = 0;
/// `BdCbInitializeImage`.
const INITIALIZE_IMAGE: usize = 1;
/// `BdCbClassificationKnownBadImageBootCritical`, the last classification.
const WORST: u32 = 3;

impl<P: Platform> Executive<P> {
    fn boot_drivers(&self) -> Live<BootDrivers> {
        field!(self.ex(), Globals, boot_drivers)
    }

    /// Returns the value of `nt!PnpBootDriverCallbackObject`: null before the first registration.
    pub fn PnpBootDriverCallbackObject(&self) -> *mut CALLBACK_OBJECT {
        field!(self.boot_drivers(), BootDrivers, object).get()
    }

    /// Registers a routine that judges boot-start drivers. Null where registration is closed or fails.
    ///
    /// # Safety
    ///
    /// `function` has the contract of a boot driver callback routine until it is unregistered.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub unsafe fn IoRegisterBootDriverCallback(
        &self,
        function: Routine,
        context: *mut c_void,
    ) -> *mut CALLBACK_REGISTRATION {
        if field!(self.boot_drivers(), BootDrivers, closed).get() != 0 {
            return null_mut();
        }
        let lock = field!(self.boot_drivers(), BootDrivers, lock).ptr();
        // SAFETY: the lock lies in the globals.
        unsafe { self.lock_exclusive_guarded(lock) };
        let object = self.pnp_boot_driver_object();
        // SAFETY: acquired above.
        unsafe { self.unlock_guarded(lock) };
        if object.is_null() {
            return null_mut();
        }
        // SAFETY: the variable's reference keeps it; the routine is the caller's promise.
        unsafe { self.ExRegisterCallback(object, function, context) }
    }

    /// Returns the object, created by the first call; null where that fails.
    fn pnp_boot_driver_object(&self) -> *mut CALLBACK_OBJECT {
        let variable = field!(self.boot_drivers(), BootDrivers, object);
        if variable.get().is_null() {
            let mut name = Name::new("\\Callback\\BootDriver");
            let mut view = name.view();
            let attributes = attributes(&raw mut view, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE);
            // The object, its lost name and the reference that is never given back are the kernel's, not those of whoever registers.
            self.platform().on_own_account(&mut || {
                // SAFETY: variable, attributes and name live across the call; a failure leaves the variable null.
                unsafe { self.ExCreateCallback(variable.ptr(), &raw const attributes, 1, 1) };
            });
        }
        variable.get()
    }

    /// Unregisters such a routine.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ExUnregisterCallback`].
    pub unsafe fn IoUnRegisterBootDriverCallback(&self, handle: *mut CALLBACK_REGISTRATION) {
        // SAFETY: the caller's promise.
        unsafe { self.ExUnregisterCallback(handle) };
    }

    /// Says that boot drivers are loaded: from now on nobody may register for them.
    pub fn close_boot_driver_registration(&self) {
        field!(self.boot_drivers(), BootDrivers, closed).set(1);
    }

    /// Tells early-launch drivers of a step of the boot: 0 dependencies are about to be loaded, 1 drivers, 2 the early-launch
    /// drivers are about to be unloaded.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn PnpNotifyEarlyLaunchStatusUpdate(&self, status: u32) {
        let mut context = status;
        let processing: Processing<P> = Processing {
            pre: Some(renew as Hook<P>),
            post: None,
            extra1: (&raw const status).cast_mut().cast(),
            extra2: without_provenance_mut(size_of::<u32>()),
        };
        // SAFETY: null before the first registration, and kept by the variable from then on.
        unsafe {
            self.ExNotifyWithProcessing(
                self.PnpBootDriverCallbackObject(),
                without_provenance_mut(STATUS_UPDATE),
                (&raw mut context).cast(),
                Some(&processing),
            );
        }
    }

    /// Asks early-launch drivers about an image that is about to be initialized, and returns the worst judgment: 0 unknown,
    /// 1 good, 2 bad, 3 bad but needed to boot.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn PnpNotifyEarlyLaunchImageLoad(&self, image: &[u8; IMAGE]) -> u32 {
        /// What the hooks share.
        struct Asked<'a> {
            image: &'a [u8; IMAGE],
            worst: u32,
        }
        fn pre<P: Platform>(_: &Executive<P>, [_, _, shown, asked, _]: [*mut c_void; 5]) {
            // SAFETY: the caller's local, which nobody else uses during the hook.
            let asked = unsafe { &*asked.cast::<Asked<'_>>() };
            // SAFETY: the caller's buffer of that size.
            unsafe { shown.cast::<[u8; IMAGE]>().write_unaligned(*asked.image) };
        }
        fn post<P: Platform>(_: &Executive<P>, [_, _, shown, asked, _]: [*mut c_void; 5]) {
            // SAFETY: as above.
            let asked = unsafe { &mut *asked.cast::<Asked<'_>>() };
            // SAFETY: the classification is the buffer's first member.
            let judged = unsafe { shown.cast::<u32>().read_unaligned() };
            // What is no classification is no judgment.
            if judged <= WORST {
                asked.worst = asked.worst.max(judged);
            }
        }
        let mut asked = Asked { image, worst: 0 };
        // Aligned as the structure is.
        let mut shown = [0_u64; IMAGE / 8];
        let processing: Processing<P> = Processing {
            pre: Some(pre as Hook<P>),
            post: Some(post as Hook<P>),
            extra1: (&raw mut asked).cast(),
            extra2: null_mut(),
        };
        // SAFETY: as in the other notification.
        unsafe {
            self.ExNotifyWithProcessing(
                self.PnpBootDriverCallbackObject(),
                without_provenance_mut(INITIALIZE_IMAGE),
                (&raw mut shown).cast(),
                Some(&processing),
            );
        }
        asked.worst
    }
}

/// Gives each routine what was told, whatever the one before made of it.
fn renew<P: Platform>(_: &Executive<P>, [_, _, shown, told, bytes]: [*mut c_void; 5]) {
    // SAFETY: two places of that size, which the caller passes.
    unsafe { core::ptr::copy_nonoverlapping(told.cast::<u8>(), shown.cast::<u8>(), bytes.addr()) };
}
