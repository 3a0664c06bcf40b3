//! The kernel process's end of the socket, and its end of the event ring.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use record::Event;

use super::last_words::{Kind, Pen};
use super::ring::Writer;
use super::shared::Shared;
use super::{exit, memory, offspring, sys};
use crate::wire::{self, Command, Reply};

/// Connection to the parent.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    ring: Writer<'static>,
    shared: &'static Shared,
    limit: Cell<u64>,
    sent: Cell<u64>,
    /// Questions received so far. An answer carries the number of its question.
    asked: Cell<u64>,
}

impl Channel {
    /// Connects; more than `limit` events end the process.
    pub(crate) fn new(stream: UnixStream, shared: &'static Shared, limit: u64) -> Self {
        Self {
            stream,
            ring: Writer::new(shared),
            shared,
            limit: Cell::new(limit),
            sent: Cell::new(0),
            asked: Cell::new(0),
        }
    }

    /// Waits for the next command. A parent that is gone ends the process.
    pub(crate) fn receive(&self) -> Command {
        let mut length = [0; 4];
        self.read(&mut length);
        let mut buffer = vec![0; 4 + u32::from_le_bytes(length) as usize];
        buffer[..4].copy_from_slice(&length);
        self.read(&mut buffer[4..]);
        match wire::decode(&mut buffer) {
            Ok(Some(command)) => {
                if !matches!(command, Command::GoOn) {
                    self.asked.set(self.asked.get() + 1);
                }
                command
            }
            _ => sys::exit_now(exit::PROTOCOL),
        }
    }

    /// Receives what a fork is to have for its own: memory, socket, standard error. They follow the command that asks
    /// for the fork.
    pub(crate) fn receive_descriptors(&self) -> io::Result<[OwnedFd; 3]> {
        offspring::take_over(self.stream.as_fd())
    }

    /// Makes this the channel of a process that was forked off: another parent's end, another memory, under the old
    /// numbers and addresses, so that signal handlers never see them change. The count of events goes on.
    pub(crate) fn replace(&self, [memory, socket, errors]: [OwnedFd; 3]) -> io::Result<()> {
        sys::replace(self.stream.as_raw_fd(), socket.as_raw_fd())?;
        self.shared.replace(memory.as_fd())?;
        for (target, source) in [(0, &memory), (1, &errors), (2, &errors)] {
            sys::replace(target, source.as_raw_fd())?;
        }
        self.ring.restart();
        self.asked.set(0);
        Ok(())
    }

    /// Lets as many events happen as `limit` says.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.set(limit);
    }

    fn read(&self, buffer: &mut [u8]) {
        if (&self.stream).read_exact(buffer).is_err() {
            sys::exit_now(exit::ORPHAN);
        }
    }

    /// Sends a reply. A parent that is gone ends the process.
    pub(crate) fn send(&self, reply: &Reply) {
        if (&self.stream).write_all(&wire::encode(&(self.asked.get(), reply))).is_err() {
            sys::exit_now(exit::ORPHAN);
        }
    }

    /// Says that the machine died, and shows guest memory until the parent is gone. Callable from a signal handler: nothing is allocated.
    pub(crate) fn show_remains(&self) {
        let mut room = [0; 32];
        let Some(death) = wire::encode_death(self.asked.get(), &mut room) else { return };
        if (&self.stream).write_all(death).is_err() {
            return;
        }
        let (mut address, mut bytes) = ([0; 8], [0; 8]);
        while (&self.stream).read_exact(&mut address).is_ok() && (&self.stream).read_exact(&mut bytes).is_ok()
        {
            let address = u64::from_le_bytes(address);
            let bytes = memory::readable(address, u64::from_le_bytes(bytes));
            if (&self.stream).write_all(&bytes.to_le_bytes()).is_err() {
                return;
            }
            let mut sent = 0;
            while sent < bytes {
                match sys::send_memory(self.stream.as_raw_fd(), address + sent, (bytes - sent) as usize) {
                    Ok(count) => sent += count as u64,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        }
    }

    /// Returns the number of the next event.
    pub(crate) fn sequence(&self) -> u64 {
        self.sent.get()
    }

    /// Sends bytes that are no reply.
    #[cfg(test)]
    pub(crate) fn babble(&self, bytes: &[u8]) {
        let _ = (&self.stream).write_all(bytes);
    }

    /// Overwrites everything shared that a dying or hostile process could.
    #[cfg(test)]
    pub(crate) fn scribble(&self, byte: u8) {
        let word = u64::from_ne_bytes([byte; 8]);
        let places = [self.shared.ring(), self.shared.last_words()].into_iter().flatten();
        places
            .chain([self.shared.head()])
            .for_each(|place| place.store(word, std::sync::atomic::Ordering::Relaxed));
    }

    /// Closes the socket, in both directions.
    #[cfg(test)]
    pub(crate) fn hang_up(&self) {
        sys::close(self.stream.as_raw_fd());
    }

    /// Sends an event, waiting for the parent where the ring is full. One event too many ends the process.
    pub(crate) fn emit(&self, event: &Event) {
        if self.sent.get() >= self.limit.get() {
            Pen(self.shared.last_words()).done(Kind::EventLimit);
            sys::exit_now(exit::LAST_WORDS);
        }
        self.sent.set(event.sequence + 1);
        let bytes = postcard::to_allocvec(event).unwrap_or_default();
        self.ring.push(&bytes, || {
            self.send(&Reply::RingFull);
            if !matches!(self.receive(), Command::GoOn) {
                sys::exit_now(exit::PROTOCOL);
            }
        });
    }
}
