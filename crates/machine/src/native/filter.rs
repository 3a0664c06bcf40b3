//! The filter of system calls (seccomp, Linux 3.5): which ones a kernel process still has, and why.
//!
//! It is a program for the kernel's packet filter. What it does not let pass fails with `EPERM` and does nothing: no file is opened or made, no
//! socket, no program, no other process is looked at or signaled. Filters add up and are inherited: a process that was forked off has
//! that of its base and one more.

/// Whether the fork of a snapshot may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forking {
    Yes,
    Never,
}

/// What a kernel process needs once it has booted, the frequent ones first.
const NEEDED: &[(libc::c_long, &str)] = &[
    (libc::SYS_recvfrom, "commands of the parent"),
    (libc::SYS_sendto, "answers to it"),
    (libc::SYS_read, "the same, where the standard library reads"),
    (libc::SYS_write, "what host code complains about on its standard error"),
    (libc::SYS_poll, "whether the parent is still there"),
    (libc::SYS_mprotect, "pages of guest memory that come, go and change"),
    (libc::SYS_madvise, "pages that are given back"),
    (libc::SYS_mmap, "host memory; the event ring of a fork"),
    (libc::SYS_munmap, "host memory"),
    (libc::SYS_mremap, "host memory"),
    (libc::SYS_brk, "host memory"),
    (libc::SYS_rt_sigreturn, "the end of each trap"),
    (libc::SYS_rt_sigprocmask, "whether an address can be read; host code that aborts"),
    (libc::SYS_rt_sigaction, "a signal from outside that is passed on"),
    (libc::SYS_sigaltstack, "the signal stack of a host thread"),
    (libc::SYS_futex, "host threads that wait for each other"),
    (libc::SYS_sched_yield, "the same"),
    (libc::SYS_sched_getaffinity, "the start of a host thread"),
    (libc::SYS_set_robust_list, "the same"),
    (libc::SYS_rseq, "the same"),
    (libc::SYS_membarrier, "the heavy barrier of the executive"),
    (libc::SYS_clock_nanosleep, "host threads that wait"),
    (libc::SYS_nanosleep, "the same"),
    (libc::SYS_restart_syscall, "a wait that a signal interrupted"),
    (libc::SYS_gettid, "which thread to signal"),
    (libc::SYS_getpid, "the same"),
    (libc::SYS_arch_prctl, "the trap of `cpuid`, which the handler lifts for itself"),
    (libc::SYS_prctl, "the traps of a fork and of a host thread"),
    (libc::SYS_seccomp, "a further filter"),
    (libc::SYS_prlimit64, "lower limits"),
    (libc::SYS_setrlimit, "the same"),
    (libc::SYS_setitimer, "looks at the parent"),
    (libc::SYS_recvmsg, "descriptors for a fork, also where it is then refused"),
    (libc::SYS_close, "what a fork does not keep"),
    (libc::SYS_fcntl, "whether the shared memory is sealed"),
    (libc::SYS_fstat, "how long it is"),
    (libc::SYS_exit, "the end of a host thread"),
    (libc::SYS_exit_group, "the end"),
];

/// What it needs beside, to fork: putting descriptors in their places.
const TO_FORK: &[(libc::c_long, &str)] = &[
    (libc::SYS_dup2, "the descriptors of a fork"),
    (libc::SYS_dup3, "the same"),
    (libc::SYS_tgkill, "a fork that aborts, which inherits this"),
];

// `seccomp_data`: the number, the architecture, and the arguments from 16 on.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const X86_64: u32 = 0xC000_003E;

/// Set in the numbers of the x32 calls.
const X32: u32 = 0x4000_0000;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

/// Returns the program for process `process`, which lets it signal itself. Who may fork has the number of no process in it: forks inherit
/// it.
pub(super) fn program(forking: Forking, process: u32) -> Vec<libc::sock_filter> {
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    let refuse = step(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0);
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(EQUAL, X86_64, 1, 0),
        refuse,
        step(LOAD, NUMBER, 0, 0),
        step(AT_LEAST, X32, 0, 1),
        refuse,
    ];
    let calls = |program: &mut Vec<_>, calls: &[(libc::c_long, &str)]| {
        for (number, _) in calls {
            program.extend([step(EQUAL, *number as u32, 0, 1), allow]);
        }
    };
    // With a first argument of which the lower half is this one.
    let with = |program: &mut Vec<_>, number: libc::c_long, argument: u32| {
        let test = [step(LOAD, FIRST_ARGUMENT, 0, 0), step(EQUAL, argument, 0, 1), allow, refuse];
        program.push(step(EQUAL, number as u32, 0, test.len() as u8));
        program.extend(test);
    };
    calls(&mut program, NEEDED);
    match forking {
        Forking::Yes => {
            calls(&mut program, TO_FORK);
            // Nothing but a copy of itself, as another child of its parent.
            with(&mut program, libc::SYS_clone, (libc::CLONE_PARENT | libc::SIGCHLD) as u32);
        }
        Forking::Never => with(&mut program, libc::SYS_tgkill, process),
    }
    program.push(refuse);
    program
}
