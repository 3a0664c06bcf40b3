//! System calls about processes and what passes between them: forking, waiting, handing over descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::sys::check;

/// Descriptors handed over at once.
pub(crate) const HANDED: usize = 3;

/// Length of the control message: its header, and three descriptors of four bytes.
const CONTROL: usize = 16 + 4 * HANDED;

fn process(id: u32) -> io::Result<libc::pid_t> {
    libc::pid_t::try_from(id).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Forks the calling process as another child of its parent, who can wait for it and end it. Returns the new process's id
/// in the calling one and `None` in the new one.
///
/// The system call is made directly, because the C library's `fork` does not know of `CLONE_PARENT`. What the library does
/// beside the call concerns other threads.
///
/// # Safety
///
/// The process has one thread.
pub(crate) unsafe fn fork_beside() -> io::Result<Option<u32>> {
    let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as libc::c_ulong;
    let none: libc::c_ulong = 0;
    // SAFETY: without `CLONE_VM` the new process has a copy of the memory, and goes on in this very function; the caller
    // promises that no other thread holds a lock that the copy would wait for.
    let id = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match u32::try_from(id) {
        Ok(0) => Ok(None),
        Ok(id) => Ok(Some(id)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns whether `id` is a child of this process that has not been waited for.
pub(crate) fn is_child(id: u32) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` has room for the structure the call may fill; nothing is waited for.
    unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) == 0 }
}

/// Waits for the child `id`, only a look where `block` is not set. `None`: it has not ended yet.
pub(crate) fn wait(id: u32, block: bool) -> io::Result<Option<ExitStatus>> {
    let id = process(id)?;
    let mut status = 0;
    loop {
        // SAFETY: `status` is live and exclusive.
        match check(unsafe { libc::waitpid(id, &raw mut status, if block { 0 } else { libc::WNOHANG }) }) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(ExitStatus::from_raw(status))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns a descriptor that becomes readable when the child `id` ends (Linux 5.3).
pub(crate) fn open_process(id: u32) -> io::Result<OwnedFd> {
    let flags: libc::c_uint = 0;
    // SAFETY: takes integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process(id)?, flags) };
    let fd = check(RawFd::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?)?;
    // SAFETY: `fd` was just returned by the kernel and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The control message that carries descriptors: length, level and type, and the descriptors.
fn control(handed: [RawFd; HANDED]) -> [u64; 4] {
    let pair = |low: i32, high: i32| u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32;
    let [first, second, third] = handed;
    [CONTROL as u64, pair(libc::SOL_SOCKET, libc::SCM_RIGHTS), pair(first, second), pair(third, 0)]
}

fn message(byte: &mut libc::iovec, control: &mut [u64; 4]) -> libc::msghdr {
    // SAFETY: `msghdr` is plain data; all zero is its empty value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = byte;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(control);
    message
}

/// Sends one byte over `socket`, and with it copies of three descriptors.
pub(crate) fn hand_over(socket: BorrowedFd<'_>, handed: [BorrowedFd<'_>; HANDED]) -> io::Result<()> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = control(handed.map(|fd| fd.as_raw_fd()));
    let mut message = message(&mut vector, &mut control);
    message.msg_controllen = CONTROL;
    // SAFETY: the message leads to one live byte and one live control message of the form described above.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives what [`hand_over`] sent, waiting for it.
pub(crate) fn take_over(socket: BorrowedFd<'_>) -> io::Result<[OwnedFd; HANDED]> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut words = [0_u64; 4];
    let mut message = message(&mut vector, &mut words);
    let received = loop {
        // SAFETY: the message leads to one live byte and to live room for a control message.
        let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if count >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break count;
        }
    };
    let length = message.msg_controllen;
    if received != 1 || length < CONTROL || words[..2] != control([0; HANDED])[..2] {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let [first, second] = [words[2] as u32, (words[2] >> 32) as u32];
    // SAFETY: the kernel made these descriptors for this process just now, and nobody else knows them.
    Ok([first, second, words[3] as u32].map(|fd| unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) }))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_arrive_and_work() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        let (other, _) = UnixStream::pair().unwrap();
        hand_over(near.as_fd(), [writer.as_fd(), other.as_fd(), reader.as_fd()]).unwrap();
        let [copy, _, _] = take_over(far.as_fd()).unwrap();
        let mut copy = std::fs::File::from(copy);
        copy.write_all(b"through").unwrap();
        writer.write_all(b"!").unwrap();
        drop((copy, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through!");
    }

    #[test]
    fn a_byte_without_descriptors_is_refused() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"x").unwrap();
        assert!(take_over(far.as_fd()).is_err());
        drop(near);
        assert!(take_over(far.as_fd()).is_err());
    }

    #[test]
    fn children_are_told_from_other_processes() {
        assert!(!is_child(std::process::id()));
        assert!(!is_child(1));
        let mut child = std::process::Command::new("/proc/self/exe")
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert!(is_child(child.id()));
        child.wait().unwrap();
        assert!(!is_child(child.id()));
    }
}
