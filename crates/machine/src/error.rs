//! Why a machine did not do as asked.

use std::fmt;

/// An error of the machine, not of a driver: what drivers do wrong ends up in the [`Outcome`](crate::Outcome).
#[derive(Debug)]
#[non_exhaustive]
pub enum MachineError {
    /// This is no Linux on x86-64.
    Unsupported,
    /// The configuration names something that does not exist or a size that cannot be.
    Config(String),
    /// The kernel process could not be started.
    Start(std::io::Error),
    /// The kernel process started and could not become a machine; the text is its own.
    Boot(String),
    /// The request was refused; the machine lives on.
    Refused(String),
    /// What was asked for could not be written.
    Write(std::io::Error),
    /// Somebody ended the kernel process with this signal: another process, or Linux for want of memory.
    Killed(i32),
    /// A signal to this process, such as Ctrl-C, came before there was a machine. See [`interrupt`](crate::interrupt).
    Interrupted,
    /// The machine is dead. [`Machine::finish`](crate::Machine::finish) tells how it ended.
    Ended,
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("drivers run on Linux x86-64 only, and this is another machine\nhint: the commands that only read (`imports`, `explain`, `dt`) work here")
            }
            Self::Config(what) | Self::Boot(what) | Self::Refused(what) => f.write_str(what),
            Self::Start(error) => {
                write!(f, "cannot start a kernel process: {error}\nhint: limits on open files or processes may forbid it (`ulimit -a` lists them)")
            }
            Self::Write(error) => write!(f, "cannot write the dump: {error}\nhint: check the path, its folder and the space that is left"),
            Self::Killed(signal) => {
                write!(f, "the kernel process was ended from outside, by signal {signal}\nhint: ")?;
                f.write_str("nothing about the drivers follows from it; run it again (Linux does this for want of memory, and `dmesg` tells)")
            }
            Self::Interrupted => f.write_str("interrupted before a machine was there"),
            Self::Ended => f.write_str("the machine has ended"),
        }
    }
}

impl std::error::Error for MachineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) | Self::Write(error) => Some(error),
            _ => None,
        }
    }
}
