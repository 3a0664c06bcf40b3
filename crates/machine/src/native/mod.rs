//! The machine on Linux x86-64.

mod channel;
mod ending;
#[cfg(test)]
pub(crate) mod exercise;
mod exit;
mod kernel;
mod last_words;
mod machine;
mod process;
mod ring;
mod shared;
mod sys;
#[cfg(test)]
mod tests;
mod watch;

pub use machine::Machine;
