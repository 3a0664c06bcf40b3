//! What the kernel does with callback objects after the built-in ones exist: the objects its later boot
//! phases create, and its own listeners.
//!
//! Follows the boot order seen in a recorded boot and in decompilations: `ExInitLicenseCallback`,
//! `PoInitSystem` (three unnamed objects behind ALPC ports), `IoInitSystemPreDrivers`, plug and play. There
//! is no ALPC here: the unnamed objects are rung by whoever plays the port. `IoSessionNotifications` has no
//! listener at boot; each `IoRegisterContainerNotification` adds one.

use core::ffi::c_void;
use core::ptr::null_mut;

use nt::{
    CALLBACK_OBJECT, Irql, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_PERMANENT,
    STATUS_INSUFFICIENT_RESOURCES,
};

use super::Globals;
use super::initialize::{Name, attributes};
use super::routines::KernelRoutine;
use crate::executive::Executive;
use crate::platform::{Platform, Routine};
use crate::raw::field;

/// An object that the kernel creates after the built-in ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum KernelObject {
    /// `\Callback\LicensingData`.
    LicensingData,
    /// Unnamed, behind the ALPC port `\PowerPort`.
    PowerPort,
    /// Unnamed, behind the ALPC port `\PowerMonitorPort`.
    PowerMonitorPort,
    /// Unnamed, behind the ALPC port of the sleep study.
    SleepstudyControlPort,
    /// `\Callback\IoSessionNotifications`.
    IoSessionNotifications,
    /// `\Callback\IoExternalDmaUnblock`.
    IoExternalDmaUnblock,
}

/// How an object is created and who listens.
struct Plan {
    object: KernelObject,
    name: Option<&'static str>,
    multiple: bool,
    listener: Option<KernelRoutine>,
}

const PLANS: [Plan; KernelObject::COUNT] = [
    Plan { object: KernelObject::LicensingData, name: Some("LicensingData"), multiple: true, listener: None },
    Plan {
        object: KernelObject::PowerPort,
        name: None,
        multiple: false,
        listener: Some(KernelRoutine::PopUmpoMessageCallback),
    },
    Plan {
        object: KernelObject::PowerMonitorPort,
        name: None,
        multiple: true,
        listener: Some(KernelRoutine::PopMonitorAlpcCallback),
    },
    Plan {
        object: KernelObject::SleepstudyControlPort,
        name: None,
        multiple: false,
        listener: Some(KernelRoutine::SshpAlpcMessageCallback),
    },
    Plan {
        object: KernelObject::IoSessionNotifications,
        name: Some("IoSessionNotifications"),
        multiple: true,
        listener: None,
    },
    Plan {
        object: KernelObject::IoExternalDmaUnblock,
        name: Some("IoExternalDmaUnblock"),
        multiple: true,
        listener: Some(KernelRoutine::PipCslStateChangeCallback),
    },
];

impl KernelObject {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Every object in the order of creation.
    pub const ALL: [Self; Self::COUNT] = [
        Self::LicensingData,
        Self::PowerPort,
        Self::PowerMonitorPort,
        Self::SleepstudyControlPort,
        Self::IoSessionNotifications,
        Self::IoExternalDmaUnblock,
    ];
}

impl<P: Platform> Executive<P> {
    /// Plays the kernel's boot phases after `ExpInitializeCallbacks`: creates the later objects and registers
    /// the kernel's listeners.
    ///
    /// # Errors
    ///
    /// Returns the status of the first creation that fails, or `STATUS_INSUFFICIENT_RESOURCES` where a
    /// registration is refused.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn boot_kernel(&self) -> Result<(), NTSTATUS> {
        for plan in &PLANS {
            self.ex_create_kernel_object(plan)?;
            if plan.object == KernelObject::SleepstudyControlPort {
                // The power manager and event tracing have no object of their own.
                self.ex_register_power_listeners()?;
            }
        }
        Ok(())
    }

    fn ex_create_kernel_object(&self, plan: &Plan) -> Result<(), NTSTATUS> {
        let path = alloc::format!("\\Callback\\{}", plan.name.unwrap_or_default());
        let mut name = Name::new(&path);
        let mut view = name.view();
        let attributes = match plan.name {
            Some(_) => attributes(&raw mut view, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT),
            None => attributes(null_mut(), OBJ_KERNEL_HANDLE),
        };
        let variable = field!(self.ex(), Globals, kernel).element(plan.object as usize);
        // SAFETY: variable, attributes and name live across the call.
        let status =
            unsafe { self.ExCreateCallback(variable.ptr(), &raw const attributes, 1, plan.multiple.into()) };
        if !status.is_success() {
            return Err(status);
        }
        match plan.listener {
            Some(listener) => self.register_kernel_routine(variable.get(), listener),
            None => Ok(()),
        }
    }

    /// Registers one of the kernel's routines, without context.
    fn register_kernel_routine(
        &self,
        object: *mut CALLBACK_OBJECT,
        routine: KernelRoutine,
    ) -> Result<(), NTSTATUS> {
        let address = Routine(self.kernel_routine(routine));
        // SAFETY: an object of the kernel; the routine is only recorded.
        let registration = unsafe { self.ExRegisterCallback(object, address, null_mut()) };
        if registration.is_null() { Err(STATUS_INSUFFICIENT_RESOURCES) } else { Ok(()) }
    }

    /// `PoInitSystem` listens for processors, event tracing for power states (through the global variable,
    /// without an open).
    fn ex_register_power_listeners(&self) -> Result<(), NTSTATUS> {
        if !self.builtin("ProcessorAdd").is_null() {
            let routine = Routine(self.kernel_routine(KernelRoutine::PopNewProcessorCallback));
            // SAFETY: a kernel routine is only recorded.
            let registration = unsafe { self.KeRegisterProcessorChangeCallback(routine, null_mut(), 0) };
            if registration.is_null() {
                return Err(STATUS_INSUFFICIENT_RESOURCES);
            }
        }
        let power = self.builtin("PowerState");
        if power.is_null() {
            return Ok(());
        }
        self.register_kernel_routine(power, KernelRoutine::EtwpPowerStateCallback)
    }

    /// Returns an object that [`Executive::boot_kernel`] created; null before.
    pub fn kernel_object(&self, object: KernelObject) -> *mut CALLBACK_OBJECT {
        field!(self.ex(), Globals, kernel).element(object as usize).get()
    }

    /// Says that win32 callouts exist from now on; time changes ring `SetSystemTime` only then.
    pub fn establish_win32_callouts(&self) {
        field!(self.ex(), Globals, win32_callouts).set(1);
    }

    /// Rings `SetSystemTime` as `NtSetSystemTime` does, at `DISPATCH_LEVEL` and without arguments. Nothing
    /// happens before win32 callouts exist.
    pub fn PoNotifySystemTimeSet(&self) {
        if field!(self.ex(), Globals, win32_callouts).get() == 0 {
            return;
        }
        let object = self.builtin("SetSystemTime");
        let old = self.KeRaiseIrql(Irql::DISPATCH);
        // SAFETY: a built-in object, or null; its routines expect two null arguments.
        unsafe { self.ExNotifyWithProcessing(object, null_mut(), null_mut::<c_void>(), None) };
        self.KeLowerIrql(old);
    }
}
