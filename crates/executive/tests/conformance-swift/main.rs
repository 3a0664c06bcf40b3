//! The conformance statements on the protocol *Swift*: the same tests, the same memory, another way for notify and
//! unregister to find out about each other.
#![cfg(target_arch = "x86_64")]

#[path = "../conformance/alpc.rs"]
mod alpc;
#[path = "../conformance/create.rs"]
mod create;
#[path = "../conformance/doors.rs"]
mod doors;
#[path = "../conformance/enumerate.rs"]
mod enumerate;
#[path = "../conformance/host.rs"]
mod host;
#[path = "../conformance/initialize.rs"]
mod initialize;
#[path = "../conformance/lifetime.rs"]
mod lifetime;
#[path = "../conformance/memory.rs"]
mod memory;
#[path = "../conformance/misuse.rs"]
mod misuse;
#[path = "../conformance/names.rs"]
mod names;
#[path = "../conformance/notify.rs"]
mod notify;
#[path = "../conformance/race.rs"]
mod race;
#[path = "../conformance/register.rs"]
mod register;
#[path = "../conformance/support/mod.rs"]
mod support;
#[path = "../conformance/threads.rs"]
mod threads;
#[path = "../conformance/waits.rs"]
mod waits;

/// How every executive of these tests is booted.
pub(crate) const PROTOCOL: ringbell_executive::Protocol = ringbell_executive::Protocol::Swift;
