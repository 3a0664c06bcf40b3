//! How records are shown. Each view is a function from a record to text; none of them judges or computes facts.
#![forbid(unsafe_code)]

pub mod json;
pub mod story;
pub mod text;
