//! How records and tables are shown: text for people, JSON for programs, WinDbg's dialect for those who think in it. Each
//! view is a function from a record to text; none of them judges or computes facts, prints or colors.
#![forbid(unsafe_code)]

pub mod boot;
pub mod catalog;
pub mod difference;
pub mod fields;
pub mod found;
pub mod json;
pub mod namespace;
pub mod story;
pub mod text;
pub mod trace;
pub mod windbg;
