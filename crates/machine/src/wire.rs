//! What parent and kernel process say to each other over the socket.
//!
//! A message is its length (four bytes, little-endian) and a postcard value. One command is under way at a time and has
//! one answer; while it runs, the kernel process may say [`Reply::RingFull`] any number of times and is told
//! [`Command::GoOn`] after the parent has emptied the ring. Both sides count the commands, and a reply carries the count, so
//! that no reply is taken for another's.

use record::{Module, Schedule, Snapshot};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::native::Trapping;

/// Longest message taken from the kernel process.
pub(crate) const LONGEST: usize = 64 << 20;

/// Parent to kernel process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The ring has room again.
    GoOn,
    /// Take choices from another seed, and the order of threads from a schedule.
    Reseed { seed: u64, schedule: Option<Schedule> },
    /// Load a driver and call its `DriverEntry`.
    Load { name: String, image: Vec<u8> },
    /// Call `DriverUnload`, audit, unmap.
    Unload { driver: String },
    /// Ring the named callback object.
    Notify { object: String, argument1: u64, argument2: u64, irql: u8 },
    /// Play an event of the catalog.
    Event { name: String },
    /// Let virtual time pass, in units of 100 ns.
    Advance { ticks: u64 },
    /// Do several of the above at once, each in a thread of its own.
    Parallel { members: Vec<Command> },
    /// Record that a step of the scenario begins.
    Step { text: String },
    /// Describe all callback objects.
    Snapshot,
    /// Make the accessible parts of guest memory those that the host's map of the process shows.
    Regions,
    /// Give up forking.
    NeverFork,
    /// When the machine dies, stay and show its memory.
    Stay,
    /// Send guest memory that was listed.
    Read { address: u64, bytes: u32 },
    /// Fork off a process that goes on with these settings and, where there is one, this order of threads. A byte with descriptors follows: the new process's shared
    /// memory, its end of a socket, its standard error.
    Fork { config: Box<crate::Config>, schedule: Option<Schedule> },
    /// Tell the last state and exit.
    Finish,
    #[cfg(test)]
    Exercise(crate::native::exercise::Exercise),
}

/// A stretch of guest memory that can be read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Accessible {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

/// Kernel process to parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The machine is up. The nonce proves that it is this machine's.
    Booted { nonce: [u64; 2], kernel: Module, build: u32, trapping: Trapping },
    /// The ring is full: empty it and say `GoOn`.
    RingFull,
    /// Done, nothing to tell.
    Done,
    /// A driver was mapped and its entry point returned.
    Loaded { base: u64, size: u64, status: u32 },
    /// A driver was asked to leave.
    Unloaded(record::UnloadOutcome),
    /// What each of several came to.
    Parallel(Vec<Reply>),
    /// The objects.
    Snapshot(Snapshot),
    /// Guest memory is as the host's map shows it; the virtual time.
    Regions { now: u64 },
    /// Guest memory.
    Bytes(Vec<u8>),
    /// A process was forked off, with this id.
    Forked { id: u32 },
    /// The last message.
    Finished { last: Option<Snapshot>, stubs_called: Vec<(String, u64)> },
    /// Not done, and why; the machine lives on.
    Refused(String),
    /// The machine died, last words say how, and its process stays to show what memory holds: from here on the parent sends address and
    /// length (eight bytes each, little-endian) and is sent how many of those bytes can be read, in eight bytes, and the bytes.
    Dead,
}

/// Returns the message for `value`.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(value, bytes).unwrap_or_default();
    // An allocation failure aborts, and no type here has a serializer that fails, so the message is always there.
    if let Some(length) = bytes.len().checked_sub(4) {
        bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    }
    bytes
}

/// Writes the message that the machine died as the answer to question `number`. Allocates nothing.
pub(crate) fn encode_death(number: u64, room: &mut [u8; 32]) -> Option<&[u8]> {
    let (length, body) = room.split_at_mut(4);
    let used = postcard::to_slice(&(number, Reply::Dead), body).ok()?.len();
    length.copy_from_slice(&(used as u32).to_le_bytes());
    room.get(..4 + used)
}

/// Takes the first message out of `buffer`, if it is complete.
///
/// # Errors
///
/// Says what is wrong with the bytes; the stream is useless then.
pub(crate) fn decode<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>, String> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > LONGEST {
        return Err(format!("a message of {length} bytes"));
    }
    let Some(body) = buffer.get(4..4 + length) else { return Ok(None) };
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| format!("an unreadable message: {error}"))?;
    if !rest.is_empty() {
        return Err("a message with more bytes than it needs".into());
    }
    buffer.drain(..4 + length);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_when_its_last_byte_does() {
        let bytes = encode(&Reply::Refused("no".into()));
        let mut buffer = Vec::new();
        for &byte in &bytes[..bytes.len() - 1] {
            buffer.push(byte);
            assert!(decode::<Reply>(&mut buffer).unwrap().is_none());
        }
        buffer.push(bytes[bytes.len() - 1]);
        buffer.push(7);
        assert!(matches!(decode(&mut buffer), Ok(Some(Reply::Refused(text))) if text == "no"));
        assert_eq!(buffer, [7]);
    }

    #[test]
    fn a_death_is_a_message_like_others() {
        for number in [0, 7, u64::MAX] {
            let mut room = [0xAA; 32];
            let mut bytes = encode_death(number, &mut room).unwrap().to_vec();
            assert_eq!(bytes, encode(&(number, Reply::Dead)));
            assert!(
                matches!(decode::<(u64, Reply)>(&mut bytes), Ok(Some((read, Reply::Dead))) if read == number)
            );
        }
    }

    #[test]
    fn hostile_messages_are_errors() {
        for bytes in [vec![0xff; 8], vec![1, 0, 0, 0, 0xee], vec![2, 0, 0, 0, 2, 2], vec![0, 0, 0, 0]] {
            assert!(decode::<Reply>(&mut bytes.clone()).is_err(), "{bytes:02x?}");
        }
    }
}
