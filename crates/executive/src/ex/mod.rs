//! Executive: callback objects.
//!
//! Models the callback part of `ntoskrnl` (`ExCreateCallback` and its family) as decompilations of shipped
//! x64 kernels from Windows 8.1 to the 24H2 class show it; what older kernels and ReactOS do otherwise is a
//! switch of the [`Profile`](nt::Profile). The list protocol is NT's own, byte for byte: spin lock, `Busy`,
//! one system-wide event.
//!
//! Deliberately absent: the guarded devirtualization of `PopUmpoMessageCallback` in some builds (a compiler
//! artifact without observable effect) and server silos (there is one namespace).

mod boot_driver;
mod create;
mod delete;
mod enumerate;
mod image_verification;
mod initialize;
mod kernel;
mod notify;
mod processor;
mod registration;
mod replay;
mod rings;
mod routine_block;
pub(crate) mod routines;
mod rundown;
mod session;
mod snapshot;
mod swift;

use alloc::string::String;
use alloc::vec::Vec;

use nt::{CALLBACK_OBJECT, EX_PUSH_LOCK, FAST_MUTEX, Irql, KEVENT, LIST_ENTRY, OBJECT_TYPE, UNICODE_STRING};

pub use self::image_verification::VerifiedImage;
pub use self::initialize::BUILTINS;
pub(crate) use self::kernel::KERNEL_OBJECTS;
pub use self::notify::{Hook, Processing};
pub use self::replay::{Attempt, Replayed};
pub use self::routines::KernelRoutine;
pub use self::session::{SessionEvent, SessionStateNotification};
pub use self::swift::{Notifier, Protocol};

use crate::executive::{self, Executive};
use crate::platform::Platform;
use crate::raw::{Live, field};
use crate::symbols::KernelSymbol;

/// Global variables of `ex`.
#[repr(C)]
pub(crate) struct Globals {
    /// `ExpCallbackListHead`: all callback objects in creation order, from Windows 8.1 on.
    list_head: LIST_ENTRY,
    /// `ExpCallbackListLock`.
    list_lock: EX_PUSH_LOCK,
    /// `ExpCallbackEvent`: wakes those who wait in `ExUnregisterCallback`, on whichever object.
    event: KEVENT,
    /// `ExCallbackObjectType`.
    object_type: *mut OBJECT_TYPE,
    /// `ExCbSetSystemTime` and its like, in the order of the profile's names.
    builtins: [*mut CALLBACK_OBJECT; BUILTINS],
    /// Objects that the kernel made later and keeps.
    kernel: [*mut CALLBACK_OBJECT; KERNEL_OBJECTS],
    /// Keeps a routine block while a reference is taken that its slot had not in store.
    flush_lock: EX_PUSH_LOCK,
    /// The protocol *Swift*.
    swift: swift::Globals,
    /// `KiDynamicProcessorLock`.
    processor_lock: FAST_MUTEX,
    /// Processors that run.
    processors: u32,
    /// Nonzero once win32 callouts exist.
    win32_callouts: u32,
    /// Early launch.
    boot_drivers: boot_driver::BootDrivers,
    /// Session notifications.
    sessions: session::Sessions,
}

/// Copies a counted string for people; what is no UTF-16 becomes U+FFFD.
///
/// # Safety
///
/// `name` is null or leads to a counted string whose buffer has its length in bytes.
pub(crate) unsafe fn text_of(name: *const UNICODE_STRING) -> Option<String> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { Live::new(name.cast_mut()) }.get();
    let mut units = Vec::with_capacity(usize::from(name.Length / 2));
    for index in 0..usize::from(name.Length / 2) {
        // SAFETY: inside the buffer by the caller's promise; unaligned because a driver may have packed it.
        units.push(unsafe { name.Buffer.wrapping_add(index).read_unaligned() });
    }
    Some(String::from_utf16_lossy(&units))
}

impl<P: Platform> Executive<P> {
    pub(crate) fn ex(&self) -> Live<Globals> {
        field!(self.live_globals(), executive::Globals, ex)
    }

    /// Builds an event if anybody wants it.
    pub(crate) fn tell(&self, what: impl FnOnce() -> record::What) {
        if self.platform().listening() {
            self.platform().emit(what());
        }
    }

    /// Reports a call above the IRQL of its contract. NT goes on, and so does the executive, as far as NT's
    /// code would get.
    pub(crate) fn ex_irql_contract(&self, name: &str, highest: Irql) {
        let actual = self.platform().irql();
        if actual > highest {
            self.tell(|| record::What::IrqlContract {
                name: name.into(),
                lowest: Irql::PASSIVE.0,
                highest: highest.0,
                actual: actual.0,
            });
        }
    }

    /// Returns the address of `nt!ExpCallbackListHead`, where this version has it.
    pub fn ExpCallbackListHead(&self) -> Option<*mut LIST_ENTRY> {
        self.profile().has_global_list.value.then(|| field!(self.ex(), Globals, list_head).ptr())
    }

    /// Returns the address of `nt!ExpCallbackListLock`.
    pub fn ExpCallbackListLock(&self) -> *mut EX_PUSH_LOCK {
        field!(self.ex(), Globals, list_lock).ptr()
    }

    /// Returns the address of `nt!ExpCallbackEvent`.
    pub fn ExpCallbackEvent(&self) -> *mut KEVENT {
        field!(self.ex(), Globals, event).ptr()
    }

    /// Returns the value of `nt!ExCallbackObjectType`: null before `ExpInitializeCallbacks`.
    pub fn ExCallbackObjectType(&self) -> *mut OBJECT_TYPE {
        field!(self.ex(), Globals, object_type).get()
    }

    /// Names the variables of `ex`. The two list variables exist where the version has the list.
    pub(crate) fn ex_symbols(&self) -> Vec<KernelSymbol> {
        let mut symbols = Vec::new();
        if let Some(head) = self.ExpCallbackListHead() {
            symbols.push(KernelSymbol::at("ExpCallbackListHead", head));
            symbols.push(KernelSymbol::at("ExpCallbackListLock", self.ExpCallbackListLock()));
        }
        symbols.push(KernelSymbol::at("ExpCallbackEvent", self.ExpCallbackEvent()));
        let object_type = field!(self.ex(), Globals, object_type).ptr();
        symbols.push(KernelSymbol::at("ExCallbackObjectType", object_type));
        for (index, name) in self.profile().builtin_names.value.iter().take(BUILTINS).enumerate() {
            let variable = field!(self.ex(), Globals, builtins).element(index).ptr();
            symbols.push(KernelSymbol::at(alloc::format!("ExCb{name}"), variable));
        }
        symbols.extend(self.ex_kernel_symbols());
        symbols
    }
}
