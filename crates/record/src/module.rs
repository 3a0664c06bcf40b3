//! Modules and the names of addresses in them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A name for an offset in a module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Symbol {
    /// Offset from the module's base.
    pub rva: u32,
    /// Name as the image spells it.
    pub name: String,
}

/// A loaded (or formerly loaded) image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Module {
    /// File name, `listener.sys`; the kernel's is `nt`.
    pub name: String,
    /// Where it was mapped.
    pub base: u64,
    /// `SizeOfImage`.
    pub size: u64,
    /// Symbols of its code, sorted by RVA.
    pub symbols: Vec<Symbol>,
}

impl Module {
    /// Returns whether `address` lies in the image.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.base).is_some_and(|offset| offset < self.size)
    }
}

/// Name of the kernel's own module.
pub const KERNEL: &str = "nt";

/// All modules of a run. Ranges never overlap, because the range of an unloaded image is never reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Modules(pub Vec<Module>);

impl Modules {
    /// Returns the module that `address` lies in.
    pub fn find(&self, address: u64) -> Option<&Module> {
        self.0.iter().find(|module| module.contains(address))
    }

    /// Returns how to print `address`.
    pub fn locate(&self, address: u64) -> Located<'_> {
        let module = self.find(address);
        let symbol = module.and_then(|module| {
            let rva = u32::try_from(address - module.base).ok()?;
            let after = module.symbols.partition_point(|symbol| symbol.rva <= rva);
            module.symbols.get(after.checked_sub(1)?).map(|symbol| (symbol.name.as_str(), rva - symbol.rva))
        });
        Located { address, module, symbol }
    }
}

/// An address with the module and symbol it lies in. Displays as `listener.sys+0x1a2c (OnRing+0x1c)`, in the kernel as
/// `nt!PopNewProcessorCallback`, and as the bare number where no module covers it.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The address.
    pub address: u64,
    /// The module that covers it.
    pub module: Option<&'a Module>,
    /// Nearest symbol at or before it, and the distance.
    pub symbol: Option<(&'a str, u32)>,
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(module) = self.module else { return write!(f, "{:#x}", self.address) };
        match self.symbol {
            // The kernel image is made up, and its offsets mean nothing to anybody.
            Some((name, 0)) if module.name == KERNEL => return write!(f, "{KERNEL}!{name}"),
            Some((name, offset)) if module.name == KERNEL => return write!(f, "{KERNEL}!{name}+{offset:#x}"),
            _ => write!(f, "{}+{:#x}", module.name, self.address - module.base)?,
        }
        match self.symbol {
            Some((name, 0)) => write!(f, " ({name})"),
            Some((name, offset)) => write!(f, " ({name}+{offset:#x})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn modules() -> Modules {
        Modules(vec![Module {
            name: "a.sys".into(),
            base: 0x1000,
            size: 0x2000,
            symbols: vec![
                Symbol { rva: 0x100, name: "One".into() },
                Symbol { rva: 0x200, name: "Two".into() },
            ],
        }])
    }

    #[test]
    fn an_address_is_named_by_the_nearest_symbol_before_it() {
        let modules = modules();
        assert_eq!(modules.locate(0x1100).to_string(), "a.sys+0x100 (One)");
        assert_eq!(modules.locate(0x11ff).to_string(), "a.sys+0x1ff (One+0xff)");
        assert_eq!(modules.locate(0x1200).to_string(), "a.sys+0x200 (Two)");
        assert_eq!(modules.locate(0x1010).to_string(), "a.sys+0x10");
    }

    #[test]
    fn the_kernel_is_named_as_debuggers_do() {
        let mut modules = modules();
        modules.0[0].name = KERNEL.into();
        assert_eq!(modules.locate(0x1100).to_string(), "nt!One");
        assert_eq!(modules.locate(0x1101).to_string(), "nt!One+0x1");
        assert_eq!(modules.locate(0x1010).to_string(), "nt+0x10");
    }

    #[test]
    fn an_address_outside_every_module_is_a_bare_number() {
        assert_eq!(modules().locate(0x3000).to_string(), "0x3000");
        assert_eq!(modules().locate(0xfff).to_string(), "0xfff");
    }
}
