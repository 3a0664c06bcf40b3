//! Model checks of the executive's lock-free core: see the tests.
#![no_std]
#![forbid(unsafe_code)]
