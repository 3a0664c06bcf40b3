//! Things a kernel process can be told to do in tests only.

use record::{Event, What};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::sys;
use crate::wire::Reply;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Exercise {
    /// Emit `count` events of about `bytes` each, then answer.
    Emit { count: u64, bytes: usize },
    /// Emit `count` events, then be killed by a signal.
    EmitAndDie { count: u64 },
    /// Loop without ever looking up.
    Spin,
    /// Panic.
    Panic,
    /// Print to both standard streams.
    Print,
    /// Leave with a code of its own.
    Exit(i32),
}

pub(crate) fn run(exercise: Exercise, channel: &Channel) -> Reply {
    match exercise {
        Exercise::Emit { count, bytes } => emit(channel, count, bytes),
        Exercise::EmitAndDie { count } => {
            emit(channel, count, 10);
            std::process::abort();
        }
        Exercise::Spin => loop {
            std::hint::spin_loop();
        },
        Exercise::Panic => panic!("told to"),
        Exercise::Print => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        Exercise::Exit(code) => sys::exit_now(code),
    }
    Reply::Done
}

fn emit(channel: &Channel, count: u64, bytes: usize) {
    for _ in 0..count {
        channel.emit(&Event {
            sequence: channel.sequence(),
            time: 0,
            processor: 0,
            thread: 0,
            irql: 0,
            caller: None,
            what: What::Note { text: "x".repeat(bytes), details: Vec::new() },
        });
    }
}
