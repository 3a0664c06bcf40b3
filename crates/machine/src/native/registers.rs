//! The registers of a trapped context, as Linux hands them to a signal handler.

use iced_x86::Register;

/// Positions in `gregs` of the registers in the order of [`record::Registers`].
const ORDER: [libc::c_int; 18] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RIP,
    libc::REG_EFL,
];

/// Position of the flags in [`Context::words`].
pub(crate) const FLAGS: usize = 17;

/// Mark of an extended state area, at `EXTENDED_MARK` in the floating-point state.
const EXTENDED: u32 = 0x4650_5853; // FP_XSTATE_MAGIC1

/// Where the mark lies, in 32-bit words.
const EXTENDED_MARK: usize = 464 / 4;

/// Where the extended area says which parts it holds (`XSTATE_BV`), in 64-bit words; bit 1 is for XMM.
const EXTENDED_PARTS: usize = 512 / 8;

/// A trapped context that can be changed.
#[derive(Debug)]
pub(crate) struct Context<'a>(&'a mut [libc::greg_t; 23], *mut libc::_libc_fpstate);

impl Context<'_> {
    /// Wraps the third argument of a signal handler.
    ///
    /// # Safety
    ///
    /// `context` is that argument, and the value does not outlive the handler.
    pub(crate) unsafe fn new(context: *mut libc::c_void) -> Option<Self> {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel's context is a valid `ucontext_t` that belongs to the handler while it runs.
        let context = unsafe { context.as_mut() }?;
        Some(Self(&mut context.uc_mcontext.gregs, context.uc_mcontext.fpregs))
    }

    /// Sets XMM register `number`.
    pub(crate) fn set_xmm(&mut self, number: usize, value: u128) -> Option<()> {
        let state = std::ptr::NonNull::new(self.1)?;
        // SAFETY: the kernel saved the state there for this handler and reads it back afterwards.
        let registers = unsafe { &mut (*state.as_ptr())._xmm };
        registers.get_mut(number)?.element = std::array::from_fn(|index| (value >> (32 * index)) as u32);
        // SAFETY: the legacy area is 512 bytes long.
        let mark = unsafe { *state.as_ptr().cast::<u32>().wrapping_add(EXTENDED_MARK) };
        if mark == EXTENDED {
            // SAFETY: an extended area follows the legacy one, says the mark.
            let parts = unsafe { &mut *state.as_ptr().cast::<u64>().wrapping_add(EXTENDED_PARTS) };
            *parts |= 2;
        }
        Some(())
    }

    /// Returns the general-purpose registers, RIP and flags.
    pub(crate) fn words(&self) -> [u64; 18] {
        ORDER.map(|position| self.0[position as usize].cast_unsigned())
    }

    /// Returns the number of the hardware exception.
    pub(crate) fn vector(&self) -> u64 {
        self.0[libc::REG_TRAPNO as usize].cast_unsigned()
    }

    /// Returns the hardware error code.
    pub(crate) fn error(&self) -> u64 {
        self.0[libc::REG_ERR as usize].cast_unsigned()
    }

    /// Returns a word by its position in [`Context::words`].
    pub(crate) fn word(&self, position: usize) -> u64 {
        self.0[ORDER[position] as usize].cast_unsigned()
    }

    /// Sets a word by its position in [`Context::words`].
    pub(crate) fn set_word(&mut self, position: usize, value: u64) {
        self.0[ORDER[position] as usize] = value.cast_signed();
    }

    /// Returns the value of a general-purpose register, whole or part.
    pub(crate) fn get(&self, register: Register) -> Option<u64> {
        let whole = self.word(position(register)?);
        Some(match (register.size(), is_high_byte(register)) {
            (1, true) => whole >> 8 & 0xFF,
            (1, false) => whole & 0xFF,
            (2, _) => whole & 0xFFFF,
            (4, _) => whole & 0xFFFF_FFFF,
            _ => whole,
        })
    }

    /// Sets a general-purpose register as an instruction does: 32-bit writes clear the upper half, smaller ones keep the rest.
    pub(crate) fn set(&mut self, register: Register, value: u64) -> Option<()> {
        let position = position(register)?;
        let whole = self.word(position);
        let merged = match (register.size(), is_high_byte(register)) {
            (1, true) => whole & !0xFF00 | (value & 0xFF) << 8,
            (1, false) => whole & !0xFF | value & 0xFF,
            (2, _) => whole & !0xFFFF | value & 0xFFFF,
            (4, _) => value & 0xFFFF_FFFF,
            _ => value,
        };
        self.set_word(position, merged);
        Some(())
    }
}

fn position(register: Register) -> Option<usize> {
    // Hardware numbers are the order of `record::Registers`.
    (register.is_gpr() && register.full_register() != Register::RIP)
        .then(|| register.full_register().number())
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_registers_are_written_as_the_processor_writes_them() {
        let mut words = [0; 23];
        let mut context = Context(&mut words, std::ptr::null_mut());
        context.set(Register::RAX, 0x1122_3344_5566_7788).unwrap();
        context.set(Register::AH, 0xAB).unwrap();
        assert_eq!(context.get(Register::RAX), Some(0x1122_3344_5566_AB88));
        context.set(Register::AL, 0x01).unwrap();
        assert_eq!(context.get(Register::AX), Some(0xAB01));
        context.set(Register::EAX, 7).unwrap();
        assert_eq!(context.get(Register::RAX), Some(7));
        context.set(Register::R15D, 9).unwrap();
        assert_eq!(context.words()[15], 9);
        assert_eq!(context.get(Register::XMM0), None);
    }
}
