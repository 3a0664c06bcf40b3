//! What a kernel process gives up before driver code runs.
//!
//! Not there yet: seccomp, Landlock, limits (but a process that was forked off cannot make others). What is here is cheap and safe everywhere: the process can gain no
//! privileges and leaves no core file, and a system-call instruction in guest memory traps instead of
//! reaching Linux (Syscall User Dispatch, Linux 5.11; where the kernel lacks it, it reaches Linux). A driver that
//! jumps into the C library is not stopped by that.

use super::instructions::Trapping;
use crate::plan;

/// Gives up what can be given up without asking. Returns which of the instructions that show the host trap.
pub(crate) fn confine() -> Trapping {
    for (option, value) in [(libc::PR_SET_NO_NEW_PRIVS, 1), (libc::PR_SET_DUMPABLE, 0)] {
        let zero: libc::c_ulong = 0;
        // SAFETY: both options take an integer and touch no memory. A refusal changes nothing.
        unsafe { libc::prctl(option, value as libc::c_ulong, zero, zero, zero) };
    }
    confine_thread()
}

/// Does the part of it that Linux keeps for each thread.
pub(crate) fn confine_thread() -> Trapping {
    trap_system_calls();
    Trapping::arm()
}

/// Gives up making processes, for good: a process that was forked off is the last of its line. It also cannot become another
/// program, which would shake off the traps.
///
/// The limit on the user's processes holds for ordinary users; the filter of system calls (Linux 3.5) for everybody. Where neither
/// can be had, nothing changes.
pub(crate) fn give_up_processes() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is live and initialized.
    unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const none) };
    let refused = [
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_execve,
        libc::SYS_execveat,
    ];
    let mut filter = filter(&refused.map(|number| number as u32));
    let program = libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    // SAFETY: the program is live, and as long as it says.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
}

/// A filter that answers the system calls `refused`, and all of another architecture, with `EPERM`.
fn filter(refused: &[u32]) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // `seccomp_data`: the number, then the architecture.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const X86_64: u32 = 0xC000_003E;
    // Set in the numbers of the x32 calls.
    const X32: u32 = 0x4000_0000;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let calls = refused.len() as u8;
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(EQUAL, X86_64, 0, calls + 3),
        step(LOAD, NUMBER, 0, 0),
        step(AT_LEAST, X32, calls + 1, 0),
    ];
    program.extend((0..calls).zip(refused).map(|(before, number)| step(EQUAL, *number, calls - before, 0)));
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program.push(step(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0));
    program
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
