//! The conformance statements as tests, on every version profile they concern.
//!
//! `statements.toml` holds the statements; a test is named after the number of the one it holds. The tests
//! look at NT's structures in memory, byte offsets included, not at what the executive says about itself.
#![cfg(target_arch = "x86_64")]

mod alpc;
mod create;
mod doors;
mod enumerate;
mod host;
mod initialize;
mod lifetime;
mod memory;
mod misuse;
mod names;
mod notify;
mod race;
mod register;
mod statements;
mod support;
mod threads;
mod waits;

/// How every executive of these tests is booted.
pub(crate) const PROTOCOL: ringbell_executive::Protocol = ringbell_executive::Protocol::Reference;
