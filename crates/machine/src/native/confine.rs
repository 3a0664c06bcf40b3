//! What a kernel process gives up before driver code runs.
//!
//! Not there yet: seccomp, Landlock, Syscall User Dispatch. A driver that executes a Linux system call reaches Linux.
//! What is here is cheap and safe everywhere: the process can gain no privileges, leaves no core file with its
//! parent's files open, and cannot be traced by its siblings.

/// Gives up what can be given up without asking.
pub(crate) fn confine() {
    for (option, value) in [(libc::PR_SET_NO_NEW_PRIVS, 1), (libc::PR_SET_DUMPABLE, 0)] {
        let zero: libc::c_ulong = 0;
        // SAFETY: both options take an integer and touch no memory. A refusal changes nothing.
        unsafe { libc::prctl(option, value as libc::c_ulong, zero, zero, zero) };
    }
}
