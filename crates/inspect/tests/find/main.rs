//! Callback objects found in images made by hand.

mod clean;
mod damaged;
mod hostile;
mod support;
mod symbols;
mod triage;
