//! The machine on Linux x86-64.

mod absent;
mod arguments;
mod base;
mod broadcast;
mod channel;
#[cfg(test)]
mod code_tests;
mod confine;
mod context;
mod decoy;
mod dispatch;
mod driver;
mod driver_object;
mod emulate;
mod ending;
mod exception;
#[cfg(test)]
pub(crate) mod exercise;
mod exit;
mod fault;
mod faults;
mod fiber;
mod filter;
mod fork;
#[cfg(test)]
mod fork_tests;
mod giant;
mod host;
mod host_thread;
mod identity;
mod instructions;
pub mod interrupt;
mod kernel;
mod kernel_image;
mod known;
mod last_words;
mod machine;
mod memory;
mod memory_dump;
mod module_list;
mod offspring;
mod pages;
mod paging;
mod parallel;
mod place;
mod policy;
mod pool;
mod process;
mod processor;
mod random;
mod ranges;
mod registers;
mod remains;
mod ring;
mod run;
mod scenario;
mod scheduler;
mod shared;
mod shared_read;
mod stack;
mod stacks;
mod sys;
#[cfg(test)]
mod tests;
mod trap;
mod waits;
mod watch;
mod world;

pub use base::Base;
pub(crate) use instructions::Trapping;
pub use machine::Machine;
