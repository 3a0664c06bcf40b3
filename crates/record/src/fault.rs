//! Calls that are made to fail.
//!
//! A call that can fail is identified by the export and by the path that led to it, so that the same call is found again in another run
//! of the same driver: the path is a hash of the call stack, each address as module and offset.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

/// A call that can fail, and the path to it. Displays as `ExAllocatePoolWithTag-00c0ffee00c0ffee`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct FaultId {
    /// Name of the export.
    pub export: String,
    /// Hash of the call stack.
    pub path: u64,
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.export, self.path)
    }
}

impl FromStr for FaultId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(export, path)| {
            let named = !export.is_empty() && export.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let hexadecimal = path.len() == 16 && path.bytes().all(|byte| byte.is_ascii_hexdigit());
            let path = u64::from_str_radix(path, 16).ok().filter(|_| named && hexadecimal)?;
            Some(Self { export: export.into(), path })
        });
        parsed.ok_or_else(|| {
            alloc::format!("`{text}` is no call that can fail (they look like `IoCreateDevice-00c0ffee00c0ffee`, or are a number from 1)")
        })
    }
}

impl From<FaultId> for String {
    fn from(id: FaultId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for FaultId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Which call of a run is to fail. One at most: an error path is entered by one failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FaultPlan {
    /// None; calls that can fail are told.
    Watch,
    /// The one with this number among the calls that can fail, from 1.
    Number(u64),
    /// The first with this path.
    At(FaultId),
}

impl FromStr for FaultPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("calls that can fail are counted from 1".into()),
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => text.parse().map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_as_they_are_shown() {
        let id = FaultId { export: "ExAllocatePool2".into(), path: 0xc0_ffee };
        assert_eq!(id.to_string(), "ExAllocatePool2-0000000000c0ffee");
        assert_eq!(id.to_string().parse(), Ok(FaultPlan::At(id)));
        assert_eq!("7".parse(), Ok(FaultPlan::Number(7)));
        for wrong in [
            "",
            "0",
            "-1",
            "X",
            "X-",
            "X-1",
            "-00c0ffee00c0ffee",
            "X-+0c0ffee00c0ffee",
            "a b-00c0ffee00c0ffee",
        ] {
            assert!(wrong.parse::<FaultPlan>().is_err(), "{wrong}");
        }
    }
}
