//! The arguments of one export call, as the driver left them.
//!
//! Windows x64 passes four arguments in `rcx`, `rdx`, `r8`, `r9` and the rest on the stack, above 32 bytes of *home space*
//! that the caller reserves for the callee. The machine's single entry point spills the registers into that space, so that all
//! arguments of a call, fixed and variable, are one array of 8-byte slots behind the return address:
//!
//! ```text
//! frame + 0x00   return address into the driver
//! frame + 0x08   argument 0   (rcx)       home space
//! frame + 0x10   argument 1   (rdx)
//! frame + 0x18   argument 2   (r8)
//! frame + 0x20   argument 3   (r9)
//! frame + 0x28   argument 4   (the driver's stack)
//! ```
//!
//! A `va_list` of this platform is a pointer to such slots, and a variadic `double` stands in its slot as well as in an
//! `xmm` register, so nothing else is needed for `DbgPrint`.

use core::ptr::NonNull;

/// The stack of a driver at the entry of an export.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct CallFrame(NonNull<u64>);

impl CallFrame {
    /// Wraps the address of the return address.
    ///
    /// # Safety
    ///
    /// From `frame` up there are a return address, four slots with the register arguments, and the slots of as many further
    /// arguments as the export that is called takes. They stay readable while the value is used.
    #[must_use]
    pub const unsafe fn new(frame: NonNull<u64>) -> Self {
        Self(frame)
    }

    /// Returns the address that the export returns to.
    #[must_use]
    pub fn return_address(&self) -> u64 {
        // SAFETY: the constructor's contract: the slot is readable.
        unsafe { self.0.read_volatile() }
    }

    /// Returns the raw value of argument `index`, counted from 0.
    ///
    /// Upper bits beyond the argument's type are undefined, as on Windows.
    #[must_use]
    pub fn argument(&self, index: usize) -> u64 {
        let slot = self.0.as_ptr().wrapping_add(1 + index);
        // SAFETY: the constructor's contract covers the arguments of the export, and its handler asks for no others.
        unsafe { slot.read_volatile() }
    }

    /// Returns the address of the slot of argument `index`: a `va_list` that starts there.
    #[must_use]
    pub fn slot(&self, index: usize) -> u64 {
        self.0.as_ptr().wrapping_add(1 + index) as u64
    }

    /// Returns the four register arguments.
    #[must_use]
    pub fn registers(&self) -> [u64; 4] {
        core::array::from_fn(|index| self.argument(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_the_return_address() {
        let mut stack = [0x1000u64, 1, 2, 3, 4, 5, 6];
        // SAFETY: the array holds a return address and six arguments and outlives the frame.
        let frame = unsafe { CallFrame::new(NonNull::from(&mut stack).cast()) };
        assert_eq!(frame.return_address(), 0x1000);
        assert_eq!((0..6).map(|index| frame.argument(index)).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(frame.registers(), [1, 2, 3, 4]);
        assert_eq!(frame.slot(4) - frame.slot(0), 32);
    }
}
