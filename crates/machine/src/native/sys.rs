//! System calls, each as one safe function. All of them go through libc, so that Syscall User Dispatch has one
//! range of code to except.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// What a page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and executing.
    ReadExecute,
    /// Everything. Executable pool before Windows 8, and images whose sections share pages.
    ReadWriteExecute,
}

impl Access {
    fn bits(self) -> libc::c_int {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Self::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
            Self::ReadWriteExecute => libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        }
    }
}

/// Turns a negative result into the error behind it.
pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Creates an anonymous file of `bytes` whose size can never change again.
pub(crate) fn sealed_memory(bytes: usize) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: The name is a NUL-terminated literal; the call touches no other memory.
    let fd = check(unsafe { libc::memfd_create(c"ringbell".as_ptr(), flags) })?;
    // SAFETY: `fd` was just returned by the kernel and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let length = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: Plain system call on a descriptor that is owned here.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), length) })?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: `F_ADD_SEALS` takes an integer; the descriptor is owned here.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    Ok(fd)
}

/// Returns whether `fd` is a file whose size can never change. Any number may be passed.
pub(crate) fn is_sealed(fd: RawFd) -> bool {
    // SAFETY: `F_GET_SEALS` takes no argument and touches no memory; a bad descriptor is an error, not undefined.
    let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0 && seals & libc::F_SEAL_GROW != 0
}

/// Reads from the start of `fd` without moving its position. Any number may be passed.
pub(crate) fn read_start(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: The pointer and length are those of a live, exclusive slice.
    let count = unsafe { libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Returns the length of the file behind `fd`.
pub(crate) fn file_length(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // By number: the C library asks by a call that takes a path too, which a kernel process does not have.
    // SAFETY: `stat` has room for the structure the call fills, which is the kernel's own on x86-64.
    let done = unsafe { libc::syscall(libc::SYS_fstat, fd.as_raw_fd(), stat.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The call succeeded, so the structure is filled.
    let stat = unsafe { stat.assume_init() };
    usize::try_from(stat.st_size).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Closes `fd`, whoever owns it.
#[cfg(test)]
pub(crate) fn close(fd: RawFd) {
    // SAFETY: plain system call; who owns the number finds it closed, which is what tests of that are for.
    unsafe { libc::close(fd) };
}

/// Returns a private copy of descriptor `fd` that is not inherited. Any number may be passed.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: Plain system call; a bad descriptor is an error, not undefined.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: `copy` was just returned by the kernel and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes `target` another name of `source`, closing what `target` was.
pub(crate) fn replace(target: RawFd, source: RawFd) -> io::Result<()> {
    // SAFETY: Plain system call; callers pass standard descriptors, which Rust's `OwnedFd`s never own here.
    check(unsafe { libc::dup2(source, target) }).map(drop)
}

/// Memory shared with another process.
///
/// Both sides may write at any time, so it is only ever seen as atomics.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<AtomicU64>,
    words: usize,
}

impl Mapping {
    /// Maps the whole of `fd`, whose length must be a multiple of eight.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let length = file_length(fd)?;
        if length == 0 || length % 8 != 0 || !is_sealed(fd.as_raw_fd()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: A new mapping at an address of the kernel's choice disturbs no existing one.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { base, words: length / 8 })
    }

    /// Puts the whole of `fd`, which must be as long, in the place of what is mapped. Whoever looks at the words sees
    /// those of `fd` from then on.
    pub(crate) fn replace(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if file_length(fd)? != self.words * 8 || !is_sealed(fd.as_raw_fd()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let base = self.base.as_ptr().cast();
        // SAFETY: exactly the range of this mapping is replaced, by one of the same length and kind; references to its
        // atomics stay good, and that their values change at any time is what they are for.
        let got = unsafe { libc::mmap(base, self.words * 8, access, flags, fd.as_raw_fd(), 0) };
        if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Returns the memory.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: The mapping is page-aligned, `words * 8` bytes long, stays until `self` is dropped, and cannot be
        // cut short because the file is sealed (checked in `new`). Any bit pattern is an `AtomicU64`; this process
        // and the other one access it through atomics only.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

// SAFETY: The mapping belongs to the process, not to a thread, and is accessed through atomics only.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The range was mapped by `new`, and borrows of it cannot outlive `self`.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.words * 8) };
        debug_assert_eq!(result, 0);
    }
}

/// Waits until one of `fds` has something to tell, or for `milliseconds` (`None`: without limit). An interruption
/// counts as nothing to tell.
pub(crate) fn poll(fds: &mut [libc::pollfd], milliseconds: Option<i32>) -> io::Result<()> {
    let count = fds.len() as libc::nfds_t;
    // SAFETY: The pointer and count are those of a live, exclusive slice.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), count, milliseconds.unwrap_or(-1)) }) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Returns whether the other end of socket `fd` is gone. Callable from a signal handler.
pub(crate) fn is_hung_up(fd: RawFd) -> bool {
    let mut entry = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: One entry, live and exclusive; `poll` is async-signal-safe.
    let found = unsafe { libc::poll(&raw mut entry, 1, 0) };
    found > 0 && entry.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
}

/// Sends `signal` to process `pid`.
pub(crate) fn signal_process(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: Plain system call.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Lets the process die of `signal`, which the calling handler is for: as soon as the handler returns.
pub(crate) fn die_of(signal: libc::c_int) {
    // SAFETY: takes a signal and the default action.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: the signal is held back until the handler returns.
    unsafe { libc::raise(signal) };
}

/// Ends the process at once: no destructors, no `atexit`. Callable from a signal handler.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Sends memory from where it lies, and returns how much was taken. Linux copies it, and fails where it cannot be read: there is no reference
/// to it. Callable from a signal handler.
pub(crate) fn send_memory(socket: RawFd, address: u64, bytes: usize) -> io::Result<usize> {
    let start = std::ptr::with_exposed_provenance::<libc::c_void>(address as usize);
    // SAFETY: the kernel checks the address, and reads only.
    let sent = unsafe { libc::send(socket, start, bytes, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Starts the periodic `SIGALRM`.
pub(crate) fn start_ticks(milliseconds: u32) -> io::Result<()> {
    let period = libc::timeval { tv_sec: 0, tv_usec: i64::from(milliseconds) * 1000 };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: `timer` is live and initialized; the old value is not asked for.
    check(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }).map(drop)
}

/// A signal handler in the form the kernel calls.
pub(crate) type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Installs `handler` for `signal`, on the alternate stack, with every other signal held back meanwhile.
pub(crate) fn handle_signal(signal: libc::c_int, handler: Handler) -> io::Result<()> {
    // SAFETY: `sigaction` is plain data; all zero is its empty value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: The set is live and exclusive.
    check(unsafe { libc::sigfillset(&raw mut action.sa_mask) })?;
    // SAFETY: `action` is initialized; `handler` has the form that `SA_SIGINFO` asks for.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }).map(drop)
}

/// Installs `handler` for the next `signal`; one after that has the default action.
pub(crate) fn handle_signal_once(signal: libc::c_int, handler: Handler) -> io::Result<()> {
    // SAFETY: `sigaction` is plain data; all zero is its empty value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART | libc::SA_RESETHAND;
    // SAFETY: `action` is initialized, its empty mask included; `handler` has the form that `SA_SIGINFO` asks for.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }).map(drop)
}

/// Ignores `signal` from now on.
pub(crate) fn ignore_signal(signal: libc::c_int) {
    // SAFETY: takes a signal and the action to ignore it; fails only for signals that cannot be ignored.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Lets writes to `fd` fail where they would wait.
pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) }).map(drop)
}

/// Writes a byte to `fd`, whatever comes of it. Callable from a signal handler.
pub(crate) fn poke(fd: RawFd) {
    let byte = [0_u8];
    // SAFETY: one live byte; `write` is async-signal-safe. A full pipe has something to read already.
    unsafe { libc::write(fd, byte.as_ptr().cast(), 1) };
}

/// Gives the calling thread an alternate signal stack that lives for ever.
///
/// The size comes from `AT_MINSIGSTKSZ`: with AMX state the constants of the C library are too small.
pub(crate) fn install_signal_stack() -> io::Result<()> {
    const AT_MINSIGSTKSZ: libc::c_ulong = 51;
    // SAFETY: `getauxval` has no preconditions.
    let least = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
    let size = (least + 0x1_0000).next_multiple_of(0x1000);
    let memory = Vec::leak(vec![0_u8; size]);
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: size };
    // SAFETY: The stack is `size` bytes of leaked memory that nothing else uses.
    check(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }).map(drop)
}

/// Makes `rdtsc` and `rdtscp` trap in this process and its threads. Returns whether they do. The fast path of the C
/// library's clock executes them, so nothing may ask for the time afterwards.
pub(crate) fn trap_clock() -> bool {
    let zero: libc::c_ulong = 0;
    let trap = libc::PR_TSC_SIGSEGV as libc::c_ulong;
    // SAFETY: the option takes an integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TSC, trap, zero, zero, zero) == 0 }
}

/// Makes `cpuid` trap in the calling thread, or not any more. Returns whether the processor can do that. Callable from a
/// signal handler.
pub(crate) fn trap_identity(on: bool) -> bool {
    const ARCH_SET_CPUID: libc::c_ulong = 0x1012;
    let enabled = libc::c_ulong::from(!on);
    // SAFETY: the option takes an integer and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_CPUID, enabled) == 0 }
}

/// Returns EAX, EBX, ECX, EDX of the host's `cpuid`.
pub(crate) fn cpuid(leaf: u32, part: u32) -> [u32; 4] {
    let (mut eax, ebx, mut ecx, edx): (u32, u64, u32, u32) = (leaf, 0, part, 0);
    let (mut ebx, mut edx) = (ebx, edx);
    // The compiler keeps RBX to itself.
    // SAFETY: `cpuid` touches only these registers, and RBX is put back.
    unsafe {
        std::arch::asm!(
            "mov {kept}, rbx", "cpuid", "xchg {kept}, rbx",
            kept = inout(reg) ebx, inout("eax") eax, inout("ecx") ecx, out("edx") edx,
            options(nomem, nostack, preserves_flags)
        );
    }
    [eax, ebx as u32, ecx, edx]
}

/// Reserves `[base, base + size)` without access. Fails if anything lies there.
pub(crate) fn reserve(base: u64, size: u64) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let wanted = base as usize as *mut libc::c_void;
    // SAFETY: `MAP_FIXED_NOREPLACE` never replaces an existing mapping.
    let got = unsafe { libc::mmap(wanted, size as usize, libc::PROT_NONE, flags, -1, 0) };
    if got == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // Kernels before 4.17 take the flag for a hint.
    if got != wanted {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(())
}

/// Changes what the pages of `[base, base + size)` allow.
///
/// # Safety
///
/// The range lies in a region reserved by [`reserve`], and no Rust reference into it contradicts the change.
pub(crate) unsafe fn protect(base: u64, size: u64, access: Access) -> io::Result<()> {
    // SAFETY: The caller promises that the range is the machine's own and unreferenced.
    check(unsafe { libc::mprotect(base as usize as *mut libc::c_void, size as usize, access.bits()) })
        .map(drop)
}

/// Gives the pages of `[base, base + size)` back; they read as zero when they are made accessible again.
///
/// # Safety
///
/// As for [`protect`].
pub(crate) unsafe fn discard(base: u64, size: u64) -> io::Result<()> {
    let start = base as usize as *mut libc::c_void;
    // SAFETY: The caller promises that the range is the machine's own and unreferenced.
    check(unsafe { libc::madvise(start, size as usize, libc::MADV_DONTNEED) }).map(drop)
}

/// Returns whether the eight bytes around `address` can be read. Touches nothing.
pub(crate) fn is_readable(address: u64) -> bool {
    let set = std::ptr::with_exposed_provenance::<libc::c_void>((address & !7) as usize);
    if set.is_null() {
        // A null set means that none is given.
        return false;
    }
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // The kernel copies the set in before it looks at `how`, which names no operation: the answer is `EFAULT` or `EINVAL`.
    // SAFETY: the call changes nothing, and the kernel checks the address.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, usize::MAX, set, nothing, 8_usize) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EFAULT)
}

/// Sleeps while `word` is `seen`, for at most `time`, until a wake for one of `bits`. Returns whether the time was up; there are
/// other reasons to return.
pub(crate) fn futex_wait(word: &AtomicU32, seen: u32, bits: u32, time: Option<Duration>) -> bool {
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    // For this operation a time is a moment of the monotonic clock, which nothing here may read; the other one takes a span, and
    // wakes for any bit.
    let span = time.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(time.subsec_nanos()),
    });
    let (operation, span) = match &span {
        Some(span) => (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, std::ptr::from_ref(span)),
        None => (operation, std::ptr::null()),
    };
    let nothing = std::ptr::null::<u32>();
    // SAFETY: the word lives as long as the call, and so does the time, where there is one.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, seen, span, nothing, bits) };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT)
}

/// Wakes whoever sleeps on `word` for one of `bits`.
pub(crate) fn futex_wake(word: &AtomicU32, bits: u32) {
    let operation = libc::FUTEX_WAKE_BITSET | libc::FUTEX_PRIVATE_FLAG;
    let (no_time, nothing) = (std::ptr::null::<libc::timespec>(), std::ptr::null::<u32>());
    // SAFETY: the word is live; the call changes no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX, no_time, nothing, bits) };
}

/// Returns the calling thread's number.
pub(crate) fn thread_number() -> i32 {
    // SAFETY: plain system call.
    unsafe { libc::gettid() }
}

/// Sends `signal` to thread `number` of this process. Callable from a signal handler.
pub(crate) fn signal_thread(number: i32, signal: libc::c_int) {
    // SAFETY: plain system call.
    let process = unsafe { libc::getpid() };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_tgkill, process, number, signal) };
}
