//! The main program of a kernel process.

use std::os::unix::net::UnixStream;

use super::channel::Channel;
use super::shared::Shared;
use super::{exit, sys, watch};
use crate::Config;
use crate::wire::{Command, Reply};

/// Runs the machine. Called before `main`, which never runs.
pub(crate) fn main() -> ! {
    let Some((shared, stream)) = connect() else { sys::exit_now(exit::NO_MACHINE) };
    let Ok(config) = postcard::from_bytes::<Config>(&shared.config()) else {
        sys::exit_now(exit::NO_MACHINE)
    };
    let channel = Channel::new(stream, shared, config.event_limit);
    let kernel = record::Module { name: "nt".into(), base: 0, size: 0, symbols: Vec::new() };
    channel.send(&Reply::Booted { nonce: shared.nonce(), kernel, build: 0 });
    loop {
        let reply = match channel.receive() {
            Command::Finish => {
                channel.send(&Reply::Finished { last: None, stubs_called: Vec::new() });
                sys::exit_now(exit::FINISHED);
            }
            #[cfg(test)]
            Command::Exercise(exercise) => super::exercise::run(exercise, &channel),
            _ => Reply::Refused("not yet".into()),
        };
        channel.send(&reply);
    }
}

/// Takes memory and socket from the standard descriptors and frees those for ordinary use.
fn connect() -> Option<(&'static Shared, UnixStream)> {
    let memory = sys::duplicate(0).ok()?;
    let shared = Box::leak(Box::new(Shared::open(std::os::fd::AsFd::as_fd(&memory)).ok()?));
    let socket = sys::duplicate(1).ok()?;
    // What host code prints by mistake goes to the parent's keeping, not into the protocol.
    sys::replace(1, 2).ok()?;
    let stream = UnixStream::from(socket);
    watch::install(shared, std::os::fd::AsRawFd::as_raw_fd(&stream)).ok()?;
    Some((shared, stream))
}
