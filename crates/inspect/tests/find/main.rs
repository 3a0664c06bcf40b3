//! Callback objects found in images made by hand.

mod boot;
mod clean;
mod damaged;
mod hostile;
mod support;
mod symbols;
mod triage;
