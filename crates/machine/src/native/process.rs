//! A kernel process, seen from its parent: started or forked off, listened to, limited, reaped.
//!
//! The parent never waits without a limit and never believes what it hears without a check. Whatever happens, the
//! process is gone and reaped when this value is dropped.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use record::Event;

use super::ring::Reader;
use super::shared::Shared;
use super::{interrupt, offspring, sys};
use crate::Config;
use crate::wire::{self, Command, Reply};

/// How long a process may take to say where it hangs, and to exit after its socket closed.
const GRACE: Duration = Duration::from_millis(300);

/// Bytes of the process's standard error that are kept.
const OUTPUT_KEPT: usize = 64 << 10;

/// Signal that asks a kernel process for last words.
pub(crate) const ASK: libc::c_int = libc::SIGUSR1;

/// How a process stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    /// Exit status, as far as the process had one of its own.
    pub(crate) status: Option<ExitStatus>,
    /// Whether the time limit was the reason.
    pub(crate) expired: bool,
}

/// Why there is no fork.
#[derive(Debug)]
pub(crate) enum Unforked {
    /// The host did not let this process make what a fork needs.
    Host(io::Error),
    /// The process that was to fork could not, and lives on.
    Refused(String),
    /// The process that was to fork is no more.
    Ended,
}

impl From<io::Error> for Unforked {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

/// A kernel process.
#[derive(Debug)]
pub(crate) struct Process {
    /// The process, a child of this one. Its id is its own until it has been waited for, which `stopped` tells.
    id: u32,
    stream: UnixStream,
    stderr: PipeReader,
    incoming: Vec<u8>,
    reader: Reader,
    pub(crate) shared: Shared,
    pub(crate) events: Vec<Event>,
    pub(crate) event_limit: u64,
    pub(crate) output: Vec<u8>,
    /// What the socket said that it should not have.
    pub(crate) tainted: Option<String>,
    /// Questions asked so far; the kernel process counts them too and numbers its answers.
    asked: u64,
    pub(crate) stopped: Option<Stopped>,
    /// Whether the machine is dead and its process stays to show what memory holds.
    remains: bool,
    /// The signal to this very process that was the reason to end the kernel process.
    pub(crate) interrupted: Option<i32>,
}

impl Process {
    /// Starts this very program again, with `memory` as its standard input.
    pub(crate) fn start(memory: OwnedFd, shared: Shared, event_limit: u64) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let mut command = std::process::Command::new("/proc/self/exe");
        command
            .arg0("ringbell-kernel")
            .env_clear()
            // What the dynamic linker needs to start the same program; nothing else of the environment is foreign
            // code's business.
            .envs(
                ["LD_LIBRARY_PATH", "LD_PRELOAD"]
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .stdin(Stdio::from(memory))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // The command holds the child's ends of socket and memory: only without them is a hang-up seen.
        drop(command);
        let Some(stderr) = child.stderr.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let stderr = PipeReader::from(OwnedFd::from(stderr));
        Ok(Self::new(child.id(), stream, stderr, shared, event_limit))
    }

    fn new(id: u32, stream: UnixStream, stderr: PipeReader, shared: Shared, event_limit: u64) -> Self {
        Self {
            id,
            stream,
            stderr,
            incoming: Vec::new(),
            reader: Reader::default(),
            shared,
            events: Vec::new(),
            event_limit,
            output: Vec::new(),
            tainted: None,
            asked: 0,
            stopped: None,
            remains: false,
            interrupted: None,
        }
    }

    /// Lets the process fork, and takes the new one over: it goes on with `config`, over a socket of its own and the memory
    /// `shared`, and everything recorded so far is the beginning of its stream.
    pub(crate) fn fork(
        &mut self,
        config: &Config,
        memory: &OwnedFd,
        shared: Shared,
        limit: Duration,
    ) -> Result<Self, Unforked> {
        if self.has_ended() {
            return Err(Unforked::Ended);
        }
        shared.inherit(&self.shared);
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let (stderr, their_stderr) = io::pipe()?;
        // The process waits for a command, so the socket is empty and takes both at once: where it does not, the process
        // is gone.
        let command = wire::encode(&Command::Fork {
            config: Box::new(config.clone()),
            schedule: config.schedule.clone(),
        });
        let handed = [memory.as_fd(), theirs.as_fd(), their_stderr.as_fd()];
        let sent = (&self.stream).write_all(&command);
        if sent.and_then(|()| offspring::hand_over(self.stream.as_fd(), handed)).is_err() {
            self.reap(false);
            return Err(Unforked::Ended);
        }
        self.asked += 1;
        // Only without this process's copies is a hang-up of the new one seen.
        drop((theirs, their_stderr));
        match self.exchange(None, limit) {
            // The kernel says whose child it is: whatever the answer claims, no other process is ever ended or waited for.
            Some(Reply::Forked { id }) if id != self.id && offspring::is_child(id) => {
                let mut fork = Self::new(id, stream, stderr, shared, config.event_limit);
                fork.reader = Reader::from(self.reader.next());
                fork.events.clone_from(&self.events);
                Ok(fork)
            }
            Some(Reply::Refused(why)) => Err(Unforked::Refused(why)),
            Some(_) => {
                self.tainted = Some("the kernel process sent the answer to another question".into());
                self.reap(false);
                Err(Unforked::Ended)
            }
            None => Err(Unforked::Ended),
        }
    }

    /// Returns the process's id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the number the next event must have.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.reader.next()
    }

    /// Returns everything that makes the record doubtful.
    pub(crate) fn taints(&self) -> Vec<String> {
        self.tainted.iter().map(String::as_str).chain(self.reader.tainted()).map(str::to_owned).collect()
    }

    /// Sends `command` (if any) and waits at most `limit` for the answer. `None`: the process is no more, and
    /// `stopped` says how.
    pub(crate) fn exchange(&mut self, command: Option<&Command>, limit: Duration) -> Option<Reply> {
        if self.has_ended() {
            return None;
        }
        let deadline = Instant::now() + limit;
        let mut outgoing = command.map(wire::encode).unwrap_or_default();
        self.asked += u64::from(command.is_some());
        loop {
            // Looked at in every turn: a process that talks all the time is late, too.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.expire();
                return None;
            }
            if let Some(signal) = interrupt::caught() {
                self.interrupted = Some(signal);
                self.expire();
                return None;
            }
            match self.hear() {
                Ok(Some(Reply::Dead)) => {
                    self.take_remains();
                    return None;
                }
                Ok(Some(Reply::RingFull)) => {
                    self.drain();
                    outgoing.extend(wire::encode(&Command::GoOn));
                }
                Ok(Some(reply)) => {
                    self.drain();
                    return Some(reply);
                }
                Ok(None) => {
                    if !self.turn(&mut outgoing, left) {
                        self.reap(false);
                        return None;
                    }
                }
                Err(what) => {
                    self.tainted = Some(format!("the kernel process sent {what}"));
                    self.reap(false);
                    return None;
                }
            }
            if self.events.len() as u64 > self.event_limit {
                self.reap(false);
                return None;
            }
        }
    }

    fn hear(&mut self) -> Result<Option<Reply>, String> {
        match wire::decode::<(u64, Reply)>(&mut self.incoming)? {
            // Whichever question was the last, a machine that died answers no other.
            Some((_, Reply::Dead)) => Ok(Some(Reply::Dead)),
            Some((number, _)) if number != self.asked => Err("an answer to another question".into()),
            answer => Ok(answer.map(|(_, reply)| reply)),
        }
    }

    /// Moves bytes for a while. Returns whether the socket is still open.
    fn turn(&mut self, outgoing: &mut Vec<u8>, left: Duration) -> bool {
        let wake = if self.interrupted.is_some() { -1 } else { interrupt::descriptor() };
        let talk = if outgoing.is_empty() { libc::POLLIN } else { libc::POLLIN | libc::POLLOUT };
        let mut fds = [
            libc::pollfd { fd: self.stream.as_raw_fd(), events: talk, revents: 0 },
            libc::pollfd { fd: self.stderr.as_raw_fd(), events: libc::POLLIN, revents: 0 },
            // Looked at by the caller.
            libc::pollfd { fd: wake, events: libc::POLLIN, revents: 0 },
        ];
        let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
        if sys::poll(&mut fds, Some(milliseconds)).is_err() {
            return false;
        }
        if fds[1].revents & libc::POLLIN != 0 {
            self.listen();
        }
        if fds[0].revents & libc::POLLOUT != 0 && !outgoing.is_empty() {
            match (&self.stream).write(outgoing) {
                Ok(count) => drop(outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Whatever it said before it went is still read below.
                Err(_) => outgoing.clear(),
            }
        }
        if fds[0].revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) == 0 {
            return true;
        }
        let mut buffer = [0; 16 << 10];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.incoming.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Reads a piece of standard error, which must have something to read.
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stderr.read(&mut buffer).unwrap_or(0);
        let room = OUTPUT_KEPT.saturating_sub(self.output.len());
        self.output.extend_from_slice(&buffer[..count.min(room)]);
        count != 0
    }

    fn drain(&mut self) {
        self.reader.drain(&self.shared, &mut self.events);
    }

    /// The limit ran out, or somebody interrupts: asks where it hangs, then ends it.
    fn expire(&mut self) {
        // The child is not reaped, so its id is its own; if it is dead, the signal is lost and that is right.
        let asked = sys::signal_process(self.id, ASK);
        if asked.is_ok() {
            let deadline = Instant::now() + GRACE;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || !self.turn(&mut Vec::new(), left) {
                    break;
                }
                // Answers that come too late are none.
                while let Ok(Some(late)) = self.hear() {
                    if matches!(late, Reply::Dead) && self.interrupted.is_none() {
                        return self.take_remains();
                    }
                }
            }
        }
        self.reap(true);
    }

    /// Returns whether the machine is dead.
    pub(crate) fn has_ended(&self) -> bool {
        self.remains || self.stopped.is_some()
    }

    /// Returns whether the machine is dead and [`remains`](Self::remains) can be asked for.
    pub(crate) fn has_remains(&self) -> bool {
        self.remains && self.stopped.is_none()
    }

    /// The process said that the machine died and that it stays.
    fn take_remains(&mut self) {
        self.drain();
        self.drain_output();
        if self.last_words_missing() {
            self.tainted = Some("the kernel process said that it died and not how".into());
            self.reap(false);
        } else {
            self.remains = true;
        }
    }

    /// Reads guest memory of a machine that died. `None` where there is none, or less than was asked for.
    pub(crate) fn remains(&mut self, address: u64, bytes: usize, limit: Duration) -> Option<Vec<u8>> {
        if !self.has_remains() {
            return None;
        }
        let deadline = Instant::now() + limit;
        let mut outgoing = [address.to_le_bytes(), (bytes as u64).to_le_bytes()].concat();
        loop {
            if let Some(there) = self.incoming.first_chunk::<8>() {
                if u64::from_le_bytes(*there) != bytes as u64 {
                    break;
                }
                if self.incoming.len() >= 8 + bytes {
                    let rest = self.incoming.split_off(8 + bytes);
                    let mut answer = std::mem::replace(&mut self.incoming, rest);
                    answer.drain(..8);
                    return Some(answer);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || interrupt::caught().is_some() || !self.turn(&mut outgoing, left) {
                break;
            }
        }
        self.reap(false);
        None
    }

    /// Ends the process if it does not end by itself at once, and takes everything it left.
    pub(crate) fn reap(&mut self, expired: bool) {
        if self.stopped.is_some() {
            return;
        }
        if std::mem::take(&mut self.remains) {
            // It stays until it is told that nobody asks any more. A failure means that it is gone.
            let _ = self.stream.shutdown(std::net::Shutdown::Both);
        }
        let deadline = Instant::now() + GRACE;
        let end = offspring::open_process(self.id);
        let mut pause = Duration::from_micros(20);
        let mut own = None;
        while let Ok(status) = offspring::wait(self.id, false) {
            own = status;
            let left = deadline.saturating_duration_since(Instant::now());
            if own.is_some() || expired && self.last_words_missing() || left.is_zero() {
                break;
            }
            // An exit takes some tens of microseconds.
            if let Ok(end) = &end {
                let mut fds = [libc::pollfd { fd: end.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
                let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
                if sys::poll(&mut fds, Some(milliseconds)).is_ok() {
                    continue;
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        if own.is_none() {
            self.end();
        }
        self.drain();
        self.drain_output();
        self.stopped = Some(Stopped { status: own, expired });
    }

    /// Ends the process and waits for it.
    fn end(&self) {
        // Both fail only where the process is gone already.
        let _ = sys::signal_process(self.id, libc::SIGKILL);
        let _ = offspring::wait(self.id, true);
    }

    fn last_words_missing(&self) -> bool {
        super::last_words::LastWords::read(self.shared.last_words()).is_none()
    }

    /// Reads what is left of standard error, without waiting for a process that inherited it.
    fn drain_output(&mut self) {
        loop {
            let mut fds = [libc::pollfd { fd: self.stderr.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            let ready = sys::poll(&mut fds, Some(0)).is_ok() && fds[0].revents & libc::POLLIN != 0;
            if !ready || !self.listen() {
                return;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stopped.is_none() {
            self.end();
        }
    }
}

/// Returns how a process that left no last words died; `None` where it had to be ended.
pub(crate) fn died(status: Option<ExitStatus>) -> record::Ending {
    record::Ending::Died {
        signal: status.and_then(|status| status.signal()),
        code: status.and_then(|status| status.code()),
    }
}
