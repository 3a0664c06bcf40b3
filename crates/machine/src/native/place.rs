//! What lies at an address a driver should not have touched, in words.

use super::ranges;
use crate::plan;

/// What lies at an address.
pub(super) enum Place {
    Null,
    User,
    Region(&'static str),
    Kernel,
    Image,
    Unloaded,
    Nowhere,
}

impl Place {
    /// Looks `address` up.
    pub(super) fn of(address: u64) -> Self {
        if address < plan::USER.start {
            return Self::Null;
        }
        if address < plan::USER.end {
            return Self::User;
        }
        match ranges::find(address) {
            Some(range) if range.loaded => return Self::Image,
            Some(_) => return Self::Unloaded,
            None => {}
        }
        match plan::region(address) {
            Some(region) if *region == plan::KERNEL_IMAGE => Self::Kernel,
            Some(region) => Self::Region(region.name),
            None => Self::Nowhere,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("a null pointer with an offset"),
            Self::User => f.write_str("a user address that nothing is mapped at"),
            Self::Region(name) => write!(f, "in the {name} but not accessible"),
            Self::Kernel => f.write_str("in the kernel image, which does not allow it"),
            Self::Image => f.write_str("in a driver image, where the page does not allow it"),
            Self::Unloaded => f.write_str("in an image that has been unloaded"),
            Self::Nowhere => f.write_str("where nothing is"),
        }
    }
}
