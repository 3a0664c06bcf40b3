//! `membarrier` of Linux 4.14: an interrupt to every processor that runs a thread of this process.

#[cfg(target_os = "linux")]
fn call(command: libc::c_int) -> bool {
    // SAFETY: the call takes integers and touches no memory of the process.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Announces the use. Returns whether the system has it.
pub(crate) fn register() -> bool {
    #[cfg(target_os = "linux")]
    return call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    #[cfg(not(target_os = "linux"))]
    false
}

/// Makes every running thread of the process execute a full barrier. It was announced.
pub(crate) fn issue() {
    #[cfg(target_os = "linux")]
    assert!(call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED), "a registered membarrier works");
}
