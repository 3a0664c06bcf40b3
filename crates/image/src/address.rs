//! How an address inside a driver is written: module, offset, and the nearest name.

use core::fmt;

/// An address in words: `driver.sys+0x1a2c (DriverEntry+0x1c)`.
///
/// ```
/// use ringbell_image::AddressName;
/// let name = AddressName { module: "driver.sys".into(), rva: 0x1a2c, symbol: Some(("DriverEntry".into(), 0x1c)) };
/// assert_eq!(name.to_string(), "driver.sys+0x1a2c (DriverEntry+0x1c)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressName {
    /// The module's file name.
    pub module: String,
    /// Bytes from the module's base.
    pub rva: u32,
    /// The nearest name before it, and the distance in bytes.
    pub symbol: Option<(String, u32)>,
}

impl fmt::Display for AddressName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.module, self.rva)?;
        match &self.symbol {
            None => Ok(()),
            Some((name, 0)) => write!(f, " ({name})"),
            Some((name, offset)) => write!(f, " ({name}+{offset:#x})"),
        }
    }
}
