//! The vocabulary and the facts of Windows NT callback objects: layout-exact types, status codes, version profiles,
//! the name hash. No state and no behavior; `no_std` without `alloc`.
//!
//! Names are NT's own, so what a driver developer or a debugger calls a thing is what it is called here. The modules
//! follow NT's prefixes; everything raw is re-exported at the root.
//!
//! | module | holds |
//! |---|---|
//! | [`ntdef`] | lists, counted strings, object attributes |
//! | [`ke`] | dispatcher objects, DPCs, threads, the processor's block, shared user data |
//! | [`mm`] | pool header, tags and types, descriptor lists |
//! | [`se`] | SIDs, access lists, descriptors, masks, privileges |
//! | [`ob`] | object headers, directories, types, links, attributes |
//! | [`ex`] | callback objects and registrations, resources, mutexes, work items |
//! | [`alpc`] | ports that ring callback objects |
//! | [`io`] | drivers, devices, requests, control codes, power events |
//! | [`ps`] | threads, processes, loaded modules |
//! | [`layout`] | the macro behind all of them, field tables, [`Pod`] |
//! | [`status`], [`bugcheck`], [`irql`] | codes with names |
//! | [`profile`] | what differs between Windows versions, as data |
//! | [`hash`] | upper case and the directory hash |
//! | [`catalog`] | which callback objects exist, who makes them ring, one recorded boot |
//!
//! The structures describe a 64-bit machine and are read from memory as they are; readers of memory images use the
//! field tables with 64-bit addresses instead.

#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "identifiers are NT's own, so that they can be searched for"
)]

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "the structures describe 64-bit little-endian Windows; build for a 64-bit little-endian target"
);

pub mod alpc;
pub mod bugcheck;
pub mod catalog;
pub mod ex;
pub mod hash;
pub mod io;
pub mod irql;
pub mod ke;
pub mod layout;
pub mod mm;
pub mod ntdef;
pub mod ob;
pub mod profile;
pub mod ps;
pub mod se;
pub mod status;
pub mod time;

pub use alpc::*;
pub use bugcheck::{BugCheck, FastFail};
pub use ex::*;
pub use io::*;
pub use irql::Irql;
pub use ke::*;
pub use layout::{Field, Layout, Pod, layout_for};
pub use mm::*;
pub use ntdef::*;
pub use ob::*;
pub use profile::Profile;
pub use ps::*;
pub use se::*;
pub use status::*;
