//! What a kernel process gives up before driver code runs.
//!
//! Not there yet: seccomp, Landlock, limits. What is here is cheap and safe everywhere: the process can gain no
//! privileges and leaves no core file, and a system-call instruction in guest memory traps instead of
//! reaching Linux (Syscall User Dispatch, Linux 5.11; where the kernel lacks it, it reaches Linux). A driver that
//! jumps into the C library is not stopped by that.

use crate::plan;

/// Gives up what can be given up without asking.
pub(crate) fn confine() {
    for (option, value) in [(libc::PR_SET_NO_NEW_PRIVS, 1), (libc::PR_SET_DUMPABLE, 0)] {
        let zero: libc::c_ulong = 0;
        // SAFETY: both options take an integer and touch no memory. A refusal changes nothing.
        unsafe { libc::prctl(option, value as libc::c_ulong, zero, zero, zero) };
    }
    trap_system_calls();
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
