//! Ringbell implements the callback objects of the Windows NT executive, runs real Windows x64 kernel drivers against
//! them on plain Linux, and audits what they leave behind.
#![forbid(unsafe_code)]
