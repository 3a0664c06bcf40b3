//! What a kernel process gives up before driver code runs.
//!
//! Driver code shares the address space of host code, so a driver that jumps into the C library reaches every system call that is left. Therefore
//! hardly any is:
//!
//! | given up by | what | where Linux lacks it |
//! |---|---|---|
//! | `PR_SET_NO_NEW_PRIVS` | privileges of programs | Linux 3.5 |
//! | Syscall User Dispatch | system-call instructions in guest memory: they trap | Linux 5.11; the filter holds |
//! | [`filter`] (seccomp) | files, sockets, programs, other processes, forking but for a snapshot | Linux 3.5 |
//! | Landlock | every path of the file system, whatever call leads there | Linux 5.13; the filter holds |
//! | limits | core files, new descriptors beyond a few, growing files, processes | |
//!
//! A limit on address space is not among them: guest memory is reserved as a whole, and what a driver allocates is limited by the
//! regions of the plan.

use super::filter::{self, Forking};
use super::instructions::Trapping;
use crate::plan;

/// Gives up what can be given up without asking, while there is one thread. Returns which of the instructions that show the host trap.
pub(crate) fn confine() -> Trapping {
    let (zero, one): (libc::c_ulong, libc::c_ulong) = (0, 1);
    // SAFETY: the option takes integers and touches no memory. A refusal changes nothing.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) };
    // Holds for the calling thread and those that it makes, which it has none of yet.
    give_up_paths();
    confine_thread()
}

/// Does the part of it that Linux keeps for each thread.
pub(crate) fn confine_thread() -> Trapping {
    trap_system_calls();
    Trapping::arm()
}

/// Gives up files, sockets, programs and other processes, in all threads and for good. What is left is the way to the parent, memory, and
/// for the snapshot of a base the fork. Needs [`confine`] to have been called.
pub(crate) fn seal() {
    // One byte: neither a file nor, unlike with zero, a program that takes core dumps.
    limit(libc::RLIMIT_CORE, 1);
    limit(libc::RLIMIT_FSIZE, 0);
    limit(libc::RLIMIT_NOFILE, 32);
    install(&filter::program(Forking::Yes, 0));
}

/// Gives up making processes, for good: a process that was forked off is the last of its line, and so is one whose parent says that it
/// will not fork it.
///
/// The limit on the user's processes holds for ordinary users; the filter for everybody.
pub(crate) fn give_up_processes() {
    limit(libc::RLIMIT_NPROC, 0);
    install(&filter::program(Forking::Never, std::process::id()));
}

fn limit(what: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit is live and initialized. A refusal changes nothing.
    unsafe { libc::setrlimit(what, &raw const limit) };
}

/// Adds a filter of system calls in all threads. Where there is no seccomp, nothing changes.
fn install(program: &[libc::sock_filter]) {
    let length = program.len() as libc::c_ushort;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the program is live, as long as it says, and only read.
    unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
}

/// Gives up every path of the file system (Landlock): all that its first version can take away, with no exception.
fn give_up_paths() {
    // `landlock_ruleset_attr` of version 1: execute, write, read files and directories, remove and make anything.
    let all: u64 = (1 << 13) - 1;
    let nothing: libc::c_ulong = 0;
    // SAFETY: the attribute is live and as long as it says.
    let rules = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const all, size_of::<u64>(), nothing)
    };
    if rules < 0 {
        return;
    }
    // SAFETY: takes integers.
    unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules, nothing) };
    // SAFETY: the descriptor was made above, and nobody else knows it.
    unsafe { libc::close(rules as libc::c_int) };
}

/// Makes every system call trap whose instruction lies below the end of the kernel range. Host code lies above it: a
/// program for which that is not so does not boot.
fn trap_system_calls() {
    const PR_SET_SYSCALL_USER_DISPATCH: libc::c_int = 59;
    const PR_SYS_DISPATCH_ON: libc::c_ulong = 1;
    const END_OF_ADDRESSES: u64 = 1 << 47;
    let excepted = plan::KERNEL.end as libc::c_ulong;
    let length = (END_OF_ADDRESSES - plan::KERNEL.end) as libc::c_ulong;
    let no_selector: libc::c_ulong = 0;
    // SAFETY: takes integers; no selector byte is given, so the setting stands for good. A refusal changes nothing.
    unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, excepted, length, no_selector) };
}
