//! What the executive asks of [`Solo`].

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, compiler_fence};

use nt::{DISPATCHER_HEADER, EPROCESS, ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};

use super::memory::Owned;
use super::{Outcome, Solo};
use crate::ex::Notifier;
use crate::platform::{Bugcheck, Deadlock, Platform, PoolKind, Routine, SingleThreaded};

/// Released blocks that are kept.
const RELEASED_KEPT: usize = 256;

/// The type of a callback routine in this crate: panics may unwind through it.
#[cfg(target_arch = "x86_64")]
type CallbackRoutine = unsafe extern "win64-unwind" fn(*mut c_void, *mut c_void, *mut c_void);
/// The type of a callback routine where there is no Windows x64 convention.
#[cfg(not(target_arch = "x86_64"))]
type CallbackRoutine = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void);
/// The type of a DPC routine.
#[cfg(target_arch = "x86_64")]
type DpcRoutine = unsafe extern "win64-unwind" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);
/// The type of a DPC routine where there is no Windows x64 convention.
#[cfg(not(target_arch = "x86_64"))]
type DpcRoutine = unsafe extern "C-unwind" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);

/// The type of a session notification routine.
#[cfg(target_arch = "x86_64")]
type NotificationRoutine = unsafe extern "win64-unwind" fn(
    *mut c_void,
    *mut c_void,
    u32,
    *mut c_void,
    *mut c_void,
    u32,
) -> nt::NTSTATUS;
/// The type of a session notification routine where there is no Windows x64 convention.
#[cfg(not(target_arch = "x86_64"))]
type NotificationRoutine =
    unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, u32, *mut c_void, *mut c_void, u32) -> nt::NTSTATUS;

// SAFETY: `Cell`s and pointers make it neither `Send` nor `Sync`; `invoke` calls directly.
unsafe impl SingleThreaded for Solo {}

impl Platform for Solo {
    fn irql(&self) -> Irql {
        self.irql.get()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        self.irql.replace(new)
    }

    fn spin_wait(&self, lock: *const KSPIN_LOCK) {
        self.deadlock(Deadlock {
            reason: alloc::format!(
                "the only thread spins at {} on the lock at {lock:p}, which it holds itself",
                self.irql.get()
            )
            .into(),
        })
    }

    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let number = self.allocations.get();
        self.allocations.set(number + 1);
        let due = self.interleave.borrow().as_ref().is_some_and(|(when, _)| *when == number);
        if due {
            let then = self.interleave.take();
            if let Some((_, then)) = then {
                then();
            }
        }
        if self.refuse.borrow().iter().any(|refused| *refused == number || *refused == u64::MAX) {
            return None;
        }
        let owned = Owned::garbage(bytes)?;
        let block = owned.at;
        self.blocks.borrow_mut().insert(block.as_ptr().expose_provenance(), (pool, owned));
        Some(block)
    }

    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        let known = self.blocks.borrow_mut().remove(&block.as_ptr().addr());
        let Some((from, owned)) = known else { panic!("a block that was not allocated is released") };
        assert!(from == pool && owned.layout.size() == bytes.max(1), "a block is released as something else");
        let mut released = self.released.borrow_mut();
        released.push_back(owned);
        if released.len() > RELEASED_KEPT {
            released.pop_front();
        }
    }

    fn guards_pool(&self) -> bool {
        true
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let owned = Owned::zeroed(bytes, align);
        let at = owned.at;
        self.owned.borrow_mut().push(owned);
        at
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        self.thread.at.cast()
    }

    fn park(&self, deadline: Option<i64>) {
        if self.unparked.replace(false) {
            return;
        }
        match deadline {
            Some(deadline) => self.now.set(self.now.get().max(deadline)),
            None => self.deadlock(Deadlock {
                reason: "the only thread waits for something that nobody is left to signal".into(),
            }),
        }
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        assert!(thread == self.current_thread(), "a thread that does not exist is woken");
        self.unparked.set(true);
    }

    fn now(&self) -> i64 {
        self.now.get()
    }

    unsafe fn invoke(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        if routine.0 == 0 {
            self.fault(routine);
        }
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the caller promises that this is the address of code with the contract of a callback
        // routine.
        let code = unsafe { core::mem::transmute::<*const (), CallbackRoutine>(code) };
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(context, argument1, argument2) }
    }

    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        if routine.0 == 0 {
            self.fault(routine);
        }
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the caller promises that this is the address of code with the contract of a DPC routine.
        let code = unsafe { core::mem::transmute::<*const (), DpcRoutine>(code) };
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(dpc, context, argument1, argument2) }
    }

    unsafe fn invoke_notification(&self, routine: Routine, arguments: [*mut c_void; 6]) {
        if routine.0 == 0 {
            self.fault(routine);
        }
        let code = core::ptr::with_exposed_provenance::<()>(routine.0);
        // SAFETY: the caller promises that this is the address of code with the contract of a notification routine.
        let code = unsafe { core::mem::transmute::<*const (), NotificationRoutine>(code) };
        let [session, object, event, context, payload, length] = arguments;
        // SAFETY: as above, with the arguments the routine is entitled to.
        unsafe { code(session, object, event.addr() as u32, context, payload, length.addr() as u32) };
    }

    /// There is nobody else to order anything for; the compiler must not, because a routine may unregister.
    fn light_barrier(&self) {
        compiler_fence(Ordering::SeqCst);
    }

    fn heavy_barrier(&self) {
        compiler_fence(Ordering::SeqCst);
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.notifier)
    }

    fn notifiers(&self, visit: &mut dyn FnMut(&Notifier)) {
        visit(&self.notifier);
    }

    fn listening(&self) -> bool {
        self.listening.get()
    }

    fn emit(&self, what: record::What) {
        if self.listening.get() {
            self.events.borrow_mut().push(what);
        }
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        self.finish(Outcome::Bugcheck(check))
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        self.finish(Outcome::Deadlock(deadlock))
    }
}

const _: () = {
    // The thread begins with its kernel part, which is what `current_thread` hands out.
    assert!(core::mem::offset_of!(ETHREAD, Tcb) == 0);
    assert!(core::mem::offset_of!(KTHREAD, Header) == 0);
    assert!(core::mem::offset_of!(EPROCESS, Header) == 0);
    assert!(size_of::<DISPATCHER_HEADER>() == 0x18);
};
