//! Names for the addresses that a debugger would have symbols for.
//!
//! Windows' public symbols name these variables and routines; a memory image of an executive without them could only be
//! carved.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::ex::KernelRoutine;
use crate::executive::Executive;
use crate::platform::Platform;

/// A variable or routine of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbol {
    /// Name without `nt!`.
    pub name: Cow<'static, str>,
    /// Where it lies.
    pub address: usize,
    /// How much memory it is.
    pub bytes: usize,
}

impl KernelSymbol {
    /// Names something at a place in memory.
    pub(crate) fn at<T>(name: impl Into<Cow<'static, str>>, place: *const T) -> Self {
        Self { name: name.into(), address: place.addr(), bytes: size_of::<T>() }
    }
}

impl<P: Platform> Executive<P> {
    /// Returns every variable and routine of the kernel that has a name, in the order of their addresses.
    pub fn kernel_symbols(&self) -> Vec<KernelSymbol> {
        let mut symbols = self.ex_symbols();
        symbols.extend(self.ob_symbols());
        symbols.extend(self.alpc_symbols());
        symbols.extend(KernelRoutine::ALL.iter().map(|routine| KernelSymbol {
            name: routine.name().into(),
            address: self.kernel_routine(*routine),
            bytes: crate::ex::routines::SLOT,
        }));
        symbols.sort_by_key(|symbol| symbol.address);
        symbols
    }
}
