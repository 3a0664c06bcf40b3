//! Model checks of the executive's lock-free core, and the litmus run for what they do not model: see the tests and the example.
#![forbid(unsafe_code)]

pub mod litmus;
