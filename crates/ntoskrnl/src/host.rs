//! What the exports ask of the machine beneath them, beyond what the executive asks.

use core::ptr::NonNull;

use executive::{Bugcheck, Platform};
use nt::{BugCheck, CONTEXT, ETHREAD, NTSTATUS};

use crate::guest::Guest;

/// What a new thread runs. It does not return: its last act is [`Host::exit_thread`].
pub type ThreadBody = Box<dyn FnOnce()>;

/// An exception that an export raises.
#[derive(Clone, Copy, Debug)]
pub struct Exception<'a> {
    /// What a handler sees as `EXCEPTION_RECORD.ExceptionCode`.
    pub code: NTSTATUS,
    /// `EXCEPTION_RECORD.ExceptionFlags`.
    pub flags: u32,
    /// `EXCEPTION_RECORD.ExceptionRecord`: address of the exception that led to this one, or 0.
    pub previous: u64,
    /// `EXCEPTION_RECORD.ExceptionInformation`, at most 15.
    pub information: &'a [u64],
    /// Why, for people.
    pub reason: &'a str,
}

/// Where an unwind leads: the arguments of `RtlUnwindEx`.
#[derive(Clone, Copy, Debug)]
pub struct Unwind {
    /// Base of the frame in which it ends (`TargetFrame`).
    pub frame: u64,
    /// Where that frame goes on (`TargetIp`).
    pub target: u64,
    /// Address of the `EXCEPTION_RECORD`, 0 for none.
    pub record: u64,
    /// What it finds in `rax`.
    pub value: u64,
}

/// A frame that was unwound.
#[derive(Clone, Copy, Debug)]
pub struct UnwoundFrame {
    /// Its base.
    pub establisher: u64,
    /// Address of its language handler and of the handler's data, where one would be called.
    pub handler: Option<[u64; 2]>,
    /// Whether that is called for exceptions, and whether when the frame is unwound.
    pub called_for: [bool; 2],
}

/// The machine, as the exports see it. Object-safe: a [`Kernel`](crate::Kernel) holds a `&'static dyn Host`.
pub trait Host: Platform + Sync {
    /// Returns whether the `bytes` from `address` up all lie in guest memory: the user half, or the kernel range.
    /// Says nothing about whether a page is mapped there.
    fn is_guest(&self, address: u64, bytes: u64) -> bool;

    /// Returns whether the page of a guest address is mapped and readable, for `MmIsAddressValid`.
    fn is_mapped(&self, address: u64) -> bool;

    /// Returns whether `address` lies in paged pool.
    fn is_paged_pool(&self, address: u64) -> bool {
        let _ = address;
        false
    }

    /// Returns unless an export, which a driver called, must not touch `address` at the current IRQL because it may be paged out.
    fn admit_paged(&self, address: u64, write: bool) {
        let _ = (address, write);
    }

    /// Locks the section of a driver image that `address` lies in, or unlocks it. Returns where it begins, `None` where no
    /// section is known.
    fn lock_section(&self, address: u64, lock: bool) -> Option<u64> {
        let _ = lock;
        Some(address)
    }

    /// Makes every section of the image at `base` pageable, or as pageable as it was.
    fn page_driver(&self, base: u64, entire: bool) {
        let _ = (base, entire);
    }

    /// Calls driver code with up to eight integer arguments on the driver stack of the current thread, and returns its `rax`.
    ///
    /// # Safety
    ///
    /// `routine` is the address of code with the Windows x64 convention that is entitled to these arguments.
    unsafe fn call_driver(&self, routine: u64, arguments: &[u64]) -> u64;

    /// As [`Host::call_driver`], with the address of a copy of `words` on the driver stack as the first argument and `second` as the
    /// second.
    ///
    /// # Safety
    ///
    /// As for [`Host::call_driver`].
    unsafe fn call_with_words(&self, routine: u64, words: &[u64], second: u64) -> u64 {
        let words = words.to_vec();
        // SAFETY: the caller's promise.
        unsafe { self.call_driver(routine, &[words.as_ptr().expose_provenance() as u64, second]) }
    }

    /// Raises an exception in the name of the export call that is being served: looks for a handler in the driver, and goes on
    /// there or, where a filter wants it, behind the call. What the export has on its stack is dropped. Without a
    /// handler the world ends.
    fn raise(&self, exception: &Exception<'_>) -> ! {
        let caller = self.caller().unwrap_or(0);
        let information = |index: usize| exception.information.get(index).copied().unwrap_or(0);
        self.bugcheck(Bugcheck {
            code: BugCheck::KMODE_EXCEPTION_NOT_HANDLED,
            parameters: [u64::from(exception.code.0), caller, information(0), information(1)],
            reason: format!("{}: {}", exception.reason, exception.code).into(),
        })
    }

    /// Unwinds the stack of the driver that made the export call which is being served: calls the termination handlers of the frames
    /// below the goal, then goes on there.
    fn unwind(&self, goal: &Unwind) -> ! {
        self.bugcheck(Bugcheck {
            code: BugCheck::KMODE_EXCEPTION_NOT_HANDLED,
            parameters: [u64::from(nt::STATUS_UNWIND.0), goal.target, goal.frame, 0],
            reason: "this host does not unwind".into(),
        })
    }

    /// Writes the registers that the driver goes on with when the export call being served returns.
    fn capture(&self, context: Guest<CONTEXT>) {
        context.write(CONTEXT::at(self.caller().unwrap_or(0)));
    }

    /// Returns base of the image and address of the `RUNTIME_FUNCTION` for an address in code of a driver. `None` for a leaf
    /// function, and outside of images.
    fn function_entry(&self, pc: u64) -> Option<(u64, u64)> {
        let _ = pc;
        None
    }

    /// Makes the registers of a frame those of its caller; the frame stands at `pc`. `None` where it cannot be unwound.
    fn unwind_frame(&self, pc: u64, context: Guest<CONTEXT>) -> Option<UnwoundFrame> {
        let _ = (pc, context);
        None
    }

    /// Returns the call stack of the export call being served, from where it returns to in the driver.
    fn back_trace(&self) -> Vec<u64> {
        self.caller().into_iter().collect()
    }

    /// Gives `thread` something to run on. The kernel has allocated and initialized the thread object, its identifiers
    /// included; the machine fills in what belongs to the stack, and may start the thread before this returns.
    /// Returns `false` where it has no room for another thread.
    fn start_thread(&self, thread: NonNull<ETHREAD>, body: ThreadBody) -> bool;

    /// Takes the current thread off its processor for good. The kernel has signaled the thread object already, and it may
    /// be gone: nothing of it is touched from here on.
    fn exit_thread(&self) -> !;

    /// Returns the address in driver code that the export call now being served returns to; `None` where the kernel
    /// acts by itself.
    fn caller(&self) -> Option<u64>;

    /// Returns the call stack that [`Platform::origin`] named; nothing for 0.
    fn call_stack(&self, stack: u32) -> Vec<u64> {
        let _ = stack;
        Vec::new()
    }

    /// Returns base and size of the loaded image that covers `address`, the kernel's own included.
    fn module_at(&self, address: u64) -> Option<(u64, u64)>;

    /// Returns the address of an export of the kernel image, code or data, for `MmGetSystemRoutineAddress`.
    fn export_address(&self, name: &str) -> Option<u64>;

    /// Gives other threads a chance to run. Called at the entry of every export.
    fn scheduling_point(&self);

    /// Gives other threads a chance to run once more, without time passing. Called where an export is left.
    fn leaving(&self) {}

    /// Burns time without giving up the processor: `KeStallExecutionProcessor`, in units of 100 ns.
    fn stall(&self, time: i64);

    /// Returns a number that depends on the seed and on how many were drawn before, and on nothing else.
    fn random(&self) -> u64;

    /// Returns the number of processors.
    fn processors(&self) -> u8 {
        1
    }

    /// Calls `routine(context)` on all processors, each at `IPI_LEVEL`, at the same time as far as there is such a thing, and returns what it
    /// returned on this one when all are done. Called at `SYNCH_LEVEL` or above.
    ///
    /// # Safety
    ///
    /// `routine` is the address of code with the Windows x64 convention that is entitled to the argument.
    unsafe fn on_all_processors(&self, routine: u64, context: u64) -> u64 {
        let old = self.set_irql(nt::Irql::IPI);
        // SAFETY: the caller's promise.
        let value = unsafe { self.call_driver(routine, &[context]) };
        self.set_irql(old);
        value
    }

    /// Lets the current thread run on the processors of `set` only, and moves it there; `None`: on all. At `DISPATCH_LEVEL` it
    /// moves when that ends. Returns what was said before.
    fn set_affinity(&self, set: Option<u64>) -> Option<u64> {
        let _ = set;
        None
    }

    /// Returns the end of user memory, `MmUserProbeAddress`.
    fn user_end(&self) -> u64 {
        0x1_0000_0000
    }

    /// Returns the start of kernel memory, `MmSystemRangeStart`.
    fn kernel_start(&self) -> u64 {
        0x10_0000_0000
    }

    /// Returns whether calls may be made to fail, so that [`Host::fails`] is worth asking.
    fn injects(&self) -> bool {
        false
    }

    /// Returns whether the call of `export` that is being served, which can fail, fails now.
    fn fails(&self, _export: &str) -> bool {
        false
    }

    /// Returns whether every export call becomes two events.
    fn tracing(&self) -> bool {
        false
    }
}
