//! The kernel that drivers talk to: one executive on one host, and what the exports keep beside it.

use core::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use executive::{BootError, Bugcheck, Executive};
use nt::{BugCheck, FAST_MUTEX, Irql, KEVENT, KSEMAPHORE, NTSTATUS, NotificationEvent, Profile};
use record::{PoolBlockLeft, WaitKind, What};

use crate::audit::Account;
use crate::ex::lookaside::Lookasides;
use crate::ex::work::Queue;
use crate::export::{Address, Export};
use crate::frame::CallFrame;
use crate::guest::{Arena, Guest};
use crate::host::{Exception, Host};
use crate::io::Io;
use crate::ob::boot::{self, Types};
use crate::ps::Processes;
use crate::rtl::string::STRING_TAG;
use crate::table::EXPORTS;

/// The executive as the exports use it.
pub type Nt = Executive<&'static dyn Host>;

/// Everything behind the exports. One per kernel process; tests make as many as they like.
pub struct Kernel {
    host: &'static dyn Host,
    executive: Nt,
    types: Types,
    processes: Processes,
    queue: Queue,
    work_semaphore: NonNull<KSEMAPHORE>,
    work_done: NonNull<KEVENT>,
    io: Io,
    lookasides: Lookasides,
    account: Account,
}

// SAFETY: the pointers lead to memory that lives as long as the kernel and that is changed under NT's locks or as NT's own
// objects; nothing in it is tied to a host thread.
unsafe impl Send for Kernel {}
// SAFETY: as above; everything else is behind a mutex or atomic.
unsafe impl Sync for Kernel {}

/// The only arena check there is, also for the time before the kernel is whole.
struct Ground(&'static dyn Host);

impl Arena for Ground {
    fn admit(&self, address: u64, bytes: usize, write: bool) {
        if self.0.is_guest(address, bytes as u64) {
            self.0.admit_paged(address, write);
            return;
        }
        let caller = self.0.caller().unwrap_or(0);
        self.0.bugcheck(Bugcheck {
            code: BugCheck::PAGE_FAULT_IN_NONPAGED_AREA,
            parameters: [address, u64::from(write), caller, 0],
            reason: format!("an export was handed {address:#x}, which is no kernel memory").into(),
        })
    }
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

    /// Makes the kernel around an executive that is up already: the types and directories that drivers expect, and the System
    /// process. The current thread becomes one of that process.
    #[must_use]
    pub fn around(host: &'static dyn Host, executive: Nt) -> Self {
        let made = boot::types(&executive).and_then(|types| {
            boot::names(&executive)?;
            let process = boot::system_process(host, &executive, &types, &Ground(host))?;
            Ok((types, process))
        });
        let (types, process) = made.unwrap_or_else(|status| {
            executive.bugcheck(Bugcheck {
                code: BugCheck::PHASE1_INITIALIZATION_FAILED,
                parameters: [u64::from(status.0), 0, 0, 0],
                reason: "the types and directories that drivers expect could not be made".into(),
            })
        });
        let processes = Processes::default();
        processes.system.store(process, core::sync::atomic::Ordering::Relaxed);
        let work_semaphore = host.data(size_of::<KSEMAPHORE>(), 16).cast::<KSEMAPHORE>();
        work_semaphore.as_ptr().expose_provenance();
        // SAFETY: fresh storage of that size, which lives as long as the executive.
        unsafe { executive.KeInitializeSemaphore(work_semaphore.as_ptr(), 0, i32::MAX) };
        let work_done = host.data(size_of::<KEVENT>(), 16).cast::<KEVENT>();
        work_done.as_ptr().expose_provenance();
        // SAFETY: as above.
        unsafe { executive.KeInitializeEvent(work_done.as_ptr(), NotificationEvent, false) };
        let io = Io::new(host);
        Self {
            host,
            executive,
            types,
            processes,
            queue: Queue::default(),
            work_semaphore,
            work_done,
            io,
            lookasides: Lookasides::default(),
            account: Account::default(),
        }
    }

    /// Returns the machine beneath.
    pub fn host(&self) -> &'static dyn Host {
        self.host
    }

    /// Returns the executive.
    pub fn executive(&self) -> &Nt {
        &self.executive
    }

    /// Returns the address of the `EPROCESS` of System.
    pub fn system_process(&self) -> u64 {
        self.processes.system.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Drops what threads that have ended left behind. The machine calls it before an audit.
    pub fn settle(&self) {
        crate::ps::thread::reap(self);
    }

    /// Starts a system thread of the kernel's own that runs `body` and ends.
    ///
    /// # Errors
    ///
    /// There is no memory for it, or no room for another thread.
    pub fn start_thread(&'static self, body: impl FnOnce() + 'static) -> Result<(), NTSTATUS> {
        crate::ps::thread::spawn(self, body)
    }

    /// Returns the threads that own the lock at `address`, as it says itself; none where it does not say.
    pub fn owners(&self, kind: WaitKind, address: u64) -> Vec<u64> {
        match kind {
            WaitKind::Resource => crate::ex::resource::owners(self, Guest::new(self, address)),
            WaitKind::FastMutex => {
                let mutex = Guest::<FAST_MUTEX>::new(self, address);
                let owner = crate::field!(mutex, FAST_MUTEX, Owner).read() as u64;
                Some(owner).into_iter().filter(|owner| *owner != 0).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Ends the world the way Windows does.
    pub fn bugcheck(&self, code: BugCheck, parameters: [u64; 4], reason: impl Into<String>) -> ! {
        self.executive.bugcheck(Bugcheck { code, parameters, reason: reason.into().into() })
    }

    /// Returns the lookaside lists that were made and not deleted, by address.
    pub fn lookaside_lists(&self) -> Vec<PoolBlockLeft> {
        self.lookasides.all()
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn lookasides(&self) -> &Lookasides {
        &self.lookasides
    }

    pub(crate) fn types(&self) -> &Types {
        &self.types
    }

    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn work_semaphore(&self) -> NonNull<KSEMAPHORE> {
        self.work_semaphore
    }

    /// The event that is set whenever a work item of the I/O manager is over.
    pub(crate) fn work_done(&self) -> NonNull<KEVENT> {
        self.work_done
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// Returns the driver address that the call now being served returns to, 0 for the kernel itself.
    pub(crate) fn caller(&self) -> u64 {
        self.host.caller().unwrap_or(0)
    }

    /// Raises an exception that has no parameters, as `ExRaiseStatus` does.
    pub(crate) fn raise(&self, status: NTSTATUS, reason: &str) -> ! {
        let flags = nt::exception_flags::EXCEPTION_NONCONTINUABLE;
        self.host.raise(&Exception { code: status, flags, previous: 0, information: &[], reason })
    }

    /// Reports that a partial export was asked for the part that is not there.
    pub(crate) fn partial(&self, name: &str, detail: impl Into<String>) {
        self.host.emit(What::PartialExport { name: name.into(), detail: detail.into() });
    }

    /// Allocates the buffer of a string for a driver.
    pub(crate) fn allocate_string(&self, bytes: usize) -> Option<u64> {
        let request = executive::mm::PoolRequest {
            pool_type: nt::PagedPool,
            bytes: bytes.max(1),
            tag: STRING_TAG,
            caller: self.caller(),
        };
        let block: Address = self.executive.allocate_pool(&request).into();
        (block != Address::NULL).then_some(block.0)
    }

    /// Frees a pool block.
    pub(crate) fn free_pool(&self, block: u64) {
        self.check_freed(block);
        // SAFETY: the kernel allocated it for the driver, or for itself, and its use ends here; what is no block ends in a
        // bugcheck.
        unsafe { self.executive.free_pool(Address(block).ptr(), 0, self.caller()) }
    }
}

impl Arena for Kernel {
    fn admit(&self, address: u64, bytes: usize, write: bool) {
        if address < self.host.user_end() && self.host.irql() < Irql::DISPATCH {
            // Nothing is mapped in the user half: NT's code would fault here, and a driver may be prepared for it.
            let code = nt::STATUS_ACCESS_VIOLATION;
            let reason = "an export was handed the address of no memory";
            let information = &[u64::from(write), address];
            self.host.raise(&Exception { code, flags: 0, previous: 0, information, reason });
        }
        Ground(self.host).admit(address, bytes, write);
    }
}

static KERNEL: OnceLock<&'static Kernel> = OnceLock::new();
/// Kernels that object procedures can find by their executive.
static KERNELS: Mutex<Vec<&'static Kernel>> = Mutex::new(Vec::new());

/// Makes `kernel` the one that [`dispatch`] serves.
///
/// # Errors
///
/// Gives it back where the process has one already.
pub fn install(kernel: &'static Kernel) -> Result<(), &'static Kernel> {
    register(kernel);
    KERNEL.set(kernel)
}

/// Lets the object procedures of this kernel's types find it.
pub(crate) fn register(kernel: &'static Kernel) {
    KERNELS.lock().unwrap_or_else(PoisonError::into_inner).push(kernel);
}

/// Returns the kernel that an executive is the heart of.
pub(crate) fn of(executive: &Nt) -> Option<&'static Kernel> {
    let kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
    kernels.iter().copied().find(|kernel| core::ptr::eq(&raw const kernel.executive, executive))
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
