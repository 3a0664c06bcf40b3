//! The lower half of the crate: files become memory, or are refused in words.
//!
//! Every file here is written with literal offsets, never through the crate's own structures.

mod files;
mod folder;
mod formats;
mod guest;
mod host;
mod hostile;
mod mutants;
mod oracle;
mod refusals;
mod scan;
mod sparse;
mod symbols;
mod translate;
mod triage;
mod vmware;
